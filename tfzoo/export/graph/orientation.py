"""The orientation of a JPEG or PNG, read from its EXIF or XMP data and applied inside a graph."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import tensorflow as tf

__all__ = ["bytes_at", "orientation_of", "upright"]

_PARTS = 64  # segments or chunks that are searched: a file may have millions of empty ones
_TAIL = 2**18  # bytes at the end of a PNG that are searched for what stands behind the pixels
_LONGEST = 2**17  # bytes of EXIF data that are read
_ENTRIES = 64  # of the first EXIF directory
_ORIENTATION, _SHORT, _LONG = 0x0112, 3, 4
_JPEG_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_PNG_XMP = b"XML:com.adobe.xmp\0\0"  # not compressed, as the second zero says
_HEAD = 10 + len(_JPEG_XMP)  # bytes of a segment or chunk that tell what it is
_IN_XMP = r'\C*?tiff:Orientation(?:="|>)([0-9])\C*'  # Pillow's expression, for the whole text
_LATE_EXIF = r"\C*?eXIf((?:Exif\x00\x00)?(?:II|MM)\C*)"
_LATE_XMP = r"\C*?iTXtXML:com.adobe.xmp\x00\x00(\C*)"

Reader = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor, tf.Tensor]]


def bytes_at(encoded: tf.Tensor, start: tf.Tensor | int, count: int) -> tf.Tensor:
    """(count,) int32, the bytes of a scalar string from `start` on; zeros beyond its end."""
    start = tf.clip_by_value(start, 0, tf.strings.length(encoded))
    part = tf.strings.substr(encoded, start, count)
    return tf.cast(tf.io.decode_raw(part, tf.uint8, fixed_length=count), tf.int32)


def orientation_of(encoded: tf.Tensor, is_jpeg: tf.Tensor) -> tf.Tensor:
    """The orientation of a JPEG or PNG, 1 to 8; 1, upright, where it has no valid one.

    It stands in the EXIF data; where these do not say it, in XMP data that are not compressed.
    """
    exif, xmp = tf.cond(
        is_jpeg,
        lambda: _metadata(encoded, 2, _segment),
        lambda: _late_metadata(encoded, *_metadata(encoded, 8, _chunk)),
    )
    value = tf.cond(exif == "", lambda: tf.constant(-1), lambda: _entry(exif))
    value = tf.cond((value < 0) & (xmp != ""), lambda: _in_xmp(xmp), lambda: value)
    return tf.where((value >= 1) & (value <= 8), value, 1)


def upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turn an image (height, width, C) upright; from orientation 5 on its sides are swapped."""

    def applied(cases: tuple[int, ...], change: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        holds = tf.reduce_any(orientation == tf.constant(cases))
        return tf.cond(holds, lambda: change(image), lambda: image)

    image = applied((5, 6, 7, 8), lambda x: tf.transpose(x, (1, 0, 2)))
    image = applied((3, 4, 7, 8), lambda x: tf.reverse(x, [0]))
    return applied((2, 3, 6, 7), lambda x: tf.reverse(x, [1]))


def _metadata(encoded: tf.Tensor, start: int, read: Reader) -> tuple[tf.Tensor, tf.Tensor]:
    """The first EXIF and the first XMP data before the pixels; empty where there are none.

    Args:
        encoded: The file.
        start: Where its first segment or chunk begins.
        read: Takes a segment's first bytes and its place; returns the place of the next one (0 at
            the end), that of EXIF data in it (0 without), and place and length of XMP data.
    """
    length = tf.strings.length(encoded)

    def goes_on(place: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
        return (place > 0) & (place < length)

    def step(place: tf.Tensor, exif: tf.Tensor, xmp: tf.Tensor) -> tuple[tf.Tensor, ...]:
        following, own_exif, own_xmp = read(bytes_at(encoded, place, _HEAD), place)
        return (
            following,
            tf.where(exif > 0, exif, own_exif),
            tf.where(xmp[1] > 0, xmp, own_xmp),
        )

    first = (tf.constant(start), tf.constant(0), tf.constant([0, 0]))
    _, exif, xmp = tf.while_loop(
        goes_on, step, first, maximum_iterations=_PARTS, parallel_iterations=1
    )
    size = tf.where(exif > 0, _LONGEST, 0)
    return (
        tf.strings.substr(encoded, tf.minimum(exif, length), size),
        tf.strings.substr(encoded, tf.minimum(xmp[0], length), tf.maximum(xmp[1], 0)),
    )


def _late_metadata(
    encoded: tf.Tensor, exif: tf.Tensor, xmp: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Those of a PNG that has them behind its pixels, whose many chunks are not gone through."""
    start = tf.maximum(tf.strings.length(encoded) - _TAIL, 0)
    tail = tf.strings.substr(encoded, start, _TAIL)
    late = [
        tf.cond(early == "", partial(_captured, tail, expression), partial(tf.identity, early))
        for early, expression in ((exif, _LATE_EXIF), (xmp, _LATE_XMP))
    ]
    return late[0], late[1]


def _captured(text: tf.Tensor, expression: str, otherwise: str = "") -> tf.Tensor:
    """What the group of an expression captures in a text that it matches as a whole."""
    found = tf.strings.regex_replace(text, expression, r"\1", replace_global=False)
    return tf.where(tf.strings.regex_full_match(text, expression), found, otherwise)


def _segment(head: tf.Tensor, place: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """A segment of a JPEG: 0xFF, marker, length, and the name of EXIF or XMP data before them."""
    marker, size = head[1], 256 * head[2] + head[3]
    ends = (head[0] != 0xFF) | (marker == 0xDA) | (marker == 0xD9)  # the scan, the end
    holds = (marker == 0xE1) & ~ends
    exif = tf.where(holds & _begins(head[4:], b"Exif\0\0"), place + 10, 0)
    before = 4 + len(_JPEG_XMP)
    is_xmp = holds & _begins(head[4:], _JPEG_XMP)
    xmp = tf.where(is_xmp, tf.stack([place + before, size + 2 - before]), 0)
    size = tf.where(marker != 0xFF, 2 + tf.maximum(size, 2), 1)  # markers may be padded
    return tf.where(~ends, place + size, 0), exif, xmp


def _chunk(head: tf.Tensor, place: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """A chunk of a PNG: length, name, data, checksum."""
    size = tf.reduce_sum(head[:4] * tf.constant([2**24, 2**16, 2**8, 1]))
    name, data = head[4:8], head[8:]
    ends = _begins(name, b"IDAT") | _begins(name, b"IEND") | (size < 0)
    exif = tf.where(_begins(name, b"eXIf") & ~ends, place + 8, 0)
    is_xmp = _begins(name, b"iTXt") & _begins(data, _PNG_XMP) & ~ends
    before = len(_PNG_XMP)
    xmp = tf.where(is_xmp, tf.stack([place + 8 + before, size - before]), 0)
    return tf.where(~ends, place + 12 + size, 0), exif, xmp


def _begins(values: tf.Tensor, expected: bytes) -> tf.Tensor:
    return tf.reduce_all(values[: len(expected)] == tf.constant([*expected]))


def _in_xmp(text: tf.Tensor) -> tf.Tensor:
    """The orientation in XMP data, which are a text; 0 where it has none."""
    return tf.strings.to_number(_captured(text, _IN_XMP, "0"), tf.int32)


def _entry(encoded: tf.Tensor) -> tf.Tensor:
    """The orientation in the first directory of EXIF data, which are laid out as a TIFF file.

    -1 where it has none; data that are not a TIFF file are broken and leave the image as it is.
    """
    start = tf.where(_begins(bytes_at(encoded, 0, 6), b"Exif\0\0"), 6, 0)  # once more
    head = bytes_at(encoded, start, 8)
    is_little = head[0] == ord("I")
    is_tiff = (_begins(head, b"II") | _begins(head, b"MM")) & (head[2] + head[3] == 42)

    def number(pair: tf.Tensor) -> tf.Tensor:
        first, second = pair[..., 0], pair[..., 1]
        return tf.where(is_little, first + 256 * second, 256 * first + second)

    def long(halves: tf.Tensor) -> tf.Tensor:
        """At most 2**30, which is beyond everything here."""
        first, second = halves[..., 0], halves[..., 1]
        low, high = tf.where(is_little, first, second), tf.where(is_little, second, first)
        return tf.where(high < 2**14, low + 65536 * high, 2**30)

    start += long(number(tf.reshape(head[4:], (2, 2))))
    count = number(bytes_at(encoded, start, 2))
    entries = tf.reshape(bytes_at(encoded, start + 2, 12 * _ENTRIES), (_ENTRIES, 6, 2))
    fields = number(entries)  # (_ENTRIES, 6): tag, kind, number of values twice, value twice
    kind, value = fields[:, 1], tf.where(fields[:, 1] == _LONG, long(fields[:, 4:]), fields[:, 4])
    is_it = (fields[:, 0] == _ORIENTATION) & ((kind == _SHORT) | (kind == _LONG))
    is_it &= (long(fields[:, 2:4]) == 1) & (tf.range(_ENTRIES) < count)
    return tf.where(is_tiff, tf.reduce_max(tf.where(is_it, value, -1)), 1)
