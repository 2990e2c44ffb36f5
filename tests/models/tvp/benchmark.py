"""TVP base: one video of 48 frames of 448 x 448 pixels, one sentence."""

from __future__ import annotations

import numpy as np

from tests.benchmarks.harness.benchmark import Arrays, Benchmark, Targets

__all__ = ["BENCHMARKS", "SIZES"]

TOKENS = 12


def _inputs(rng: np.random.Generator, frames: int = 48) -> Arrays:
    return {
        "input_ids": rng.integers(1000, 30522, (1, TOKENS)),
        "attention_mask": np.ones((1, TOKENS), "int64"),
        "pixel_values": rng.standard_normal((1, frames, 3, 448, 448), dtype="float32"),
    }


def _labels(rng: np.random.Generator) -> Arrays:
    """A span in the reference's form, which is also ours."""
    return {"labels": np.array([30.0, 4.0, 11.0], "float32")}


BENCHMARKS = (
    Benchmark(
        title="TVP base, 48 x 448 x 448, batch 1",
        model="TFTvpForVideoGrounding",
        config={
            "backbone_config": {"model_type": "resnet", "downsample_in_bottleneck": True},
            "type_vocab_size": 2,
            "pad_token_id": 0,
        },
        inputs=_inputs,
        labels=_labels,
        targets={"float32": Targets(speed=0.5, memory=0.7)},
    ),
)

#: Every public model class in the size of a published checkpoint.
SIZES = (
    Benchmark("tvp-base", "TFTvpModel", BENCHMARKS[0].config, _inputs),
    Benchmark("tvp-base", "TFTvpForVideoGrounding", BENCHMARKS[0].config, _inputs),
)
