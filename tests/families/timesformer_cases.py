"""Cases of TimeSformer: every attention type, each kind of loss, options that change weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.support.cases import Case

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


def _case(name: str, model: str = CLASSIFIER, labels: Any = None, **config: Any) -> Case:
    return Case(
        name=f"timesformer/{name}",
        model=model,
        config={**TINY, **config},
        inputs=lambda rng: clips(rng, 2, 4, config.get("num_channels", 3), 12, 12),
        labels=labels,
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
    _case("bare", model="TFTimesformerModel"),
)
