"""What a family declares, and how its declaration is found."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.support.paths import ROOT

__all__ = ["Benchmark", "Targets", "families", "find"]

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Targets:
    """Largest ratios tfzoo / reference that are good enough; None where nothing is asked.

    Attributes:
        speed: Of the times of a call.
        load: Of the time of `from_pretrained` to the reference's plus its first call.
        memory: Of the peak memory above the bare import.
    """

    speed: float | None = None
    load: float | None = None
    memory: float | None = None


@dataclass(frozen=True)
class Benchmark:
    """One full-size model and the inputs it is timed on.

    Attributes:
        title: What is measured, for the heading.
        model: Class name in tfzoo; the reference's is the same without `TF`.
        config: Fields of the config that differ from the reference's defaults.
        inputs: Makes the inputs of a call.
        labels: Makes what training needs in addition.
        train_inputs: Makes the inputs of a training step where they are others.
        loss_flags: Keywords by which the reference returns its loss, where labels do not do it.
        text_bank: Encode the texts once, before the timed calls, on tfzoo's side; only the
            fields that this gives are compared. The reference has no such thing.
        learning_rate: Of the SGD steps with `--train`.
        references: What it can be compared with: PyTorch, and transformers' old TensorFlow class
            where there was one.
        targets: Mode (`"float32"`, `"bfloat16"`, `"float32 train"`, ...) -> targets.
    """

    title: str
    model: str
    config: Mapping[str, Any]
    inputs: Callable[[np.random.Generator], Arrays]
    labels: Callable[[np.random.Generator], Arrays] = lambda rng: {}
    train_inputs: Callable[[np.random.Generator], Arrays] | None = None
    loss_flags: Mapping[str, Any] = field(default_factory=dict)
    text_bank: bool = False
    learning_rate: float = 1e-3
    references: tuple[str, ...] = ("torch", "newest")
    targets: Mapping[str, Targets] = field(default_factory=dict)

    def arrays(self, train: bool) -> Arrays:
        """The inputs, the same on every call; with labels where they are for training."""
        rng = np.random.default_rng(0)
        make = self.train_inputs if train and self.train_inputs else self.inputs
        inputs = make(rng)
        return {**inputs, **self.labels(rng)} if train else inputs


def families() -> list[str]:
    """What has benchmarks: families, and parts of them (`benchmark_<part>.py` in a folder)."""
    return sorted(_modules())


def _modules() -> dict[str, str]:
    """The module of each."""
    paths = (ROOT / "tests" / "models").glob("*/benchmark*.py")
    return {
        path.parent.name + path.stem.removeprefix("benchmark"): (
            f"tests.models.{path.parent.name}.{path.stem}"
        )
        for path in paths
    }


def find(names: Sequence[str]) -> list[Benchmark]:
    """The benchmarks of the named families, of all where none is named.

    Raises:
        ValueError: A family declares no benchmark.
    """
    names = [name.replace("-", "_") for name in names]
    if unknown := sorted(set(names) - set(families())):
        raise ValueError(
            f"No benchmark of {', '.join(unknown)}; there are: {', '.join(families())}."
        )
    chosen = names or families()
    modules = [importlib.import_module(_modules()[name]) for name in chosen]
    return [benchmark for module in modules for benchmark in module.BENCHMARKS]
