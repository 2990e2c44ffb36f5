"""Video-grounding metrics: recall at an overlap, and the mean overlap.

A model that grounds a sentence gives one moment, so that recall is that of the first guess, R@1.
The metrics are Keras's: `model.compile(optimizer, metrics=grounding_metrics())`. They add up sums
and counts, which is right under `tf.distribute` as well.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfzoo.core.types import Tensor

__all__ = ["MeanTemporalIoU", "TemporalRecall", "grounding_metrics", "temporal_iou"]


def temporal_iou(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Intersection over union of moments.

    A prediction that ends before it begins overlaps with nothing. Two moments without length have
    an overlap of 0, even if they are the same.

    Args:
        y_true: (B, 3) duration of the video, start and end, in seconds, as TVP's labels; then
            `y_pred` are fractions of the duration. Or (B, 2) start and end.
        y_pred: (B, 2) start and end.

    Returns:
        (B,) in [0, 1], float32.

    Raises:
        ValueError: Other shapes.

    Example:
        >>> iou = temporal_iou(np.array([[10.0, 2.0, 6.0]]), np.array([[0.4, 0.8]]))
        >>> round(float(iou[0]), 3)  # 2 to 6 seconds, and 4 to 8
        0.333
    """
    y_true, y_pred = (ops.cast(x, "float32") for x in (y_true, y_pred))
    _check_shapes(y_true.shape, y_pred.shape)
    if y_true.shape[-1] == 3:
        y_pred, y_true = y_pred * y_true[:, :1], y_true[:, 1:]
    shared = ops.minimum(y_true[:, 1], y_pred[:, 1]) - ops.maximum(y_true[:, 0], y_pred[:, 0])
    union = ops.maximum(y_true[:, 1], y_pred[:, 1]) - ops.minimum(y_true[:, 0], y_pred[:, 0])
    shared = ops.maximum(shared, 0.0)
    # The union includes the gap between moments that do not overlap; there it divides a 0.
    return shared / ops.where(union > 0, union, 1.0)


def _check_shapes(true: tuple[int | None, ...], predicted: tuple[int | None, ...]) -> None:
    batches = {shape[0] for shape in (true, predicted) if len(shape) == 2} - {None}
    if len(true) != 2 or true[-1] not in (2, 3):
        raise ValueError(
            "Expected y_true as (B, 3), duration, start and end in seconds, or as (B, 2), start "
            f"and end, got shape {tuple(true)}."
        )
    if len(predicted) != 2 or predicted[-1] != 2 or len(batches) > 1:
        raise ValueError(
            f"Expected y_pred as (B, 2), start and end, for y_true of shape {tuple(true)}, got "
            f"shape {tuple(predicted)}."
        )


@keras.saving.register_keras_serializable("tfzoo")
class MeanTemporalIoU(keras.metrics.Mean):
    """Mean of `temporal_iou`, mIoU in papers.

    Args:
        name: Of the metric.
        **kwargs: `dtype`, see `keras.metrics.Metric`.

    Example:
        >>> metric = MeanTemporalIoU()
        >>> metric.update_state([[10.0, 2.0, 6.0], [8.0, 0.0, 4.0]], [[0.4, 0.8], [0.0, 0.5]])
        >>> round(float(metric.result()), 3)
        0.667
    """

    def __init__(self, name: str = "mean_iou", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        super().update_state(self.score(temporal_iou(y_true, y_pred)), sample_weight)

    def score(self, overlaps: Tensor) -> Tensor:
        """The values to average, (B,), from overlaps (B,)."""
        return overlaps


@keras.saving.register_keras_serializable("tfzoo")
class TemporalRecall(MeanTemporalIoU):
    """Share of moments found with an overlap of at least `threshold`, R@1 at an IoU in papers.

    Args:
        threshold: The least `temporal_iou` of a hit, in (0, 1].
        name: Of the metric; by default with the threshold in percent, such as "r1_iou50".
        **kwargs: `dtype`, see `keras.metrics.Metric`.

    Raises:
        ValueError: A threshold outside (0, 1].

    Source: Gao et al. 2017, TALL: Temporal Activity Localization via Language Query, section 5.

    Example:
        >>> metric = TemporalRecall(0.5)
        >>> metric.update_state([[10.0, 2.0, 6.0], [8.0, 0.0, 4.0]], [[0.4, 0.8], [0.0, 0.5]])
        >>> metric.name, float(metric.result())
        ('r1_iou50', 0.5)
    """

    def __init__(self, threshold: float = 0.5, name: str | None = None, **kwargs: Any) -> None:
        if not 0 < threshold <= 1:
            raise ValueError(f"threshold must lie in (0, 1], got {threshold}.")
        super().__init__(name=name or f"r1_iou{100 * threshold:g}", **kwargs)
        self.threshold = threshold

    def score(self, overlaps: Tensor) -> Tensor:
        return ops.cast(overlaps >= self.threshold, "float32")

    def get_config(self) -> dict[str, Any]:
        return {"threshold": self.threshold, **super().get_config()}


def grounding_metrics() -> list[keras.metrics.Metric]:
    """The metrics that papers report: R@1 at an IoU of 0.3, 0.5 and 0.7, and the mean IoU.

    Example:
        >>> [metric.name for metric in grounding_metrics()]
        ['r1_iou30', 'r1_iou50', 'r1_iou70', 'mean_iou']
    """
    return [*(TemporalRecall(threshold) for threshold in (0.3, 0.5, 0.7)), MeanTemporalIoU()]
