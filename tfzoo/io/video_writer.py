"""Arrays to videos."""

from __future__ import annotations

import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tfzoo.core.replacing import replacing
from tfzoo.io.errors import VideoError

__all__ = ["VIDEO_FORMATS", "write_video"]

#: FFmpeg's format for each suffix of a file that `write_video` writes.
VIDEO_FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}


def write_video(
    path: str | os.PathLike[str], frames: Iterable[np.ndarray], fps: float = 25.0
) -> None:
    """Write a video as H.264 (or MPEG-4, where the installed FFmpeg has no encoder for that).

    Args:
        path: The file, of a suffix of `VIDEO_FORMATS`. It is written whole or not at all; an older
            one is replaced.
        frames: (height, width, 3) uint8, all of one size; written as they come. An odd side gets
            one more row or column, since the format has none.
        fps: Frames per second.

    Raises:
        ValueError: Another suffix, or a rate that is not above 0.
        VideoError: No frames, or frames of several sizes.
        OSError: The file cannot be written.

    Example:
        >>> write_video("out.mp4", np.zeros((5, 48, 64, 3), np.uint8), fps=10)
    """
    path = Path(path)
    if path.suffix.lower() not in VIDEO_FORMATS:
        raise ValueError(
            f"{path}: expected a name that ends in {', '.join(VIDEO_FORMATS)}, got "
            f"{path.suffix or 'no suffix'}."
        )
    if not 0 < fps < 1000:
        raise ValueError(f"fps: expected frames per second, above 0 and below 1000, got {fps!r}.")
    kind = VIDEO_FORMATS[path.suffix.lower()]
    with replacing(path, force=True) as part, av.open(str(part), "w", format=kind) as container:
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1000))
        stream.pix_fmt = "yuv420p"
        shape = None
        for frame in frames:
            if shape is None:
                shape = frame.shape
                stream.height, stream.width = (side + side % 2 for side in shape[:2])
            if frame.shape != shape:
                raise VideoError(f"{path}: expected frames of shape {shape}, got {frame.shape}.")
            even = np.pad(frame, (*((0, side % 2) for side in shape[:2]), (0, 0)), "edge")
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        if shape is None:
            raise VideoError(f"{path}: expected at least one frame, got none.")
        container.mux(stream.encode())
