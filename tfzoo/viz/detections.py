"""Boxes with their labels on an image."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from math import ceil, floor
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from tfzoo.viz.drawing import (
    Colour,
    colour_of,
    enlarged,
    floats,
    font_of,
    ink_on,
    rgb_pixels,
    size_of,
)

__all__ = ["draw_detections"]


class _Detection(NamedTuple):
    """One box to draw, with its words and its colour."""

    box: np.ndarray
    text: str
    colour: Colour


def draw_detections(
    image: Any,
    results: Mapping[str, Any],
    labels: Sequence[str] | Mapping[int, str] | None = None,
    *,
    min_score: float = 0.0,
    min_size: int | None = None,
    line_width: int | None = None,
    font_size: int | None = None,
    font: str | os.PathLike[str] | None = None,
) -> Image.Image:
    """Draw the detections of one image on it, the best on top, one colour for each label.

    Args:
        image: Path or bytes of an image file, Pillow image, or uint8 array (height, width),
            (height, width, C) or (C, height, width). Files are drawn upright, as all of tfzoo
            reads them. The image itself is not changed.
        results: What a processor's post-processing gives for one image, with `target_sizes`:
            `scores` (M,), `boxes` (M, 4) as x0, y0, x1, y1 in pixels, `labels` (M,), whole
            numbers, or None for 0 throughout, and optionally `text_labels`, M strings. Boxes may
            reach beyond the image; those outside it do not show.
        labels: Name of each number in `results["labels"]`, e.g. the queries, or a config's
            `id2label`. Default: `text_labels`, or else the numbers themselves.
        min_score: Detections with a lower score are left out.
        min_size: Least length of the longer side, in pixels, so that labels can be read: a smaller
            image is enlarged by a whole number.
        line_width: Of the boxes, in pixels; default: to suit the image's size.
        font_size: Of the labels, in pixels; default: to suit the image's size.
        font: File of a TrueType font, for labels in scripts other than Latin, which Pillow's own
            font lacks.

    Returns:
        A new image in RGB, of the same size but for `min_size`.

    Raises:
        FileNotFoundError: The image file does not exist.
        TypeError: `image` is not an image.
        ValueError: Pixels that are not uint8, results of several images or without what is needed,
            lengths that differ, corners in the wrong order, a number that `labels` do not name, or
            sizes that are not above 0.

    Example:
        >>> results = {
        ...     "scores": [0.9, 0.3], "labels": [1, 0],
        ...     "boxes": [[20, 30, 120, 160], [150.5, 40.2, 340.0, 200.0]],
        ... }
        >>> picture = draw_detections("photo.jpg", results, ["cat", "remote control"])
        >>> picture.size, picture.mode
        ((320, 213), 'RGB')
    """
    canvas, factor = enlarged(Image.fromarray(rgb_pixels(image).copy()), min_size)
    detections = [
        one._replace(box=factor * one.box) for one in _detections(results, labels, min_score)
    ]
    longer = max(canvas.size)
    line_width = size_of("line_width", line_width, max(1, round(longer / 320)))
    letters = font_of(font, size_of("font_size", font_size, max(10, round(longer / 45))))
    draw = ImageDraw.Draw(canvas)
    for detection in detections:
        _draw(draw, canvas.size, detection, line_width, letters)
    return canvas


# ---- what to draw
def _detections(results: Any, labels: Any, min_score: float) -> list[_Detection]:
    """What to draw, in this order."""
    if not isinstance(results, Mapping):
        raise ValueError(
            "results: expected one image's dict of scores, labels and boxes, got "
            f"{type(results).__name__}. Of a batch's results take those of the image: results[0]."
        )
    scores, boxes = (_numbers(results, name) for name in ("scores", "boxes"))
    boxes = boxes.reshape(0, 4) if not boxes.size else boxes  # an empty list has lost its shape
    if scores.ndim != 1 or boxes.shape != (len(scores), 4):
        raise ValueError(
            "results: expected scores (M,) and boxes (M, 4), got shapes "
            f"{scores.shape} and {boxes.shape}."
        )
    wrong = np.flatnonzero((boxes[:, :2] > boxes[:, 2:]).any(-1))
    if wrong.size:
        raise ValueError(
            f"results: expected boxes as x0, y0, x1, y1 with x0 <= x1 and y0 <= y1, got "
            f"{boxes[wrong[0]].tolist()} for box {wrong[0]}."
        )
    numbers, names = _names(results, labels, len(scores))
    order = np.argsort(scores, kind="stable")
    return [
        _Detection(boxes[i], f"{names[i]} {scores[i]:.2f}".strip(), colour_of(numbers[i]))
        for i in order[scores[order] >= min_score].tolist()
    ]


def _numbers(results: Mapping[str, Any], name: str) -> np.ndarray:
    """A field of the results as finite floats."""
    if results.get(name) is None:
        raise ValueError(f"results: expected scores and boxes, got {sorted(results)}.")
    values = floats("results", results[name], f"{name} as an array of numbers")
    if not np.isfinite(values).all():
        raise ValueError(f"results: expected finite {name}, got {values.tolist()}.")
    return values


def _names(results: Mapping[str, Any], labels: Any, count: int) -> tuple[list[int], list[str]]:
    """For each detection the number of its label, which decides the colour, and its words."""
    texts = results.get("text_labels")
    texts = None if texts is None else [str(text) for text in texts]
    numbers = _label_numbers(results.get("labels"), texts, count)
    for name, values in (("labels", numbers), ("text_labels", texts)):
        if values is not None and len(values) != count:
            raise ValueError(f"results: expected {count} {name} for {count} boxes, got {values}.")
    numbered = results.get("labels") is not None
    if labels is not None and (numbered or texts is None):
        return numbers, [_name(labels, number) for number in numbers]
    return numbers, texts or [str(number) if numbered else "" for number in numbers]


def _label_numbers(values: Any, texts: list[str] | None, count: int) -> list[int]:
    """`labels` if given, else one number for each text, else 0 for all."""
    if values is None:
        known = list(dict.fromkeys(texts or []))
        return [0] * count if texts is None else [known.index(text) for text in texts]
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and not np.issubdtype(array.dtype, np.integer)):
        raise ValueError(
            f"results: expected labels (M,) as whole numbers, got {array.tolist()!r}; texts go "
            "into text_labels."
        )
    return [int(number) for number in array]


def _name(labels: Any, number: int) -> str:
    """The user's name of a label."""
    known = labels if isinstance(labels, Mapping) else dict(enumerate(labels))
    if isinstance(labels, str) or number not in known:
        raise ValueError(
            f"labels: expected a list or dict with a name for each label in the results, got "
            f"{labels!r}, which has none for {number}."
        )
    return str(known[number])


# ---- how to draw it
def _draw(
    draw: ImageDraw.ImageDraw,
    size: tuple[int, int],
    detection: _Detection,
    line_width: int,
    font: Any,
) -> None:
    """Draw one box, if any of it is on the image, and its label where it has room."""
    width, height = size
    x0, y0, x1, y1 = (
        max(0.0, min(float(value), float(end)))
        for value, end in zip(detection.box, (width, height) * 2, strict=True)
    )
    if x0 >= x1 or y0 >= y1:
        return
    # The pixels that the box touches: its edges lie between pixels.
    left, top, right, bottom = floor(x0), floor(y0), ceil(x1) - 1, ceil(y1) - 1
    if min(right - left, bottom - top) < 2 * line_width:  # no room between the lines
        draw.rectangle((left, top, right, bottom), fill=detection.colour)
    else:
        draw.rectangle((left, top, right, bottom), outline=detection.colour, width=line_width)
    margin = line_width + 1
    x_min, y_min, x_max, y_max = draw.textbbox((0, 0), detection.text, font=font)
    wide, high = ceil(x_max - x_min) + 2 * margin, ceil(y_max - y_min) + 2 * margin
    left = max(0, min(left, width - wide))
    above = top - high
    top = above if above >= 0 else max(0, min(top, height - high))
    draw.rectangle((left, top, left + wide - 1, top + high - 1), fill=detection.colour)
    place = (left + margin - x_min, top + margin - y_min)
    draw.text(place, detection.text, fill=ink_on(detection.colour), font=font)
