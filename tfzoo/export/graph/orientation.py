"""The EXIF orientation of a JPEG or PNG, read and applied inside a graph."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

__all__ = ["bytes_at", "orientation_of", "upright"]

_PARTS = 64  # segments or chunks that are searched: a file may have millions of empty ones
_ENTRIES = 64  # of the first EXIF directory
_ORIENTATION, _SHORT = 0x0112, 3

Reader = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


def bytes_at(encoded: tf.Tensor, start: tf.Tensor | int, count: int) -> tf.Tensor:
    """(count,) int32, the bytes of a scalar string from `start` on; zeros beyond its end."""
    start = tf.clip_by_value(start, 0, tf.strings.length(encoded))
    part = tf.strings.substr(encoded, start, count)
    return tf.cast(tf.io.decode_raw(part, tf.uint8, fixed_length=count), tf.int32)


def orientation_of(encoded: tf.Tensor, is_jpeg: tf.Tensor) -> tf.Tensor:
    """The EXIF orientation of a JPEG or PNG, 1 to 8; 1, upright, where it has no valid one."""
    start = tf.cond(
        is_jpeg,
        lambda: _find(encoded, 2, _segment),
        lambda: _find(encoded, 8, _chunk),
    )
    return tf.cond(start > 0, lambda: _entry(encoded, start), lambda: tf.constant(1))


def upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turn an image (height, width, C) upright; from orientation 5 on its sides are swapped."""

    def applied(cases: tuple[int, ...], change: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        holds = tf.reduce_any(orientation == tf.constant(cases))
        return tf.cond(holds, lambda: change(image), lambda: image)

    image = applied((5, 6, 7, 8), lambda x: tf.transpose(x, (1, 0, 2)))
    image = applied((3, 4, 7, 8), lambda x: tf.reverse(x, [0]))
    return applied((2, 3, 6, 7), lambda x: tf.reverse(x, [1]))


def _find(encoded: tf.Tensor, start: int, read: Reader) -> tf.Tensor:
    """Where the EXIF data begin; 0 without EXIF data.

    Args:
        encoded: The file.
        start: Where its first segment or chunk begins.
        read: Takes a segment's first bytes and its place; returns the place of the next one (0 at
            the end) and that of EXIF data in it (0 without).
    """
    length = tf.strings.length(encoded)

    def goes_on(place: tf.Tensor, found: tf.Tensor) -> tf.Tensor:
        return (found == 0) & (place > 0) & (place < length)

    def step(place: tf.Tensor, found: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return read(bytes_at(encoded, place, 10), place)

    first = (tf.constant(start), tf.constant(0))
    return tf.while_loop(goes_on, step, first, maximum_iterations=_PARTS, parallel_iterations=1)[1]


def _segment(head: tf.Tensor, place: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """A segment of a JPEG: 0xFF, marker, length, and EXIF data after their name."""
    marker, size = head[1], 256 * head[2] + head[3]
    ends = (head[0] != 0xFF) | (marker == 0xDA) | (marker == 0xD9)  # the scan, the end
    is_exif = _same(head[4:], b"Exif\0\0") & (marker == 0xE1) & ~ends
    size = tf.where(marker != 0xFF, 2 + tf.maximum(size, 2), 1)  # markers may be padded
    return tf.where(~ends, place + size, 0), tf.where(is_exif, place + 10, 0)


def _chunk(head: tf.Tensor, place: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """A chunk of a PNG: length, name, data, checksum."""
    size = tf.reduce_sum(head[:4] * tf.constant([2**24, 2**16, 2**8, 1]))
    name = head[4:8]
    ends = _same(name, b"IDAT") | _same(name, b"IEND") | (size < 0)
    is_exif = _same(name, b"eXIf") & ~ends
    return tf.where(~ends, place + 12 + size, 0), tf.where(is_exif, place + 8, 0)


def _same(values: tf.Tensor, expected: bytes) -> tf.Tensor:
    return tf.reduce_all(values == tf.constant([*expected]))


def _entry(encoded: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    """The orientation in the first directory of EXIF data, which are laid out as a TIFF file."""
    head = bytes_at(encoded, start, 8)
    is_little = head[0] == ord("I")

    def number(pair: tf.Tensor) -> tf.Tensor:
        first, second = pair[..., 0], pair[..., 1]
        return tf.where(is_little, first + 256 * second, 256 * first + second)

    halves = number(tf.reshape(head[4:], (2, 2)))
    low, high = tf.where(is_little, halves[0], halves[1]), tf.where(is_little, halves[1], halves[0])
    start += tf.where(high < 2**14, low + 65536 * high, tf.strings.length(encoded))
    count = number(bytes_at(encoded, start, 2))
    entries = tf.reshape(bytes_at(encoded, start + 2, 12 * _ENTRIES), (_ENTRIES, 12))
    is_it = (number(entries[:, :2]) == _ORIENTATION) & (number(entries[:, 2:4]) == _SHORT)
    is_it &= tf.range(_ENTRIES) < count
    value = tf.reduce_max(tf.where(is_it, number(entries[:, 8:10]), 0))
    return tf.where((value >= 1) & (value <= 8), value, 1)
