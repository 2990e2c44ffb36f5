"""What both sides of the table of conversions do: load a checkpoint, read every weight, compute."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measure import peak_memory, timed

__all__ = ["run"]


def run(make_side: Callable[[dict, dict[str, np.ndarray]], Any]) -> None:
    """Measure the loading and, where the job says so, compute and convert.

    Args:
        make_side: (job, input arrays) -> side, with `load`, `read_weights`, `step`, `arrays` and
            `convert`.
    """
    job = json.loads(Path(sys.argv[1]).read_text())
    with np.load(job["inputs"]) as file:
        side = make_side(job, dict(file))

    def load() -> None:
        side.load()
        side.read_weights()

    bare = peak_memory()
    seconds, _ = timed(load)
    figures = {
        "load_s": seconds,
        "load_bytes": peak_memory() - bare,
        "versions": side.versions,
    }
    if job["compare"]:
        np.savez(job["outputs"], **side.arrays(side.step()))
        figures.update(side.convert())
    Path(job["figures"]).write_text(json.dumps(figures))
