"""What a family's tests are made from: its cases, and its heads as they are served."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import tfzoo
from tests.support.paths import FIXTURES

FLAGS = {"output_hidden_states": True, "output_attentions": True}


@dataclass(frozen=True)
class Case:
    """One tiny model of a family, with the inputs that it is checked on.

    Attributes:
        name: Folder of its recorded fixture, `<family>/<name>`.
        model: Class name in tfzoo; the reference's is the same without `TF`.
        config: Fields of the tiny config.
        inputs: Makes the inputs from a random generator.
        labels: Makes the labels that the inputs' loss is computed with, where it needs labels.
        flags: Keywords of the call that ask for every output.
        loss_flags: Keywords that ask for a loss which needs no labels.
        is_part: The class computes nothing that another case of the family does not.
    """

    name: str
    model: str
    config: Mapping[str, Any]
    inputs: Callable[[np.random.Generator], dict[str, np.ndarray]]
    labels: Callable[[np.random.Generator], dict[str, np.ndarray]] | None = None
    flags: Mapping[str, Any] = field(default_factory=lambda: dict(FLAGS))
    loss_flags: Mapping[str, Any] = field(default_factory=dict)
    is_part: bool = False

    @property
    def all_flags(self) -> dict[str, Any]:
        """Keywords of the call that ask for every output, the loss included."""
        return {**self.flags, **self.loss_flags}

    @property
    def has_loss(self) -> bool:
        """Whether the model has a loss on these inputs."""
        return self.labels is not None or bool(self.loss_flags)

    @property
    def folder(self) -> Path:
        """Where the fixture is recorded."""
        return FIXTURES / "models" / self.name

    @property
    def tf_class(self) -> type:
        """The class under test."""
        return getattr(tfzoo, self.model)

    @property
    def torch_class(self) -> str:
        """Name of the reference's class."""
        return self.model.removeprefix("TF")

    def make_inputs(self, with_labels: bool = True) -> dict[str, np.ndarray]:
        """The inputs, the same on every call."""
        rng = np.random.default_rng(7)
        made = self.inputs(rng)
        return {**made, **self.labels(rng)} if self.labels and with_labels else made

    def load(self, **kwargs: Any) -> Any:
        """The recorded checkpoint in tfzoo."""
        return self.tf_class.from_pretrained(self.folder, **kwargs)

    def recorded(self, what: str) -> dict[str, np.ndarray]:
        """Arrays that the reference gave: `outputs` or `step`."""
        with np.load(self.folder / f"{what}.npz") as arrays:
            return dict(arrays)

    def recorded_config(self) -> dict[str, Any]:
        """The recorded config.json."""
        return json.loads((self.folder / "config.json").read_text())


def case_of(cases: Sequence[Case], model: str) -> Case:
    """The first case of a model class."""
    return next(case for case in cases if case.model == model)


@dataclass(frozen=True)
class Head:
    """A head that answers in the user's terms, see `tests/support/served.py`.

    Attributes:
        write: Writes a small checkpoint with all its files into a folder.
        options: Keywords of `export_serving`.
    """

    write: Callable[[Path], Any]
    options: Mapping[str, Any] = field(default_factory=dict)
