"""Results as a table and as JSON."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.harness.benchmark import Benchmark, Targets
from tests.benchmarks.harness.rounds import Plan, Result, Side

__all__ = ["as_json", "machine", "missed", "table"]

MB = 1e6
NAMES = {"torch": "PyTorch", "newest": "PyTorch", "tf_keras": "tf-keras"}


@dataclass(frozen=True)
class Row:
    """One line of the table; the ratio is that of the two figures."""

    label: str
    tfzoo: float
    reference: float
    target: float | None = None

    @property
    def ratio(self) -> float:
        """tfzoo / reference."""
        return self.tfzoo / self.reference

    @property
    def is_missed(self) -> bool:
        """Whether there is a target and it is not reached."""
        return self.target is not None and not self.ratio <= self.target

    @property
    def verdict(self) -> str:
        """The target and whether it is reached."""
        if self.target is None:
            return ""
        return f"<= {self.target:.2f} {'MISS' if self.is_missed else 'PASS'}"


def _rows(benchmark: Benchmark, plan: Plan, result: Result) -> list[Row]:
    ours, theirs = result.tfzoo, result.reference
    targets = benchmark.targets.get(plan.mode, Targets())
    what = "step of training" if plan.train else "call"
    return [
        Row(f"{what}, fastest, ms", 1e3 * ours.call, 1e3 * theirs.call, targets.speed),
        Row(f"{what}, median, ms", 1e3 * ours.median, 1e3 * theirs.median),
        Row("load / (load + first), s", ours.load, theirs.ready, targets.load),
        Row("from_pretrained, s", ours.load, theirs.load),
        Row("from_pretrained + first, s", ours.ready, theirs.ready),
        Row("peak memory, MB", ours.peak / MB, theirs.peak / MB, targets.memory),
        Row("  after from_pretrained, MB", ours.loaded / MB, theirs.loaded / MB),
        Row("  of the bare import, MB", ours.imported / MB, theirs.imported / MB),
    ]


def missed(benchmark: Benchmark, plan: Plan, result: Result) -> bool:
    """Whether a target was missed."""
    return any(row.is_missed for row in _rows(benchmark, plan, result))


def table(benchmark: Benchmark, plan: Plan, result: Result) -> str:
    """The figures for people."""
    lines = [
        f"{benchmark.title}: {benchmark.model}, {plan.mode}",
        f"  {_names(result.tfzoo)} | {_names(result.reference)}",
        f"  {machine()}; {plan.threads} threads, {plan.rounds} rounds x {plan.calls} calls, "
        f"others used at most {result.foreign:.2f} cores",
        f"  {'':30}{'tfzoo':>10}{NAMES[plan.reference]:>10}{'ratio':>8}  target",
    ]
    for row in _rows(benchmark, plan, result):
        figures = "".join(f"{value:>10.{_digits(value)}f}" for value in (row.tfzoo, row.reference))
        lines.append(f"  {row.label:30}{figures}{row.ratio:>8.3f}  {row.verdict}".rstrip())
    lines.append(f"  largest difference of the outputs, relative: {result.difference:.1e}")
    return "\n".join(lines)


def as_json(benchmark: Benchmark, plan: Plan, result: Result) -> dict[str, Any]:
    """Everything that was measured, and the rows of the table."""
    rows = _rows(benchmark, plan, result)
    return {
        "title": benchmark.title,
        "model": benchmark.model,
        "machine": machine(),
        "plan": {**asdict(plan), "reference_python": str(plan.reference_python)},
        "rows": [{**asdict(row), "ratio": row.ratio, "missed": row.is_missed} for row in rows],
        "result": asdict(result),
    }


def machine() -> str:
    """The processor, and how many of it."""
    info = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in info if line.startswith("model name")]
    return f"{names[0] if names else 'unknown processor'} x {os.cpu_count()}"


def _names(side: Side) -> str:
    return ", ".join(f"{name} {version}" for name, version in side.versions.items())


def _digits(value: float) -> int:
    return 2 if value < 100 else 0
