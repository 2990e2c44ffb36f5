"""Cases of OWLv2 and OWL-ViT: the detector with real and padded queries, towers, pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tests.support.cases import Case
from tests.support.tiny import Tiny

TEXT: dict[str, Any] = {
    "vocab_size": 49,
    "hidden_size": 8,
    "intermediate_size": 14,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 7,
}
VISION: dict[str, Any] = {
    "hidden_size": 12,
    "intermediate_size": 18,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "image_size": 16,
    "patch_size": 4,
}
BEGIN, END = 47, 48


def queries(rng: np.random.Generator, count: int, padded: tuple[int, ...] = ()) -> dict:
    """Random queries padded with 0, as OWLv2's tokenizer does; some are nothing but padding."""
    lengths = rng.integers(3, 8, size=count)
    places = np.arange(7)[None]
    ids = np.where(places < lengths[:, None] - 1, rng.integers(1, BEGIN, (count, 7)), 0)
    ids[:, 0] = BEGIN
    ids[np.arange(count), lengths - 1] = END
    mask = places < lengths[:, None]
    ids[list(padded)] = 0
    return {"input_ids": ids.astype("int64"), "attention_mask": mask.astype("int64")}


def images(rng: np.random.Generator, *shape: int) -> dict[str, np.ndarray]:
    """Random pixels of the given shape."""
    return {"pixel_values": rng.normal(size=shape).astype("float32")}


def config(
    text: Mapping[str, Any] = {},
    vision: Mapping[str, Any] = {},
    **joint: Any,
) -> dict[str, Any]:
    """Fields of a tiny config with some changed."""
    sub = {"text_config": {**TEXT, **text}, "vision_config": {**VISION, **vision}}
    return {**sub, "projection_dim": 8, **joint}


CASES = (
    Case(
        name="owlv2/detector",
        model="TFOwlv2ForObjectDetection",
        config=config({"layer_norm_eps": 1e-2}, {"layer_norm_eps": 1e-6}),
        inputs=lambda rng: {**queries(rng, 6, padded=(4,)), **images(rng, 2, 3, 16, 16)},
    ),
    Case(
        name="owlv2/pairs",
        model="TFOwlv2Model",
        config=config(
            {"hidden_act": "gelu"}, {"hidden_act": "relu", "num_channels": 2}, projection_dim=10
        ),
        inputs=lambda rng: {**queries(rng, 3), **images(rng, 3, 2, 16, 16)},
        loss_flags={"return_loss": True},
    ),
    Case(
        name="owlv2/text",
        model="TFOwlv2TextModel",
        is_part=True,
        config=TEXT,
        inputs=lambda rng: queries(rng, 4),
    ),
    Case(
        name="owlv2/vision",
        model="TFOwlv2VisionModel",
        is_part=True,
        config=VISION,
        inputs=lambda rng: images(rng, 2, 3, 16, 16),
    ),
    Case(
        name="owlv2/owlvit",
        model="TFOwlViTForObjectDetection",
        config=config(vision={"patch_size": 8}),
        inputs=lambda rng: {**queries(rng, 2), **images(rng, 1, 3, 16, 16)},
    ),
    Case(
        name="owlv2/owlvit_pairs",
        model="TFOwlViTModel",
        is_part=True,
        config=config(projection_dim=10),
        inputs=lambda rng: {**queries(rng, 2), **images(rng, 2, 3, 16, 16)},
        loss_flags={"return_loss": True},
    ),
    Case(  # the towers' epsilons and activations of their own
        name="owlv2/owlvit_text",
        model="TFOwlViTTextModel",
        is_part=True,
        config={**TEXT, "layer_norm_eps": 1e-2, "hidden_act": "gelu"},
        inputs=lambda rng: queries(rng, 3, padded=(1,)),
    ),
    Case(
        name="owlv2/owlvit_vision",
        model="TFOwlViTVisionModel",
        is_part=True,
        config={**VISION, "layer_norm_eps": 1e-2, "patch_size": 8},
        inputs=lambda rng: images(rng, 2, 3, 16, 16),
    ),
)


def _boxes(rng: np.random.Generator) -> dict[str, Any]:
    boxes = np.array([[[0.3, 0.3, 0.2, 0.2], [0.7, 0.6, 0.3, 0.3]]] * 2, "float32")
    return {"labels": {"boxes": boxes, "class_labels": np.array([[0, 2], [2, -1]])}}


#: What the features of Keras are tested on, see `tests/features`.
FEATURES = Tiny(
    replace(
        CASES[0],
        inputs=lambda rng: {**queries(rng, 6), **images(rng, 2, 3, 16, 16)},
        labels=_boxes,
    )
)

# Which cases give an option a value other than its default. `tests/models/test_cases.py` holds it
# to the configs: a new option needs a case, or a test of its own if no output depends on it.
COVERED = {
    **{f"text_config.{name}": "detector text owlvit" for name in TEXT},
    "text_config.hidden_act": "pairs owlvit_text",
    "text_config.layer_norm_eps": "detector owlvit_text",
    **{f"vision_config.{name}": "detector vision" for name in VISION},
    "vision_config.hidden_act": "pairs",
    "vision_config.num_channels": "pairs",
    "vision_config.layer_norm_eps": "detector owlvit_vision",
    "projection_dim": "detector pairs owlvit owlvit_pairs",
}
_FRESH = "../test_cases.py::test_fresh_weights_follow_the_config"
_DROPOUT = "test_model.py::test_dropout_acts_in_training_only"
_TOKENS = "test_model.py::test_ids_of_special_tokens_are_placeholders"
ELSEWHERE = {
    "text_config.attention_dropout": _DROPOUT,
    "text_config.initializer_range": _FRESH,
    "text_config.initializer_factor": _FRESH,
    "text_config.pad_token_id": _TOKENS,
    "text_config.bos_token_id": _TOKENS,
    "text_config.eos_token_id": _TOKENS,
    "vision_config.attention_dropout": _DROPOUT,
    "vision_config.initializer_range": _FRESH,
    "vision_config.initializer_factor": _FRESH,
    "logit_scale_init_value": _FRESH,
    "return_dict": "test_model.py::TestOwlv2",
}
