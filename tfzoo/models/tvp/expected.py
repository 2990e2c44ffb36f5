"""TVP's known answers, for random weights: none were ever published for a trained model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tfzoo.modeling.expected import Answer, Number

__all__ = ["ANSWERS"]


def _encoded(load: Callable[..., Any], inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The image as a video of one frame, with two ids."""
    processor = load("TvpImageProcessor")
    pixels = processor([inputs["cats"]], return_tensors="np").pixel_values
    return {
        "input_ids": np.array([[1, 2]]),
        "pixel_values": pixels,
        "attention_mask": np.array([[1, 1]]),
    }


def _states(load: Callable[..., Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    return load("TFTvpModel")(**_encoded(load, inputs))


def _span(load: Callable[..., Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    return load("TFTvpForVideoGrounding")(**_encoded(load, inputs))


_CHECKPOINT, _SAFETENSORS = "Jiqing/tiny-random-tvp", "refs/pr/1"

ANSWERS = (
    Answer(
        _CHECKPOINT,
        "hidden states of an image and two tokens",
        _states,
        (
            Number(
                "last_hidden_state",
                (
                    (-0.4902, -0.4121, -1.7872),
                    (-0.2184, 2.1211, -0.9371),
                    (0.1180, 0.5003, -0.1727),
                ),
                np.s_[0, :3, :3],
                (1, 796, 128),
            ),
        ),
        ("cats",),
        _SAFETENSORS,
    ),
    Answer(
        _CHECKPOINT,
        "the moment that two tokens describe",
        _span,
        (Number("logits", ((0.5061, 0.4988),), shape=(1, 2)),),
        ("cats",),
        _SAFETENSORS,
    ),
)
