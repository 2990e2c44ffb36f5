"""Images to files."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from tfzoo.core.replacing import replacing

__all__ = ["can_write", "write_image"]

_QUALITY = 92  # of JPEG and the like: Pillow's own blurs letters


def can_write(suffix: str) -> bool:
    """Whether the suffix of a file stands for a format of colour images that Pillow writes.

    Example:
        >>> can_write(".png"), can_write(".txt")
        (True, False)
    """
    # Only writing shows whether Pillow writes a format: many it can only read, or not in colour.
    try:
        _save(Image.new("RGB", (1, 1)), io.BytesIO(), suffix)
    except (KeyError, ValueError, OSError):
        return False
    return True


def write_image(image: Image.Image, target: Path) -> None:
    """Write an image, whole or not at all; an older file of this name is replaced.

    Args:
        image: The image.
        target: The file, whose suffix says in which format.

    Raises:
        OSError: It cannot be written.
        ValueError: Another suffix, or an image that is too large for the format.
    """
    if not can_write(target.suffix):
        raise ValueError(
            f"{target}: the format follows from the file's suffix, e.g. .png or .jpg, and "
            f"{target.suffix or 'a file without one'} cannot be written."
        )
    with replacing(target, force=True) as path:
        _save(image, path, target.suffix)


def _save(image: Image.Image, file: Path | io.BytesIO, suffix: str) -> None:
    image.save(file, Image.registered_extensions()[suffix.lower()], quality=_QUALITY)
