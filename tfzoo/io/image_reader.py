"""Image files to arrays, upright and in RGB."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from tfzoo.io.errors import ImageError

__all__ = ["read_frames", "read_image", "to_rgb"]


def read_image(source: str | os.PathLike[str] | bytes) -> np.ndarray:
    """Read one image.

    The EXIF orientation is applied, so that the array is upright. Grey becomes three equal
    channels, transparency is dropped, 16-bit grey keeps its upper 8 bits, and an animation gives
    its first frame.

    Args:
        source: Path of an image file, or the encoded bytes themselves.

    Returns:
        (height, width, 3) uint8.

    Raises:
        FileNotFoundError: The file does not exist.
        ImageError: The file is damaged or not an image that Pillow knows.

    Example:
        >>> pixels = read_image("photo.jpg")
    """
    encoded = isinstance(source, bytes)
    name = f"{len(source)} bytes" if encoded else os.fspath(source)
    if not encoded and Path(source).is_dir():
        raise ImageError(f"{name}: expected an image file, got a folder. Use read_frames for it.")
    try:
        with Image.open(io.BytesIO(source) if encoded else source) as image:
            return np.array(to_rgb(ImageOps.exif_transpose(image)))
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{name}: expected an image (JPEG, PNG, WebP, ...), got something else."
        ) from error
    except FileNotFoundError:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(f"{name}: the image cannot be decoded: {error}.") from error


def read_frames(path: str | os.PathLike[str]) -> np.ndarray:
    """Read an image file, or a folder of images as the frames of a video.

    A folder's files are read in natural order ("frame2" before "frame10"); hidden files are left
    out.

    Args:
        path: An image file, or a folder of images only.

    Returns:
        (T, height, width, 3) uint8; T = 1 for a file.

    Raises:
        FileNotFoundError: The file or folder does not exist.
        ImageError: An empty folder, a file that is not an image, or images of different sizes.

    Example:
        >>> frames = read_frames("frames/")
    """
    path = Path(path)
    if not path.is_dir():
        return read_image(path)[None]
    files = sorted((f for f in path.iterdir() if not f.name.startswith(".")), key=_natural)
    if not files:
        raise ImageError(f"{path}: expected a folder of images, got an empty one.")
    frames = [read_image(file) for file in files]
    for file, frame in zip(files, frames, strict=True):
        if frame.shape != frames[0].shape:
            raise ImageError(
                f"{file}: expected the size of {files[0].name} (height, width) = "
                f"{frames[0].shape[:2]}, got {frame.shape[:2]}. Frames of a video share one size."
            )
    return np.stack(frames)


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a Pillow image of any mode to RGB; an RGB image is returned as it is.

    Transparency is dropped (the colours under it stay), 16-bit grey keeps its upper 8 bits.

    Args:
        image: The image.

    Returns:
        An image of mode "RGB".

    Raises:
        ImageError: 32-bit integer or float pixels, whose range is unknown.

    Example:
        >>> to_rgb(Image.new("L", (4, 4))).mode
        'RGB'
    """
    if image.mode == "RGB":
        return image
    if image.mode in ("I", "F"):
        raise ImageError(
            f"Expected an image of 8 or 16 bits per channel, got Pillow's 32-bit mode "
            f"{image.mode!r}. Scale it to 0..255 and convert it to uint8 first."
        )
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # straight to RGB, Pillow warns about the transparency
    return image.convert("RGB")


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort key that orders runs of digits by their value."""
    parts = re.findall(r"\d+|\D+", path.name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
