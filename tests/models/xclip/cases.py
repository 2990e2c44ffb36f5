"""Cases of X-CLIP: pairs with a loss, unequal numbers of texts and videos, towers alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.support.cases import Case
from tests.support.tiny import Tiny

# Every width and every number of heads differs, so that none can stand in for another.
TEXT: dict[str, Any] = {
    "vocab_size": 49,
    "hidden_size": 8,
    "intermediate_size": 14,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 12,
}
VISION: dict[str, Any] = {
    "hidden_size": 12,
    "intermediate_size": 18,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "mit_hidden_size": 10,
    "mit_intermediate_size": 16,
    "mit_num_attention_heads": 5,
    "image_size": 16,
    "patch_size": 8,
}
JOINT: dict[str, Any] = {"projection_dim": 10, "prompt_num_attention_heads": 2}
END = 48  # the largest id; texts are padded with it


def texts(rng: np.random.Generator, count: int, length: int = 9) -> dict[str, np.ndarray]:
    """Random texts of different lengths, padded with the end token."""
    lengths = rng.integers(2, length, size=count)
    lengths[0] = length
    places = np.arange(length)[None]
    ids = np.where(places < lengths[:, None] - 1, rng.integers(0, END, (count, length)), END)
    return {
        "input_ids": ids.astype("int64"),
        "attention_mask": (places < lengths[:, None]).astype("int64"),
    }


def clips(rng: np.random.Generator, *shape: int) -> dict[str, np.ndarray]:
    """Random pixels of the given shape."""
    return {"pixel_values": rng.normal(size=shape).astype("float32")}


def config(
    text: Mapping[str, Any] = {},
    vision: Mapping[str, Any] = {},
    **joint: Any,
) -> dict[str, Any]:
    """Fields of a tiny config with some changed."""
    sub = {"text_config": {**TEXT, **text}, "vision_config": {**VISION, **vision}}
    return {**sub, **JOINT, **joint}


CASES = (
    Case(
        name="xclip/pairs",
        model="TFXCLIPModel",
        config=config(),
        inputs=lambda rng: {**texts(rng, 3), **clips(rng, 3, 8, 3, 16, 16)},
        loss_flags={"return_loss": True},
    ),
    Case(  # base-patch16's proportions, 16 frames, norms that tell their epsilons apart
        name="xclip/unequal",
        model="TFXCLIPModel",
        config=config(
            {"layer_norm_eps": 1e-2, "hidden_act": "gelu"},
            {
                "layer_norm_eps": 1e-6,
                "image_size": 8,
                "patch_size": 4,
                "num_frames": 16,
                "num_channels": 2,
                "mit_num_hidden_layers": 2,
                "hidden_act": "relu",
            },
            prompt_layers=3,
            prompt_hidden_act="gelu_new",
            prompt_alpha=0.5,
        ),
        inputs=lambda rng: {**texts(rng, 5), **clips(rng, 2, 16, 2, 8, 8)},
    ),
    Case(
        name="xclip/no_layers",
        model="TFXCLIPModel",
        config=config(vision={"mit_num_hidden_layers": 0, "num_frames": 2}, prompt_layers=0),
        inputs=lambda rng: {**texts(rng, 2), **clips(rng, 2, 2, 3, 16, 16)},
    ),
    Case(
        name="xclip/text",
        model="TFXCLIPTextModel",
        is_part=True,
        config={**TEXT, "eos_token_id": 5},  # has no effect, as in the reference
        inputs=lambda rng: texts(rng, 4, length=12),
    ),
    Case(
        name="xclip/vision",
        model="TFXCLIPVisionModel",
        is_part=True,
        config={**VISION, "num_frames": 4},
        inputs=lambda rng: clips(rng, 8, 3, 16, 16),
    ),
)

#: What the features of Keras are tested on, see `tests/features`.
FEATURES = Tiny(CASES[0])

# Which cases give an option a value other than its default. `tests/models/test_cases.py` holds it
# to the configs: a new option needs a case, or a test of its own if no output depends on it.
COVERED = {
    **{f"text_config.{name}": "pairs text" for name in TEXT},
    "text_config.hidden_act": "unequal",
    "text_config.layer_norm_eps": "unequal",
    "text_config.eos_token_id": "text",
    **{f"vision_config.{name}": "pairs vision" for name in VISION},
    "vision_config.mit_num_hidden_layers": "unequal no_layers",
    "vision_config.num_channels": "unequal",
    "vision_config.num_frames": "unequal no_layers vision",
    "vision_config.hidden_act": "unequal",
    "vision_config.layer_norm_eps": "unequal",
    "projection_dim": "pairs",
    "prompt_num_attention_heads": "pairs",
    "prompt_layers": "unequal no_layers",
    "prompt_alpha": "unequal",
    "prompt_hidden_act": "unequal",
}
_TRAINING = "test_model.py::test_dropout_and_stochastic_depth_act_in_training_only"
_FRESH = "../test_cases.py::test_fresh_weights_follow_the_config"
_PLACEHOLDERS = "test_use.py::test_examples_of_the_configs"
ELSEWHERE = {
    "text_config.attention_dropout": _TRAINING,
    "text_config.initializer_range": _FRESH,
    "text_config.initializer_factor": _FRESH,
    "text_config.pad_token_id": _PLACEHOLDERS,
    "text_config.bos_token_id": _PLACEHOLDERS,
    "vision_config.attention_dropout": _TRAINING,
    "vision_config.drop_path_rate": _TRAINING,
    "vision_config.initializer_range": _FRESH,
    "vision_config.initializer_factor": _FRESH,
    "prompt_attention_dropout": _TRAINING,
    "prompt_projection_dropout": _TRAINING,
    "logit_scale_init_value": _FRESH,
}
