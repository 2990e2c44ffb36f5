"""From a model's outputs to scores: finite, as probabilities, the best first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from keras import ops

from tfzoo.tasks.base import Prediction

__all__ = ["best", "finite", "probabilities", "ranked"]


def finite(values: Any) -> np.ndarray:
    """An output as a float32 array.

    Raises:
        ValueError: It holds values that are not finite.
    """
    array = ops.convert_to_numpy(ops.cast(values, "float32"))
    if not np.isfinite(array).all():
        raise ValueError("The model's outputs are not finite: its weights are damaged or overflow.")
    return array


def probabilities(logits: np.ndarray, independent: bool = False) -> np.ndarray:
    """Softmax over the last axis in float64, or the sigmoid if labels are independent."""
    logits = logits.astype("float64")
    if independent:
        return 1 / (1 + np.exp(-logits))
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def best(scores: np.ndarray, count: int | None) -> np.ndarray:
    """Places of the `count` (if None, all) highest scores of each row, of equal ones the first."""
    return np.argsort(-scores, axis=-1, kind="stable")[..., :count]


def ranked(scores: np.ndarray, labels: Mapping[int, str], count: int | None) -> list[Prediction]:
    """The `count` (if None, all) most likely labels, the best first; unnamed ones as LABEL_3."""
    order = best(scores, count).tolist()
    return [Prediction(labels.get(i, f"LABEL_{i}"), float(scores[i]), i) for i in order]
