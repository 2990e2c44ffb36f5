"""Encoded images to pixels inside a graph, bit for bit as `tfzoo.read_image`."""

from __future__ import annotations

import tensorflow as tf

from tfzoo.export.graph.answers import checked
from tfzoo.export.graph.orientation import bytes_at, orientation_of, upright

__all__ = ["decode_image", "example_image"]

_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"  # then width and height, four bytes each


def decode_image(encoded: tf.Tensor, max_pixels: int = 2**26) -> tf.Tensor:
    """Decode one JPEG or PNG, upright and in RGB.

    The size that the file declares is checked before anything is decoded, so that a small file
    cannot exhaust the memory. As on the host, the orientation that the EXIF data say, or without it
    the XMP data, is applied, grey becomes three equal channels, transparency is dropped, and of 16
    bits the upper 8 are kept. Unlike there, texts of a PNG are not searched for EXIF data.

    Args:
        encoded: Scalar string, the bytes of the file. Bytes that are not a valid JPEG or PNG, or
            declare more than `max_pixels`, fail the request with `InvalidArgumentError`.
        max_pixels: Largest height times width.

    Returns:
        (height, width, 3) uint8.

    Example:
        >>> import pathlib
        >>> decode_image(tf.constant(pathlib.Path("photo.jpg").read_bytes())).shape
        TensorShape([213, 320, 3])
    """
    is_jpeg = _begins(encoded, _JPEG)
    size = _image_size(encoded)
    fits = tf.reduce_all(size > 0) & (tf.reduce_prod(tf.cast(size, tf.int64)) <= max_pixels)
    message = f"An image may have up to {max_pixels} pixels, this one's height and width are"
    valid = checked(encoded, fits, message, size)
    image = tf.cond(
        is_jpeg,
        # Pillow decodes with the exact cosine transform; TensorFlow's default is a faster one.
        lambda: tf.io.decode_jpeg(valid, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_png(valid, channels=3),
    )
    image = upright(tf.ensure_shape(image, (None, None, 3)), orientation_of(valid, is_jpeg))
    return tf.ensure_shape(image, (None, None, 3))


def _image_size(encoded: tf.Tensor) -> tf.Tensor:
    """(2,) int32, height and width that a JPEG or PNG declares, before it is turned upright."""
    is_jpeg = _begins(encoded, _JPEG)
    message = "Expected the bytes of a JPEG or PNG file, these are neither; their number is"
    is_known = is_jpeg | _begins(encoded, _PNG)
    known = checked(encoded, is_known, message, tf.strings.length(encoded))
    return tf.cond(
        is_jpeg,
        lambda: tf.io.extract_jpeg_shape(known)[:2],
        lambda: _png_size(known),
    )


def _begins(encoded: tf.Tensor, magic: bytes) -> tf.Tensor:
    return tf.strings.substr(encoded, 0, len(magic)) == tf.constant(magic)


def _png_size(encoded: tf.Tensor) -> tf.Tensor:
    """Height and width; 2**31 and more become negative."""
    digits = tf.reshape(bytes_at(encoded, len(_PNG), 8), (2, 4))
    width_and_height = tf.reduce_sum(digits * tf.constant([2**24, 2**16, 2**8, 1]), axis=1)
    return tf.reverse(width_and_height, [0])


def example_image() -> bytes:
    """Make a small grey JPEG, for examples of requests."""
    grey = tf.fill((240, 320, 3), tf.constant(128, tf.uint8))
    return tf.io.encode_jpeg(grey).numpy()
