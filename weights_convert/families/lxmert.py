"""LXMERT's map: BERT's blocks, ``lxmert.`` in front of the base model where there are heads."""

from __future__ import annotations

from weights_convert.rules import FamilyMap

__all__ = ["MAP"]

MAP = FamilyMap(
    base_prefix="lxmert",
    rows=(
        ("embeddings.norm", "embeddings.LayerNorm"),
        *(
            row
            for name, inner in (
                ("attention", "self"),
                ("lang_self_att", "self"),
                ("visn_self_att", "self"),
                ("visual_attention", "att"),
            )
            for row in (
                (f"{name}.query", f"{name}.{inner}.query"),
                (f"{name}.key", f"{name}.{inner}.key"),
                (f"{name}.value", f"{name}.{inner}.value"),
                (f"{name}.out", f"{name}.output.dense"),
                (f"{name}.norm", f"{name}.output.LayerNorm"),
            )
        ),
        *(
            row
            for name, inner, outer in (
                ("mlp", "intermediate", "output"),
                ("lang_mlp", "lang_inter", "lang_output"),
                ("visn_mlp", "visn_inter", "visn_output"),
            )
            for row in (
                (f"{name}.fc1", f"{inner}.dense"),
                (f"{name}.fc2", f"{outer}.dense"),
                (f"{name}.norm", f"{outer}.LayerNorm"),
            )
        ),
        ("pooler", "pooler.dense"),
        ("transform.norm", "transform.LayerNorm"),
        ("answer_head.dense", "answer_head.logit_fc.0"),
        ("answer_head.norm", "answer_head.logit_fc.2"),
        ("answer_head.out", "answer_head.logit_fc.3"),
    ),
    # A model or a checkpoint may have been made for some of the visual tasks only.
    heads=(
        *(f"obj_predict_head.decoder_dict.{task}" for task in ("obj", "attr", "feat")),
        "obj_predict_head",
        "answer_head",
        "cls",
    ),
    ties=(("cls.predictions.decoder.weight", "lxmert.embeddings.word_embeddings.weight"),),
    # Checkpoints from before 2020, and TensorFlow's names.
    aliases=tuple(
        (f"{norm}.{old}", f"{norm}.{new}")
        for norm in ("LayerNorm", "visn_layer_norm", "box_layer_norm", "logit_fc.2")
        for old, new in (("gamma", "weight"), ("beta", "bias"))
    ),
)
