"""Small checkpoints of Perceiver: for the published ones, and to be served."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import tfzoo
from tests.support.cases import Head
from tests.support.published_checkpoints import moved

__all__ = ["PUBLISHED", "SERVED"]

_TINY: dict[str, Any] = {
    "num_latents": 4,
    "d_latents": 16,
    "d_model": 16,
    "num_self_attends_per_block": 1,
    "num_self_attention_heads": 2,
    "num_cross_attention_heads": 1,
}


def _model(head: str, **fields: Any) -> Any:
    return getattr(tfzoo, f"TFPerceiverFor{head}")(tfzoo.PerceiverConfig(**_TINY, **fields))


def _published(head: str, folder: Path, **fields: Any) -> None:
    moved(_model(head, **fields)).save_pretrained(folder)
    tfzoo.PerceiverTokenizer().save_pretrained(folder)
    tfzoo.PerceiverImageProcessor().save_pretrained(folder)


def _served(head: str, folder: Path, **fields: Any) -> None:
    _model(head, initializer_range=0.3, **fields).save_pretrained(folder)
    tfzoo.PerceiverTokenizer().save_pretrained(folder)
    tfzoo.PerceiverImageProcessor(
        crop_size={"height": 36, "width": 36}, size={"height": 32, "width": 32}
    ).save_pretrained(folder)


_IMAGES = "ImageClassification"
PUBLISHED = {
    "deepmind/language-perceiver": partial(_published, "MaskedLM"),
    "deepmind/vision-perceiver-learned": partial(_published, f"{_IMAGES}Learned", image_size=224),
    "deepmind/vision-perceiver-fourier": partial(_published, f"{_IMAGES}Fourier"),
    "deepmind/vision-perceiver-conv": partial(_published, f"{_IMAGES}ConvProcessing"),
    "deepmind/optical-flow-perceiver": partial(_published, "OpticalFlow", train_size=[16, 24]),
}

_TEXT: dict[str, Any] = {"max_position_embeddings": 64}
_IMAGE: dict[str, Any] = {"image_size": 32, "num_labels": 7}
_NAMES = [f"kind {i}" for i in range(7)]
SERVED = {
    "perceiver_masked_lm": Head(partial(_served, "MaskedLM", **_TEXT)),
    "perceiver_text": Head(
        partial(_served, "SequenceClassification", num_labels=3, **_TEXT),
        {"labels": ["bad", "fair", "good"]},
    ),
    "perceiver_learned": Head(partial(_served, f"{_IMAGES}Learned", **_IMAGE), {"labels": _NAMES}),
    "perceiver_fourier": Head(partial(_served, f"{_IMAGES}Fourier", **_IMAGE)),
    "perceiver_conv": Head(partial(_served, f"{_IMAGES}ConvProcessing", **_IMAGE)),
    "perceiver_flow": Head(partial(_served, "OpticalFlow", train_size=[16, 24])),
}
