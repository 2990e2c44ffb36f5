"""Cases of TVP: both prompters in their modes, both kinds of ResNet blocks, one without head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import tfzoo
from tests.support.cases import Case
from tests.support.tiny import Tiny

# Every width and every number of heads differs, so that none can stand in for another.
BACKBONE: dict[str, Any] = {
    "model_type": "resnet",
    "embedding_size": 6,
    "hidden_sizes": [8, 20],
    "depths": [2, 1],
}
FIELDS: dict[str, Any] = {
    "visual_prompt_size": 5,
    "max_img_size": 32,
    "num_frames": 3,
    "vocab_size": 40,
    "hidden_size": 12,
    "intermediate_size": 18,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "max_position_embeddings": 9,
    "max_grid_row_position_embeddings": 7,
    "max_grid_col_position_embeddings": 8,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "type_vocab_size": 2,
    "pad_token_id": 0,
}


def config(backbone: Mapping[str, Any] = {}, **fields: Any) -> dict[str, Any]:
    """Fields of a tiny config with some changed."""
    own = {"backbone_config": {**BACKBONE, **backbone}, **FIELDS, **fields}
    return {name: value for name, value in own.items() if value is not None}  # as in files


def queries(rng: np.random.Generator, count: int, length: int = 6) -> dict[str, np.ndarray]:
    """Random texts of different lengths, padded with 0."""
    lengths = rng.integers(2, length, size=(count, 1))
    lengths[0] = length
    is_token = np.arange(length)[None] < lengths
    ids = np.where(is_token, rng.integers(1, 40, (count, length)), 0)
    return {"input_ids": ids.astype("int64"), "attention_mask": is_token.astype("int64")}


def videos(rng: np.random.Generator, *shape: int) -> dict[str, np.ndarray]:
    """Random pixels of the given shape."""
    return {"pixel_values": rng.normal(size=shape).astype("float32")}


def spans(rng: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    """Durations with starts and ends inside."""
    duration = rng.uniform(10, 60, size=(count, 1))
    ends = np.sort(rng.uniform(0.05, 0.95, size=(count, 2)), axis=1)
    return {"labels": np.concatenate([duration, ends * duration], axis=1).astype("float32")}


CASES = (
    Case(
        name="tvp/grounding",
        model="TFTvpForVideoGrounding",
        config=config({"downsample_in_bottleneck": True}),
        inputs=lambda rng: {**queries(rng, 2), **videos(rng, 2, 3, 3, 32, 32)},
        labels=lambda rng: spans(rng, 2),
    ),
    Case(  # basic blocks, odd sides, one image that broadcasts, weights of the losses
        name="tvp/basic_add",
        model="TFTvpForVideoGrounding",
        config=config(
            {
                "layer_type": "basic",
                "hidden_act": "gelu",
                "downsample_in_first_stage": True,
                "hidden_sizes": [8, 14],
            },
            visual_prompter_apply="add",
            max_img_size=45,
            distance_loss_weight=0.5,
            duration_loss_weight=2.0,
            hidden_act="quick_gelu",
            layer_norm_eps=1e-2,
            pad_token_id=None,
            type_vocab_size=1,
        ),
        inputs=lambda rng: {**queries(rng, 1, 9), **videos(rng, 1, 3, 3, 45, 45)},
        labels=lambda rng: spans(rng, 1),
    ),
    Case(  # prompts that are not used, frames of any number, tables of just the grid's size
        name="tvp/remove",
        model="TFTvpForVideoGrounding",
        config=config(
            {"num_channels": 2, "hidden_sizes": [20], "depths": [1]},
            visual_prompter_apply="remove",
            max_grid_row_position_embeddings=4,
            max_grid_col_position_embeddings=4,
            hidden_act="gelu_new",
        ),
        inputs=lambda rng: {**queries(rng, 3), **videos(rng, 3, 2, 2, 32, 32)},
        labels=lambda rng: spans(rng, 3),
    ),
    Case(
        name="tvp/bare",
        model="TFTvpModel",
        is_part=True,
        config=config(num_frames=1, hidden_act="relu"),
        inputs=lambda rng: {**queries(rng, 2), **videos(rng, 2, 4, 3, 32, 32)},
    ),
    *(
        Case(
            name=f"tvp/down_{mode}",
            model="TFTvpForVideoGrounding",
            config=config(
                {"depths": [1, 1]},
                visual_prompter_type="framedownpad",
                visual_prompter_apply=mode,
                frame_num=3,
                num_hidden_layers=1,
                hidden_act="gelu",
            ),
            inputs=lambda rng: {**queries(rng, 2), **videos(rng, 2, 3, 3, 32, 32)},
            labels=lambda rng: spans(rng, 2),
        )
        for mode in ("replace", "add", "remove")
    ),
)

# Which cases give an option a value other than its default. `tests/models/test_cases.py` holds it
# to the configs: a new option needs a case, or a test of its own if no output depends on it.
COVERED = {
    "backbone_config.num_channels": "remove",
    "backbone_config.embedding_size": "grounding",
    "backbone_config.hidden_sizes": "grounding basic_add remove",
    "backbone_config.depths": "grounding remove",
    "backbone_config.layer_type": "basic_add",
    "backbone_config.hidden_act": "basic_add",
    "backbone_config.downsample_in_first_stage": "basic_add",
    "backbone_config.downsample_in_bottleneck": "grounding",
    **{name: "grounding" for name in FIELDS if not name.endswith("_prob")},
    "distance_loss_weight": "basic_add",
    "duration_loss_weight": "basic_add",
    "visual_prompter_type": "down_replace down_add down_remove",
    "visual_prompter_apply": "basic_add remove down_add down_remove",
    "hidden_act": "basic_add remove bare",
    "layer_norm_eps": "basic_add",
    "type_vocab_size": "basic_add",
}
_FEATURES = "test_model.py::test_an_earlier_map_of_equal_width_is_used"
ELSEWHERE = {
    "backbone_config.out_features": _FEATURES,
    "backbone_config.out_indices": "test_config.py::test_indices_and_names_of_outputs_agree",
    "hidden_dropout_prob": "test_training.py::test_dropout_acts_in_training_only",
    "attention_probs_dropout_prob": "test_training.py::test_dropout_acts_in_training_only",
    "initializer_range": "../test_cases.py::test_fresh_weights_follow_the_config",
}


BY_NAME = {case.name.split("/")[1]: case for case in CASES}
GROUNDING, BARE = BY_NAME["grounding"], BY_NAME["bare"]
#: What the features of Keras are tested on, see `tests/features`.
FEATURES = Tiny(GROUNDING, tells_classes=False)


def tiny(backbone: Mapping[str, Any] = {}, **fields: Any) -> Any:
    """A fresh model with some fields changed."""
    return tfzoo.TFTvpForVideoGrounding(tfzoo.TvpConfig(**config(backbone, **fields)))


def inputs(batch: int = 1, frames: int = 3, side: int = 32, seed: int = 0) -> dict[str, np.ndarray]:
    """Texts and videos that all cases with three frames take."""
    rng = np.random.default_rng(seed)
    return {**queries(rng, batch), **videos(rng, batch, frames, 3, side, side)}
