"""Labels with their probabilities, as bars under an image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw

from tfzoo.viz.drawing import INK, PAPER, TRACK, floats, font_of, resized, rgb_pixels, size_of

__all__ = ["draw_ranking"]

_BAR = (46, 125, 180)


def draw_ranking(
    rows: Sequence[tuple[str, float]],
    image: Any = None,
    *,
    title: str = "",
    width: int = 640,
    font_size: int | None = None,
    font: str | os.PathLike[str] | None = None,
) -> Image.Image:
    """Draw labels with their probabilities as bars, under an image or a text.

    Args:
        rows: Pairs of a label and its probability, in the order in which they are drawn.
        image: Stands above them, as wide as the result: path or bytes of an image file, Pillow
            image, or uint8 array.
        title: A line above the bars, e.g. a question; a long one is cut.
        width: Of the result, in pixels.
        font_size: Of the letters, in pixels; default: to suit the width.
        font: File of a TrueType font, for labels in scripts other than Latin.

    Returns:
        A new image in RGB.

    Raises:
        FileNotFoundError: The image file does not exist.
        TypeError: `image` is not an image.
        ValueError: A probability outside [0, 1], pixels that are not uint8, or sizes that are not
            above 0.

    Example:
        >>> draw_ranking([("cat", 0.9), ("dog", 0.1)], "photo.jpg", width=300).width
        300
    """
    width = size_of("width", width, 640)
    unit = size_of("font_size", font_size, max(10, round(width / 36)))
    shares = floats("rows", [share for _, share in rows], "pairs of a label and its probability")
    if not ((shares >= 0) & (shares <= 1)).all():
        raise ValueError(f"rows: expected probabilities from 0 to 1, got {shares.tolist()}.")
    above = None if image is None else _as_wide(rgb_pixels(image), width)
    lines = [title] if title else []
    top = 0 if above is None else above.height
    step = round(2.4 * unit)
    height = top + unit + 2 * unit * len(lines) + step * len(rows)
    sheet = Image.new("RGB", (width, height), PAPER)
    if above is not None:
        sheet.paste(above, (0, 0))
    draw, letters = ImageDraw.Draw(sheet), font_of(font, unit)
    top += unit // 2
    for line in lines:
        draw.text((unit, top), _cut(draw, line, letters, width - 2 * unit), INK, font=letters)
        top += 2 * unit
    for (label, _), share in zip(rows, shares.tolist(), strict=True):
        percent = f"{100 * share:.1f} %"
        right = width - unit
        room = right - unit - draw.textlength(f"  {percent}", font=letters)
        draw.text((unit, top), _cut(draw, str(label), letters, room), INK, font=letters)
        draw.text((right, top), percent, INK, font=letters, anchor="ra")
        low = top + round(1.4 * unit)
        box = (unit, low, right - 1, low + max(1, unit // 3))
        draw.rectangle(box, fill=TRACK)
        if share > 0:
            end = max(unit, unit + round(share * (right - unit)) - 1)
            draw.rectangle((*box[:2], end, box[3]), fill=_BAR)
        top += step
    return sheet


def _as_wide(pixels: Any, width: int) -> Image.Image:
    tall, wide = pixels.shape[:2]
    return resized(pixels, width, max(1, round(tall * width / wide)))


def _cut(draw: ImageDraw.ImageDraw, text: str, font: Any, room: float) -> str:
    """A text, or as much of it as has room."""
    text = " ".join(text.split())
    while len(text) > 1 and draw.textlength(text, font=font) > room:
        text = text.removesuffix("...")[:-1].rstrip() + "..."
    return text
