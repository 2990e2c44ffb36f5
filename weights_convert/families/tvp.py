"""TVP's map: a ResNet, BERT's blocks with snake-case norms, and the prompts beside them."""

from __future__ import annotations

from weights_convert.rules import FamilyMap

__all__ = ["MAP"]

_STAGE, _BLOCK = "stages.*.blocks.*", "encoder.stages.*.layers.*"

MAP = FamilyMap(
    base_prefix="model",
    rows=(
        ("backbone.stem", "backbone.embedder.embedder"),
        (f"{_STAGE}.convs.*", f"{_BLOCK}.layer.*"),
        (f"{_STAGE}.shortcut", f"{_BLOCK}.shortcut"),
        ("attention.out", "attention.dense"),
        ("attention.norm", "attention.layer_norm"),
        ("mlp.fc1", "intermediate.dense"),
        ("mlp.fc2", "output.dense"),
        ("mlp.norm", "output.layer_norm"),
        ("embeddings.norm", "embeddings.layer_norm"),
        ("visual_embeddings.norm", "visual_embeddings.layer_norm"),
    ),
    heads=("video_grounding_head",),
)
