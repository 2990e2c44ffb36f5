"""Region features of images: an image's record, its boxes between 0 and 1, and what to check.

Shapes: B images, N regions, F width of a feature.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tfzoo.core.warn import warn

__all__ = [
    "RegionFeatureError",
    "RegionFeatureWarning",
    "RegionFeatures",
    "check_region_features",
    "normalize_boxes",
    "region_batch",
]

_SLACK = 1e-3  # how far beyond 0..1 a rounded corner may lie
_UNIT = 1e-3  # how near to 1 the lengths of normalised features are
_ENOUGH = 8  # regions from which on their places say something about their form


class RegionFeatureError(ValueError):
    """Region features that no model should be given; the message says what is wrong with them."""


class RegionFeatureWarning(UserWarning):
    """Region features that work, but probably not as intended."""


@dataclass(frozen=True, eq=False)
class RegionFeatures:
    """What a detector found in one image.

    Args:
        image_id: Name of the image.
        height: Its height in pixels.
        width: Its width in pixels.
        boxes: (N, 4) float32, corners (x0, y0, x1, y1) in pixels.
        features: (N, F) float32.
        object_ids: (N,) int64, class of each region, if known.
        object_scores: (N,) float32, its probability.
        attribute_ids: (N,) int64, attribute of each region, if known.
        attribute_scores: (N,) float32, its probability.

    Example:
        >>> boxes = np.array([[0, 0, 320, 240]], "float32")
        >>> regions = RegionFeatures("cat", 480, 640, boxes, np.ones((1, 2048), "float32"))
        >>> regions.normalized_boxes()
        array([[0. , 0. , 0.5, 0.5]], dtype=float32)
    """

    image_id: str
    height: int
    width: int
    boxes: np.ndarray
    features: np.ndarray
    object_ids: np.ndarray | None = None
    object_scores: np.ndarray | None = None
    attribute_ids: np.ndarray | None = None
    attribute_scores: np.ndarray | None = None

    def __post_init__(self) -> None:
        count = len(self.boxes)
        if self.boxes.shape != (count, 4) or self.features.shape[:1] != (count,):
            raise RegionFeatureError(
                f"image {self.image_id!r:.200}: expected boxes (N, 4) and features (N, F), got "
                f"{self.boxes.shape} and {self.features.shape}"
            )
        if self.features.ndim != 2 or self.height <= 0 or self.width <= 0:
            raise RegionFeatureError(
                f"image {self.image_id!r:.200}: expected features (N, F) and a positive height and "
                f"width, got {self.features.shape}, {self.height} and {self.width}"
            )

    def normalized_boxes(self) -> np.ndarray:
        """The boxes divided by the image's size, (N, 4) float32; see `normalize_boxes`.

        Raises:
            RegionFeatureError: They are not corners in pixels of this image.
        """
        try:
            return normalize_boxes(self.boxes, self.height, self.width)
        except RegionFeatureError as error:
            raise RegionFeatureError(f"image {self.image_id!r:.200}: {error}") from error


def normalize_boxes(
    xyxy: np.ndarray, height: int | np.ndarray, width: int | np.ndarray
) -> np.ndarray:
    """Corners in pixels to corners between 0 and 1, LXMERT's `visual_pos`.

    Args:
        xyxy: (..., N, 4), corners (x0, y0, x1, y1) in pixels.
        height: Height of the image in pixels; for a batch an array of the leading axes.
        width: Its width.

    Returns:
        (..., N, 4) float32. What lies up to a pixel outside the image is moved to its border.

    Raises:
        RegionFeatureError: The boxes are not corners in pixels of an image of this size.

    Source: the authors' loaders divide x by the width and y by the height.

    Example:
        >>> normalize_boxes(np.array([[64, 48, 640, 240]]), height=480, width=640)
        array([[0.1, 0.1, 1. , 0.5]], dtype=float32)
    """
    boxes = np.asarray(xyxy, np.float32)
    sizes = np.stack(np.broadcast_arrays(width, height, width, height), -1).astype(np.float32)
    if boxes.ndim < 2 or boxes.shape[-1] != 4 or (sizes <= 0).any():
        raise RegionFeatureError(
            f"expected boxes (..., N, 4) and a positive height and width, got boxes "
            f"{boxes.shape}, height {height} and width {width}"
        )
    sizes = sizes[..., None, :]
    if boxes.size == 0:
        return boxes
    _refuse_unless_corners(boxes)
    if boxes.max() <= 1 < sizes.min():
        raise RegionFeatureError("all boxes lie within one pixel: they are between 0 and 1 already")
    if (boxes < -1).any() or (boxes > sizes + 1).any():
        x, y = boxes[..., ::2].max(), boxes[..., 1::2].max()
        raise RegionFeatureError(
            f"boxes reach to x = {x:g} and y = {y:g}, from {boxes.min():g}, in an image of width "
            f"{np.max(width):g} and height {np.max(height):g}: are height and width swapped, is y "
            "first in the boxes, or were they found in an image of another size?"
        )
    return np.clip(boxes / sizes, 0, 1)


def check_region_features(
    visual_feats: np.ndarray,
    visual_pos: np.ndarray,
    visual_attention_mask: np.ndarray | None = None,
    *,
    feature_width: int | None = None,
    box_width: int = 4,
    num_boxes: int | None = None,
) -> None:
    """Refuse, or warn of, what would silently make a model's answers worse.

    Args:
        visual_feats: (B, N, F), or (N, F) of one image.
        visual_pos: (B, N, 4), or (N, 4), corners between 0 and 1.
        visual_attention_mask: (B, N), or (N,), 0 for regions that do not count; all count if None.
        feature_width: F of the model, its config's `visual_feat_dim`; any where None.
        box_width: As in the config, `visual_pos_dim`; other than 4, boxes may be anything finite.
        num_boxes: Regions that the model was trained with, 36 for the published weights; any number
            where None.

    Raises:
        RegionFeatureError: Counts or widths that do not fit, NaN or infinity, nothing but zeros,
            boxes in pixels or not in the order (x0, y0, x1, y1).

    Warns:
        RegionFeatureWarning: Another number of regions, boxes that look like (x, y, width,
            height), features that are negative or of length 1, empty regions that count.

    Example:
        >>> feats = np.ones((36, 2048), "float32")
        >>> boxes = np.tile([[0.1, 0.1, 500.0, 0.9]], (36, 1))
        >>> try:
        ...     check_region_features(feats, boxes)
        ... except RegionFeatureError as error:
        ...     print(str(error)[:58])
        visual_pos reaches from 0.1 to 500: expected corners betwe
    """
    feats, boxes = np.asarray(visual_feats), np.asarray(visual_pos)
    _check_shapes(feats, boxes, feature_width, box_width)
    counts = np.ones(feats.shape[:-1], bool)
    if visual_attention_mask is not None:
        counts = np.asarray(visual_attention_mask).astype(bool)
        if counts.shape != feats.shape[:-1]:
            raise RegionFeatureError(
                f"visual_attention_mask: expected {feats.shape[:-1]}, got {counts.shape}"
            )
    if not counts.any():
        raise RegionFeatureError("no region counts: visual_attention_mask is 0 everywhere")
    _check_values("visual_feats", feats[counts])
    _check_values("visual_pos", boxes[counts])
    if box_width == 4:
        _check_unit_boxes(boxes[counts])
    _warn_of_features(feats[counts])
    _warn_of_count(feats.shape[-2], num_boxes)


def region_batch(records: Iterable[RegionFeatures]) -> dict[str, np.ndarray]:
    """The visual inputs of a batch; images with fewer regions are padded and masked.

    Args:
        records: The images' regions, all of one feature width.

    Returns:
        `visual_feats` (B, N, F) float32, `visual_pos` (B, N, 4) float32 and
        `visual_attention_mask` (B, N) int64; N is the largest number of regions.

    Raises:
        RegionFeatureError: No records, widths that differ, or boxes outside their image.

    Example:
        >>> boxes = np.array([[0, 0, 8, 8], [2, 2, 6, 4]], "float32")
        >>> two = RegionFeatures("two", 8, 8, boxes, np.ones((2, 5), "float32"))
        >>> one = RegionFeatures("one", 8, 8, boxes[:1], np.ones((1, 5), "float32"))
        >>> region_batch([two, one])["visual_attention_mask"]
        array([[1, 1],
               [1, 0]])
    """
    records = list(records)
    widths = sorted({record.features.shape[1] for record in records})
    if len(widths) != 1:
        raise RegionFeatureError(f"expected images of one feature width, got the widths {widths}")
    count = max(len(record.boxes) for record in records)
    feats = np.zeros((len(records), count, widths[0]), np.float32)
    boxes = np.zeros((len(records), count, 4), np.float32)
    mask = np.zeros((len(records), count), np.int64)
    for row, record in enumerate(records):
        n = len(record.boxes)
        feats[row, :n], boxes[row, :n] = record.features, record.normalized_boxes()
        mask[row, :n] = 1
    return {"visual_feats": feats, "visual_pos": boxes, "visual_attention_mask": mask}


def _check_shapes(
    feats: np.ndarray, boxes: np.ndarray, feature_width: int | None, box_width: int
) -> None:
    if feats.ndim not in (2, 3) or feats.ndim != boxes.ndim:
        raise RegionFeatureError(
            f"expected visual_feats (B, N, {feature_width or 'F'}) and visual_pos (B, N, "
            f"{box_width}), "
            f"or both without B, got {feats.shape} and {boxes.shape}"
        )
    for name, array, width in (
        ("visual_feats", feats, feature_width),
        ("visual_pos", boxes, box_width),
    ):
        if width is not None and array.shape[-1] != width:
            raise RegionFeatureError(
                f"{name}: expected the width {width}, got {array.shape[-1]} (shape {array.shape})"
            )
    if feats.shape[:-1] != boxes.shape[:-1]:
        raise RegionFeatureError(
            f"visual_feats has {feats.shape[:-1]} regions, visual_pos has {boxes.shape[:-1]}"
        )


def _check_values(name: str, array: np.ndarray) -> None:
    if not np.isfinite(array).all():
        raise RegionFeatureError(f"{name} has {(~np.isfinite(array)).sum()} NaN or infinite values")
    if not array.any():
        raise RegionFeatureError(f"{name} is zero everywhere: were the features ever filled in?")


def _check_unit_boxes(boxes: np.ndarray) -> None:
    """(K, 4) boxes that count."""
    low, high = boxes.min(), boxes.max()
    if low < -_SLACK or high > 1 + _SLACK:
        raise RegionFeatureError(
            f"visual_pos reaches from {low:g} to {high:g}: expected corners between 0 and 1. Of "
            "boxes in pixels, pass normalize_boxes(boxes, height, width)."
        )
    _refuse_unless_corners(boxes)
    empty = ~boxes.any(-1)
    if empty.any():
        _warn(
            f"{empty.sum()} of {len(boxes)} boxes are zero: if they are padding, give a "
            "visual_attention_mask that is 0 there"
        )
    solid = boxes[~empty]
    sums = solid[:, :2] + solid[:, 2:]
    if len(solid) >= _ENOUGH and sums.max() <= 1 + _SLACK:
        _warn(
            "the middle of every box lies in the upper left quarter: visual_pos looks like "
            "(x, y, width, height), where the published weights expect (x0, y0, x1, y1)"
        )


def _refuse_unless_corners(boxes: np.ndarray) -> None:
    if not np.isfinite(boxes).all():
        raise RegionFeatureError("the boxes have NaN or infinite values")
    inverted = (boxes[..., 2:] < boxes[..., :2]).any(-1)
    if inverted.any():
        first = [round(float(value), 4) for value in boxes[inverted][0]]
        raise RegionFeatureError(
            f"{inverted.sum()} of {inverted.size} boxes end before they begin, such as {first}: "
            "expected corners (x0, y0, x1, y1), not (x, y, width, height) and not (x0, x1, y0, y1)"
        )


def _warn_of_features(feats: np.ndarray) -> None:
    """(K, F) features that count."""
    if feats.min() < 0:
        share = 100 * (feats < 0).mean()
        _warn(
            f"{share:.3g} % of visual_feats are negative; the published weights expect the "
            "detector's pooled features after a ReLU, unscaled"
        )
    lengths = np.linalg.norm(feats.astype(np.float64), axis=-1)
    if len(feats) > 1 and np.abs(lengths - 1).max() < _UNIT:
        _warn("every row of visual_feats has the length 1; the published weights expect them raw")
    if (lengths == 0).any():
        _warn(
            f"{(lengths == 0).sum()} of {len(feats)} regions have features of zeros: if they are "
            "padding, give a visual_attention_mask that is 0 there"
        )


def _warn_of_count(found: int, expected: int | None) -> None:
    if expected is not None and found != expected:
        _warn(
            f"{found} regions an image, where the model was trained with {expected}; "
            "pass num_boxes=None if that is intended"
        )


def _warn(text: str) -> None:
    warn(text, RegionFeatureWarning)
