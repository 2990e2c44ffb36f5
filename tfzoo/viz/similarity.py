"""How alike the members of two lists are: a matrix as a picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from tfzoo.viz.drawing import font_of, heat, ink_on, size_of

__all__ = ["draw_similarity"]

_PAPER, _INK = (255, 255, 255), (40, 40, 40)


def draw_similarity(
    matrix: Any,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    *,
    limits: tuple[float, float] | None = None,
    digits: int = 2,
    cell: int | None = None,
    font_size: int = 14,
    font: str | os.PathLike[str] | None = None,
) -> Image.Image:
    """Draw a matrix, the brighter the larger, with its numbers in the cells.

    Args:
        matrix: (M, N), e.g. X-CLIP's `logits_per_video` or probabilities. Array or tensor.
        rows: M names on the left, e.g. the videos; default: their numbers.
        columns: N names, e.g. the sentences; default: their numbers. They are listed with their
            numbers below the picture, where they have room.
        limits: Values of the darkest and of the brightest colour; default: the smallest and the
            largest number.
        digits: Behind the decimal point.
        cell: Side of a cell in pixels; default: to suit the numbers.
        font_size: Of the letters, in pixels.
        font: File of a TrueType font, for names in scripts that Pillow's own one lacks.

    Returns:
        A new image in RGB.

    Raises:
        ValueError: No matrix of finite numbers, names that are not as many as rows or columns,
            limits in the wrong order, or sizes that are not above 0.

    Example:
        >>> picture = draw_similarity([[0.9, 0.1], [0.2, 0.8]], ["a dog", "a cat"])
        >>> picture.mode
        'RGB'
    """
    values = _matrix(matrix)
    low, high = _limits(values, limits)
    left, top = _names("rows", rows, values.shape[0]), _names("columns", columns, values.shape[1])
    unit = size_of("font_size", font_size, 14)
    letters = font_of(font, unit)
    texts = [[f"{value:.{digits}f}" for value in row] for row in values.tolist()]
    longest = max(letters.getlength(text) for row in texts for text in row)
    side = size_of("cell", cell, max(2 * unit, round(longest) + unit))
    margin = round(max(letters.getlength(name) for name in left)) + 2 * unit
    below = [f"{number}: {name}" for number, name in enumerate(top)] if columns is not None else []
    height = 2 * unit + side * len(left) + unit + round(1.5 * unit) * len(below)
    width = margin + side * len(top) + unit
    width = max(width, *(round(letters.getlength(line)) + 2 * unit for line in ["", *below]))
    picture = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(picture)
    colours = heat(np.clip((values - low) / (high - low), 0, 1))
    for i, j in np.ndindex(values.shape):
        _cell(
            draw,
            (margin + j * side, 2 * unit + i * side),
            side,
            colours[i, j],
            texts[i][j],
            letters,
        )
    for number, name in enumerate(left):
        _write(draw, (unit, 2 * unit + (number + 0.5) * side), name, letters, "lm")
    for number in range(len(top)):
        _write(draw, (margin + (number + 0.5) * side, unit), str(number), letters, "mm")
    for number, line in enumerate(below):
        place = 3.25 * unit + side * len(left) + round(1.5 * unit) * number
        _write(draw, (unit, place), line, letters, "lm")
    return picture


def _matrix(matrix: Any) -> np.ndarray:
    try:
        values = np.asarray(matrix, "float64")
    except (TypeError, ValueError) as error:
        raise ValueError(f"matrix: expected numbers (M, N): {error}.") from None
    if values.ndim != 2 or not values.size or not np.isfinite(values).all():
        raise ValueError(f"matrix: expected finite numbers (M, N), got shape {values.shape}.")
    return values


def _limits(values: np.ndarray, limits: tuple[float, float] | None) -> tuple[float, float]:
    """Values of the darkest and the brightest colour, which always differ."""
    if limits is None:
        low, high = float(values.min()), float(values.max())
        return (low, high) if low < high else (low, low + 1.0)
    low, high = limits
    if not low < high:
        raise ValueError(f"limits: expected the lower one first, got {limits}.")
    return low, high


def _names(name: str, names: Sequence[str] | None, count: int) -> list[str]:
    if names is None:
        return [str(number) for number in range(count)]
    if isinstance(names, str) or len(names) != count:
        raise ValueError(f"{name}: expected {count} names, got {names!r}.")
    return [str(one) for one in names]


def _cell(
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    side: int,
    colour: np.ndarray,
    text: str,
    letters: Any,
) -> None:
    """One cell with its number."""
    (left, top), fill = corner, tuple(int(channel) for channel in colour)
    draw.rectangle((left, top, left + side - 1, top + side - 1), fill=fill)
    middle = (left + side / 2, top + side / 2)
    draw.text(middle, text, fill=ink_on(fill), font=letters, anchor="mm")


def _write(
    draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, letters: Any, anchor: str
) -> None:
    draw.text(place, text, fill=_INK, font=letters, anchor=anchor)
