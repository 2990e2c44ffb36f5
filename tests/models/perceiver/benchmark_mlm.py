"""Perceiver's language model: a text of 2,048 bytes."""

from __future__ import annotations

import numpy as np

from tests.benchmarks.harness.benchmark import Arrays, Benchmark, Targets

__all__ = ["BENCHMARKS"]


def _inputs(rng: np.random.Generator) -> Arrays:
    """A text of 1,500 bytes, padded."""
    mask = (np.arange(2048)[None] < 1500).astype("int64")
    return {"input_ids": rng.integers(6, 262, (1, 2048)) * mask, "attention_mask": mask}


BENCHMARKS = (
    Benchmark(
        title="Perceiver language, 2048 bytes, batch 1",
        model="TFPerceiverForMaskedLM",
        config={"qk_channels": 256, "v_channels": 1280},
        inputs=_inputs,
        labels=lambda rng: {"labels": rng.integers(6, 262, (1, 2048))},
        targets={"float32": Targets(speed=0.8)},
    ),
)
