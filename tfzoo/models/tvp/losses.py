"""TVP's losses of a predicted span against the true one: overlap, middles and lengths."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from tfzoo.core.keras_compat import concrete, tensorflow
from tfzoo.core.types import Tensor

__all__ = ["TvpLoss", "mean_loss", "span_labels"]

_Span = Sequence[Tensor]  # start and end, (B,) each, in seconds

_LEAST_DISTANCE, _LEAST_DIFFERENCE = 0.2, 0.4  # the gradient is 0 below these


class TvpLoss:
    """Losses of spans.

    With the predicted span (s', e'), the true one (s, e) and the video's duration d, in seconds:

    - `iou`: 1 - overlap / hull;
    - `distance`: the distance of the middles / d, at least 0.2;
    - `duration`: the squared difference of the lengths / d, at least 0.4.

    The last two have no gradient below their bounds. Where both spans are the same single point,
    the reference's `iou` is 0 / 0; here it is 0.

    Args:
        losses: The names of those that are computed.

    Raises:
        ValueError: An unknown name.

    Source: the temporal-distance IoU loss, Zhang et al. 2023, arXiv:2303.04995, equation 5.

    Example:
        >>> loss = TvpLoss(["iou", "distance"])
        >>> parts = loss(np.array([[0.0, 0.5]]), np.array([[10.0, 0.0, 10.0]]))
        >>> {name: np.asarray(value).tolist() for name, value in parts.items()}
        {'iou': [0.5], 'distance': [0.25]}
    """

    known = ("iou", "distance", "duration")

    def __init__(self, losses: Sequence[str] = known) -> None:
        if unknown := [name for name in losses if name not in self.known]:
            raise ValueError(f"Unknown losses {unknown}; known are {', '.join(self.known)}.")
        self.losses = tuple(losses)

    def __call__(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The losses of each sample.

        Args:
            logits: (B, 2), start and end as fractions of the duration.
            labels: What `span_labels` takes.

        Returns:
            (B,) for each name, float32.

        Raises:
            ValueError: Labels that `span_labels` refuses.
        """
        logits = ops.cast(logits, "float32")
        duration, *truth = ops.unstack(span_labels(labels, logits.shape[0]), 3, axis=-1)
        spans = logits * duration[:, None]
        spans = (spans[:, 0], spans[:, 1])
        return {name: getattr(self, f"_{name}")(spans, truth, duration) for name in self.losses}

    def _iou(self, spans: _Span, truth: _Span, duration: Tensor) -> Tensor:
        shared = ops.minimum(spans[1], truth[1]) - ops.maximum(spans[0], truth[0])
        hull = ops.maximum(spans[1], truth[1]) - ops.minimum(spans[0], truth[0])
        is_point = ops.equal(hull, 0.0)
        ratio = ops.maximum(shared, 0.0) / ops.where(is_point, 1.0, hull)
        return 1.0 - ops.where(is_point, 1.0, ratio)

    def _distance(self, spans: _Span, truth: _Span, duration: Tensor) -> Tensor:
        middles = ((start + end) / 2.0 for start, end in (spans, truth))
        return ops.maximum(ops.abs(next(middles) - next(middles)) / duration, _LEAST_DISTANCE)

    def _duration(self, spans: _Span, truth: _Span, duration: Tensor) -> Tensor:
        lengths = (end - start for start, end in (spans, truth))
        difference = (next(lengths) - next(lengths)) / duration
        return ops.maximum(ops.square(difference), _LEAST_DIFFERENCE)


def span_labels(labels: Tensor | Sequence[Tensor], batch: int | None = None) -> Tensor:
    """Bring labels into one form, and check them.

    Args:
        labels: (B, 3), duration, start and end of each sample in seconds; or three scalars or
            (B,) arrays, in a sequence or stacked, as the reference takes them.
        batch: B, where it is known.

    Returns:
        (B, 3), float32.

    Raises:
        ValueError: Other shapes, or a span that ends before it starts, or leaves [0, duration].
            Inside a graph of TensorFlow values are checked as it runs, then it is
            `InvalidArgumentError`; XLA leaves such checks out.

    Example:
        >>> np.asarray(span_labels((30.0, 2.0, 9.5))).tolist()
        [[30.0, 2.0, 9.5]]
    """
    if isinstance(labels, (list, tuple)):
        labels = _stacked(labels)
    labels = ops.cast(ops.convert_to_tensor(labels), "float32")
    shape = tuple(labels.shape)
    if len(shape) == 1 and shape[0] == 3:
        labels = labels[None]
    elif (
        len(shape) == 2 and not (_agree(shape[1], 3) and _agree(shape[0], batch)) and shape[0] == 3
    ):
        labels = ops.transpose(labels)
    rows = labels.shape[0] if len(labels.shape) == 2 else 0
    fits = len(labels.shape) == 2 and _agree(labels.shape[1], 3)
    if not (fits and (rows == 1 or _agree(rows, batch))):
        wanted = "B" if batch is None else batch
        raise ValueError(
            f"labels must have shape ({wanted}, 3): duration, start and end in seconds of each "
            f"sample; got {shape}."
        )
    if batch is not None and rows == 1:
        labels = ops.broadcast_to(labels, (batch, 3))
    return _checked(labels)


def _stacked(labels: Sequence[Tensor]) -> Tensor:
    """A sequence of rows, or of columns of which some may be scalars, as one tensor."""
    parts = [ops.cast(ops.convert_to_tensor(part), "float32") for part in labels]
    longest = max(parts, key=lambda part: len(part.shape)) if parts else ops.zeros(0)
    return ops.stack([ops.broadcast_to(part, ops.shape(longest)) for part in parts] or [longest])


def _agree(one: int | None, other: int | None) -> bool:
    return None in (one, other) or one == other


def _checked(labels: Tensor) -> Tensor:
    """The labels, where they hold spans inside their videos."""
    message = "labels must hold spans with 0 <= start <= end <= duration, in seconds"
    if (values := concrete(labels)) is not None:
        wrong = values[~np.asarray(_are_inside(values))]
        if len(wrong):
            raise ValueError(f"{message}; got (duration, start, end) = {wrong[0].tolist()}.")
        return labels
    if (tf := tensorflow()) is not None and not isinstance(labels, keras.KerasTensor):
        check = tf.debugging.Assert(tf.reduce_all(_are_inside(labels)), [message, labels])
        with tf.control_dependencies([check]):  # no step is taken before the check is passed
            return tf.identity(labels)
    return labels


def _are_inside(labels: Tensor) -> Tensor:
    duration, start, end = labels[:, 0], labels[:, 1], labels[:, 2]
    slack = 1e-5 * duration  # of seconds that were rounded to float32
    return (duration > 0) & (start >= -slack) & (end >= start) & (end <= duration + slack)


class _Mean(keras.losses.Loss):
    """Averages (B,) losses, with Keras's weights and its scaling under `tf.distribute`."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return y_pred


def mean_loss(losses: Tensor, sample_weight: Tensor | None = None) -> Tensor:
    """The mean over a batch.

    Args:
        losses: (B,).
        sample_weight: (B,), optional.

    Returns:
        Scalar.
    """
    return _Mean("mean", dtype="float32")(losses, losses, sample_weight)
