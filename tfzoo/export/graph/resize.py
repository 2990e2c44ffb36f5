"""Resizing inside a graph: as Pillow, bit for bit, and as scikit-image.

Both act on one axis after the other; along an axis each output is a weighted sum of a few
neighbouring inputs. Their number depends on the sizes, which only the request tells: the sums are
built tap by tap, each tap one gather of whole rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import PIL
import tensorflow as tf

__all__ = ["FILTERS", "antialiased_resize", "resize"]

Taps = tuple[tf.Tensor, tf.Tensor]

_DOWN_FIRST = int(PIL.__version__.split(".")[0]) >= 13  # for tall images
_PRECISION = 22  # fractional bits of Pillow's weights
_TRUNCATE = 4.0  # standard deviations at which scikit-image's blur ends


def _triangle(x: tf.Tensor) -> tf.Tensor:
    return tf.maximum(1 - tf.abs(x), 0)


def _cubic(x: tf.Tensor) -> tf.Tensor:
    x = tf.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * -0.5
    return tf.where(x < 1, near, tf.where(x < 2, far, 0))


def _lanczos(x: tf.Tensor) -> tf.Tensor:
    def sinc(values: tf.Tensor) -> tf.Tensor:
        angle = math.pi * tf.where(values != 0, values, 1)
        return tf.where(values != 0, tf.sin(angle) / angle, 1)

    return tf.where((x >= -3) & (x < 3), sinc(x) * sinc(x / 3), 0)


# Pillow's numbers of the filters: their radius, and their weight at a distance.
FILTERS: dict[int, tuple[float, Callable[[tf.Tensor], tf.Tensor]]] = {
    1: (3.0, _lanczos),
    2: (1.0, _triangle),
    3: (2.0, _cubic),
}


def resize(image: tf.Tensor, size: tf.Tensor, resample: int = 2) -> tf.Tensor:
    """Resize as Pillow: a filter that widens with the reduction, and uint8 between the axes.

    Args:
        image: (height, width, C) uint8.
        size: (2,) int32, the new height and width.
        resample: Pillow's number of the filter: 1 Lanczos, 2 bilinear, 3 bicubic.

    Returns:
        (new height, new width, C) uint8, equal to the last bit to the Pillow that is installed
        where the graph is made.

    Source: `PIL.Image.Image.resize`. Since Pillow 13, images whose height is reduced by much more
    than their width are resized downwards first, which moves some values by one.
    """

    def down(pixels: tf.Tensor) -> tf.Tensor:
        return _filtered(pixels, size[0], resample)

    def across(pixels: tf.Tensor) -> tf.Tensor:
        return _each_column(_filtered(_each_column(pixels), size[1], resample))

    if not _DOWN_FIRST:
        return down(across(image))
    fewer = tf.shape(image)[:2] - size
    is_tall = (fewer[0] > 0) & (fewer[0] > 2 * fewer[1])
    return tf.cond(is_tall, lambda: across(down(image)), lambda: down(across(image)))


def antialiased_resize(
    image: tf.Tensor, canvas: tf.Tensor, size: tuple[int, int], fill: float
) -> tf.Tensor:
    """Put an image on a canvas, blur it against aliasing, and sample it linearly.

    Args:
        image: (height, width, C) uint8.
        canvas: (2,) int32, height and width, at least those of the image.
        size: The new height and width.
        fill: Value of the canvas below and on the right of the image.

    Returns:
        (*size, C) float32.

    Source: `tfzoo.preprocessing.resize.antialiased_resize`, equal up to rounding; a mean of pixels
    never leaves their range, so that nothing is clipped here.
    """
    rows = _flat(image)
    rows = _weighted(rows, _blur_taps(canvas[0], size[0]), fill)
    columns = _flat(_each_column(tf.reshape(rows, (size[0], tf.shape(image)[1], image.shape[2]))))
    columns = _weighted(columns, _blur_taps(canvas[1], size[1]), fill)
    return _each_column(tf.reshape(columns, (size[1], size[0], image.shape[2])))


def _each_column(image: tf.Tensor) -> tf.Tensor:
    """Rows to columns and back: (height, width, C) -> (width, height, C)."""
    return tf.transpose(image, (1, 0, 2))


def _flat(image: tf.Tensor) -> tf.Tensor:
    """(N, M, C) -> (N, M C)."""
    shape = tf.shape(image)
    return tf.reshape(image, (shape[0], shape[1] * image.shape[2]))


def _filtered(image: tf.Tensor, count: tf.Tensor, resample: int) -> tf.Tensor:
    """Pillow's pass along the first axis: (N, M, C) -> (count, M, C), both uint8."""
    positions, weights = _filter_taps(tf.shape(image)[0], count, resample)
    fixed = weights * 2.0**_PRECISION
    fixed = tf.cast(fixed + tf.where(fixed < 0, tf.constant(-0.5, tf.float64), 0.5), tf.int32)
    total = _weighted(_flat(image), (positions, fixed))
    half = 1 << (_PRECISION - 1)
    rounded = tf.bitwise.right_shift(total + half, tf.constant(_PRECISION))
    pixels = tf.cast(tf.clip_by_value(rounded, 0, 255), tf.uint8)
    return tf.reshape(pixels, (count, tf.shape(image)[1], image.shape[2]))


def _filter_taps(n_in: tf.Tensor, n_out: tf.Tensor, resample: int) -> Taps:
    """Positions and weights of the inputs of each output, both (n_out, taps)."""
    radius, weigh = FILTERS[resample]
    scale = tf.cast(n_in, tf.float64) / tf.cast(n_out, tf.float64)
    stretch = tf.maximum(scale, 1)
    support = radius * stretch
    taps = 2 * tf.cast(tf.math.ceil(support), tf.int32) + 1
    centers = (tf.range(tf.cast(n_out, tf.float64), dtype=tf.float64) + 0.5) * scale
    first = tf.maximum(tf.cast(centers - support + 0.5, tf.int32), 0)
    last = tf.minimum(tf.cast(centers + support + 0.5, tf.int32), n_in)
    positions = first[:, None] + tf.range(taps)
    distances = tf.cast(positions, tf.float64) - centers[:, None] + 0.5
    weights = tf.where(positions < last[:, None], weigh(distances * (1 / stretch)), 0)
    return positions, weights / tf.reduce_sum(weights, axis=1, keepdims=True)


def _blur_taps(n_in: tf.Tensor, n_out: int) -> Taps:
    """`_filter_taps` of a Gaussian blur with linear sampling, mirrored d c b | a b c d | c b a."""
    scale = tf.cast(n_in, tf.float64) / n_out
    sigma = tf.maximum((scale - 1) / 2, 0)
    radius = tf.cast(_TRUNCATE * sigma + 0.5, tf.int32)
    steps = tf.range(-radius, radius + 2)

    def blur(distances: tf.Tensor) -> tf.Tensor:
        width = tf.where(radius > 0, sigma, 1)  # without a blur the only distance is 0
        weights = tf.exp(-0.5 / (width * width) * tf.cast(distances, tf.float64) ** 2)
        weights = tf.where(tf.abs(distances) <= radius, weights, 0)
        return weights / tf.reduce_sum(weights)

    source = (tf.range(n_out, dtype=tf.float64) + 0.5) * scale - 0.5
    floor = tf.floor(source)
    right = (source - floor)[:, None]
    weights = (1 - right) * blur(steps) + right * blur(steps - 1)
    positions = _mirror(tf.cast(floor, tf.int32)[:, None] + steps, n_in)
    return positions, tf.cast(weights, tf.float32)


def _mirror(positions: tf.Tensor, n: tf.Tensor) -> tf.Tensor:
    """Fold positions into 0..n-1."""
    period = tf.maximum(2 * (n - 1), 1)
    positions = tf.math.floormod(positions, period)
    return tf.minimum(positions, 2 * (n - 1) - positions)


def _weighted(rows: tf.Tensor, taps: Taps, fill: float | None = None) -> tf.Tensor:
    """Weighted sums of rows: (n_in, M) -> (n_out, M), in the weights' dtype.

    Args:
        rows: (n_in, M).
        taps: Positions and weights, both (n_out, taps).
        fill: Value of the rows past the end; where None, these have no weight.
    """
    positions, weights = (tf.transpose(values) for values in taps)
    end = tf.shape(rows)[0]

    def add(tap: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        place = positions[tap]
        values = tf.cast(tf.gather(rows, tf.minimum(place, end - 1)), weights.dtype)
        if fill is not None:
            values = tf.where((place < end)[:, None], values, fill)
        return tap + 1, total + values * weights[tap][:, None]

    count, n_out = tf.unstack(tf.shape(weights))
    start = (tf.constant(0), tf.zeros((n_out, tf.shape(rows)[1]), weights.dtype))
    shapes = (tf.TensorShape([]), tf.TensorShape([None, None]))
    return tf.while_loop(lambda tap, _: tap < count, add, start, shapes, parallel_iterations=1)[1]
