"""The query of image-guided detection (Minderer et al. 2022, section 4.4, "one-shot")."""

from __future__ import annotations

import numpy as np
from keras import ops

from tfzoo.core.keras_compat import concrete
from tfzoo.core.types import Tensor
from tfzoo.layers.clip import first_maximum

__all__ = ["check_boxes", "check_counts", "choose_queries", "to_corners"]

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


def check_counts(owner: str, images: Tensor, queries: Tensor, boxes: Tensor) -> None:
    """Refuse images, query images and boxes whose numbers do not fit; one stands for all.

    Args:
        owner: Name of the model and its method, for the error.
        images: (B or 1, ...), what is searched.
        queries: (B or 1, ...), the query images.
        boxes: (as many as query images, or 1, 4).

    Raises:
        ValueError: Says how many were expected, and how many came.
    """
    count, found, given = (value.shape[0] for value in (images, queries, boxes))
    if None not in (count, found) and found != count and 1 not in (count, found):
        raise ValueError(
            f"{owner}: expected one image in query_pixel_values, or one for each of the {count} in "
            f"pixel_values, got {found}."
        )
    if None not in (found, given) and given not in (1, found):
        raise ValueError(
            f"{owner}: expected one box in query_boxes, or one for each of the {found} query "
            f"images, got {given}."
        )


def choose_queries(embeds: Tensor, corners: Tensor, query_boxes: Tensor) -> Tensor:
    """The box of each query image that stands for its object.

    Of the boxes whose overlap with the query box is at least 0.8 of the best, the one whose
    embedding is least similar to the mean of all: most boxes are background. Where nothing
    overlaps, boxes without area that lie inside the query box count, by the generalised overlap.
    Without any, a graph, which cannot refuse, takes the nearest box.

    Args:
        embeds: (B, N, D).
        corners: (B, N, 4), x0, y0, x1, y1.
        query_boxes: (B or 1, 4), in the same form.

    Returns:
        (B,), indices.

    Raises:
        ValueError: A query box has nothing to do with any of the boxes of its image.

    Source: the reference's embed_image_query.
    """
    overlap, generalised = _overlaps(ops.cast(corners, "float32"), query_boxes[:, None])
    nothing = ops.all(ops.equal(overlap, 0.0), axis=1, keepdims=True)
    overlap = ops.where(nothing, generalised, overlap)
    best = ops.max(overlap, axis=1, keepdims=True)  # below 0 where all boxes lie outside
    lost = concrete(best < 0)
    if lost is not None and lost.any():
        raise ValueError(
            "query_boxes: expected boxes that overlap something that the model sees in their "
            f"images, those at {np.flatnonzero(lost).tolist()} overlap nothing. Choose larger ones."
        )
    kept = overlap >= ops.where(best > 0, best * _KEPT, best)
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
