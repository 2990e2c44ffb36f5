"""Pixels, colours and letters of all drawings, and the checks of what goes into them."""

from __future__ import annotations

import colorsys
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageFont

from tfzoo.preprocessing.image import to_channels_last
from tfzoo.preprocessing.image_batch import open_image

__all__ = [
    "INK",
    "PAPER",
    "TRACK",
    "Colour",
    "colour_of",
    "enlarged",
    "floats",
    "font_of",
    "heat",
    "ink_on",
    "resized",
    "rgb_frames",
    "rgb_pixels",
    "size_of",
]

Colour = tuple[int, int, int]
PAPER, INK, TRACK = (255, 255, 255), (40, 40, 40), (225, 225, 225)

_GOLDEN = 0.618033988749895  # its multiples modulo 1 are far apart, however many are used
_STOPS = ((0, 0, 60), (120, 0, 140), (230, 60, 40), (255, 180, 0), (255, 255, 190))


def rgb_pixels(image: Any) -> np.ndarray:
    """The pixels of an image, (height, width, 3) uint8."""
    pixels = to_channels_last(open_image(image))
    if pixels.dtype != np.uint8:
        raise ValueError(
            f"image: expected pixels as uint8, 0 to 255, got dtype {pixels.dtype}. Give the image "
            "itself rather than a model's pixel_values, or scale and convert it."
        )
    if pixels.shape[-1] != 3:
        raise ValueError(f"image: expected 1, 3 or 4 channels, got shape {pixels.shape}.")
    return np.ascontiguousarray(pixels)


def rgb_frames(frames: Sequence[Any]) -> list[np.ndarray]:
    """The pixels of frames, all of one size."""
    shown = [rgb_pixels(frame) for frame in frames]
    if len({pixels.shape for pixels in shown}) > 1:
        raise ValueError("frames: expected frames of one size, got several.")
    return shown


def resized(pixels: np.ndarray, width: int, height: int) -> Image.Image:
    """An image of another size."""
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS)


def enlarged(image: Image.Image, min_size: int | None) -> tuple[Image.Image, int]:
    """An image whose longer side has at least so many pixels, and how many times as large it is."""
    factor = -(-size_of("min_size", min_size, 1) // max(image.size))
    if factor == 1:
        return image, 1
    size = (factor * image.width, factor * image.height)
    return image.resize(size, Image.Resampling.BICUBIC), factor


def floats(name: str, values: Any, what: str) -> np.ndarray:
    """An array or tensor of numbers as float64."""
    try:
        return np.asarray(values, "float64")
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: expected {what}: {error}.") from None


def size_of(name: str, value: int | None, default: int) -> int:
    """A size in pixels, checked, or its default."""
    if value is None:
        return default
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name}: expected a whole number of pixels above 0, got {value!r}.")
    return value


def font_of(path: str | os.PathLike[str] | None, size: int) -> Any:
    """Pillow's own font, or that of a TrueType file."""
    if path is None:
        return ImageFont.load_default(size)
    try:
        return ImageFont.truetype(os.fspath(path), size)
    except OSError as error:
        message = f"font: expected the file of a TrueType font, got {path}: {error}."
        raise ValueError(message) from error


def colour_of(number: int) -> Colour:
    """The colour of a label: hues far apart, every other one darker."""
    red, green, blue = colorsys.hsv_to_rgb(number * _GOLDEN % 1, 0.9, (1.0, 0.7)[number % 2])
    return round(255 * red), round(255 * green), round(255 * blue)


def ink_on(background: Colour) -> Colour:
    """Black or white, whichever is legible on the background."""
    red, green, blue = background
    return (0, 0, 0) if 0.299 * red + 0.587 * green + 0.114 * blue > 128 else (255, 255, 255)


def heat(values: np.ndarray) -> np.ndarray:
    """Colours of numbers in [0, 1], dark to bright: (...) -> (..., 3) uint8."""
    stops = np.linspace(0, 1, len(_STOPS))
    channels = [np.interp(values, stops, channel) for channel in np.transpose(_STOPS)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
