"""Perceiver's image classifier with a convolution: one photo of 224 x 224 pixels."""

from __future__ import annotations

from tests.benchmarks.harness.benchmark import Benchmark
from tests.models.perceiver.benchmark_fourier import BENCHMARKS as FOURIER

__all__ = ["BENCHMARKS"]

BENCHMARKS = (
    Benchmark(
        title="Perceiver convolution, 224 x 224, batch 1",
        model="TFPerceiverForImageClassificationConvProcessing",
        config={**FOURIER[0].config, "d_model": 322},
        inputs=FOURIER[0].inputs,
        labels=FOURIER[0].labels,
    ),
)
