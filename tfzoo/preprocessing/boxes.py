"""Boxes as arrays: their forms, their overlap, non-maximum suppression.

Boxes are (..., 4): corners (x0, y0, x1, y1), or centres and sizes (cx, cy, width, height).
"""

from __future__ import annotations

import numpy as np

__all__ = ["center_to_corners", "clip_boxes", "pairwise_iou", "suppress"]

_BLOCK = 64  # boxes decided at once


def center_to_corners(boxes: np.ndarray) -> np.ndarray:
    """(cx, cy, width, height) to (x0, y0, x1, y1).

    Args:
        boxes: (..., 4).

    Returns:
        (..., 4).

    Example:
        >>> center_to_corners(np.array([0.5, 0.5, 0.5, 0.25]))
        array([0.25 , 0.375, 0.75 , 0.625])
    """
    centers, halves = boxes[..., :2], 0.5 * boxes[..., 2:]
    return np.concatenate([centers - halves, centers + halves], axis=-1)


def clip_boxes(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Move corners that lie outside the image to its border.

    Args:
        boxes: (..., N, 4), corners.
        sizes: (..., 2), height and width of each image, in the boxes' unit.

    Returns:
        (..., N, 4), of the boxes' dtype.

    Example:
        >>> clip_boxes(np.array([[-5.0, 10.0, 700.0, 300.0]]), np.array([480, 640]))
        array([[  0.,  10., 640., 300.]])
    """
    limits = np.tile(np.asarray(sizes, boxes.dtype)[..., ::-1], 2)
    return np.clip(boxes, 0, limits[..., None, :])


def pairwise_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of each box with each other one.

    Args:
        boxes: (N, 4), corners.
        others: (M, 4), corners.

    Returns:
        (N, M); 0 where both areas are 0.

    Example:
        >>> pairwise_iou(np.array([[0.0, 0.0, 2.0, 2.0]]), np.array([[1.0, 0.0, 3.0, 2.0]]))
        array([[0.33333333]])
    """
    x0, y0, x1, y1 = boxes.T[..., None]
    u0, v0, u1, v1 = np.ascontiguousarray(others.T)
    union = (x1 - x0) * (y1 - y0) + (u1 - u0) * (v1 - v0)
    shared = _overlap(x0, x1, u0, u1)
    shared *= _overlap(y0, y1, v0, v1)
    union -= shared
    shared /= np.maximum(union, np.finfo(union.dtype).tiny, out=union)
    return shared


def _overlap(a0: np.ndarray, a1: np.ndarray, b0: np.ndarray, b1: np.ndarray) -> np.ndarray:
    """Length that the intervals a and b share."""
    length = np.minimum(a1, b1)
    length -= np.maximum(a0, b0)
    return np.maximum(length, 0, out=length)


def suppress(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> np.ndarray:
    """Non-maximum suppression: of boxes that overlap, keep the best.

    Boxes are visited by descending score (equal scores in their order); each box that is kept
    removes all later ones whose IoU with it is above `threshold`.

    Args:
        boxes: (N, 4), corners.
        scores: (N,).
        threshold: IoU above which two boxes count as one.

    Returns:
        Indices of the boxes to keep, in their order.

    Example:
        >>> boxes = np.array([[0.0, 0.0, 9.0, 9.0], [0.0, 0.0, 9.0, 8.0], [5.0, 5.0, 9.0, 9.0]])
        >>> suppress(boxes, np.array([0.5, 0.9, 0.1]), 0.3)
        array([1, 2])
    """
    rest = np.argsort(-scores, kind="stable")
    kept = [rest[:0]]
    while rest.size:
        head, rest = rest[:_BLOCK], rest[_BLOCK:]
        head = head[_survivors(pairwise_iou(boxes[head], boxes[head]) > threshold)]
        kept.append(head)
        removed = pairwise_iou(boxes[head], boxes[rest]) > threshold
        rest = rest[~removed.any(axis=0)]
    return np.sort(np.concatenate(kept))


def _survivors(similar: np.ndarray) -> np.ndarray:
    """Which of a few boxes stay, the best first: (N, N) and (N,) booleans.

    Each round settles at least one more box, so that the rounds end; in practice after a handful,
    where a loop over the boxes would take a step for each.
    """
    removes = np.triu(similar, 1)
    alive = np.ones(len(similar), bool)
    while True:
        found = ~removes[alive].any(axis=0)
        if (found == alive).all():
            return alive
        alive = found
