"""The query of image-guided detection (Minderer et al. 2022, section 4.4, "one-shot")."""

from __future__ import annotations

from keras import ops

from tfzoo.core.keras_compat import concrete
from tfzoo.core.types import Tensor
from tfzoo.layers.clip import first_maximum

__all__ = ["check_boxes", "choose_queries", "to_corners"]

_KEPT = 0.8  # of the best overlap: boxes that may become the query


def check_boxes(query_boxes: Tensor | None, owner: str) -> Tensor:
    """The query boxes as a tensor; the whole image where None.

    Args:
        query_boxes: (B, 4), x0, y0, x1, y1 as fractions of the image, or None.
        owner: Name of the model and its method, for the error.

    Returns:
        (B, 4), float32.

    Raises:
        ValueError: Another shape, boxes outside [0, 1] or without an area.
    """
    if query_boxes is None:
        query_boxes = [[0.0, 0.0, 1.0, 1.0]]
    boxes = ops.convert_to_tensor(query_boxes, "float32")
    if len(boxes.shape) != 2 or boxes.shape[1] != 4:
        raise ValueError(f"{owner}: query_boxes must have shape (B, 4), got {tuple(boxes.shape)}.")
    values = concrete(boxes)
    if values is not None:
        inside = (values >= 0).all() and (values <= 1).all()
        if not inside or not (values[:, 2:] > values[:, :2]).all():
            raise ValueError(
                f"{owner}: query_boxes must be x0 < x1, y0 < y1 within [0, 1], got "
                f"{values.tolist()}. Divide pixels by the image's size."
            )
    return boxes


def choose_queries(embeds: Tensor, corners: Tensor, query_boxes: Tensor) -> Tensor:
    """The box of each query image that stands for its object.

    Of the boxes whose overlap with the query box is at least 0.8 of the best, the one whose
    embedding is least similar to the mean of all: most boxes are background. Where nothing
    overlaps, the generalised overlap decides, which also knows how far away a box is.

    Args:
        embeds: (B, N, D).
        corners: (B, N, 4), x0, y0, x1, y1.
        query_boxes: (B or 1, 4), in the same form.

    Returns:
        (B,), indices.

    Source: the reference's embed_image_query.
    """
    overlap, generalised = _overlaps(ops.cast(corners, "float32"), query_boxes[:, None])
    nothing = ops.all(ops.equal(overlap, 0.0), axis=1, keepdims=True)
    overlap = ops.where(nothing, generalised, overlap)
    kept = overlap >= ops.max(overlap, axis=1, keepdims=True) * _KEPT
    embeds = ops.cast(embeds, "float32")
    mean = ops.mean(embeds, axis=1, keepdims=True)
    similarity = ops.sum(embeds * mean, axis=-1)
    return first_maximum(ops.where(kept, -similarity, -float("inf")))


def _overlaps(boxes: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Intersection over union of boxes (..., 4) and a target, and its generalised form."""

    def area(box: Tensor) -> Tensor:
        return (box[..., 2] - box[..., 0]) * (box[..., 3] - box[..., 1])

    def span(low: Tensor, high: Tensor) -> Tensor:
        sides = ops.maximum(high - low, 0.0)
        return sides[..., 0] * sides[..., 1]

    shared = span(
        ops.maximum(boxes[..., :2], target[..., :2]), ops.minimum(boxes[..., 2:], target[..., 2:])
    )
    union = area(boxes) + area(target) - shared
    hull = span(
        ops.minimum(boxes[..., :2], target[..., :2]), ops.maximum(boxes[..., 2:], target[..., 2:])
    )
    overlap = shared / union
    return overlap, overlap - (hull - union) / hull


def to_corners(boxes: Tensor) -> Tensor:
    """Boxes by their centre and size -> boxes by their corners.

    Args:
        boxes: (..., 4), centre x, centre y, width, height.

    Returns:
        (..., 4), x0, y0, x1, y1.
    """
    centre, half = boxes[..., :2], 0.5 * boxes[..., 2:]
    return ops.concatenate([centre - half, centre + half], axis=-1)
