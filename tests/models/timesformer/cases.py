"""Cases of TimeSformer: every attention type, each kind of loss, options that change weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.support.cases import Case
from tests.support.tiny import Tiny

TINY: dict[str, Any] = {
    "image_size": 12,
    "patch_size": 4,
    "num_frames": 4,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "num_labels": 3,
}
CLASSIFIER = "TFTimesformerForVideoClassification"


def clips(rng: np.random.Generator, *shape: int) -> dict[str, np.ndarray]:
    """Random pixels of the given shape."""
    return {"pixel_values": rng.normal(size=shape).astype("float32")}


def _case(
    name: str, model: str = CLASSIFIER, labels: Any = None, is_part: bool = False, **config: Any
) -> Case:
    return Case(
        name=f"timesformer/{name}",
        model=model,
        config={**TINY, **config},
        inputs=lambda rng: clips(rng, 2, 4, config.get("num_channels", 3), 12, 12),
        labels=labels,
        is_part=is_part,
    )


def _indices(count: int) -> Any:
    return lambda rng: {"labels": rng.integers(0, 3, size=count)}


CASES = (
    _case("divided", labels=_indices(2)),
    _case("joint", labels=_indices(2), attention_type="joint_space_time"),
    _case("space_only", labels=_indices(8), attention_type="space_only"),
    _case(
        "regression",
        labels=lambda rng: {"labels": rng.normal(size=2).astype("float32")},
        num_labels=1,
        qkv_bias=False,
        num_channels=1,
    ),
    _case(
        "multi_label",
        labels=lambda rng: {"labels": rng.integers(0, 2, size=(2, 3)).astype("float32")},
        num_channels=4,
        hidden_act="gelu_new",
        layer_norm_eps=1e-12,
    ),
    _case("bare", model="TFTimesformerModel", is_part=True),
)

#: What the features of Keras are tested on, see `tests/features`.
FEATURES = Tiny(CASES[0])

# Which cases give an option a value other than its default. `tests/models/test_cases.py` holds it
# to the configs: a new option needs a case, or a test of its own if no output depends on it.
COVERED = {
    **dict.fromkeys(TINY, "divided"),
    "num_channels": "regression multi_label",
    "hidden_act": "multi_label",
    "layer_norm_eps": "multi_label",
    "qkv_bias": "regression",
    "attention_type": "joint space_only",
}
_TRAINING = "test_model.py::test_stochastic_depth_and_dropout_act_in_training_only"
ELSEWHERE = {
    "hidden_dropout_prob": _TRAINING,
    "attention_probs_dropout_prob": _TRAINING,
    "drop_path_rate": _TRAINING,
    "initializer_range": "../test_cases.py::test_fresh_weights_follow_the_config",
}
