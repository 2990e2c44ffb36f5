"""TimeSformer's known answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tfzoo.modeling.expected import Answer, Number
from tfzoo.registry import import_name

__all__ = ["ANSWERS"]


def _logits(load: Callable[..., Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    model = load("TFTimesformerForVideoClassification")
    half = [0.5, 0.5, 0.5]  # not the checkpoint's, but what the numbers were published for
    processor = import_name("VideoMAEImageProcessor")(image_mean=half, image_std=half)
    return model(**processor(list(inputs["spaghetti"][:8]), return_tensors="np"))


ANSWERS = (
    Answer(
        "facebook/timesformer-base-finetuned-k400",
        "what somebody does in eight frames",
        _logits,
        (Number("logits", (-0.3016, -0.7713, -0.4205), np.s_[0, :3], (1, 400), tolerance=2e-4),),
        ("spaghetti",),
    ),
)
