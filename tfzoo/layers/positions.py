"""Interpolation of position tables, by the reference's kernels."""

from __future__ import annotations

import numpy as np
from keras import ops

from tfzoo.core.types import Tensor

__all__ = [
    "bicubic_weights",
    "nearest_indices",
    "resize_grid_bicubic",
    "resize_grid_nearest",
    "resize_rows_nearest",
]


def nearest_indices(size_in: int, size_out: int | Tensor) -> Tensor:
    """Source row of each output row under PyTorch's "nearest" rule.

    floor(i * (size_in / size_out)) in float32, at most size_in - 1. Integer arithmetic differs
    in rare cases (8 -> 82), and TensorFlow's resizers use half-pixel centres.

    Args:
        size_in: Rows of the table.
        size_out: Rows wanted; an int, or a scalar of a graph.

    Returns:
        (size_out,) indices, a NumPy array where `size_out` is an int.

    Example:
        >>> nearest_indices(4, 6).tolist()
        [0, 0, 1, 2, 2, 3]
    """
    if isinstance(size_out, (int, np.integer)):
        scale = np.float32(size_in) / np.float32(size_out)
        rows = np.floor(np.arange(size_out, dtype="float32") * scale).astype("int32")
        return np.minimum(rows, size_in - 1)
    scale = ops.cast(size_in, "float32") / ops.cast(size_out, "float32")
    rows = ops.floor(ops.cast(ops.arange(size_out), "float32") * scale)
    return ops.minimum(ops.cast(rows, "int32"), size_in - 1)


def resize_rows_nearest(table: Tensor, size: int | Tensor) -> Tensor:
    """Resize a table (N, D) to (size, D) by `nearest_indices`."""
    if isinstance(size, int) and size == table.shape[0]:
        return table
    return ops.take(table, nearest_indices(table.shape[0], size), axis=0)


def resize_grid_nearest(table: Tensor, height: int | Tensor, width: int | Tensor) -> Tensor:
    """Resize a table of positions of a square grid to another grid, by `nearest_indices`.

    A grid with the same number of positions gets the table as it is, whatever its sides, as in the
    reference.

    Args:
        table: (N, D), row by row; N is rounded down to a square.
        height: Rows of the result.
        width: Columns of the result.

    Returns:
        (height * width, D).
    """
    count, side = table.shape[0], int(table.shape[0] ** 0.5)
    wanted = height * width
    if isinstance(wanted, int) and wanted == count:
        return table
    rows, columns = nearest_indices(side, height), nearest_indices(side, width)
    resized = rows[:, None] * side + columns[None, :]
    if isinstance(wanted, int):
        return ops.take(table, resized.reshape(-1), axis=0)
    same = ops.minimum(ops.arange(wanted), count - 1)
    resized = ops.where(ops.equal(wanted, count), same, ops.reshape(resized, (-1,)))
    return ops.take(table, resized, axis=0)


def bicubic_weights(size_in: int, size_out: int | Tensor, a: float = -0.75) -> Tensor:
    """Weights of PyTorch's bicubic interpolation along one axis.

    Keys's kernel of four taps with half-pixel centres, indices clamped at the borders and no
    anti-aliasing. TensorFlow and Keras have a = -0.5, which differs by up to 0.2.

    Args:
        size_in: Rows of the table.
        size_out: Rows wanted; an int, or a scalar of a graph.
        a: Parameter of the kernel.

    Returns:
        (size_out, size_in), rows that sum to 1; a NumPy array where `size_out` is an int.

    Source: Keys 1981, "Cubic convolution interpolation for digital image processing".

    Example:
        >>> bicubic_weights(2, 2).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    is_known = isinstance(size_out, (int, np.integer))
    xp = np if is_known else ops  # known sizes cost nothing inside a graph
    rows = xp.arange(size_out, dtype="float32")
    ratio = np.float32(size_in) / (
        np.float32(size_out) if is_known else ops.cast(size_out, "float32")
    )
    centre = (rows + 0.5) * ratio - 0.5
    base = xp.floor(centre)
    weights = 0.0
    for tap in (-1, 0, 1, 2):
        distance = xp.abs(centre - base - tap)
        near = ((a + 2) * distance - (a + 3)) * distance * distance + 1
        far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
        weight = xp.where(distance <= 1, near, far)
        column = xp.clip(base + tap, 0, size_in - 1)
        hit = column[:, None] == np.arange(size_in, dtype="float32")[None]
        weights = weights + xp.where(hit, weight[:, None], np.float32(0))
    return weights


def resize_grid_bicubic(table: Tensor, height: int | Tensor, width: int | Tensor) -> Tensor:
    """Resize a table of positions of a square grid, (N, D), to (height * width, D), row by row."""
    side, depth = int(table.shape[0] ** 0.5), table.shape[1]
    if isinstance(height, int) and isinstance(width, int) and height == width == side:
        return table
    grid = ops.reshape(table, (side, side, depth))
    rows, columns = (ops.cast(bicubic_weights(side, n), table.dtype) for n in (height, width))
    grid = ops.tensordot(rows, grid, axes=[[1], [0]])  # (height, side, D)
    grid = ops.tensordot(columns, grid, axes=[[1], [1]])  # (width, height, D)
    return ops.reshape(ops.transpose(grid, (1, 0, 2)), (-1, depth))
