"""Optical flow between frames of any size inside a graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfzoo.export.graph.answers import checked

__all__ = ["flow_of_frames", "patches_of"]


def flow_of_frames(model: Any, frames: tf.Tensor) -> tf.Tensor:
    """Compute how each pixel moves to the next frame, tile by tile as `tfzoo.compute_flow`.

    Args:
        model: A `TFPerceiverForOpticalFlow`.
        frames: (B, 2, height, width, 3) float32, values of 0 to 255; frames smaller than the
            model's fail the request.

    Returns:
        (B, height, width, 2) float32: motion to the right and downwards, in pixels.

    Source: the evaluation of Jaegle et al. 2022, arXiv:2107.14795, appendix H.
    """
    tile = tuple(model.config.train_size)
    size = tf.shape(frames)[2:4]
    message = f"image1, image2: expected frames of at least {tile[0]} x {tile[1]} pixels, got"
    size = checked(size, tf.reduce_all(size >= tile), message, size)
    batch, (height, width) = tf.shape(frames)[0], tf.unstack(size)
    corners = _corners((height, width), tile)
    weight = _weights(tile)

    def add(index: tf.Tensor, total: tf.Tensor, weights: tf.Tensor) -> tuple[tf.Tensor, ...]:
        y, x = tf.unstack(corners[index])
        cut = frames[:, :, y : y + tile[0], x : x + tile[1]]
        inputs = tf.ensure_shape(patches_of(cut), (None, 2, 27, *tile))
        logits = model(inputs=inputs, training=False, return_dict=True).logits
        rest = [y, height - tile[0] - y], [x, width - tile[1] - x], [0, 0]
        flow = tf.pad(weight * tf.cast(logits, tf.float32), [[0, 0], *rest])
        return index + 1, total + flow, weights + tf.pad(weight, rest)

    start = 0, tf.zeros((batch, height, width, 2)), tf.zeros((height, width, 1))
    shapes = tf.TensorShape([]), *map(tf.TensorShape, ([None, None, None, 2], [None, None, 1]))
    _, total, weights = tf.while_loop(
        lambda index, *_: index < tf.shape(corners)[0],
        add,
        start,
        shape_invariants=shapes,
        parallel_iterations=1,  # each tile needs memory
    )
    return total / weights


def patches_of(frames: tf.Tensor) -> tf.Tensor:
    """Stack the 3 x 3 pixels around each pixel, the flow model's input, as `tfzoo.flow_patches`.

    (B, T, height, width, 3) float32 of 0 to 255 -> (B, T, 27, height, width) float32 of -1 to 1.
    """
    height, width = tf.unstack(tf.shape(frames)[2:4])
    scaled = tf.transpose(frames / 255 * 2 - 1, (0, 1, 4, 2, 3))
    padded = tf.pad(scaled, [[0, 0], [0, 0], [0, 0], [1, 1], [1, 1]])
    places = [divmod(place, 3) for place in range(9)]
    return tf.concat(
        [padded[:, :, :, row : row + height, col : col + width] for row, col in places], axis=2
    )


def _corners(size: tuple[tf.Tensor, tf.Tensor], tile: tuple[int, int]) -> tf.Tensor:
    """(tiles, 2), top left corners row by row; the last tiles end with the frame."""
    overlap = min(20, min(tile) // 4)
    axes = [
        tf.concat([tf.range(0, whole - part, part - overlap), [whole - part]], 0)
        for whole, part in zip(size, tile, strict=True)
    ]
    return tf.reshape(tf.stack(tf.meshgrid(*axes, indexing="ij"), -1), (-1, 2))


def _weights(tile: tuple[int, int]) -> np.ndarray:
    """(height, width, 1), the distance of each pixel of a tile to its nearest edge."""
    rows, columns = (np.minimum(np.arange(1, n + 1), np.arange(n, 0, -1)) for n in tile)
    return np.minimum(rows[:, None], columns)[..., None].astype("float32")
