"""Image files in every form that a request may hold, sound and not."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image, PngImagePlugin

from tests.support.paths import FIXTURES

__all__ = [
    "PHOTOS",
    "broken_files",
    "chunk",
    "encoded",
    "png",
    "sound_files",
    "turned",
    "with_xmp",
]

PHOTOS = sorted((FIXTURES / "photos").glob("*.*g"))
_PHOTO = FIXTURES / "photos" / "coffee_77x129.png"


def encoded(image: Any, kind: str = "PNG", **how: Any) -> bytes:
    """A Pillow image or an array as a file."""
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(buffer := io.BytesIO(), kind, **how)
    return buffer.getvalue()


def turned(kind: str, orientation: int) -> bytes:
    """A small photo that a camera was held in some way for."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0112], exif[0x8298] = "a camera's maker", orientation, "somebody"
    return encoded(Image.open(_PHOTO), kind, exif=exif)


def chunk(name: bytes, content: bytes) -> bytes:
    """A part of a PNG."""
    check = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + check


def png(
    header: Sequence[int], content: bytes = b"", before: bytes = b"", after: bytes = b""
) -> bytes:
    """A PNG part by part.

    Args:
        header: Width, height, bits, colour type.
        content: Rows of pixels, each after the byte of its filter.
        before: Chunks before them.
        after: Chunks after them.
    """
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", *header, 0, 0, 0))
    return start + before + chunk(b"IDAT", zlib.compress(content)) + after + chunk(b"IEND", b"")


def sound_files() -> dict[str, bytes]:
    """Files that Pillow reads, by what is particular about them."""
    photo, rng = Image.open(_PHOTO), np.random.default_rng(0)
    alpha = Image.fromarray(rng.integers(0, 256, (129, 77), dtype=np.uint8))
    clear = photo.copy()
    clear.putalpha(alpha)
    grey_clear = photo.convert("LA")
    grey_clear.putalpha(alpha)
    deep = rng.integers(0, 2**16, (20, 30, 3), dtype=np.uint16)
    palette = photo.quantize(200)
    files = {
        "rgb.png": encoded(photo),
        "rgba.png": encoded(clear),
        "grey.png": encoded(photo.convert("L")),
        "grey_alpha.png": encoded(grey_clear),
        "black_and_white.png": encoded(photo.convert("1")),
        "palette.png": encoded(palette),
        "palette_4_bits.png": encoded(photo.quantize(11)),
        "palette_1_bit.png": encoded(photo.quantize(2)),
        "palette_transparent.png": encoded(palette, transparency=bytes(range(200))),
        "rgb_transparent.png": encoded(photo, transparency=photo.getpixel((5, 5))),
        "grey_2_bits.png": png((8, 2, 2, 0), b"\0\x1b\xe4\0\x00\xff"),
        "grey_16_bits.png": encoded(deep[..., 0]),
        "rgb_16_bits.png": tf.io.encode_png(deep).numpy(),
        "rgba_16_bits.png": tf.io.encode_png(np.concatenate([deep, deep[..., :1]], -1)).numpy(),
        "one_pixel.png": encoded(photo.resize((1, 1))),
        "best.jpg": encoded(photo, "JPEG", quality=95, subsampling=0),
        "plain.jpg": encoded(photo, "JPEG"),
        "half_chroma.jpg": encoded(photo, "JPEG", subsampling=1),
        "poor.jpg": encoded(photo, "JPEG", quality=7),
        "progressive.jpg": encoded(photo, "JPEG", progressive=True),
        "grey.jpg": encoded(photo.convert("L"), "JPEG"),
        "one_pixel.jpg": encoded(photo.resize((1, 1)), "JPEG"),
        "with_profile.jpg": encoded(photo, "JPEG", icc_profile=bytes(200_000), dpi=(72, 72)),
    }
    for kind in ("JPEG", "PNG"):
        files |= {f"turned_{i}.{kind.lower()}": turned(kind, i) for i in range(1, 9)}
    return files


def broken_files() -> dict[str, tuple[bytes, str]]:
    """Files that cannot be decoded, and words of the error."""
    jpeg, photo = PHOTOS[0].read_bytes(), _PHOTO.read_bytes()
    flipped = bytearray(photo)
    flipped[len(photo) // 2] ^= 0xFF
    neither = "JPEG or PNG"
    return {
        "nothing": (b"", neither),
        "text": (b"a photo of a cat", neither),
        "gif": (encoded(Image.open(_PHOTO), "GIF"), neither),
        "the start of a JPEG": (b"\xff\xd8\xff", "JPEG"),
        "half a JPEG": (jpeg[: len(jpeg) // 2], "JPEG"),
        "the start of a PNG": (photo[:10], neither),
        "a PNG without size": (photo[:18], "pixels"),
        "the header of a PNG": (photo[:40], "PNG"),
        "half a PNG": (photo[: len(photo) // 2], "PNG"),
        "a spoilt PNG": (bytes(flipped), "PNG"),
        "a PNG of no pixels": (png((0, 5, 8, 2)), "pixels"),
        "a huge PNG": (png((60_000, 60_000, 8, 2), bytes(1000)), "pixels.*60000 60000"),
        "a PNG beyond 31 bits": (png((2**31 + 5, 2**31 + 5, 8, 2)), "pixels"),
    }


def with_xmp(pixels: Any, kind: str, orientation: int, **how: Any) -> bytes:
    """A file whose XMP data say how a camera was held."""
    text = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
        'syntax-ns#"><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
        f'dc:creator="Zoë" tiff:Orientation="{orientation}"/></rdf:RDF></x:xmpmeta>'
    )
    if kind == "PNG":
        texts = PngImagePlugin.PngInfo()
        texts.add_itxt("XML:com.adobe.xmp", text)
        return encoded(pixels, kind, pnginfo=texts, **how)
    return encoded(pixels, kind, xmp=text.encode(), **how)
