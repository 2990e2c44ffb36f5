"""Every public model class in the size of a published checkpoint, with inputs of that size."""

from __future__ import annotations

from tests.benchmarks.harness.benchmark import Benchmark
from tests.support.families import declared

__all__ = ["NESTED", "SIZES"]

# What the reference takes inside of dicts: our name -> its input, and the entry there.
NESTED = {
    "image": ("inputs", "image"),
    "audio": ("inputs", "audio"),
    "label": ("inputs", "label"),
    "image_points": ("subsampled_output_points", "image"),
    "audio_points": ("subsampled_output_points", "audio"),
}
#: `SIZES` in the families' `benchmark.py`; inside a family in the order of what stands on what.
SIZES: tuple[Benchmark, ...] = tuple(
    size for sizes in declared("benchmark", "SIZES").values() for size in sizes
)
