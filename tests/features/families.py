"""The tiny head of each family, and how the tests of features train them."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import Any

import keras
import numpy as np

from tests.support.families import declared
from tests.support.tiny import RATE, Tiny, main_shape
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
    "on_first_family",
    "on_one_family",
    "trainable",
    "trained",
    "weights",
]

EVERY_FAMILY = bool(os.environ.get("TFZOO_EVERY_FAMILY"))  # see conftest.py
SLOW = 0.003  # at which the loss of every head falls

_HEADS: dict[str, Tiny] = declared("cases", "FEATURES")
#: TimeSformer first: it stands for all where one family is enough.
FAMILIES = (_HEADS.pop("timesformer"), *_HEADS.values())


def on_one_family(test: Callable) -> Callable:
    """The test takes seconds on each family, see conftest.py."""
    test.on_one_family = True
    return test


def on_first_family(test: Callable) -> Callable:
    """As `on_one_family`, where a test of its own has a second family."""
    test.has_its_second = True
    return on_one_family(test)


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
