"""How the frames of a video are to be shown: turned and mirrored by their display matrix."""

from __future__ import annotations

from math import cos, radians, sin
from typing import Any

import numpy as np
from av.sidedata.sidedata import Type

__all__ = ["display_matrix", "shown_by"]

Matrix = tuple[float, float, float, float]


def _unnamed(kinds: type, number: int) -> Any:
    """A kind of side data that FFmpeg has and PyAV's enumeration lacks, such as EXIF data."""
    kind = object.__new__(kinds)
    kind._name_, kind._value_ = f"UNNAMED_{number}", number
    return kind


# Without it PyAV raises a ValueError on a frame with such side data, whatever one asks for.
Type._missing_ = classmethod(_unnamed)


def display_matrix(frame: Any, codec: str) -> Matrix | None:
    """The matrix that a file asks to show a frame by, from (x, y) to (a x + c y, b x + d y).

    Args:
        frame: A decoded frame.
        codec: FFmpeg's name of its codec.

    Returns:
        a, b, c and d; None where the frame is to be shown as it is. Of a PNG, whether it is to be
        mirrored cannot be told.

    Example:
        >>> import av
        >>> with av.open("clip.mp4") as container:
        ...     display_matrix(next(container.decode(video=0)), "h264")
    """
    if codec in ("png", "apng"):
        # PyAV frees the name of a colour profile twice if it is asked for the side data.
        angle = radians(frame.rotation)
        return cos(angle), -sin(angle), sin(angle), cos(angle)
    try:
        data = frame.side_data["DISPLAYMATRIX"]
    except KeyError:
        return None
    a, b, _, c, d = np.frombuffer(bytes(data), "=i4")[:5].tolist()
    return a, b, c, d


def shown_by(matrix: Matrix | None, pixels: np.ndarray) -> np.ndarray:
    """Turn and mirror a frame as its display matrix says, to the nearest quarter turn.

    Args:
        matrix: See `display_matrix`.
        pixels: (height, width, C).

    Returns:
        A view of the pixels; the sides may be swapped.

    Example:
        >>> shown_by((0, 1, -1, 0), np.arange(6).reshape(2, 3, 1))[..., 0]  # clockwise
        array([[3, 0],
               [4, 1],
               [5, 2]])
    """
    if matrix is None:
        return pixels
    across, b, c, down = matrix
    if abs(b) + abs(c) > abs(across) + abs(down):  # rows become columns
        pixels, across, down = pixels.transpose(1, 0, 2), c, b
    return pixels[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]
