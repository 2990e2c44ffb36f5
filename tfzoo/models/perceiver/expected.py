"""Perceiver's known answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from tfzoo.modeling.expected import Answer, Number
from tfzoo.registry import import_name

__all__ = ["ANSWERS"]

_TEXT = "This is an incomplete sentence where some words are missing."
_MASKED = slice(52, 61)  # " missing."


def _masked_bytes(load: Callable[..., Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    tokenizer, model = load("PerceiverTokenizer"), load("TFPerceiverForMaskedLM")
    encoded = tokenizer(_TEXT, padding="max_length", return_tensors="np")
    encoded["input_ids"][0, _MASKED] = tokenizer.mask_token_id
    logits = np.asarray(model(**encoded).logits)
    return {"logits": logits, "ids of the masked bytes": logits[0, _MASKED].argmax(-1)}


def _class(kind: str, load: Callable[..., Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    processor = import_name("PerceiverImageProcessor")()  # not the checkpoint's: as published
    model = load(f"TFPerceiverForImageClassification{kind}")
    return model(processor(inputs["cats"], return_tensors="np").pixel_values)


def _still_flow(load: Callable[..., Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """One image twice, cut to the model's size, as published."""
    model = load("TFPerceiverForOpticalFlow")
    height, width = model.config.train_size
    image = inputs["sintel"][:height, :width]
    patches = import_name("flow_patches")(np.stack([image, image]))
    return model(patches[None])


def _image(name: str, kind: str, *values: float) -> Answer:
    return Answer(
        f"deepmind/vision-perceiver-{name}",
        "what an image shows",
        partial(_class, kind),
        (Number("logits", values, np.s_[0, :3], (1, 1000)),),
        ("cats",),
    )


ANSWERS = (
    Answer(
        "deepmind/language-perceiver",
        "a sentence with masked bytes",
        _masked_bytes,
        (
            Number(
                "logits",
                (
                    (-10.8609, -10.7651, -10.9187),
                    (-12.1689, -11.9389, -12.1479),
                    (-12.1518, -11.9707, -12.2073),
                ),
                np.s_[0, :3, :3],
                (1, 2048, 262),
            ),
            Number(
                "ids of the masked bytes",
                (38, 115, 111, 121, 121, 111, 116, 109, 52),
                tolerance=0.0,
            ),
        ),
    ),
    _image("learned", "Learned", -1.1652, -0.1992, -0.7520),
    _image("fourier", "Fourier", -1.1295, -0.2832, 0.3226),
    _image("conv", "ConvProcessing", -1.1186, 0.0554, 0.0897),
    Answer(
        "deepmind/optical-flow-perceiver",
        "the motion between an image and itself",
        _still_flow,
        (
            Number(
                "logits",
                (
                    ((0.0025, -0.0050), (0.0025, -0.0049), (0.0025, -0.0048)),
                    ((0.0026, -0.0049), (0.0026, -0.0048), (0.0026, -0.0047)),
                    ((0.0026, -0.0049), (0.0026, -0.0048), (0.0026, -0.0046)),
                ),
                np.s_[0, :3, :3],
                (1, 368, 496, 2),
            ),
        ),
        ("sintel",),
    ),
)
