"""Animated WebP, AVIF and PNG by Pillow.

Of the first two FFmpeg reads one frame, and it turns a part of a PNG's frames alone.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from fractions import Fraction

import numpy as np

from tfzoo.io.errors import ImageError, VideoError
from tfzoo.io.image_reader import opened, to_rgb, upright_rgb
from tfzoo.io.limits import FRAME_PIXELS

__all__ = ["Animation", "animation_of"]

_PNG = b"\x89PNG\r\n\x1a\n"
_AVIF = (b"ftypavis", b"ftypavif", b"ftypmif1", b"ftypmsf1")


class Animation:
    """The frames of an animated image.

    Args:
        path: The file.

    Attributes:
        total: Number of frames; 1 for a still image.
        times: Start of each frame that `pixels` went through, in seconds.
        seconds: Up to the end of the last of them.

    Raises:
        ImageError: Pillow cannot read the file.
        VideoError: Frames of more than `tfzoo.io.limits.FRAME_PIXELS`, or more of them than bytes.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.times: list[float] = []
        self.seconds = Fraction(0)
        with opened(path) as image:
            # A PNG may begin with an image for programs that do not know animations.
            self._first = int(getattr(image, "default_image", False))
            self.total = getattr(image, "n_frames", 1) - self._first
            width, height = image.size
        if height * width > FRAME_PIXELS:
            raise VideoError(
                f"expected frames of up to {FRAME_PIXELS} pixels, got {height} x {width}."
            )
        size = os.path.getsize(path)
        if self.total > size:  # before anything is made for each of them
            raise VideoError(
                f"expected {self.total} frames, as the header says, got {size} bytes: the file is "
                "truncated or damaged."
            )

    def pixels(self, wanted: Collection[int], upright: bool) -> Iterator[tuple[int, np.ndarray]]:
        """Decode all frames, which have no other place for their durations.

        Args:
            wanted: Indices of frames.
            upright: Whether to turn them as the EXIF data say.

        Yields:
            The wanted frames in order: index, (height, width, 3) uint8.
        """
        with opened(self._path) as image:
            for index in range(self.total):
                image.seek(self._first + index)
                image.load()
                begin, lasts = image.info.get("timestamp"), image.info.get("duration", 0)
                if begin is None:
                    self.times.append(float(self.seconds))
                    self.seconds += Fraction(lasts).limit_denominator(10**6) / 1000
                else:  # not the sum of the durations: each is rounded to milliseconds
                    self.times.append(begin / 1000)
                    self.seconds = Fraction(round(begin + lasts), 1000)
                if index in wanted:
                    yield index, np.array(upright_rgb(image) if upright else to_rgb(image))


def animation_of(path: str) -> Animation | None:
    """Open a file that is an animated WebP, AVIF or PNG; None for all others, still ones included.

    Raises:
        ImageError: Such a file that is damaged.
        VideoError: Such a file of huge frames.

    Example:
        >>> animation_of("clip.mp4")
    """
    with open(path, "rb") as file:
        head = file.read(12)
    is_own = head[:8] == _PNG or (head[:4] == b"RIFF" and head[8:] == b"WEBP")
    if not is_own and head[4:] not in _AVIF:
        return None
    try:
        animation = Animation(path)
    except ImageError:
        if is_own or head[8:] == b"avis":
            raise
        return None  # a still HEIC may have the same first bytes, which FFmpeg reads
    return animation if animation.total > 1 else None
