"""Average precision of detections, in NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["average_precision", "box_iou"]


def average_precision(
    results: Sequence[Mapping[str, Any]],
    targets: Sequence[Mapping[str, Any]],
    iou_threshold: float = 0.5,
) -> float:
    """Mean over classes of the area under the interpolated curve of precision against recall.

    Detections of one class, over all images, are taken from the highest score down. Each takes the
    target of its class and image with the largest overlap among those still free; it is wrong if
    that overlap is below the threshold. Precision at a recall is the best precision at that recall
    or a higher one; the area is exact, without sampling. Classes without a target do not count.
    Equal scores keep their order.

    Args:
        results: For each image `scores` (K,), `labels` (K,) and `boxes` (K, 4), as from
            `post_process_object_detection`; corners x0, y0, x1, y1.
        targets: For each image `labels` (m,) and `boxes` (m, 4), corners in the same unit.
        iou_threshold: Least intersection over union of a hit, in (0, 1].

    Returns:
        Average precision in [0, 1]; AP50 with the default threshold.

    Raises:
        ValueError: Lists of different lengths, missing keys, shapes that do not fit, no targets, or
            a threshold outside (0, 1].

    Source: Everingham et al. 2010, The PASCAL VOC challenge, section 4.2, with the area of the
        development kits since 2010; the free-target rule is COCO's.

    Example:
        >>> square = [[0, 0, 10, 10]]
        >>> found = {"scores": [0.9, 0.8], "labels": [0, 0], "boxes": [[50, 50, 60, 60], *square]}
        >>> average_precision([found], [{"labels": [0], "boxes": square}])
        0.5
    """
    if not 0 < iou_threshold <= 1:
        raise ValueError(f"iou_threshold must lie in (0, 1], got {iou_threshold}.")
    if len(results) != len(targets):
        raise ValueError(f"{len(results)} results for {len(targets)} targets: one per image.")
    found = [_read(one, ("scores", "labels"), f"results[{i}]") for i, one in enumerate(results)]
    real = [_read(one, ("labels",), f"targets[{i}]") for i, one in enumerate(targets)]
    classes = np.unique(np.concatenate([one["labels"] for one in real] or [np.zeros(0)]))
    if classes.size == 0:
        raise ValueError("There is no target in any image: average precision is not defined.")
    return float(np.mean([_of_class(label, found, real, iou_threshold) for label in classes]))


def box_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of each pair.

    Args:
        boxes: (K, 4) corners x0, y0, x1, y1.
        others: (m, 4).

    Returns:
        (K, m) in [0, 1]; 0 where both have no area.

    Example:
        >>> box_iou(np.array([[0.0, 0.0, 2.0, 1.0]]), np.array([[1.0, 0.0, 2.0, 1.0]]))
        array([[0.5]])
    """
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=-1)
    area, other_area = (np.prod(b[:, 2:] - b[:, :2], axis=-1) for b in (boxes, others))
    union = area[:, None] + other_area - shared
    return np.divide(shared, union, out=np.zeros(shared.shape), where=union > 0)


def _of_class(label: Any, found: list[dict], real: list[dict], iou_threshold: float) -> float:
    """Average precision of one class that has targets."""
    scores, hits, total = [], [], 0
    for detections, truth in zip(found, real, strict=True):
        mine = detections["labels"] == label
        order = np.argsort(-detections["scores"][mine], kind="stable")
        boxes = truth["boxes"][truth["labels"] == label]
        hits.append(_hits(box_iou(detections["boxes"][mine][order], boxes), iou_threshold))
        scores.append(detections["scores"][mine][order])
        total += len(boxes)
    ranked = np.concatenate(hits)[np.argsort(-np.concatenate(scores), kind="stable")]
    precision = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best[ranked].sum() / total)  # recall grows by 1 / total at each hit


def _hits(overlaps: np.ndarray, iou_threshold: float) -> np.ndarray:
    """Which detections of an image, best first, find a target that is still free."""
    overlaps, hits = overlaps.copy(), np.zeros(len(overlaps), bool)
    if overlaps.shape[1] == 0:
        return hits
    for i, row in enumerate(overlaps):
        best = np.argmax(row)
        if row[best] >= iou_threshold:
            hits[i], overlaps[:, best] = True, -1.0
    return hits


def _read(one: Mapping[str, Any], keys: tuple[str, ...], name: str) -> dict[str, np.ndarray]:
    """Arrays of one image, checked."""
    missing = [key for key in (*keys, "boxes") if key not in one]
    if missing:
        raise ValueError(f"{name} lacks {missing}, it has {sorted(one)}.")
    arrays = {key: np.asarray(one[key]) for key in keys}
    boxes = np.asarray(one["boxes"], "float64")
    boxes = boxes.reshape(0, 4) if boxes.size == 0 else boxes
    if boxes.ndim != 2 or any(a.shape != (len(boxes),) for a in arrays.values()):
        shapes = {**{key: a.shape for key, a in arrays.items()}, "boxes": boxes.shape}
        raise ValueError(f"{name} must hold boxes (K, 4) and {list(keys)} of (K,), got {shapes}.")
    if boxes.shape[1] != 4 or (boxes[:, 2:] < boxes[:, :2]).any():
        raise ValueError(f"{name}: boxes must be corners x0 <= x1, y0 <= y1, got {boxes[:3]}.")
    return {**arrays, "boxes": boxes}
