"""Moments of a video on a time axis, under its frames."""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import ceil, floor, log10
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from tfzoo.viz.drawing import (
    INK,
    PAPER,
    TRACK,
    Colour,
    colour_of,
    font_of,
    resized,
    rgb_frames,
    size_of,
)

__all__ = ["draw_timeline"]

_TRUTH = (110, 110, 110)
_COLUMNS = 12  # more frames would be too small to see


class _Row(NamedTuple):
    """What is shown of one query."""

    text: str
    span: tuple[float, float]
    truth: tuple[float, float] | None
    colour: Colour


class _Sheet(NamedTuple):
    """The sheet, and where times lie on it."""

    draw: ImageDraw.ImageDraw
    font: Any
    unit: int  # the letters' height
    left: int
    right: int  # behind the last pixel
    duration: float

    def place(self, seconds: float) -> float:
        """Where a time lies, in pixels from the left."""
        part = min(max(seconds / self.duration, 0.0), 1.0)
        return self.left + part * (self.right - self.left)


def draw_timeline(
    frames: Any,
    spans: Any,
    duration: float,
    labels: str | Sequence[str] | None = None,
    *,
    truths: Any = None,
    times: Sequence[float] | np.ndarray | None = None,
    columns: int | None = None,
    width: int = 1280,
    font_size: int | None = None,
    font: str | os.PathLike[str] | None = None,
) -> Image.Image:
    """Draw moments of a video: its frames, a time axis, and a bar for each moment.

    Each frame stands above the axis at its time, and each moment is framed on the frames. A moment
    that ends before it begins, which models may return, has a hollow bar.

    Args:
        frames: T frames, of which some are shown: an array (T, height, width, C) or a list of
            images (paths, Pillow images or uint8 arrays), all of one size.
        spans: (start, end) in seconds, or a list of Q.
        duration: Of the video, in seconds.
        labels: The sentence of each moment; one string for one moment.
        truths: The true moments: (start, end), or a list of Q, None where unknown.
        times: (T,) time of each frame in seconds, ascending; default: evenly spaced over the video.
        columns: How many frames to show; default: up to 12.
        width: Of the result, in pixels.
        font_size: Of the letters, in pixels; default: to suit the width.
        font: File of a TrueType font, for labels in scripts other than Latin.

    Returns:
        A new image in RGB.

    Raises:
        FileNotFoundError: An image file does not exist.
        TypeError: Frames that are not images.
        ValueError: No frames, frames of several sizes, numbers that are not finite, a duration
            that is not above 0, lengths that differ, or sizes that are not above 0.

    Example:
        >>> import tfzoo
        >>> clip = tfzoo.read_video("clip.mp4", num_frames=8)
        >>> picture = draw_timeline(clip.frames, (2.0, 5.5), clip.duration, "a rocket stands still")
        >>> picture.width, picture.mode
        (1280, 'RGB')
    """
    width = size_of("width", width, 1280)
    unit = size_of("font_size", font_size, max(10, round(width / 70)))
    duration = _duration(duration)
    rows = _rows(spans, truths, labels)
    shown = _choose(frames, times, duration, columns)
    strip = _strip(shown, max(1, width - 2 * unit))
    height = strip.height + unit * (5 + 3 * len(rows))
    picture = Image.new("RGB", (width, height), PAPER)
    picture.paste(strip, (unit, unit))
    draw = ImageDraw.Draw(picture)
    sheet = _Sheet(draw, font_of(font, unit), unit, unit, unit + strip.width, duration)
    for row in rows:
        _frame(sheet, row, unit, unit + strip.height)
    top = 2 * unit + strip.height
    _axis(sheet, top)
    for number, row in enumerate(rows):
        _bar(sheet, row, top + unit * (2 + 3 * number))
    return picture


# ---- what to draw
def _duration(value: float) -> float:
    value = float(value)
    if not 0 < value < float("inf"):
        raise ValueError(f"duration: expected seconds above 0, got {value}.")
    return value


def _rows(spans: Any, truths: Any, labels: Any) -> list[_Row]:
    """What to show of each moment."""
    pairs = _pairs("spans", spans)
    real = [None] * len(pairs) if truths is None else _pairs("truths", truths)
    labels = [labels] if isinstance(labels, str) else labels
    texts = [""] * len(pairs) if labels is None else [str(label) for label in labels]
    for name, values in (("truths", real), ("labels", texts)):
        if len(values) != len(pairs):
            raise ValueError(
                f"{name}: expected one for each of {len(pairs)} spans, got {len(values)}."
            )
    return [
        _Row(text, span, truth, colour_of(number))
        for number, (text, span, truth) in enumerate(zip(texts, pairs, real, strict=True))
    ]


def _pairs(name: str, values: Any) -> list[Any]:
    """A list of (start, end), and of None where `values` have it."""
    try:
        if not isinstance(values, (list, tuple)) or None not in values:
            array = np.asarray(values, "float64")
            values = list(array.reshape(-1, 2) if array.ndim == 1 else array)
        pairs = [None if v is None else np.asarray(v, "float64") for v in values]
    except (TypeError, ValueError):
        raise ValueError(f"{name}: expected start and end in seconds, got {values!r}.") from None
    for pair in pairs:
        if pair is not None and (pair.shape != (2,) or not np.isfinite(pair).all()):
            raise ValueError(
                f"{name}: expected (start, end) in seconds, or a list of them, got {pair.tolist()}."
            )
    if not pairs or (name == "spans" and any(pair is None for pair in pairs)):
        raise ValueError(f"{name}: expected (start, end) in seconds for each moment, got {values}.")
    return [None if pair is None else (float(pair[0]), float(pair[1])) for pair in pairs]


def _choose(frames: Any, times: Any, duration: float, columns: int | None) -> list[np.ndarray]:
    """The frame that is nearest to the middle of each column."""
    count = len(frames)
    if not count:
        raise ValueError("frames: expected at least one frame, got none.")
    columns = size_of("columns", columns, min(count, _COLUMNS))
    times = np.linspace(0, duration, count) if times is None else np.asarray(times, "float64")
    if times.shape != (count,) or not np.isfinite(times).all() or (np.diff(times) < 0).any():
        raise ValueError(
            f"times: expected an ascending list of {count} seconds, one for each frame, got "
            f"{times.tolist()}."
        )
    middles = (np.arange(columns) + 0.5) * duration / columns
    nearest = np.abs(times[None] - middles[:, None]).argmin(axis=1)
    return rgb_frames([frames[index] for index in nearest.tolist()])


def _strip(frames: list[np.ndarray], width: int) -> Image.Image:
    """The frames side by side, `width` pixels in all."""
    tall, wide = frames[0].shape[:2]
    edges = [round(width * i / len(frames)) for i in range(len(frames) + 1)]
    height = max(1, round(width / len(frames) * tall / wide))
    strip = Image.new("RGB", (width, height), PAPER)
    for pixels, left, right in zip(frames, edges, edges[1:], strict=False):
        if right > left:
            strip.paste(resized(pixels, right - left, height), (left, 0))
    return strip


# ---- how to draw it
def _box(sheet: _Sheet, span: tuple[float, float], top: int, bottom: int) -> tuple[int, ...]:
    """The pixels of a span, whichever end comes first; `bottom` is behind the last."""
    left, right = (sheet.place(seconds) for seconds in sorted(span))
    left = min(floor(left), sheet.right - 1)
    return left, top, max(left, ceil(right) - 1), bottom - 1


def _frame(sheet: _Sheet, row: _Row, top: int, bottom: int) -> None:
    """Mark a moment on the frames."""
    if row.span[0] <= row.span[1]:
        line = max(2, sheet.unit // 5)
        sheet.draw.rectangle(_box(sheet, row.span, top, bottom), outline=row.colour, width=line)


def _axis(sheet: _Sheet, top: int) -> None:
    """The time axis, with a number at round seconds."""
    draw, step = sheet.draw, _tick(sheet.duration)
    draw.line((sheet.left, top, sheet.right - 1, top), fill=INK)
    for number in range(floor(sheet.duration / step + 1e-9) + 1):
        x, text = sheet.place(number * step), f"{number * step:g}"
        draw.line((x, top, x, top + sheet.unit // 3), fill=INK)
        long = draw.textlength(text, font=sheet.font)
        x = min(max(x - long / 2, 0), sheet.right + sheet.left - long)
        draw.text((x, top + sheet.unit // 2), text, fill=INK, font=sheet.font)


def _tick(duration: float) -> float:
    """Seconds between the numbers: 1, 2 or 5 times a power of ten, at most ten of them."""
    power = 10.0 ** floor(log10(duration / 10))
    return next(n * power for n in (1, 2, 5, 10) if duration / (n * power) <= 10 + 1e-9)


def _bar(sheet: _Sheet, row: _Row, top: int) -> None:
    """Draw the words of one moment, its bar under them, and the truth below."""
    draw, unit = sheet.draw, sheet.unit
    draw.text((sheet.left, top), _words(sheet, row), fill=INK, font=sheet.font)
    top, bottom = top + unit + unit // 3, top + 2 * unit + unit // 3
    draw.rectangle((sheet.left, top, sheet.right - 1, bottom - 1), fill=TRACK)
    filled = None if row.span[0] > row.span[1] else row.colour
    draw.rectangle(_box(sheet, row.span, top, bottom), fill=filled, outline=row.colour, width=2)
    if row.truth is not None:
        draw.rectangle(_box(sheet, row.truth, bottom, bottom + max(2, unit // 4)), fill=_TRUTH)


def _words(sheet: _Sheet, row: _Row) -> str:
    """The sentence and its times; a long sentence is cut."""
    times = f"{row.span[0]:.1f} to {row.span[1]:.1f} s"
    if row.truth is not None:
        times += f" (truth: {row.truth[0]:.1f} to {row.truth[1]:.1f} s)"
    if not row.text:
        return times
    text, room = row.text, sheet.right - sheet.left
    while len(text) > 1 and sheet.draw.textlength(f"{text}: {times}", font=sheet.font) > room:
        text = text.removesuffix("...")[:-1].rstrip() + "..."
    return f"{text}: {times}"
