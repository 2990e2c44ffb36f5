"""The errors of the readers."""

from __future__ import annotations

__all__ = ["ImageError", "VideoError"]


class VideoError(ValueError):
    """A video that cannot be read, or that has not the frames that were asked for."""


class ImageError(ValueError):
    """A file or bytes that are no image, or images that do not belong together."""
