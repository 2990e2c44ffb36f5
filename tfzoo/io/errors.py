"""The errors of the readers."""

from __future__ import annotations

__all__ = ["ImageError", "VideoError"]


class VideoError(ValueError):
    """A video that cannot be read, or that lacks the frames that were asked for."""


class ImageError(ValueError):
    """A file or bytes that are not an image, or images that do not belong together."""
