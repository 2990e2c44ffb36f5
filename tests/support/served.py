"""A small checkpoint of each head that answers in the user's terms, exported for a server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import pytest

import tfzoo
from tests.support.lxmert_checkpoint import write_lxmert_checkpoint
from tests.support.owlv2_checkpoint import write_owlv2_checkpoint
from tests.support.tvp_checkpoint import write_tvp_checkpoint
from tests.support.xclip_checkpoint import write_xclip_checkpoint
from tfzoo.auto import model_class_for
from tfzoo.cli.export import processor_for

__all__ = ["FORMATS", "HEADS", "SERVED", "Head", "export_head", "load_head"]

#: Formats of files that this Keras writes: older ones have no exporter to LiteRT.
FORMATS = ("onnx", "litert") if find_spec("keras.src.export.litert") else ("onnx",)


@dataclass(frozen=True)
class Head:
    """A head to serve.

    Attributes:
        write: Writes a small checkpoint with all its files into a folder.
        options: Keywords of `export_serving`.
    """

    write: Callable[[Path], Any]
    options: dict[str, Any] = field(default_factory=dict)


def _timesformer(folder: Path) -> None:
    model, processor = _loaded(tfzoo.default_checkpoint())
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def _perceiver(head: str, folder: Path, **fields: Any) -> None:
    sizes = {"num_latents": 4, "d_latents": 16, "d_model": 16, "num_self_attends_per_block": 1}
    heads = {"num_self_attention_heads": 2, "num_cross_attention_heads": 1}
    config = tfzoo.PerceiverConfig(**sizes, **heads, initializer_range=0.3, **fields)
    getattr(tfzoo, f"TFPerceiverFor{head}")(config).save_pretrained(folder)
    tfzoo.PerceiverTokenizer().save_pretrained(folder)
    tfzoo.PerceiverImageProcessor(
        crop_size={"height": 36, "width": 36}, size={"height": 32, "width": 32}
    ).save_pretrained(folder)


_TEXT: dict[str, Any] = {"max_position_embeddings": 64}
_PHOTO: dict[str, Any] = {"image_size": 32, "num_labels": 7}
_NAMES = [f"kind {i}" for i in range(7)]
SERVED: dict[str, Head] = {
    "timesformer": Head(_timesformer),
    "xclip": Head(write_xclip_checkpoint, {"labels": ["a cat", "two dogs"]}),
    "owlv2": Head(write_owlv2_checkpoint, {"queries": ["a cup", "a spoon"]}),
    "owlvit": Head(partial(write_owlv2_checkpoint, kind="OwlViT"), {"queries": ["a cup"]}),
    "perceiver_masked_lm": Head(partial(_perceiver, "MaskedLM", **_TEXT)),
    "perceiver_text": Head(
        partial(_perceiver, "SequenceClassification", num_labels=3, **_TEXT),
        {"labels": ["bad", "fair", "good"]},
    ),
    "perceiver_learned": Head(
        partial(_perceiver, "ImageClassificationLearned", **_PHOTO), {"labels": _NAMES}
    ),
    "perceiver_fourier": Head(partial(_perceiver, "ImageClassificationFourier", **_PHOTO)),
    "perceiver_conv": Head(partial(_perceiver, "ImageClassificationConvProcessing", **_PHOTO)),
    "perceiver_flow": Head(partial(_perceiver, "OpticalFlow", train_size=[16, 24])),
    "lxmert": Head(write_lxmert_checkpoint),
    "tvp": Head(write_tvp_checkpoint),
}

#: Parameters of a test that exports heads: boxes, texts and labels, the others slow.
HEADS = [
    name
    if name in ("owlv2", "perceiver_masked_lm", "perceiver_conv")
    else pytest.param(name, marks=pytest.mark.slow)
    for name in SERVED
]


def load_head(name: str, folder: Path) -> tuple[Any, Any]:
    """Write a head's checkpoint into a folder and load it: model and processor."""
    keras.utils.set_random_seed(0)
    SERVED[name].write(folder)
    return _loaded(folder)


def _loaded(folder: Path) -> tuple[Any, Any]:
    config = tfzoo.AutoConfig.from_pretrained(folder)
    model = model_class_for(config).from_pretrained(folder)
    return model, processor_for(model, folder)


def export_head(name: str, folder: Path) -> Path:
    """Export a head; returns the version's folder."""
    model, processor = load_head(name, folder / "checkpoint")
    return tfzoo.export_serving(model, processor, folder / name, **SERVED[name].options)
