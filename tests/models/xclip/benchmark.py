"""X-CLIP base with patches of 32: one clip of 8 frames of 224 x 224 pixels, three texts."""

from __future__ import annotations

import numpy as np

from tests.benchmarks.harness.benchmark import Arrays, Benchmark, Targets

__all__ = ["BENCHMARKS", "SIZES"]

END = 49407


def _inputs(rng: np.random.Generator, videos: int = 1) -> Arrays:
    """Texts of 4 to 9 tokens, as the labels of an action are, padded with the end token."""
    lengths = np.array([[9], [6], [4]])
    places = np.arange(9)[None]
    ids = np.where(places < lengths - 1, rng.integers(0, END - 1, (3, 9)), END)
    return {
        "input_ids": ids,
        "attention_mask": (places < lengths).astype("int64"),
        "pixel_values": rng.standard_normal((videos, 8, 3, 224, 224), dtype="float32"),
    }


def _texts(rng: np.random.Generator) -> Arrays:
    inputs = _inputs(rng)
    return {name: inputs[name] for name in ("input_ids", "attention_mask")}


def _frames(rng: np.random.Generator) -> Arrays:
    return {"pixel_values": rng.standard_normal((8, 3, 224, 224), dtype="float32")}


_TITLE = "X-CLIP base-patch32, 8 x 224 x 224, 3 texts, batch 1"

BENCHMARKS = (
    Benchmark(
        title=_TITLE,
        model="TFXCLIPModel",
        config={},
        inputs=_inputs,
        train_inputs=lambda rng: _inputs(rng, videos=3),
        loss_flags={"return_loss": True},
        targets={"float32": Targets(speed=0.95)},
    ),
    Benchmark(
        title=f"{_TITLE}, label bank",
        model="TFXCLIPModel",
        config={},
        inputs=_inputs,
        text_bank=True,
        targets={"float32": Targets(speed=0.95)},
    ),
)

#: Every public model class in the size of a published checkpoint.
SIZES = (
    Benchmark("xclip-base-patch32", "TFXCLIPTextModel", {}, _texts),
    Benchmark("xclip-base-patch32", "TFXCLIPVisionModel", {}, _frames),
    Benchmark("xclip-base-patch32", "TFXCLIPModel", {}, _inputs),
)
