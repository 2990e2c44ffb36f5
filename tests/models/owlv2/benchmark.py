"""OWLv2 base: one image of 960 x 960 pixels, two queries."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.benchmarks.harness.benchmark import Arrays, Benchmark, Targets

__all__ = ["BENCHMARKS", "SIZES"]


def _queries(rng: np.random.Generator) -> Arrays:
    """Two queries as the tokenizer gives them, padded with 0."""
    ids = np.zeros((2, 16), "int64")
    ids[:, :4] = [[49406, 320, 2368, 49407], [49406, 518, 1929, 49407]]
    return {"input_ids": ids, "attention_mask": (ids > 0).astype("int64")}


def _image(side: int) -> Callable[[np.random.Generator], Arrays]:
    shape = (1, 3, side, side)
    return lambda rng: {"pixel_values": rng.standard_normal(shape, dtype="float32")}


def _both(side: int) -> Callable[[np.random.Generator], Arrays]:
    return lambda rng: {**_queries(rng), **_image(side)(rng)}


_OWLV2, _OWLVIT = "owlv2-base-patch16", "owlvit-base-patch32"
_CONFIG = {"vision_config": {"image_size": 960}}
_TARGETS = {"float32": Targets(speed=0.9, memory=0.8)}
_TITLE = "OWLv2 base-patch16, 960 x 960, 2 queries, batch 1"

BENCHMARKS = (
    Benchmark(
        title=_TITLE,
        model="TFOwlv2ForObjectDetection",
        config=_CONFIG,
        inputs=_both(960),
        targets=_TARGETS,
    ),
    Benchmark(
        title=f"{_TITLE}, query bank",
        model="TFOwlv2ForObjectDetection",
        config=_CONFIG,
        inputs=_both(960),
        text_bank=True,
        targets=_TARGETS,
    ),
)

#: Every public model class in the size of a published checkpoint.
SIZES = (
    Benchmark(_OWLV2, "TFOwlv2TextModel", {}, _queries),
    Benchmark(_OWLV2, "TFOwlv2VisionModel", _CONFIG["vision_config"], _image(960)),
    Benchmark(_OWLV2, "TFOwlv2Model", _CONFIG, _both(960)),
    Benchmark(_OWLV2, "TFOwlv2ForObjectDetection", _CONFIG, _both(960)),
    Benchmark(_OWLVIT, "TFOwlViTTextModel", {}, _queries),
    Benchmark(_OWLVIT, "TFOwlViTVisionModel", {}, _image(768)),
    Benchmark(_OWLVIT, "TFOwlViTModel", {}, _both(768)),
    Benchmark(_OWLVIT, "TFOwlViTForObjectDetection", {}, _both(768)),
)
