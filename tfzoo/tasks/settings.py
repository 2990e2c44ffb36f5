"""The settings that tasks share, and what they may be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

__all__ = ["checked"]


def checked(name: str, value: Any) -> Any:
    """A setting as a task keeps it.

    Args:
        name: Of the setting, e.g. `top_k`.
        value: What was given; None is kept where it stands for a default.

    Raises:
        ValueError: It is out of range, or texts that are empty or given twice.
        TypeError: It is of another type.

    Example:
        >>> checked("candidate_labels", "cat, remote control")
        ['cat', 'remote control']
    """
    rule = _RULES.get(name)
    if rule is None or (value is None and name not in _NEVER_NONE):
        return value
    return rule(name, value)


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name}: expected a whole number above 0, got {value!r}.")
    return value


def _share(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value <= 1:
        raise ValueError(f"{name}: expected a number from 0 to 1, got {value!r}.")
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name}: expected a text, got a {type(value).__name__}.")
    if not value.strip():
        raise ValueError(f"{name}: the text is empty.")
    return value


def _texts(name: str, value: Any) -> list[str]:
    """A list of texts, or one string with commas between them."""
    if isinstance(value, str):
        value = [text.strip() for text in value.split(",")]
    if not isinstance(value, Sequence) or not all(isinstance(text, str) for text in value):
        raise TypeError(f"{name}: expected a list of texts, got {value!r:.200}.")
    if not value:
        raise ValueError(f"{name}: expected one or more texts, got none.")
    for number, text in enumerate(value):
        if not text.strip():
            raise ValueError(f"{name}: text {number + 1} is empty.")
        if text in value[:number]:
            raise ValueError(f"{name}: {text!r} is given twice.")
    return list(value)


def _sentences(name: str, value: Any) -> list[str]:
    """A list of sentences, which may hold commas, or a single one."""
    return _texts(name, [value] if isinstance(value, str) else value)


def _template(name: str, value: Any) -> str:
    if not isinstance(value, str) or "{}" not in value:
        raise ValueError(
            f"{name} must hold {{}} where the label goes, e.g. 'a photo of {{}}', got {value!r}."
        )
    return value


def _box(name: str, value: Any) -> tuple[float, ...]:
    box = np.asarray(value)
    is_four = box.shape == (4,) and box.dtype.kind in "iuf"
    if not is_four or not 0 <= box[0] < box[2] < np.inf or not 0 <= box[1] < box[3] < np.inf:
        raise ValueError(
            f"{name}: expected x0, y0, x1, y1 in pixels with 0 <= x0 < x1 and 0 <= y0 < y1, got "
            f"{value!r:.200}."
        )
    return tuple(box.tolist())


_NEVER_NONE = {"batch_size", "threshold", "iou_threshold", "hypothesis_template"}
_RULES: dict[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(("batch_size", "max_text_length", "num_chunks", "num_frames", "top_k"), _count),
    **dict.fromkeys(("threshold", "iou_threshold"), _share),
    "candidate_labels": _texts,
    "hypothesis_template": _template,
    "queries": _sentences,
    "query_box": _box,
    "question": _text,
}
