"""Perceiver's optical flow: two frames of 368 x 496 pixels."""

from __future__ import annotations

from tests.benchmarks.harness.benchmark import Benchmark, Targets

__all__ = ["BENCHMARKS"]

BENCHMARKS = (
    Benchmark(
        title="Perceiver optical flow, 368 x 496, batch 1",
        model="TFPerceiverForOpticalFlow",
        config={
            "num_latents": 2048,
            "d_latents": 512,
            "d_model": 322,
            "num_self_attends_per_block": 24,
            "num_self_attention_heads": 16,
            "num_cross_attention_heads": 1,
        },
        inputs=lambda rng: {"inputs": rng.standard_normal((1, 2, 27, 368, 496), dtype="float32")},
        targets={"float32": Targets(speed=0.7, memory=0.7)},
    ),
)
