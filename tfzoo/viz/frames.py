"""Frames side by side: those that a model sees, and its attention to them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from tfzoo.viz.drawing import INK, PAPER, TRACK, font_of, heat, resized, rgb_frames, size_of

__all__ = ["draw_attention", "draw_frames"]

_MARK = (214, 69, 29)
_COLUMNS = 8  # more frames in a row would be too small to see


def draw_frames(
    frames: Any,
    indices: Sequence[int] | np.ndarray | None = None,
    *,
    total: int | None = None,
    columns: int | None = None,
    width: int = 1280,
    font_size: int | None = None,
    font: str | os.PathLike[str] | None = None,
) -> Image.Image:
    """Draw frames of a video side by side, with their numbers and their places in the video.

    The bar below is the whole video, with a mark for each frame that is shown.

    Args:
        frames: T frames, all of one size: an array (T, height, width, C) or a list of images
            (paths, Pillow images or uint8 arrays). They are all the frames of the video, of which
            `indices` are shown; or, with `total`, those that were read at `indices`.
        indices: (N,) numbers of the frames, from 0; default: all of `frames`.
        total: Number of frames of the video, where `frames` are only those at `indices`.
        columns: Frames in a row; default: up to 8.
        width: Of the result, in pixels.
        font_size: Of the numbers, in pixels; default: to suit the width.
        font: File of a TrueType font.

    Returns:
        A new image in RGB.

    Raises:
        FileNotFoundError: An image file does not exist.
        TypeError: Frames that are not images.
        ValueError: No frames, frames of several sizes, indices that do not fit, or sizes that are
            not above 0.

    Example:
        >>> import tfzoo
        >>> clip = tfzoo.read_video("clip.mp4", indices=[0, 20, 40])
        >>> picture = draw_frames(clip.frames, [0, 20, 40], total=90, width=600)
        >>> picture.width, picture.mode
        (600, 'RGB')
    """
    chosen, count, shown = _choose(frames, indices, total)
    width = size_of("width", width, 1280)
    unit = size_of("font_size", font_size, max(10, width // 64))
    columns = size_of("columns", columns, min(len(shown), _COLUMNS))
    sheet, places = _grid(shown, columns, width, unit, 2 * unit)
    picture = Image.new("RGB", (width, sheet.height + 2 * unit), PAPER)
    picture.paste(sheet, (0, 0))
    draw, letters = ImageDraw.Draw(picture), font_of(font, unit)
    for (left, bottom), index in zip(places, chosen, strict=True):
        draw.text((left, bottom + unit // 4), str(index), fill=INK, font=letters)
    _marks(draw, chosen, count, (unit, sheet.height, width - unit, sheet.height + unit))
    return picture


def draw_attention(
    frames: Any,
    maps: Any,
    *,
    opacity: float = 0.6,
    columns: int | None = None,
    width: int = 1280,
) -> Image.Image:
    """Lay a model's attention over the frames, the brighter the more.

    Args:
        frames: T frames, all of one size, see `draw_frames`; they are not changed.
        maps: (T, rows, columns), not negative, e.g. of `attention_rollout`. All frames share one
            scale.
        opacity: Of the colours: 0 shows the frames alone, 1 the colours alone.
        columns: Frames in a row; default: up to 8.
        width: Of the result, in pixels.

    Returns:
        A new image in RGB.

    Raises:
        FileNotFoundError: An image file does not exist.
        TypeError: Frames that are not images.
        ValueError: Another number of maps than of frames, numbers that are negative or not finite,
            or an opacity outside [0, 1].

    Example:
        >>> frames = np.zeros((2, 48, 64, 3), np.uint8)
        >>> maps = np.zeros((2, 3, 4))
        >>> maps[0, 1, 2] = 1.0
        >>> draw_attention(frames, maps, width=300).width
        300
    """
    _, _, shown = _choose(frames, None, None)
    maps = np.asarray(maps, "float64")
    if maps.ndim != 3 or len(maps) != len(shown) or not maps.size:
        raise ValueError(
            f"maps: expected (T, rows, columns) for {len(shown)} frames, got shape {maps.shape}."
        )
    if not np.isfinite(maps).all() or maps.min() < 0:
        raise ValueError("maps: expected finite numbers that are not negative.")
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity: expected a number in [0, 1], got {opacity!r}.")
    width = size_of("width", width, 1280)
    columns = size_of("columns", columns, min(len(shown), _COLUMNS))
    strength = maps / (maps.max() or 1.0)
    laid = [_overlay(f, s, opacity) for f, s in zip(shown, strength, strict=True)]
    return _grid(laid, columns, width, max(4, width // 160), 0)[0]


# ---- what to draw
def _choose(
    frames: Any, indices: Any, total: int | None
) -> tuple[list[int], int, list[np.ndarray]]:
    """The numbers of the frames, the length of the video, and the frames' pixels."""
    count = len(frames)
    if not count:
        raise ValueError("frames: expected at least one frame, got none.")
    numbers = np.arange(count) if indices is None else np.asarray(indices)
    length = count if total is None else total
    if numbers.ndim != 1 or not numbers.size or not np.issubdtype(numbers.dtype, np.integer):
        raise ValueError(f"indices: expected whole numbers (N,), got {numbers.tolist()}.")
    if total is not None and len(numbers) != count:
        raise ValueError(f"indices: expected {count}, one for each frame, got {len(numbers)}.")
    if numbers.min() < 0 or numbers.max() >= length:
        raise ValueError(
            f"indices: expected numbers from 0 to {length - 1}, got {numbers.tolist()}."
        )
    chosen = numbers.tolist()
    shown = frames if total is not None else [frames[index] for index in chosen]
    return chosen, length, rgb_frames(shown)


# ---- how to draw it
def _grid(
    shown: list[np.ndarray], columns: int, width: int, gap: int, below: int
) -> tuple[Image.Image, list[tuple[int, int]]]:
    """The frames in rows, with room below each, and where that room begins."""
    tall, wide = shown[0].shape[:2]
    cell = max(1, (width - gap * (columns + 1)) // columns)
    height = max(1, round(cell * tall / wide))
    rows = -(-len(shown) // columns)
    sheet = Image.new("RGB", (width, gap + rows * (height + max(below, gap))), PAPER)
    places = []
    for number, pixels in enumerate(shown):
        row, column = divmod(number, columns)
        left, top = gap + column * (cell + gap), gap + row * (height + max(below, gap))
        sheet.paste(resized(pixels, cell, height), (left, top))
        places.append((left, top + height))
    return sheet, places


def _marks(
    draw: ImageDraw.ImageDraw, chosen: list[int], count: int, box: tuple[int, int, int, int]
) -> None:
    """A bar for the whole video with a mark for each frame that is shown."""
    left, top, right, bottom = box
    draw.rectangle((left, top, right - 1, bottom - 1), fill=TRACK)
    for index in chosen:
        start = left + (right - left) * index // count
        end = left + (right - left) * (index + 1) // count
        draw.rectangle((start, top, max(start + 1, end - 1), bottom - 1), fill=_MARK)


def _overlay(frame: np.ndarray, strength: np.ndarray, opacity: float) -> np.ndarray:
    """A frame under the colours of values in [0, 1]."""
    height, width = frame.shape[:2]
    picture = Image.fromarray(strength.astype("float32"))
    large = np.asarray(picture.resize((width, height), Image.Resampling.NEAREST))
    return np.rint(frame * (1 - opacity) + heat(large) * opacity).astype(np.uint8)
