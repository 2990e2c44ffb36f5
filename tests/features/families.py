"""One tiny head with a loss for each family, and how the tests of features train it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tests.models.lxmert.cases import CASES as LXMERT
from tests.models.owlv2.cases import CASES as OWLV2
from tests.models.owlv2.cases import images, queries
from tests.models.perceiver.cases import CASES as PERCEIVER
from tests.models.timesformer.cases import CASES as TIMESFORMER
from tests.models.tvp.cases import GROUNDING
from tests.models.xclip.cases import CASES as XCLIP
from tests.support.cases import Case
from tfzoo.core.variables import slots

__all__ = [
    "EVERY_FAMILY",
    "FAMILIES",
    "RATE",
    "SLOW",
    "Tiny",
    "assert_close",
    "learning",
    "main_shape",
    "on_one_family",
    "trainable",
    "trained",
    "weights",
]

EVERY_FAMILY = bool(os.environ.get("TFZOO_EVERY_FAMILY"))  # see conftest.py
RATE = 0.01
SLOW = 0.003  # at which the loss of every head falls


@dataclass(frozen=True, eq=False)  # so that results can be cached by it
class Tiny:
    """A tiny model of a family.

    Attributes:
        case: The model and its inputs, with labels where its own loss needs some.
        tells_classes: Whether the main output's last axis holds a score of each class.
    """

    case: Case
    tells_classes: bool = True

    @property
    def name(self) -> str:
        """Of the family."""
        return self.case.name.split("/")[0]

    def load(self, **kwargs: Any) -> Any:
        """A model with the recorded weights."""
        return self.case.load(**kwargs)

    def compiled(self, optimizer: Any = None, *, eager: bool = True, **how: Any) -> Any:
        """A model that trains on its own loss; step by step, which spares the tracing."""
        model = self.load()
        self.compile(model, optimizer, eager=eager, **how)
        return model

    def compile(self, model: Any, optimizer: Any = None, *, eager: bool = True, **how: Any) -> None:
        """Compile a model as `compiled` does."""
        how = {"run_eagerly": True, **how} if eager else {"jit_compile": False, **how}
        model.compile(keras.optimizers.SGD(RATE) if optimizer is None else optimizer, **how)

    def inputs(self) -> dict[str, Any]:
        """Inputs of a call without a loss."""
        return self.case.make_inputs(with_labels=False)

    def batches(self, count: int = 1) -> tf.data.Dataset:
        """The same batch some times; the labels are in the inputs."""
        return tf.data.Dataset.from_tensors(self.case.make_inputs()).repeat(count)

    def labels(self) -> Any:
        """The labels as `y`; None for a head that needs none."""
        return self.case.make_inputs().get("labels")

    def zeros(self) -> tf.data.Dataset:
        """A batch whose targets are zeros of the main output's shape."""
        batch = (self.inputs(), np.zeros(main_shape(self), "float32"))
        return tf.data.Dataset.from_tensors(batch)

    def output(self, model: Any) -> np.ndarray:
        """The main output."""
        found = model(self.inputs(), training=False)[model.main_output]
        return keras.ops.convert_to_numpy(keras.ops.cast(found, "float32"))


def on_one_family(test: Callable) -> Callable:
    """The test takes seconds on each family, see conftest.py."""
    test.on_one_family = True
    return test


@cache
def main_shape(tiny: Tiny) -> tuple[int, ...]:
    """Shape of the main output."""
    return tiny.output(tiny.load()).shape


@cache
def trained(tiny: Tiny, steps: int, rate: float = RATE) -> tuple[list[float], list[np.ndarray]]:
    """The loss of each step of plain SGD, and the weights after the last."""
    model = tiny.compiled(keras.optimizers.SGD(rate))
    history = model.fit(tiny.batches(), epochs=steps, shuffle=False, verbose=0).history
    return history["loss"], weights(model)


def weights(model: Any) -> list[np.ndarray]:
    """Values of all weights."""
    return [keras.ops.convert_to_numpy(variable) for variable in model.weights]


def trainable(model: Any) -> list[np.ndarray]:
    """Values of the weights that train."""
    return [keras.ops.convert_to_numpy(variable) for variable in model.trainable_weights]


def learning(model: Any) -> set[str]:
    """Paths of the weights that train."""
    ids = {id(variable) for variable in model.trainable_weights}
    return {path for path, slot in slots(model).items() if id(slot.variable) in ids}


def assert_close(found: list[np.ndarray], expected: list[np.ndarray], bound: float = 1e-5) -> None:
    """Whether lists of arrays agree, measured by the largest magnitude of each."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        largest = max(float(np.abs(other).max(initial=0.0)), 1e-3)
        assert np.abs(one - other).max(initial=0.0) <= bound * largest


def _boxes(rng: np.random.Generator) -> Mapping[str, Any]:
    boxes = np.array([[[0.3, 0.3, 0.2, 0.2], [0.7, 0.6, 0.3, 0.3]]] * 2, "float32")
    return {"labels": {"boxes": boxes, "class_labels": np.array([[0, 2], [2, -1]])}}


_DETECTOR = replace(
    OWLV2[0],
    inputs=lambda rng: {**queries(rng, 6), **images(rng, 2, 3, 16, 16)},
    labels=_boxes,
)

FAMILIES = (
    Tiny(TIMESFORMER[0]),
    Tiny(XCLIP[0]),
    Tiny(_DETECTOR),
    Tiny(LXMERT[6]),
    Tiny(PERCEIVER[1]),
    Tiny(GROUNDING, tells_classes=False),
)
