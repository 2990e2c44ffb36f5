"""The picture files that commands read and write."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from tfzoo.cli.console import UsageError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["check_target", "is_still", "write"]

# Pillow opens films too: in these formats, files of several pictures are animations.
_ANIMATED = {"GIF", "WEBP", "PNG", "AVIF"}
_QUALITY = 92  # of JPEG and the like: Pillow's own blurs letters


def is_still(path: Path) -> bool:
    """Whether a file is an image that does not move."""
    from PIL import Image, UnidentifiedImageError

    if path.is_dir():
        return False
    try:
        with Image.open(path) as image:
            return not (image.format in _ANIMATED and getattr(image, "is_animated", False))
    except UnidentifiedImageError:
        return False


def check_target(option: str, target: Path, source: Path) -> None:
    """Refuse a file that `write` could not write, or that must not be overwritten.

    Raises:
        UsageError: A suffix that stands for no format of colour images, a folder, or `source`.
    """
    from PIL import Image

    # Whether Pillow writes a format, it tells by writing: many it can only read, or not in colour.
    try:
        _save(Image.new("RGB", (1, 1)), io.BytesIO(), target.suffix)
    except (KeyError, ValueError, OSError):
        raise UsageError(
            f"{option} takes the format from the file's suffix, e.g. .png or .jpg, and can write "
            f"no {target.suffix or 'file without one'}: {target}."
        ) from None
    if target.is_dir():
        raise UsageError(f"{option} {target} is a folder: name a file in it.")
    if target.exists() and target.samefile(source):
        raise UsageError(f"{option} {target} is the input itself: choose another name.")


def write(picture: Image.Image, target: Path) -> None:
    """Write a picture, whole or not at all; an older one of this name is replaced.

    Raises:
        OSError: It cannot be written.
        ValueError: It is too large for the format.
    """
    from tfzoo.core.files import replacing

    with replacing(target, force=True) as path:
        _save(picture, path, target.suffix)


def _save(picture: Image.Image, file: Path | io.BytesIO, suffix: str) -> None:
    """Write to a file in the format that the suffix stands for."""
    from PIL import Image

    picture.save(file, Image.registered_extensions()[suffix.lower()], quality=_QUALITY)
