"""From the outputs of OWL-ViT and OWLv2 to boxes in the user's pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from tfzoo.core.types import Tensor
from tfzoo.preprocessing.boxes import center_to_corners, clip_boxes, suppress

__all__ = ["Detections", "OwlPostProcessing", "Sizes"]

Detections = list[dict[str, Any]]
Sizes = Sequence[tuple[int, int]] | Tensor  # height and width of each image


class OwlPostProcessing:
    """The post-processing of both image processors.

    Attributes:
        square_canvas: Whether images were padded to a square, so that boxes are fractions of the
            longer side in both directions (OWLv2), or not (OWL-ViT).
    """

    square_canvas: ClassVar[bool]

    def post_process_object_detection(
        self,
        outputs: Any,
        threshold: float = 0.1,
        target_sizes: Sizes | None = None,
        clip: bool = False,
    ) -> Detections:
        """The boxes of each image whose best query scores above `threshold`.

        Args:
            outputs: Those of `TFOwlv2ForObjectDetection`, or anything with the attributes `logits`
                (B, N, Q) and `pred_boxes` (B, N, 4), tensors or arrays.
            threshold: Boxes of this probability or less are dropped.
            target_sizes: (B, 2), height and width of each original image in pixels, as a list, an
                array or a tensor. None keeps the boxes as fractions of the model's input.
            clip: Whether to clip the boxes to the image. Boxes of objects at its border may
                otherwise extend slightly beyond it.

        Returns:
            B dicts, also for images without a box: `scores` (M,), `labels` (M,) the index of the
            query, `boxes` (M, 4) as x0, y0, x1, y1; in the order of the model's patches.

        Raises:
            TypeError: `outputs` lacks what is needed.
            ValueError: Shapes that do not fit, or not as many `target_sizes` as images.

        Source: the method of the same name in transformers 4.57, equal but for the last bits of
        float32.

        Example:
            >>> from types import SimpleNamespace
            >>> from tfzoo.models.owlv2.image_processor import Owlv2ImageProcessor
            >>> outputs = SimpleNamespace(
            ...     logits=np.array([[[-4.0, 2.0], [-5.0, -6.0]]]),
            ...     pred_boxes=np.array([[[0.5, 0.25, 0.5, 0.25], [0.1, 0.1, 0.1, 0.1]]]),
            ... )
            >>> found = Owlv2ImageProcessor().post_process_object_detection(
            ...     outputs, target_sizes=[(480, 640)]
            ... )
            >>> found[0]["labels"], found[0]["boxes"]
            (array([1]), array([[160.,  80., 480., 240.]]))
        """
        logits, boxes = _read(outputs, "pred_boxes")
        labels = logits.argmax(-1)
        scores = _sigmoid(np.take_along_axis(logits, labels[..., None], -1)[..., 0])
        boxes = self._place(center_to_corners(boxes), target_sizes, clip)
        keep = scores > float(threshold)
        return [
            {"scores": s[k], "labels": c[k], "boxes": b[k]}
            for s, c, b, k in zip(scores, labels, boxes, keep, strict=True)
        ]

    def post_process_image_guided_detection(
        self,
        outputs: Any,
        threshold: float = 0.0,
        nms_threshold: float = 0.3,
        target_sizes: Sizes | None = None,
        clip: bool = False,
    ) -> Detections:
        """The boxes of each image that resemble the query image, after non-maximum suppression.

        Args:
            outputs: Those of `image_guided_detection`, or anything with the attributes `logits`
                (B, N, Q) and `target_pred_boxes` (B, N, 4), tensors or arrays.
            threshold: Boxes of a probability below this are dropped.
            nms_threshold: IoU above which only the better of two boxes is kept; 1.0 keeps all.
            target_sizes: (B, 2), height and width of each original image in pixels, as a list, an
                array or a tensor. None keeps the boxes as fractions of the model's input.
            clip: Whether to clip the boxes to the image.

        Returns:
            B dicts, also for images without a box: `scores` (M,), `labels` None, `boxes` (M, 4) as
            x0, y0, x1, y1. The scores are not probabilities, but relative to the image's best box:
            1 for that one, 0 for a tenth of its probability, where boxes are dropped.

        Raises:
            TypeError: `outputs` lacks what is needed.
            ValueError: Shapes that do not fit, or not as many `target_sizes` as images.

        Source: the method of the same name in transformers 4.57, which however drops images
        without a box.

        Example:
            >>> from types import SimpleNamespace
            >>> from tfzoo.models.owlv2.image_processor import Owlv2ImageProcessor
            >>> outputs = SimpleNamespace(
            ...     logits=np.array([[[0.0], [2.0], [-9.0]]]),
            ...     target_pred_boxes=np.array([[[0.5, 0.5, 0.4, 0.4]] * 3]),
            ... )
            >>> found = Owlv2ImageProcessor().post_process_image_guided_detection(outputs)
            >>> found[0]["scores"].round(3), found[0]["boxes"]
            (array([1.]), array([[0.3, 0.3, 0.7, 0.7]]))
        """
        logits, boxes = _read(outputs, "target_pred_boxes")
        scores = _sigmoid(logits.max(-1))
        scores[scores < float(threshold)] = 0
        corners = center_to_corners(boxes)
        placed = self._place(corners, target_sizes, clip)
        alphas = _alphas(scores)
        results = []
        for index, alpha in enumerate(alphas):
            # Suppression may follow the alphas: it never removes the best box, which they are
            # relative to, and boxes with alpha 0 are worse than all that they could remove.
            keep = np.flatnonzero(alpha > 0)
            if nms_threshold < 1:
                keep = keep[suppress(corners[index, keep], scores[index, keep], nms_threshold)]
            results.append({"scores": alpha[keep], "labels": None, "boxes": placed[index, keep]})
        return results

    def _place(self, boxes: np.ndarray, target_sizes: Sizes | None, clip: bool) -> np.ndarray:
        """Corners (B, N, 4) as fractions of the model's input to pixels of the images."""
        if target_sizes is None:
            return clip_boxes(boxes, np.ones((len(boxes), 2))) if clip else boxes
        sizes = _sizes(target_sizes, len(boxes))
        scale = sizes.max(-1, keepdims=True) if self.square_canvas else sizes[:, ::-1]
        scale = np.broadcast_to(scale, sizes.shape)
        boxes = boxes * np.tile(scale, 2)[:, None].astype(boxes.dtype)
        return clip_boxes(boxes, sizes) if clip else boxes


def _read(outputs: Any, boxes: str) -> tuple[np.ndarray, np.ndarray]:
    """Logits (B, N, Q) and boxes (B, N, 4) of a model's outputs, in float32 or float64."""
    for name in ("logits", boxes):
        if getattr(outputs, name, None) is None:
            raise TypeError(
                f"Expected a detector's outputs with logits and {boxes}, got a "
                f"{type(outputs).__name__} without {name}."
            )
    arrays = [np.asarray(value) for value in (outputs.logits, getattr(outputs, boxes))]
    wide = (np.float32, np.float64)
    logits, found = (a if a.dtype in wide else a.astype(np.float32) for a in arrays)
    if logits.ndim != 3 or not logits.shape[-1] or found.shape != (*logits.shape[:2], 4):
        raise ValueError(
            f"Expected logits (B, N, Q) and {boxes} (B, N, 4) with the same B and N, got shapes "
            f"{logits.shape} and {found.shape}."
        )
    return logits, found


def _sizes(target_sizes: Sizes, images: int) -> np.ndarray:
    """`target_sizes` as an array (B, 2)."""
    if isinstance(target_sizes, (list, tuple)):  # of tuples, arrays or tensors
        target_sizes = [np.asarray(size).tolist() for size in target_sizes]
    try:
        sizes = np.asarray(target_sizes, np.float64)
    except (TypeError, ValueError):
        sizes = np.zeros(0)
    if sizes.shape != (images, 2) or not (np.isfinite(sizes) & (sizes > 0)).all():
        raise ValueError(
            f"target_sizes: expected (height, width) above 0 for each of {images} images, got "
            f"{target_sizes!r}. A Pillow image has image.size[::-1]."
        )
    return sizes


def _sigmoid(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # masked queries have the lowest finite logit
        return 1 / (1 + np.exp(-values))


def _alphas(scores: np.ndarray) -> np.ndarray:
    """(B, N) scores on a linear scale: 1 at each image's best score, 0 at a tenth of it."""
    if not scores.shape[-1]:
        return scores
    best = scores.max(-1, keepdims=True) + 1e-6
    return np.clip((scores - best * 0.1) / (best * 0.9), 0, 1)
