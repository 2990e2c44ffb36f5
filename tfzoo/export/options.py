"""The options of a serving export, checked once for all families."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from tfzoo.export.endpoint import ServingError

__all__ = ["ServingOptions"]

_TEXTS = ("labels", "queries")
_COUNTS = ("top_k", "max_detections", "max_pixels")
_SHARES = ("threshold", "iou_threshold")


@dataclass(frozen=True)
class ServingOptions:
    """What a user may choose about the signatures; each family's file says which it takes.

    Args:
        labels: Name of each class, in the order of the model's outputs; the config's where None.
        queries: Texts that are encoded once and baked into the model, e.g. what to detect.
        top_k: Most answers given for one item, best first.
        threshold: Least score of a detection, from 0 to 1.
        iou_threshold: Overlap from which the weaker of two boxes is dropped, from 0 to 1.
        max_detections: Rows of the padded answer for one image.
        max_pixels: Height times width from which an image is refused before it is decoded.

    Raises:
        ServingError: A value that no family could serve.

    Example:
        >>> ServingOptions(labels=["cat", "dog"], top_k=1).labels
        ('cat', 'dog')
    """

    labels: Sequence[str] | None = None
    queries: Sequence[str] | None = None
    top_k: int = 5
    threshold: float = 0.1
    iou_threshold: float = 0.3
    max_detections: int = 100
    max_pixels: int = 2**26

    def __post_init__(self) -> None:
        for name in _TEXTS:
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, _texts(name, value))
        for name in _COUNTS:
            object.__setattr__(self, name, _count(name, getattr(self, name)))
        for name in _SHARES:
            object.__setattr__(self, name, _share(name, getattr(self, name)))

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Names of all options, in order."""
        return tuple(field.name for field in fields(cls))


def _texts(name: str, value: Any) -> tuple[str, ...]:
    """The texts as a tuple."""
    if isinstance(value, (str, bytes)):
        raise ServingError(f"{name} must be a list of texts, got the one text {value!r}.")
    try:
        texts = tuple(value)
    except TypeError:
        kind = type(value).__name__
        raise ServingError(f"{name} must be a list of texts, got {kind}.") from None
    wrong = [text for text in texts if not isinstance(text, str) or not text.strip()]
    if wrong or not texts:
        what = f"{wrong[0]!r} in it" if wrong else "an empty one"
        raise ServingError(f"{name} must be a list of texts, none of them empty; got {what}.")
    return texts


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise ServingError(f"{name} must be an integer of at least 1, got {value!r}.")
    if value >= 2**31:
        raise ServingError(f"{name} must fit into 31 bits, got {value}.")
    return int(value)


def _share(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ServingError(f"{name} must be a number from 0 to 1, got {value!r}.")
    if not math.isfinite(value) or not 0 <= value <= 1:
        raise ServingError(f"{name} must be a number from 0 to 1, got {value}.")
    return float(value)
