"""Padding images on the right and at the bottom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfzoo.preprocessing import image as im

__all__ = ["check_fill", "pad_mode_name", "pad_right_and_bottom", "padded_size"]

# Documented name of each mode, and numpy's.
_MODES = {
    "constant": "constant",
    "reflect": "reflect",
    "replicate": "edge",
    "symmetric": "symmetric",
}


def pad_mode_name(mode: Any) -> str:
    """The name of a padding mode, given as such or as a member of an enumeration of names.

    Raises:
        ValueError: An unknown mode.

    Example:
        >>> pad_mode_name("reflect")
        'reflect'
    """
    name = getattr(mode, "value", mode)
    if not isinstance(name, str) or name not in _MODES:
        raise ValueError(f"pad_mode: expected one of {', '.join(_MODES)}, got {mode!r:.100}.")
    return name


def padded_size(size: Any) -> dict[str, int]:
    """The size to pad to, as a dict with `height`, `width` or both.

    Args:
        size: Such a dict, (height, width), or one number for both.

    Raises:
        ValueError: Something else.

    Example:
        >>> padded_size(448)
        {'height': 448, 'width': 448}
    """
    if isinstance(size, Mapping) and len(size) == 1:  # the other one is not padded
        (name,) = size
        return {name: im.size_dict({"height": 1, "width": 1, **size}, name="pad_size")[name]}
    size = im.size_dict(size, name="pad_size")
    if "height" not in size:
        raise ValueError(f"pad_size: expected height and width, got {size}.")
    return size


def check_fill(values: Any) -> Any:
    """Bring the values of constant padding to the form that `numpy.pad` takes.

    Args:
        values: One number; or (before, after), of which only the second is used here; or such a
            pair for the rows and another for the columns.

    Returns:
        ((before, after), (before, after)) for rows and columns.

    Raises:
        ValueError: Something else.

    Example:
        >>> check_fill(0.5).tolist()
        [[0.5, 0.5], [0.5, 0.5]]
    """
    array = np.asarray(values)
    is_fill = array.shape in ((), (1,), (2,), (2, 2)) and array.dtype.kind in "iuf"
    if not is_fill or not (np.abs(array.astype(float)) <= np.finfo(np.float32).max).all():
        raise ValueError(
            "constant_values: expected a finite number, (before, after), or such a pair for the "
            f"rows and one for the columns, got {values!r:.200}."
        )
    return np.broadcast_to(array, (2, 2))


def pad_right_and_bottom(
    images: np.ndarray,
    size: Mapping[str, int],
    mode: str = "constant",
    values: Any = 0,
    data_format: str = im.CHANNELS_LAST,
) -> np.ndarray:
    """Pad images on the right and at the bottom.

    Args:
        images: (..., height, width, C), or (..., C, height, width).
        size: The new `height`, `width` or both.
        mode: "constant", "reflect" (without the border), "replicate" (the border) or "symmetric"
            (with the border).
        values: What "constant" fills with, see `check_fill`.
        data_format: Layout of the images.

    Returns:
        The images in the same layout and dtype, a copy.

    Raises:
        ValueError: An image is larger than `size`, a size of too many pixels, or an unknown mode.

    Example:
        >>> pad_right_and_bottom(np.ones((2, 2, 1)), {"width": 4})[..., 0].tolist()
        [[1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0]]
    """
    first = images.ndim - (2 if data_format == im.CHANNELS_FIRST else 3)
    height, width = images.shape[first : first + 2]
    below, beside = size.get("height", height) - height, size.get("width", width) - width
    if below < 0 or beside < 0:
        raise ValueError(
            f"pad_size: expected a size at least that of the image, {height} x {width} (height x "
            f"width), got {dict(size)}. Make pad_size larger, or resize or crop to a smaller size."
        )
    im.check_canvas(height + below, width + beside)
    mode, fill = pad_mode_name(mode), {}
    widths = np.zeros((images.ndim, 2), int)
    widths[first : first + 2, 1] = below, beside
    if mode == "constant":
        table = np.zeros((images.ndim, 2), np.asarray(values).dtype)
        table[first : first + 2] = check_fill(values)
        fill = {"constant_values": table}
    return np.pad(images, widths, mode=_MODES[mode], **fill)
