"""What the tests of the recipes share: photos that are there, and a few steps of training."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest

from recipes.camera_motion import photos

__all__ = ["first_batches", "same", "trains", "use_test_photos"]


def use_test_photos(monkeypatch: pytest.MonkeyPatch, *modules: ModuleType) -> None:
    """The training photos are in packages that tests do not need; the held-out ones are here."""
    for module in modules:
        monkeypatch.setattr(module, "photos", lambda split: photos("test"))


def first_batches(batches: Iterator[Any], count: int = 2) -> list[Any]:
    """The first batches of an endless iterator."""
    return [next(batches) for _ in range(count)]


def same(one: Any, other: Any) -> bool:
    """Whether two structures hold the same arrays."""
    pairs = zip(keras.tree.flatten(one), keras.tree.flatten(other), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def trains(model: Any, history: keras.callbacks.History, before: list[np.ndarray]) -> None:
    """Losses are finite, and the weights have moved."""
    assert np.isfinite(history.history["loss"]).all()
    after = [keras.ops.convert_to_numpy(w) for w in model.trainable_weights]
    moved = [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
    assert np.mean(moved) > 0.9
