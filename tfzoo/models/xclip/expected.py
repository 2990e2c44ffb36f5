"""X-CLIP's known answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tfzoo.modeling.expected import Answer, Number

__all__ = ["ANSWERS"]

_CHECKPOINT = "microsoft/xclip-base-patch32"
_TEXTS = ["playing sports", "eating spaghetti", "go shopping"]


def _scores(load: Callable[..., Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    processor, model = load("XCLIPProcessor"), load("TFXCLIPModel")
    frames = list(inputs["spaghetti8"])
    return model(**processor(text=_TEXTS, videos=frames, padding=True, return_tensors="np"))


def _small_frames(load: Callable[..., Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    processor, model = load("XCLIPProcessor"), load("TFXCLIPModel")
    size = {"size": {"shortest_edge": 180}, "crop_size": {"height": 180, "width": 180}}
    frames = list(inputs["spaghetti8"])
    encoded = processor(text="what's in the video", videos=frames, return_tensors="np", **size)
    outputs = model(**encoded, interpolate_pos_encoding=True)
    return {"vision_model_output.last_hidden_state": outputs.vision_model_output[0]}


ANSWERS = (
    Answer(
        _CHECKPOINT,
        "one clip and three texts",
        _scores,
        (Number("logits_per_video", ((14.0181, 20.2771, 14.4776),), tolerance=1e-3),),
        ("spaghetti8",),
    ),
    Answer(
        _CHECKPOINT,
        "the same clip at 180 x 180 pixels",
        _small_frames,
        (
            Number(
                "vision_model_output.last_hidden_state",
                (
                    (0.0126, 0.2109, 0.0609),
                    (0.0448, 0.5862, -0.1688),
                    (-0.0881, 0.8525, -0.3044),
                ),
                np.s_[0, :3, :3],
                (8, 26, 768),
                tolerance=2e-4,
            ),
        ),
        ("spaghetti8",),
    ),
)
