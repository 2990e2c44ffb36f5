"""A similarity matrix as an image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from tfzoo.viz.drawing import INK, PAPER, floats, font_of, heat, ink_on, size_of

__all__ = ["draw_similarity"]


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
    """Draw a matrix with its numbers in the cells, the brighter the larger.

    Args:
        matrix: (M, N), e.g. X-CLIP's `logits_per_video` or probabilities. Array or tensor.
        rows: M names on the left, e.g. the videos; default: their numbers.
        columns: N names, e.g. the sentences; default: their numbers. They are listed with their
            numbers below the matrix, where they have room.
        limits: Values of the darkest and of the brightest colour; default: the smallest and the
            largest number.
        digits: Decimal places.
        cell: Side of a cell in pixels; default: to suit the numbers.
        font_size: Of the letters, in pixels.
        font: File of a TrueType font, for names in scripts other than Latin.

    Returns:
        A new image in RGB.

    Raises:
        ValueError: Something else than a matrix of finite numbers, another number of names than of
            rows or columns, limits in the wrong order, or sizes that are not above 0.

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
    picture = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(picture)
    colours = heat(np.clip((values - low) / (high - low), 0, 1))
    for i, j in np.ndindex(values.shape):
        corner = (margin + j * side, 2 * unit + i * side)
        _cell(draw, corner, side, colours[i, j], texts[i][j], letters)
    under, step = 3.25 * unit + side * len(left), round(1.5 * unit)
    words = [((unit, 2 * unit + (i + 0.5) * side), name, "lm") for i, name in enumerate(left)]
    words += [((margin + (j + 0.5) * side, unit), str(j), "mm") for j in range(len(top))]
    words += [((unit, under + step * i), line, "lm") for i, line in enumerate(below)]
    for place, text, anchor in words:
        draw.text(place, text, fill=INK, font=letters, anchor=anchor)
    return picture


def _matrix(matrix: Any) -> np.ndarray:
    values = floats("matrix", matrix, "numbers (M, N)")
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
