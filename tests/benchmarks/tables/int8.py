"""What int8 weights cost and save on the checkpoints that ship with tfzoo.

    python -m tests.benchmarks.tables.int8

The table that it prints stands in `docs/features.md`.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import tfzoo
from recipes.camera_motion import balanced_clips, photos

__all__ = ["SHIPPED", "camera_motion", "main", "measured"]


def camera_motion(clips: int = 700) -> tuple[Any, dict[str, np.ndarray], Callable[[Any], float]]:
    """TimeSformer's checkpoint, inputs, and its accuracy on clips of photos it never saw."""
    folder = tfzoo.default_checkpoint()
    model = tfzoo.TFAutoModelForVideoClassification.from_pretrained(folder)
    processor = tfzoo.AutoImageProcessor.from_pretrained(folder)
    drawn = list(balanced_clips(photos("test"), clips, np.random.default_rng(20), size=80))
    inputs = processor([list(clip) for clip, _ in drawn], return_tensors="np")
    pixels = {"pixel_values": inputs["pixel_values"]}
    truth = np.array([label for _, label in drawn])

    def accuracy(model: Any) -> float:
        logits = model.predict(pixels, batch_size=50, verbose=0)["logits"]
        return float((logits.argmax(-1) == truth).mean())

    return model, {"pixel_values": pixels["pixel_values"][:8]}, accuracy


SHIPPED = {"TimeSformer, camera motion, accuracy": camera_motion}


def measured(make: Callable[[], tuple[Any, Any, Callable[[Any], float]]]) -> list[dict[str, float]]:
    """Figure, bytes of the `.keras` file and seconds for 8 samples: in float32, and in int8."""
    model, inputs, figure = make()
    rows = []
    for mode in (None, "int8"):
        if mode is not None:
            model.quantize(mode)
        with tempfile.TemporaryDirectory() as folder:
            model.save(path := Path(folder) / "m.keras")
            size = path.stat().st_size
        rows.append({"figure": figure(model), "bytes": size, "seconds": _latency(model, inputs)})
    return rows


def _latency(model: Any, inputs: Any, calls: int = 7) -> float:
    """Median of several predictions after a first one."""
    seconds = []
    for _ in range(calls + 1):
        start = time.perf_counter()
        model.predict_on_batch(inputs)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def main() -> None:
    """Measure and print the table."""
    print("| checkpoint and figure | float32 | int8 | MB | MB | ms, 8 samples | ms, 8 samples |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, make in SHIPPED.items():
        whole, small = measured(make)
        cells = [f"{row[k] * scale:.{d}f}" for k, scale, d in _COLUMNS for row in (whole, small)]
        print(f"| {name} | " + " | ".join(cells) + " |")


_COLUMNS = (("figure", 1, 3), ("bytes", 1e-6, 2), ("seconds", 1e3, 0))

if __name__ == "__main__":
    main()
