"""Perceiver's image classifier with Fourier positions: one image of 224 x 224 pixels."""

from __future__ import annotations

from tests.benchmarks.harness.benchmark import Benchmark, Targets

__all__ = ["BENCHMARKS"]

BENCHMARKS = (
    Benchmark(
        title="Perceiver Fourier, 224 x 224, batch 1",
        model="TFPerceiverForImageClassificationFourier",
        config={
            "num_latents": 512,
            "d_latents": 1024,
            "d_model": 261,
            "num_blocks": 8,
            "num_self_attends_per_block": 6,
            "num_cross_attention_heads": 1,
            "num_labels": 1000,
        },
        inputs=lambda rng: {"pixel_values": rng.standard_normal((1, 3, 224, 224), dtype="float32")},
        labels=lambda rng: {"labels": rng.integers(0, 1000, (1,))},
        targets={"float32": Targets(speed=0.8)},
    ),
)
