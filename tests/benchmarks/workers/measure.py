"""The measuring that both sides share; imports nothing but the standard library and NumPy.

A side is a class that does all its imports in its constructor and has `load`, `step` and
`arrays`. Both workers are plain scripts: this folder is on their path, the project is not.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["flatten", "peak_memory", "run"]


def peak_memory() -> int:
    """Most bytes of memory that this process ever held at once, mapped files included.

    `ru_maxrss` would also count what the parent held before it became this program.
    """
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that a call took, and its result."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def flatten(outputs: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings and tuples -> {"hidden_states.0": tensor, ...}, without what is None."""
    if outputs is None:
        return {}
    if isinstance(outputs, (tuple, list)):
        outputs = dict(enumerate(outputs))
    if not hasattr(outputs, "items"):
        return {prefix.rstrip("."): outputs}
    flat: dict[str, Any] = {}
    for name, value in outputs.items():
        flat.update(flatten(value, f"{prefix}{name}."))
    return flat


def run(make_side: Callable[[dict, dict[str, np.ndarray]], Any]) -> None:
    """Measure one side and write the figures, and what it computed, where the job says.

    Args:
        make_side: (job, input arrays) -> side.
    """
    job = json.loads(Path(sys.argv[1]).read_text())
    with np.load(job["inputs"]) as file:
        side = make_side(job, dict(file))
    bare = peak_memory()
    load, _ = timed(side.load)
    loaded = peak_memory()
    first, outputs = timed(side.step)
    computed = [outputs]
    calls = []
    for _ in range(job["calls"]):
        seconds, outputs = timed(side.step)
        calls.append(seconds)
        computed = [*computed, outputs] if job["train"] else [outputs]
    figures = {
        "load_s": load,
        "first_s": first,
        "calls_s": calls,
        "import_bytes": bare,
        "load_bytes": loaded - bare,
        "peak_bytes": peak_memory() - bare,
        "versions": side.versions,
    }
    results = {"loss": np.array(computed)} if job["train"] else side.arrays(computed[-1])
    np.savez(job["outputs"], **results)
    Path(job["figures"]).write_text(json.dumps(figures))
