"""A small checkpoint of each head that answers in the user's terms, exported for a server."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import pytest

import tfzoo
from tests.support.cases import Head
from tests.support.families import declared
from tfzoo.auto import model_class_for
from tfzoo.cli.export import processor_for

__all__ = ["ALIKE", "FORMATS", "HEADS", "SERVED", "export_head", "load_head"]

#: Formats of files that this Keras writes: older ones have no exporter to LiteRT.
FORMATS = ("onnx", "litert") if find_spec("keras.src.export.litert") else ("onnx",)
#: `SERVED` of the families' `checkpoints.py`.
SERVED: dict[str, Head] = {
    name: head for part in declared("checkpoints", "SERVED").values() for name, head in part.items()
}
#: Heads with the preprocessing and the answers of others, which are exported: of these the
#: signatures are traced, and run in the tests of their families.
ALIKE = ("owlvit", "perceiver_text", "perceiver_learned", "perceiver_fourier")
#: Parameters of a test that exports heads: one of texts and one of images, the others slow.
HEADS = [
    name
    if name in ("perceiver_masked_lm", "perceiver_conv")
    else pytest.param(name, marks=pytest.mark.slow)
    for name in SERVED
    if name not in ALIKE
]


def load_head(name: str, folder: Path) -> tuple[Any, Any]:
    """Write a head's checkpoint into a folder and load it: model and processor."""
    keras.utils.set_random_seed(0)
    SERVED[name].write(folder)
    config = tfzoo.AutoConfig.from_pretrained(folder)
    model = model_class_for(config).from_pretrained(folder)
    return model, processor_for(model, folder)


def export_head(name: str, folder: Path) -> Path:
    """Export a head; returns the version's folder."""
    model, processor = load_head(name, folder / "checkpoint")
    return tfzoo.export_serving(model, processor, folder / name, **SERVED[name].options)
