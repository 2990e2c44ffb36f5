"""The image files that commands write."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from tfzoo.cli.console import UsageError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["check_target", "write"]

_QUALITY = 92  # of JPEG and the like: Pillow's own blurs letters


def check_target(option: str, target: Path, source: Path) -> None:
    """Refuse a file that `write` could not write, or that must not be overwritten.

    Raises:
        UsageError: A suffix that stands for no format of colour images, a folder, or `source`.
    """
    from PIL import Image

    # Only writing shows whether Pillow writes a format: many it can only read, or not in colour.
    try:
        _save(Image.new("RGB", (1, 1)), io.BytesIO(), target.suffix)
    except (KeyError, ValueError, OSError):
        raise UsageError(
            f"{option} takes the format from the file's suffix, e.g. .png or .jpg, and cannot "
            f"write {target.suffix or 'a file without one'}: {target}."
        ) from None
    if target.is_dir():
        raise UsageError(f"{option} {target} is a folder: name a file in it.")
    if target.exists() and target.samefile(source):
        raise UsageError(f"{option} {target} is the input itself: choose another name.")


def write(image: Image.Image, target: Path) -> None:
    """Write an image, whole or not at all; an older file of this name is replaced.

    Raises:
        OSError: It cannot be written.
        ValueError: It is too large for the format.
    """
    from tfzoo.core.replacing import replacing

    with replacing(target, force=True) as path:
        _save(image, path, target.suffix)


def _save(image: Image.Image, file: Path | io.BytesIO, suffix: str) -> None:
    from PIL import Image

    image.save(file, Image.registered_extensions()[suffix.lower()], quality=_QUALITY)
