"""Animated WebP and AVIF by Pillow: FFmpeg reads no more than their first frame."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from fractions import Fraction

import numpy as np

from tfzoo.io.errors import ImageError, VideoError
from tfzoo.io.image_reader import opened, to_rgb, upright_rgb
from tfzoo.io.limits import FRAME_PIXELS

__all__ = ["Animation", "animation_of"]

_AVIF = (b"ftypavis", b"ftypavif", b"ftypmif1", b"ftypmsf1")


class Animation:
    """The frames of an animated image.

    Args:
        path: The file.

    Attributes:
        total: Number of frames; 1 for a still image.
        seconds: Up to the end of the last frame that `pixels` went through.

    Raises:
        ImageError: Pillow cannot read the file.
        VideoError: Frames of more than `tfzoo.io.limits.FRAME_PIXELS`.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.seconds = Fraction(0)
        with opened(path) as image:
            self.total = getattr(image, "n_frames", 1)
            width, height = image.size
        if height * width > FRAME_PIXELS:
            raise VideoError(
                f"expected frames of up to {FRAME_PIXELS} pixels, got {height} x {width}."
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
                image.seek(index)
                image.load()
                begin, lasts = (image.info.get(key, 0) for key in ("timestamp", "duration"))
                # Not the sum of the durations: each is rounded to milliseconds.
                self.seconds = Fraction(round(begin + lasts), 1000)
                if index in wanted:
                    yield index, np.array(upright_rgb(image) if upright else to_rgb(image))


def animation_of(path: str) -> Animation | None:
    """Open a file that is an animated WebP or AVIF; None for all others, still ones included.

    Raises:
        ImageError: Such a file that is damaged.
        VideoError: Such a file of huge frames.

    Example:
        >>> animation_of("clip.mp4")
    """
    with open(path, "rb") as file:
        head = file.read(12)
    is_webp = head[:4] == b"RIFF" and head[8:] == b"WEBP"
    if not is_webp and head[4:] not in _AVIF:
        return None
    try:
        animation = Animation(path)
    except ImageError:
        if is_webp or head[8:] == b"avis":
            raise
        return None  # a still HEIC may have the same first bytes, which FFmpeg reads
    return animation if animation.total > 1 else None
