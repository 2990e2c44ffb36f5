"""The targets of a detector: checked, padded, and matched to predicted boxes.

The matching is the cheapest one-to-one assignment (Carion et al. 2020, arXiv:2005.12872, section
3.1), which SciPy finds on the host, and `tfzoo.losses.detection.assignment` where XLA compiles.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops

from tfzoo.core.keras_compat import concrete, tensorflow
from tfzoo.core.types import Shape, Tensor
from tfzoo.losses.detection.assignment import assign

__all__ = ["match_targets", "prepare_targets", "same_shape"]

_KEYS = ("boxes", "class_labels")
# Annotated boxes stick out of the image by a pixel now and then; corners taken for centres and
# pixels taken for fractions stick out further.
_SLACK = 0.01


Labels = Mapping[str, Any] | Sequence[Mapping[str, Any]]


def prepare_targets(labels: Labels, num_queries: int | None = None) -> dict[str, Tensor]:
    """Bring the labels of a batch into the padded form, and check the values that are known.

    Args:
        labels: `{"boxes": (B, M, 4), "class_labels": (B, M)}`, where a negative class marks
            padding; or a list of B dicts `{"boxes": (m, 4), "class_labels": (m,)}`, m may be 0.
            Boxes are centre x, centre y, width, height as fractions of what the model sees (for
            OWLv2 the image padded to a square); classes are indices of queries.
        num_queries: Q, the number of queries that classes index; None leaves that unchecked.

    Returns:
        `{"boxes": (B, M, 4) float32, "class_labels": (B, M) int32}`, -1 where padded in a list.

    Raises:
        ValueError: Missing keys, shapes that do not fit, classes that are not integers below
            `num_queries`, boxes that leave [0, 1] or have no size.

    Example:
        >>> one = {"boxes": [[0.5, 0.5, 0.2, 0.4]], "class_labels": [3]}
        >>> none = {"boxes": [], "class_labels": []}
        >>> np.asarray(prepare_targets([one, none], 4)["class_labels"]).tolist()
        [[3], [-1]]
    """
    if isinstance(labels, Mapping):
        boxes, classes = (_value(labels, key, "labels") for key in _KEYS)
    elif isinstance(labels, Sequence) and len(labels) > 0:
        boxes, classes = _padded(labels)
    else:
        raise ValueError(
            "labels must be a dict of padded 'boxes' and 'class_labels', or a list with such a "
            f"dict for each image, got {type(labels).__name__} {labels!r:.60}."
        )
    boxes, classes = ops.convert_to_tensor(boxes), ops.convert_to_tensor(classes)
    _check_target_shapes(boxes, classes)
    boxes, classes = ops.cast(boxes, "float32"), ops.cast(classes, "int32")
    values = concrete(boxes), concrete(classes)
    if values[0] is not None and values[1] is not None:
        _check_target_values(*values, num_queries)
    return {"boxes": boxes, "class_labels": classes}


def _value(labels: Labels, key: str, name: str) -> Any:
    if not isinstance(labels, Mapping) or key not in labels:
        got = sorted(labels) if isinstance(labels, Mapping) else type(labels).__name__
        raise ValueError(f"{name} must be a dict with the keys {list(_KEYS)}, got {got}.")
    return labels[key]


def _padded(labels: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """A list of dicts as two arrays; at least one row, so that no array is empty."""
    pairs = []
    for i, one in enumerate(labels):
        boxes, classes = (ops.convert_to_numpy(_value(one, k, f"labels[{i}]")) for k in _KEYS)
        if boxes.size == 0 and classes.size == 0:  # an empty list has lost width and dtype
            boxes, classes = np.zeros((0, 4)), np.zeros(0, "int32")
        if boxes.ndim != 2 or boxes.shape[1] != 4 or classes.shape != boxes.shape[:1]:
            raise ValueError(
                f"labels[{i}] must hold 'boxes' (m, 4) and 'class_labels' (m,), got "
                f"{boxes.shape} and {classes.shape}."
            )
        _check_integers(classes)
        pairs.append((boxes, classes))
    rows = max(1, *(len(classes) for _, classes in pairs))
    all_boxes = np.zeros((len(pairs), rows, 4), "float32")
    all_classes = np.full((len(pairs), rows), -1, "int32")
    for i, (boxes, classes) in enumerate(pairs):
        all_boxes[i, : len(boxes)], all_classes[i, : len(classes)] = boxes, classes
    return all_boxes, all_classes


def _check_target_shapes(boxes: Tensor, classes: Tensor) -> None:
    fits = len(boxes.shape) == 3 and boxes.shape[2] == 4 and len(classes.shape) == 2
    if not fits or not same_shape(boxes.shape[:2], classes.shape):
        raise ValueError(
            "Padded labels must hold 'boxes' (B, M, 4) and 'class_labels' (B, M), got "
            f"{tuple(boxes.shape)} and {tuple(classes.shape)}."
        )
    _check_integers(classes)


def _check_integers(classes: Tensor) -> None:
    dtype = keras.backend.standardize_dtype(classes.dtype)
    if not keras.backend.is_int_dtype(dtype):
        raise ValueError(f"class_labels must be integers, the indices of queries, got {dtype}.")


def _check_target_values(boxes: np.ndarray, classes: np.ndarray, num_queries: int | None) -> None:
    real = classes >= 0
    boxes, classes = boxes[real], classes[real]
    if num_queries is not None and (classes >= num_queries).any():
        raise ValueError(
            f"class_labels must lie in [0, {num_queries}), the number of queries (a negative one "
            f"marks padding), got {classes[classes >= num_queries][:5].tolist()}."
        )
    if not (boxes[:, 2:] > 0).all():
        wrong = boxes[~(boxes[:, 2:] > 0).all(axis=1)]
        raise ValueError(
            "Boxes are (centre x, centre y, width, height) with a width and a height above 0, got "
            f"{_shown(wrong)}. Mark padding by a class of -1."
        )
    corners = boxes[:, :2, None] + boxes[:, 2:, None] * [-0.5, 0.5]
    inside = ((corners >= -_SLACK) & (corners <= 1 + _SLACK)).all(axis=(1, 2))
    if not inside.all():
        raise ValueError(
            "Boxes are (centre x, centre y, width, height) as fractions of the image and must "
            f"not leave [0, 1], got {_shown(boxes[~inside])}. Divide pixels by the size of the "
            "image, turn corners into centres, clip what sticks out."
        )


def _shown(boxes: np.ndarray) -> list[list[float]]:
    return np.round(boxes[:3].astype("float64"), 4).tolist()


def same_shape(one: Shape, other: Shape) -> bool:
    """Whether two shapes agree, as far as they are known."""
    return len(one) == len(other) and all(
        a is None or b is None or a == b for a, b in zip(one, other, strict=True)
    )


# ---- matching
def match_targets(
    cost: Tensor, targets: dict[str, Tensor], usable: Tensor, *, on_device: bool = False
) -> Tensor:
    """Give each target a box of its own at the least total cost.

    Works eagerly and inside graphs, which call back to the host. XLA on TensorFlow cannot call
    back.

    Args:
        cost: (B, N, M) cost of giving box n to target m, arbitrary for padding.
        targets: From `prepare_targets`.
        usable: (B, Q) booleans, False for queries that are padding.
        on_device: On TensorFlow, match by operations that XLA can compile. Values are not checked
            then, and M must not be above N.

    Returns:
        (B, M) int32, the box of each target, -1 for padding. No gradient flows through it.

    Raises:
        ValueError: As `prepare_targets`, more targets than boxes, a cost that is not finite, or a
            class whose query is padding (inside a graph of TensorFlow `InvalidArgumentError` with
            the same words).
        ImportError: SciPy is not installed.

    Source: `scipy.optimize.linear_sum_assignment`.

    Example:
        >>> targets = prepare_targets([{"boxes": [[0.5, 0.5, 1.0, 1.0]], "class_labels": [0]}], 1)
        >>> cost = np.array([[[3.0], [1.0]]])
        >>> np.asarray(match_targets(cost, targets, np.array([[True]]))).tolist()
        [[1]]
    """
    classes = targets["class_labels"]
    if on_device and tensorflow() is not None:
        if cost.shape[2] > cost.shape[1]:
            raise ValueError(
                f"labels have room for {cost.shape[2]} targets in an image, but the model "
                f"predicts {cost.shape[1]} boxes: pad them to no more than that."
            )
        return assign(ops.stop_gradient(ops.cast(cost, "float32")), classes >= 0)
    inputs = (ops.stop_gradient(ops.cast(cost, "float32")), targets["boxes"], classes, usable)
    return _on_host(partial(_assign, _solver()), *inputs)


def _solver() -> Callable:
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise ImportError(
            "Training a detector needs SciPy to match boxes: pip install 'tfzoo[train]'."
        ) from error
    return linear_sum_assignment


def _assign(
    solve: Callable, cost: Tensor, boxes: Tensor, classes: Tensor, usable: Tensor
) -> np.ndarray:
    """Check the values, and match in NumPy."""
    boxes, classes, usable = np.asarray(boxes), np.asarray(classes), np.asarray(usable)
    _check_target_values(boxes, classes, usable.shape[1])
    lost = (classes >= 0) & ~np.take_along_axis(usable, np.maximum(classes, 0), axis=1)
    if lost.any():
        raise ValueError(
            f"class_labels {classes[lost][:5].tolist()} point at padded queries, which have no "
            "text to learn."
        )
    cost = np.asarray(cost, "float64")
    indices = np.full(classes.shape, -1, "int32")
    for one, targets, row in zip(cost, classes, indices, strict=True):
        real = np.flatnonzero(targets >= 0)
        if len(real) > len(one):
            raise ValueError(
                f"An image has {len(real)} targets, but the model predicts {len(one)} boxes: "
                "each target needs one of its own."
            )
        if not np.isfinite(one[:, real]).all():
            raise ValueError(
                "The cost of matching is not finite: the model's boxes or logits are NaN or "
                "infinite. Lower the learning rate or clip the gradients."
            )
        chosen, order = solve(one[:, real])
        row[real[order]] = chosen
    return indices


def _on_host(function: Callable, cost: Tensor, *others: Tensor) -> Tensor:
    """Run a NumPy function (B, N, M), ... -> (B, M) int32, wherever the values are."""
    inputs = [cost, *others]
    values = [concrete(x) for x in inputs]
    if all(value is not None for value in values):
        return ops.convert_to_tensor(function(*values))
    shape = (cost.shape[0], cost.shape[2])
    if (tf := tensorflow()) is not None:
        indices = tf.numpy_function(function, inputs, tf.int32, stateful=False)
        return tf.ensure_shape(indices, shape)
    if keras.backend.backend() == "jax":
        jax = sys.modules["jax"]
        return jax.pure_callback(function, jax.ShapeDtypeStruct(shape, "int32"), *inputs)
    return ops.convert_to_tensor(function(*map(ops.convert_to_numpy, inputs)))  # from a device
