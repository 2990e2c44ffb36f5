"""The losses of pretraining, with PyTorch's formulas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from tfzoo.losses.classification import IGNORE_INDEX, classification_loss

__all__ = ["index_loss", "object_loss", "total"]


def index_loss(labels: Any, logits: Any, sample_weight: Any = None) -> Any:
    """Mean cross-entropy over the places that count.

    Args:
        labels: (...), class indices; -100 is ignored. Where nothing counts the loss is 0.
        logits: (..., classes).
        sample_weight: Weight of each label, optional.

    Returns:
        Scalar.

    Raises:
        ValueError: Indices outside [0, classes), or shapes that do not fit.

    Example:
        >>> round(float(index_loss(np.array([1, -100]), np.zeros((2, 4)))), 5)  # ln 4
        1.38629
    """
    return classification_loss(
        labels, logits, logits.shape[-1], "single_label_classification", sample_weight
    )


def object_loss(task: str, pair: Any, scores: Any) -> Any:
    """Loss of one visual task: the mean over all objects of loss times confidence.

    The mean is over all B N objects, not over the sum of the confidences.

    Args:
        task: `obj` or `attr` for classes, whose loss is the cross-entropy; `feat` for features,
            whose loss is the mean of the smooth L1 distances, quadratic below 1.
        pair: The label, (B, N) class indices or (B, N, F) features, and the confidence, (B, N).
            The class -100 has no loss, but counts as an object.
        scores: (B, N, classes or F).

    Returns:
        Scalar.

    Example:
        >>> pair = np.array([[0, -100]]), np.array([[1.0, 1.0]])
        >>> round(float(object_loss("obj", pair, np.zeros((1, 2, 4)))), 5)  # ln 4 / 2
        0.69315
    """
    label, confidence = map(ops.convert_to_tensor, pair)
    confidence, scores = ops.cast(confidence, "float32"), ops.cast(scores, "float32")
    if task == "feat":
        return keras.losses.Huber(delta=1.0)(ops.cast(label, "float32"), scores, confidence)
    counts = ops.not_equal(label, IGNORE_INDEX)
    confidence = ops.where(counts, confidence, 0.0)
    label = ops.where(counts, label, ops.zeros_like(label))
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)(label, scores, confidence)


def total(parts: Mapping[str, Any]) -> Any:
    """The sum of the parts; 0 where there are none."""
    return sum(parts.values(), start=ops.zeros((), "float32"))
