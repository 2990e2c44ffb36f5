"""The loss of a classification head, with PyTorch's formulas.

It goes through `keras.losses` objects: those scale correctly under `tf.distribute`, where a mean
taken by hand would count each replica in full.
"""

from __future__ import annotations

import keras
from keras import ops

from tfzoo.core.keras_compat import concrete
from tfzoo.core.types import Tensor

__all__ = [
    "IGNORE_INDEX",
    "check_class_indices",
    "classification_loss",
    "problem_type_of",
]

IGNORE_INDEX = -100


def problem_type_of(labels: Tensor, num_labels: int, problem_type: str | None = None) -> str:
    """Infer the kind of loss from the labels.

    Args:
        labels: The labels; integers mean class indices.
        num_labels: Width of the head.
        problem_type: The config's choice, which wins.

    Returns:
        `"regression"`, `"single_label_classification"` or `"multi_label_classification"`.
    """
    if problem_type is not None:
        return problem_type
    if num_labels == 1:
        return "regression"
    is_index = keras.backend.is_int_dtype(keras.backend.standardize_dtype(labels.dtype))
    return "single_label_classification" if is_index else "multi_label_classification"


def classification_loss(
    labels: Tensor,
    logits: Tensor,
    num_labels: int,
    problem_type: str | None = None,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """Loss of a classification head; its kind follows config, width and labels' dtype.

    The reference stores the inferred kind in the config, so that it sticks for later calls; here
    each call infers it.

    Args:
        labels: (B,) class indices where -100 is ignored, (B, labels) of 0 and 1 for several
            labels, or (B,) or (B, 1) targets of a regression.
        logits: (B, labels).
        num_labels: Width of the head.
        problem_type: The config's choice, or None.
        sample_weight: (B,), weight of each sample.

    Returns:
        Scalar, the mean over the samples that count.

    Raises:
        ValueError: Shapes that do not fit, class indices outside [0, num_labels), or no head.

    Example:
        >>> import numpy as np
        >>> loss = classification_loss(np.array([1]), np.array([[0.0, 0.0]]), 2)
        >>> round(float(loss), 5)  # ln 2
        0.69315
    """
    if num_labels < 1:
        raise ValueError("A model without a head (num_labels=0) takes no labels.")
    labels, logits = ops.convert_to_tensor(labels), ops.cast(logits, "float32")
    kind = problem_type_of(labels, num_labels, problem_type)
    if kind == "single_label_classification":
        check_class_indices(labels, num_labels)
        logits, labels = ops.reshape(logits, (-1, num_labels)), ops.reshape(labels, (-1,))
        _check_same_shape(labels, logits[:, 0], kind)
        loss = keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, ignore_class=IGNORE_INDEX
        )
        return loss(labels, logits, sample_weight)
    if kind == "regression" and num_labels == 1:
        logits, labels = ops.reshape(logits, (-1, 1)), ops.reshape(labels, (-1, 1))
    _check_same_shape(labels, logits, kind)
    loss = (
        keras.losses.MeanSquaredError()
        if kind == "regression"
        else keras.losses.BinaryCrossentropy(from_logits=True)
    )
    return loss(ops.cast(labels, "float32"), logits, sample_weight)


def check_class_indices(labels: Tensor, num_classes: int) -> None:
    """Refuse class indices outside [0, num_classes) other than -100, where values are known.

    They are unknown inside a graph; there TensorFlow's own operation refuses them on the CPU.

    Raises:
        ValueError: Names the range and the first offending values.
    """
    values = concrete(labels)
    if values is None:
        return
    wrong = values[((values < 0) | (values >= num_classes)) & (values != IGNORE_INDEX)]
    if wrong.size:
        raise ValueError(
            f"labels must lie in [0, {num_classes}) (or be {IGNORE_INDEX}, which is ignored), "
            f"got {wrong.reshape(-1)[:5].tolist()}."
        )


def _check_same_shape(labels: Tensor, logits: Tensor, kind: str) -> None:
    if len(labels.shape) != len(logits.shape) or any(
        a is not None and b is not None and a != b
        for a, b in zip(labels.shape, logits.shape, strict=True)
    ):
        raise ValueError(
            f"labels for {kind} must have shape {tuple(logits.shape)} here, "
            f"got {tuple(labels.shape)}."
        )
