"""TimeSformer base on one clip of 8 frames of 224 x 224 pixels."""

from __future__ import annotations

from dataclasses import replace

from tests.benchmarks.harness.benchmark import Benchmark, Targets

__all__ = ["BENCHMARKS", "SIZES"]

BENCHMARKS = (
    Benchmark(
        title="TimeSformer base, 8 x 224 x 224, batch 1",
        model="TFTimesformerForVideoClassification",
        config={"num_labels": 400},
        inputs=lambda rng: {
            "pixel_values": rng.standard_normal((1, 8, 3, 224, 224), dtype="float32")
        },
        labels=lambda rng: {"labels": rng.integers(0, 400, (1,))},
        targets={"float32": Targets(speed=0.95, load=1.0, memory=1.0)},
    ),
)

#: Every public model class in the size of a published checkpoint.
SIZES = (
    Benchmark("timesformer-base-finetuned-k400", "TFTimesformerModel", {}, BENCHMARKS[0].inputs),
    replace(BENCHMARKS[0], title="timesformer-base-finetuned-k400"),
)
