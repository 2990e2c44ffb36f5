"""Known answers: numbers published for a checkpoint, and their comparison with tfzoo's."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tfzoo.hub import DEFAULTS, HubOptions
from tfzoo.modeling.expected_inputs import fetch
from tfzoo.registry import import_name

__all__ = ["Answer", "Comparison", "Number", "Sources", "answers_of", "compare"]

Outputs = Mapping[str, Any]


@dataclass(frozen=True)
class Number:
    """Published numbers of one output.

    Attributes:
        output: Name of the output among those that the row computes.
        values: The numbers.
        place: Where in the output they are, as an index (`numpy.s_`); the whole output if empty.
        shape: The whole output's shape, if it was published.
        tolerance: Largest difference: absolute, plus relative to the published number.
    """

    output: str
    values: Any
    place: tuple[Any, ...] = ()
    shape: tuple[int, ...] | None = None
    tolerance: float = 1e-4

    def __str__(self) -> str:
        places = ", ".join(map(_as_text, self.place))
        return f"{self.output}[{places}]" if places else self.output


@dataclass(frozen=True)
class Answer:
    """A documented computation with a published checkpoint, and the numbers that it gives.

    Attributes:
        checkpoint: The repository; empty where none is needed.
        title: What is computed.
        compute: (`Sources.load` of the checkpoint, the inputs by name) -> outputs by name.
        numbers: The published numbers.
        inputs: Names of the files that it needs, see `tfzoo.modeling.expected_inputs.INPUTS`.
        revision: Branch, tag or commit of the repository.
    """

    checkpoint: str
    title: str
    compute: Callable[[Callable[..., Any], Mapping[str, Any]], Outputs]
    numbers: tuple[Number, ...]
    inputs: tuple[str, ...] = ()
    revision: str | None = None

    @property
    def name(self) -> str:
        """The checkpoint and what is computed with it."""
        return f"{self.checkpoint}: {self.title}" if self.checkpoint else self.title


@dataclass(frozen=True)
class Sources:
    """Where checkpoints and inputs come from.

    Attributes:
        folders: Local folders of checkpoints, by the repository that they stand for.
        files: Local files of inputs, by the input's name.
        options: Where to look the others up.
    """

    folders: Mapping[str, Path] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    options: HubOptions = DEFAULTS

    def load(self, answer: Answer, name: str, **settings: Any) -> Any:
        """An object of the class `name`, made from the row's checkpoint.

        Args:
            answer: The row.
            name: Public name of a model, processor or tokenizer.
            **settings: Keywords of its `from_pretrained`.

        Raises:
            HubError: The checkpoint cannot be found or fetched.
            ValueError: It is not a checkpoint of this class.
        """
        options = replace(self.options, revision=answer.revision)
        source = self.folders.get(answer.checkpoint, answer.checkpoint)
        return import_name(name).from_pretrained(source, **options.keywords(), **settings)

    def outputs(self, answer: Answer) -> Outputs:
        """Compute a row.

        Raises:
            InputMissingError: An input has to be given by the user.
            HubError: A file cannot be found or fetched.
            ValueError: A file is not what the row needs.
        """
        inputs = {name: fetch(name, self.files.get(name), self.options) for name in answer.inputs}
        return answer.compute(partial(self.load, answer), inputs)


@dataclass(frozen=True)
class Comparison:
    """A published number beside what was computed.

    Attributes:
        number: What was expected.
        got: The same place of the computed output; None if it has another shape.
        shape: The computed output's shape.
        difference: Largest difference; infinite where the shapes differ.
        agrees: Whether shape and numbers are the published ones.
    """

    number: Number
    got: np.ndarray | None
    shape: tuple[int, ...]
    difference: float
    agrees: bool


def compare(number: Number, outputs: Outputs) -> Comparison:
    """Compare an output with its published numbers.

    Args:
        number: The published numbers.
        outputs: Arrays or tensors by name.

    Example:
        >>> compare(Number("logits", [1.0, 2.0], (0,)), {"logits": np.array([[1.0, 2.1]])}).agrees
        False
    """
    whole = np.asarray(outputs[number.output])
    want = np.asarray(number.values, "float64")
    got = _cut(whole, number.place)
    if got is None or got.shape != want.shape or number.shape not in (None, whole.shape):
        fitting = got if got is not None and got.shape == want.shape else None
        return Comparison(number, fitting, whole.shape, float("inf"), False)
    got = got.astype("float64")
    differences = np.abs(got - want)
    agrees = bool((differences <= number.tolerance * (1 + np.abs(want))).all())  # never with NaN
    return Comparison(number, got, whole.shape, float(differences.max()), agrees)


def answers_of(family: str) -> tuple[Answer, ...]:
    """The rows of a family.

    Args:
        family: Name of its folder in `tfzoo/models`.

    Example:
        >>> answers_of("lxmert")[0].checkpoint
        'unc-nlp/lxmert-base-uncased'
    """
    return importlib.import_module(f"tfzoo.models.{family}.expected").ANSWERS


def _cut(whole: np.ndarray, place: Sequence[Any]) -> np.ndarray | None:
    try:
        return whole[tuple(place)]
    except IndexError:
        return None


def _as_text(index: Any) -> str:
    if not isinstance(index, slice):
        return str(index)
    start = "" if index.start is None else index.start
    return f"{start}:{'' if index.stop is None else index.stop}"
