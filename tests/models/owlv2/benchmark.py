"""OWLv2 base: one photo of 960 x 960 pixels, two queries."""

from __future__ import annotations

import numpy as np

from tests.benchmarks.harness.benchmark import Arrays, Benchmark, Targets

__all__ = ["BENCHMARKS"]


def _inputs(rng: np.random.Generator) -> Arrays:
    """Two queries as the tokenizer gives them, padded with 0, and a photo."""
    ids = np.zeros((2, 16), "int64")
    ids[:, :4] = [[49406, 320, 2368, 49407], [49406, 518, 1929, 49407]]
    return {
        "input_ids": ids,
        "attention_mask": (ids > 0).astype("int64"),
        "pixel_values": rng.standard_normal((1, 3, 960, 960), dtype="float32"),
    }


_CONFIG = {"vision_config": {"image_size": 960}}
_TARGETS = {"float32": Targets(speed=0.9, memory=0.8)}
_TITLE = "OWLv2 base-patch16, 960 x 960, 2 queries, batch 1"

BENCHMARKS = (
    Benchmark(
        title=_TITLE,
        model="TFOwlv2ForObjectDetection",
        config=_CONFIG,
        inputs=_inputs,
        targets=_TARGETS,
    ),
    Benchmark(
        title=f"{_TITLE}, query bank",
        model="TFOwlv2ForObjectDetection",
        config=_CONFIG,
        inputs=_inputs,
        text_bank=True,
        targets=_TARGETS,
    ),
)
