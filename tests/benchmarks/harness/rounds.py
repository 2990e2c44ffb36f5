"""Rounds: both sides in turn on one checkpoint, each in a process of its own."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.harness.benchmark import Benchmark
from tests.benchmarks.harness.environment import library, worker_env
from tests.benchmarks.harness.quiet import Quiet
from tests.support.paths import ROOT

__all__ = ["DisagreementError", "Plan", "Result", "Side", "WorkerError", "measure"]

WORKERS = Path(__file__).parents[1] / "workers"
AGREEMENT = {"float32": 1e-5}  # of the largest magnitude; what is narrower may differ more
NARROW_AGREEMENT = 0.1


class WorkerError(RuntimeError):
    """A worker ended without a result."""


class DisagreementError(RuntimeError):
    """The two sides computed different things: a fast wrong answer is no result."""


@dataclass(frozen=True)
class Plan:
    """How a benchmark is run.

    Attributes:
        reference_python: The reference's interpreter.
        reference: "torch"; "newest" for the newest transformers; "tf_keras" for transformers' old
            TensorFlow classes, in a graph.
        dtype: Keras dtype policy; the reference takes the same, or autocast for `mixed_`.
        train: Time steps of training rather than inference.
        rounds: How often each side gets its turn.
        calls: Timed calls in a round, after a first one.
        threads: Threads that an operation may use.
        inter_op_threads: TensorFlow's threads for operations side by side.
    """

    reference_python: Path
    reference: str = "torch"
    dtype: str = "float32"
    train: bool = False
    rounds: int = 3
    calls: int = 5
    threads: int = 2
    inter_op_threads: int = 2

    @property
    def mode(self) -> str:
        """Key of the targets."""
        return f"{self.dtype} train" if self.train else self.dtype


@dataclass(frozen=True)
class Side:
    """The figures of one side, each a list over rounds (times of calls: over all calls)."""

    versions: dict[str, str]
    load_s: list[float]
    first_s: list[float]
    calls_s: list[float]
    import_bytes: list[int]
    load_bytes: list[int]
    peak_bytes: list[int]

    @classmethod
    def of(cls, runs: Sequence[dict[str, Any]]) -> Side:
        """Collect the rounds' figures."""
        names = ("load_s", "first_s", "import_bytes", "load_bytes", "peak_bytes")
        figures = {name: [run[name] for run in runs] for name in names}
        calls = [seconds for run in runs for seconds in run["calls_s"]]
        return cls(versions=runs[0]["versions"], calls_s=calls, **figures)

    @property
    def call(self) -> float:
        """Seconds of the fastest call."""
        return min(self.calls_s)

    @property
    def median(self) -> float:
        """Seconds of the median call."""
        return statistics.median(self.calls_s)

    @property
    def load(self) -> float:
        """Seconds of the fastest `from_pretrained`."""
        return min(self.load_s)

    @property
    def first(self) -> float:
        """Seconds of the fastest first call."""
        return min(self.first_s)

    @property
    def ready(self) -> float:
        """Seconds of the fastest `from_pretrained` with the first call after it."""
        return min(map(sum, zip(self.load_s, self.first_s, strict=True)))

    @property
    def peak(self) -> float:
        """Bytes above the bare import, in the median round: memory varies both ways."""
        return statistics.median(self.peak_bytes)

    @property
    def loaded(self) -> float:
        """The same right after `from_pretrained`."""
        return statistics.median(self.load_bytes)

    @property
    def imported(self) -> float:
        """Bytes of the bare import."""
        return statistics.median(self.import_bytes)


@dataclass(frozen=True)
class Result:
    """Both sides of a benchmark.

    Attributes:
        tfzoo: tfzoo's figures.
        reference: The reference's figures.
        difference: Largest difference of outputs, in parts of the field's largest magnitude.
        foreign: Most cores that other programs kept busy in a round.
    """

    tfzoo: Side
    reference: Side
    difference: float
    foreign: float


def measure(benchmark: Benchmark, plan: Plan, quiet: Quiet) -> Result:
    """Run a benchmark.

    Raises:
        BusyError: Something else ran.
        WorkerError: A side failed.
        DisagreementError: The sides computed different things.
    """
    theirs = f"with_{library(plan.reference)}"
    pythons = {"with_tfzoo": Path(sys.executable), theirs: plan.reference_python}
    runs: dict[str, list[dict[str, Any]]] = {worker: [] for worker in pythons}
    with tempfile.TemporaryDirectory(prefix="tfzoo-benchmark-") as name:
        folder = Path(name)
        job = _prepare(folder, benchmark, plan)
        foreign = []
        for _ in range(plan.rounds):
            for worker, python in pythons.items():
                figures, others = quiet.undisturbed(lambda w=worker, p=python: _turn(w, p, job))
                runs[worker].append(figures)
                foreign.append(others)
        files = (folder / f"{worker}.npz" for worker in pythons)
        difference = _difference(*files, partly=job["text_bank"])
    limit = AGREEMENT.get(plan.dtype, NARROW_AGREEMENT)
    if not difference <= limit:
        raise DisagreementError(
            f"{benchmark.title}, {plan.mode}: the outputs differ by {difference:.1e} of their "
            f"largest magnitude, {limit:.0e} is allowed."
        )
    return Result(*map(Side.of, runs.values()), difference, max(foreign))


def _prepare(folder: Path, benchmark: Benchmark, plan: Plan) -> dict[str, Any]:
    """Write the inputs and the checkpoint; return what every worker is told."""
    np.savez(folder / "inputs.npz", **benchmark.arrays(plan.train))
    job = {
        "model": benchmark.model,
        "config": dict(benchmark.config),
        "checkpoint": str(folder / "checkpoint"),
        "inputs": str(folder / "inputs.npz"),
        "dtype": plan.dtype,
        "train": plan.train,
        "calls": plan.calls,
        "threads": plan.threads,
        "inter_op_threads": plan.inter_op_threads,
        "learning_rate": benchmark.learning_rate,
        "loss_flags": dict(benchmark.loss_flags),
        "text_bank": benchmark.text_bank,
    }
    _run(f"make_{library(plan.reference)}_checkpoint", plan.reference_python, job)
    os.sync()  # or the disk would be written to while the first round is timed
    return job


def _turn(worker: str, python: Path, job: dict[str, Any]) -> dict[str, Any]:
    """One process of one side, with the checkpoint in the page cache."""
    for path in Path(job["checkpoint"]).iterdir():
        with path.open("rb") as file:
            while file.read(1 << 24):
                continue
    folder = Path(job["checkpoint"]).parent
    figures = folder / f"{worker}.figures.json"
    outputs = folder / f"{worker}.npz"
    _run(worker, python, {**job, "figures": str(figures), "outputs": str(outputs)})
    return json.loads(figures.read_text())


def _run(worker: str, python: Path, job: dict[str, Any]) -> None:
    path = Path(job["inputs"]).with_name(f"{worker}.job.json")
    path.write_text(json.dumps(job))
    env = worker_env(ROOT if worker == "with_tfzoo" else None, job["threads"])
    command = [str(python), str(WORKERS / f"{worker}.py"), str(path)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise WorkerError(
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}"
        )


def _difference(ours: Path, theirs: Path, partly: bool = False) -> float:
    """Largest difference over all outputs, in parts of each one's largest magnitude.

    `partly` allows fields that only the reference gives.
    """
    with np.load(ours) as have, np.load(theirs) as want:
        if sorted(have) != sorted(set(want) & set(have) if partly else want):
            raise DisagreementError(f"tfzoo computed {sorted(have)}, PyTorch {sorted(want)}.")
        return max(_relative(name, have[name], want[name]) for name in have)


def _relative(name: str, have: np.ndarray, want: np.ndarray) -> float:
    if have.shape != want.shape:
        raise DisagreementError(f"{name}: tfzoo's shape {have.shape}, PyTorch's {want.shape}.")
    return float(np.abs(have - want).max() / np.abs(want).max())
