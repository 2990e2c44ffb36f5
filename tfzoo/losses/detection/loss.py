"""The loss of a detector: focal sigmoid, L1, generalised IoU and objectness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from tfzoo.core.types import Tensor
from tfzoo.losses.detection.targets import match_targets, prepare_targets, same_shape

__all__ = ["detection_loss", "generalized_iou", "prepare_targets"]

# Padded queries have logits of the least finite float16 (-65504), bfloat16 or float32; no other
# logit comes near.
_LEAST_LOGIT = -6e4


def detection_loss(
    logits: Tensor,
    objectness_logits: Tensor | None,
    pred_boxes: Tensor,
    targets: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    *,
    class_weight: float = 1.0,
    box_weight: float = 1.0,
    giou_weight: float = 1.0,
    objectness_weight: float = 1.0,
    alpha: float = 0.3,
    gamma: float = 2.0,
    sample_weight: Tensor | None = None,
    on_device: bool = False,
) -> dict[str, Tensor]:
    """Focal sigmoid, L1, generalised IoU and objectness losses of a detector's predictions.

    Targets are matched to boxes by the first three terms, with the same weights. `loss_class`
    (summed over boxes and queries), `loss_bbox` (summed over the four numbers) and `loss_giou` are
    divided by the image's number of targets, at least 1. `loss_objectness` is the mean over the
    boxes of the sigmoid cross-entropy to each box's own best classification score, taken as a
    constant: OWLv2's objectness predicts that score. The paper states neither the form nor the
    divisor of this term; they are tfzoo's.

    All divisors belong to one image, so that each component is a mean over images. The authors
    found this best together with clipping each image's gradient to a norm of 1; an optimizer's
    `global_clipnorm=1.0` comes closest. The L1 distance is DETR's, of centres and sizes; theirs is
    of corners. A `keras.losses.Loss` takes the mean: under `tf.distribute` each replica also
    divides by the number of replicas, and their sum is the mean over the global batch.

    Padded queries, with logits at the dtype's least value, add nothing and receive no gradient.
    Everything is computed in float32.

    Args:
        logits: (B, N, Q).
        objectness_logits: (B, N), or None for a detector without.
        pred_boxes: (B, N, 4), centre x, centre y, width, height in [0, 1].
        targets: What `prepare_targets` takes.
        class_weight: Factor of the focal loss, here and in the cost of matching.
        box_weight: Factor of the L1 distance, here and in the cost of matching.
        giou_weight: Factor of the generalised IoU, here and in the cost of matching.
        objectness_weight: Factor of the objectness loss.
        alpha: Share of the positive class in the focal loss, in [0, 1].
        gamma: Exponent of the focal loss.
        sample_weight: (B,), weight of each image.
        on_device: Match without the host, for XLA; see `match_targets` in `targets`.

    Returns:
        Scalars `loss` (the weighted sum), `loss_class`, `loss_bbox`, `loss_giou` and, where there
        are such logits, `loss_objectness` (unweighted).

    Raises:
        ValueError: Targets that `prepare_targets` refuses, a class whose query is padding, shapes
            that do not fit, predictions that are not finite. A graph of TensorFlow checks values
            as it runs, and raises `InvalidArgumentError` with the same words.
        ImportError: SciPy is not installed.

    Source: OWL-ViT, arXiv:2205.06230, section 3.2 (losses, equal weights), appendix (divisors) and
        the authors' configurations (alpha, gamma); OWLv2, arXiv:2306.09683, section 3 (objectness).

    Example:
        >>> boxes = np.array([[[0.3, 0.3, 0.2, 0.2], [0.7, 0.7, 0.4, 0.4]]])
        >>> logits = np.array([[[-9.0, -9.0], [-9.0, 9.0]]])
        >>> targets = [{"boxes": [[0.7, 0.7, 0.4, 0.2]], "class_labels": [1]}]
        >>> losses = detection_loss(logits, None, boxes, targets)
        >>> {name: round(float(value), 3) for name, value in losses.items()}
        {'loss': 0.7, 'loss_class': 0.0, 'loss_bbox': 0.2, 'loss_giou': 0.5}
    """
    logits, boxes = ops.cast(logits, "float32"), ops.cast(pred_boxes, "float32")
    if objectness_logits is not None:
        objectness_logits = ops.cast(objectness_logits, "float32")
    targets = prepare_targets(targets, logits.shape[-1])
    _check_prediction_shapes(logits, objectness_logits, boxes, targets)
    real = ops.cast(targets["class_labels"] >= 0, "float32")
    # Padding becomes the whole image, so that nothing is divided by zero.
    whole = ops.convert_to_tensor([0.5, 0.5, 1.0, 1.0], "float32")
    target_boxes = ops.where(real[..., None] > 0, targets["boxes"], whole)
    classes = _one_hot(targets["class_labels"], ops.shape(logits)[-1])  # (B, M, Q)
    present, absent = _focal_terms(logits, alpha, gamma)

    l1, iou = _box_terms(boxes[:, :, None], target_boxes[:, None])  # (B, N, M)
    cost = class_weight * ops.einsum("bnq,bmq->bnm", present - absent, classes)
    cost = cost + box_weight * l1 - giou_weight * iou
    usable = ops.logical_not(ops.all(logits <= _LEAST_LOGIT, axis=1))  # (B, Q)
    matched = match_targets(cost, targets, usable, on_device=on_device)
    assigned = _one_hot(matched, ops.shape(logits)[1])  # (B, M, N)

    positive = ops.einsum("bmn,bmq->bnq", assigned, classes)
    l1, iou = _box_terms(ops.einsum("bmn,bnc->bmc", assigned, boxes), target_boxes)
    divisor = ops.maximum(ops.sum(real, axis=-1), 1.0)
    of_images = {
        "loss_class": ops.sum(absent + positive * (present - absent), axis=(1, 2)) / divisor,
        "loss_bbox": ops.sum(l1 * real, axis=-1) / divisor,
        "loss_giou": ops.sum((1 - iou) * real, axis=-1) / divisor,
    }
    if objectness_logits is not None:
        of_images["loss_objectness"] = _objectness(objectness_logits, logits)
    mean = _MeanOverImages("mean_over_images", dtype="float32")
    losses = {name: mean(value, value, sample_weight) for name, value in of_images.items()}
    weights = (class_weight, box_weight, giou_weight, objectness_weight)
    # Without objectness logits the last weight has no loss.
    total = sum(w * loss for w, loss in zip(weights, losses.values(), strict=False))
    return {"loss": total, **losses}


class _MeanOverImages(keras.losses.Loss):
    """Averages (B,) losses, with Keras's weights and its scaling under `tf.distribute`."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return y_pred


def generalized_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """Generalised intersection over union: 1 for equal boxes, towards -1 for boxes far apart.

    Args:
        boxes: (..., 4) corners x0, y0, x1, y1.
        others: (..., 4), broadcast against `boxes`.

    Returns:
        (...).

    Source: Rezatofighi et al. 2019, arXiv:1902.09630.

    Example:
        >>> one = np.array([0.0, 0.0, 1.0, 1.0])
        >>> others = one + [[0, 0, 0, 0], [1, 0, 1, 0], [2, 0, 2, 0]]
        >>> np.asarray(generalized_iou(one, others)).round(3).tolist()
        [1.0, 0.0, -0.333]
    """
    low, high = boxes[..., :2], boxes[..., 2:]
    other_low, other_high = others[..., :2], others[..., 2:]
    shared = ops.maximum(ops.minimum(high, other_high) - ops.maximum(low, other_low), 0.0)
    hull = ops.prod(ops.maximum(high, other_high) - ops.minimum(low, other_low), axis=-1)
    shared = ops.prod(shared, axis=-1)
    union = ops.prod(high - low, axis=-1) + ops.prod(other_high - other_low, axis=-1) - shared
    least = 1e-12  # two boxes without area
    return shared / ops.maximum(union, least) - (hull - union) / ops.maximum(hull, least)


def _box_terms(boxes: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """L1 distance and generalised IoU of boxes (cx, cy, w, h)."""
    return ops.sum(ops.abs(boxes - others), axis=-1), generalized_iou(
        _corners(boxes), _corners(others)
    )


def _corners(boxes: Tensor) -> Tensor:
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return ops.concatenate([centre - half, centre + half], axis=-1)


def _focal_terms(logits: Tensor, alpha: float, gamma: float) -> tuple[Tensor, Tensor]:
    """Focal loss of each logit if its class is present, and if it is absent; 0 for padding.

    Logarithms throughout: powers of a probability that underflows have no finite gradient.
    """
    padding = logits <= _LEAST_LOGIT
    logits = ops.where(padding, 0.0, logits)
    minus_log_p, minus_log_not_p = ops.softplus(-logits), ops.softplus(logits)
    present = alpha * ops.exp(-gamma * minus_log_not_p) * minus_log_p
    absent = (1 - alpha) * ops.exp(-gamma * minus_log_p) * minus_log_not_p
    counts = 1 - ops.cast(padding, "float32")
    return present * counts, absent * counts


def _objectness(objectness_logits: Tensor, logits: Tensor) -> Tensor:
    """(B,) sigmoid cross-entropies to the best classification scores."""
    score = ops.stop_gradient(ops.max(ops.sigmoid(logits), axis=-1))
    return ops.mean(ops.softplus(objectness_logits) - score * objectness_logits, axis=-1)


def _one_hot(indices: Tensor, size: int | Tensor) -> Tensor:
    """(..., size) of 0 and 1, all 0 for -1; `size` may be a tensor, unlike in `ops.one_hot`."""
    return ops.cast(ops.equal(indices[..., None], ops.arange(size, dtype="int32")), "float32")


def _check_prediction_shapes(
    logits: Tensor, objectness_logits: Tensor | None, boxes: Tensor, targets: dict[str, Tensor]
) -> None:
    fits = (
        len(logits.shape) == 3
        and same_shape((*logits.shape[:2], 4), boxes.shape)
        and same_shape(logits.shape[:1], targets["class_labels"].shape[:1])
        and (objectness_logits is None or same_shape(logits.shape[:2], objectness_logits.shape))
    )
    if not fits:
        objectness = None if objectness_logits is None else tuple(objectness_logits.shape)
        raise ValueError(
            "A detector's losses take logits (B, N, Q), objectness_logits (B, N) or None, "
            f"pred_boxes (B, N, 4) and targets of B images, got {tuple(logits.shape)}, "
            f"{objectness}, {tuple(boxes.shape)} and {targets['class_labels'].shape[0]} images."
        )
