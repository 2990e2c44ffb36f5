"""Image files to arrays, upright and in RGB."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from tfzoo.core.untrusted import refuse_lfs_pointer
from tfzoo.io.errors import ImageError
from tfzoo.io.limits import CLIP_PIXELS

__all__ = [
    "FORMATS",
    "files_of",
    "opened",
    "read_frames",
    "read_image",
    "to_rgb",
    "upright_rgb",
]

#: Pillow's names of the formats that it decodes by itself, those that are told by their first bytes
#: in front. Left out: EPS, which starts Ghostscript; WMF, BUFR, GRIB and HDF5, which need a program
#: or a library of the user's; FPX and MIC, which are containers of OLE; IPTC, which holds any other
#: format; MPEG and PDF, which Pillow does not decode.
FORMATS = (
    *("JPEG", "PNG", "GIF", "BMP", "DIB", "PPM", "WEBP", "TIFF", "AVIF", "JPEG2000", "ICO"),
    *("ICNS", "CUR", "PSD", "DDS", "QOI", "SGI", "SUN", "PCX", "DCX", "XBM", "XPM", "BLP"),
    *("FITS", "FLI", "FTEX", "GBR", "MCIDAS", "MSP", "PIXAR", "XVTHUMB"),
    *("IM", "IMT", "PCD", "SPIDER", "TGA"),
)

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(source: str | os.PathLike[str] | bytes) -> np.ndarray:
    """Read one image.

    The orientation that its EXIF data say, or without it its XMP data, is applied, so that the
    array is upright; data that cannot be read say nothing. Grey becomes three equal channels,
    transparency is dropped (the colours under it stay, as by Pillow's `convert`), 16-bit grey keeps
    its upper 8 bits, and an animation gives its first frame.

    Args:
        source: Path of an image file, or the encoded bytes themselves: JPEG, PNG, WebP, GIF, TIFF,
            AVIF, JPEG 2000 and any other of `tfzoo.io.image_reader.FORMATS`, those that Pillow
            decodes without another program.

    Returns:
        (height, width, 3) uint8.

    Raises:
        FileNotFoundError: The file does not exist.
        ImageError: The file is damaged or not an image of these formats.

    Example:
        >>> pixels = read_image("photo.jpg")
    """
    with opened(source) as image:
        return np.array(upright_rgb(image))


@contextmanager
def opened(source: str | os.PathLike[str] | bytes) -> Iterator[Image.Image]:
    """Open an image with Pillow, which then decodes it; all errors become `ImageError`.

    Args:
        source: As `read_image` takes it.

    Raises:
        FileNotFoundError: The file does not exist.
        ImageError: It is not an image of `FORMATS`, or what is done with it fails.

    Example:
        >>> with opened("photo.jpg") as image:
        ...     image.size
        (320, 213)
    """
    encoded = isinstance(source, bytes)
    name = f"{len(source)} bytes" if encoded else os.fspath(source)
    if not encoded and os.path.isdir(source):
        raise ImageError(f"{name}: expected an image file, got a folder. Use read_frames for it.")
    if not encoded and os.path.exists(source) and not os.path.isfile(source):
        raise ImageError(f"{name}: expected an image file, got a pipe or a device.")  # may wait
    try:
        with Image.open(io.BytesIO(source) if encoded else source, formats=_formats()) as image:
            yield image
    except UnidentifiedImageError as error:
        if not encoded:
            refuse_lfs_pointer(source, ImageError)
        raise ImageError(
            f"{name}: expected an image (JPEG, PNG, WebP, ...), got something else."
        ) from error
    except FileNotFoundError:
        raise
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from error
    except Exception as error:  # see `_load`; headers do so as well
        reason = str(error) or type(error).__name__
        raise ImageError(f"{name}: the image cannot be decoded: {reason}") from error


@cache
def _formats() -> tuple[str, ...]:
    """Those of `FORMATS` that the installed Pillow has."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def read_frames(path: str | os.PathLike[str]) -> np.ndarray:
    """Read an image file, or a folder of images as the frames of a video.

    A folder's files are read in natural order ("frame2" before "frame10"); hidden files are left
    out.

    Args:
        path: An image file, or a folder of images only, of the formats of `read_image`.

    Returns:
        (T, height, width, 3) uint8; T = 1 for a file.

    Raises:
        FileNotFoundError: The file or folder does not exist.
        ImageError: An empty folder, a file that is not an image, images of different sizes, or
            more pixels than can be held (`tfzoo.io.limits.CLIP_PIXELS`).

    Example:
        >>> frames = read_frames("frames/")
    """
    path = Path(path)
    if not path.is_dir():
        return read_image(path)[None]
    files = files_of(path)
    if not files:
        raise ImageError(f"{path}: expected a folder of images, got an empty one.")
    first = read_image(files[0])
    height, width = first.shape[:2]
    if len(files) * height * width > CLIP_PIXELS:
        raise ImageError(
            f"{path}: expected up to {CLIP_PIXELS} pixels in all images together, got "
            f"{len(files)} of {height} x {width}. Make them smaller, or fewer."
        )
    frames = np.empty((len(files), *first.shape), np.uint8)
    frames[0] = first
    for place, file in enumerate(files[1:], 1):
        frame = read_image(file)
        if frame.shape != first.shape:
            raise ImageError(
                f"{file}: expected the size of {files[0].name} (height, width) = "
                f"{first.shape[:2]}, got {frame.shape[:2]}. Frames of a video share one size."
            )
        frames[place] = frame
    return frames


def files_of(folder: Path) -> list[Path]:
    """What lies in a folder in natural order ("frame2" before "frame10"), but for hidden files."""
    return sorted((f for f in folder.iterdir() if not f.name.startswith(".")), key=_natural)


def upright_rgb(image: Image.Image) -> Image.Image:
    """Turn a Pillow image upright, as its EXIF or XMP data say, and convert it by `to_rgb`."""
    _load(image)  # EXIF data may follow the pixels
    turn, rgb = _TURNS.get(_orientation(image)), to_rgb(image)
    return rgb if turn is None else rgb.transpose(turn)


def _orientation(image: Image.Image) -> int:
    """1 to 8; 1, upright, where the image does not say or nobody can read what it says."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # of broken EXIF data; the pixels are sound
        return 1
    return value if isinstance(value, int) else 1


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a Pillow image of any mode to RGB; an RGB image is returned as it is.

    Transparency is dropped (the colours under it stay), 16-bit grey keeps its upper 8 bits.

    Args:
        image: The image.

    Returns:
        An image of mode "RGB".

    Raises:
        ImageError: Pixels that cannot be decoded, or of 32-bit integers or floats, whose range is
            unknown.

    Example:
        >>> to_rgb(Image.new("L", (4, 4))).mode
        'RGB'
    """
    _load(image)
    if image.mode == "RGB":
        return image
    is_deep = image.mode.startswith("I;16")
    # PNG and PPM have 16 bits at most.
    if is_deep or (image.mode == "I" and image.format in ("PNG", "PPM")):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ImageError(
            f"Expected an image of 8 or 16 bits per channel, got Pillow's 32-bit mode "
            f"{image.mode!r}. Scale it to 0..255 and convert it to uint8 first."
        )
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # straight to RGB, Pillow warns about the transparency
    return image.convert("RGB")


def _load(image: Image.Image) -> None:
    try:
        image.load()
    except Exception as error:  # damaged files make Pillow's decoders fail in every way there is
        reason = str(error) or type(error).__name__
        raise ImageError(f"the image cannot be decoded: {reason}") from error


def _natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Sort key that orders runs of digits by their value, and then "frame01" before "frame1"."""
    parts = re.findall(r"\d+|\D+", path.name)
    # isdecimal: a superscript two is a digit, but nothing that int() reads.
    key = [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
    return key, path.name
