"""Position encodings of the inputs, and of the outputs that decoders are queried for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import keras
import numpy as np
from keras import ops

from tfzoo.core.types import Shape, Tensor

__all__ = ["FourierPositions", "TrainablePositions", "linspace"]

Dims = int | Sequence[int]
Waves = tuple[Any, Any, Any]  # positions (n, 1) along an axis, their sines and cosines (n, bands)


def linspace(start: float, stop: float, count: int) -> np.ndarray:
    """Numbers from `start` to `stop`, equal to PyTorch's in float32 to the last bit.

    They are computed from both ends towards the middle and rounded once. For audio they become
    angles of 48,000 radians, where another rounding would show as 0.008.

    Example:
        >>> linspace(-1, 1, 5).tolist()
        [-1.0, -0.5, 0.0, 0.5, 1.0]
    """
    first, last = np.float32(start), np.float32(stop)
    if count == 1:
        return np.array([first])
    step = np.float64((last - first) / np.float32(count - 1))
    places = np.arange(count)
    ends = np.where(places < count // 2, first + step * places, last - step * (count - 1 - places))
    return ends.astype("float32")


@lru_cache(maxsize=64)
def _waves(size: int, bands: int, resolution: int, at_edges: bool = False) -> Waves:
    """The cells of an axis: the first and last lie at -1 and 1, or all at their left edges."""
    if at_edges:
        places = np.float32(2) * np.arange(size, dtype="float32") / np.float32(size)
        places = places - np.float32(1)
    else:
        places = linspace(-1, 1, size)
    frequencies = linspace(1, resolution / 2, bands)
    angles = np.float32(math.pi) * (places[:, None] * frequencies)
    return places[:, None], np.sin(angles), np.cos(angles)


class FourierPositions:
    """Sines and cosines of the position along each axis, at frequencies from 1 to half the size.

    Args:
        num_bands: Number of frequencies of each axis.
        max_resolution: Size of each axis that its highest frequency is for.
        concat_pos: Put the positions themselves in front.
        sine_only: Leave the cosines out.

    Source: Jaegle et al. 2021, arXiv:2103.03206, section 3.2.
    """

    def __init__(
        self,
        num_bands: int,
        max_resolution: Sequence[int],
        concat_pos: bool = True,
        sine_only: bool = False,
    ) -> None:
        self.num_bands, self.max_resolution = num_bands, tuple(max_resolution)
        self.concat_pos, self.sine_only = concat_pos, sine_only
        self.num_dimensions = len(self.max_resolution)

    def output_size(self) -> int:
        """Width of the encoding."""
        waves = self.num_bands * (1 if self.sine_only else 2)
        return self.num_dimensions * (waves + (1 if self.concat_pos else 0))

    def _columns(self, axes: Sequence[Waves]) -> list[Any]:
        """What is encoded of each axis, in order: all positions, all sines, all cosines."""
        points, sines, cosines = zip(*axes, strict=True)
        return [*(points if self.concat_pos else ()), *sines, *(() if self.sine_only else cosines)]

    def grid(self, dims: Dims, dtype: str = "float32") -> Tensor:
        """Encode each cell of a grid whose ends lie at -1 and 1.

        Only the tables of each axis are kept; they are broadcast over the grid in each call. For
        optical flow they hold 0.4 MB, the whole table 188 MB.

        Args:
            dims: Sizes of the grid, one for each axis.
            dtype: Of the result (1, cells, width), row by row; it is computed in float32.
        """
        dims = (dims,) if isinstance(dims, int) else tuple(dims)
        if len(dims) != self.num_dimensions:
            raise ValueError(
                f"A grid of sizes {dims} does not fit max_resolution {self.max_resolution}: give "
                "one resolution for each axis."
            )
        if not all(isinstance(size, int) for size in dims):
            return self._unknown_grid(dims, dtype)
        sizes = zip(dims, self.max_resolution, strict=True)
        axes = [_waves(size, self.num_bands, resolution) for size, resolution in sizes]
        columns = []
        for i, table in enumerate(self._columns(axes)):
            shape = [1] * len(dims) + [table.shape[-1]]
            shape[i % len(dims)] = table.shape[0]
            table = ops.convert_to_tensor(table.reshape(shape), dtype=dtype)
            columns.append(ops.broadcast_to(table, (*dims, table.shape[-1])))
        table = ops.concatenate(columns, axis=-1)
        return ops.reshape(table, (1, math.prod(dims), self.output_size()))

    def _unknown_grid(self, dims: tuple[Any, ...], dtype: str) -> Tensor:
        """As `grid`, for sizes that are known when the graph runs."""
        points, axes = ops.meshgrid(*map(_dynamic_linspace, dims), indexing="ij"), []
        for point, resolution in zip(points, self.max_resolution, strict=True):
            point = ops.reshape(point, (-1, 1))
            frequencies = linspace(1, resolution / 2, self.num_bands)
            angles = np.float32(math.pi) * (point * frequencies)
            axes.append((point, ops.sin(angles), ops.cos(angles)))
        return ops.cast(ops.concatenate(self._columns(axes), axis=1)[None], dtype)

    def at_cells(self, indices: Tensor, dims: Sequence[int]) -> Tensor:
        """Encode single cells of a grid at their left edges, where decoders are queried.

        The values come from tables: in a graph TensorFlow would multiply the constants of the
        angles with each other first, and angles of 48,000 radians show such a rounding.

        Args:
            indices: (P,) integers, cells of the grid row by row; the result is (1, P, width).
            dims: Sizes of the grid, one for each axis.
        """
        rest, axes = ops.cast(indices, "int32"), []
        for size, resolution in reversed(list(zip(dims, self.max_resolution, strict=True))):
            tables = _waves(size, self.num_bands, resolution, at_edges=True)
            axes.append([ops.take(ops.convert_to_tensor(t), rest % size, axis=0) for t in tables])
            rest = rest // size
        return ops.concatenate(self._columns(axes[::-1]), axis=1)[None]


def _dynamic_linspace(count: Tensor | int) -> Tensor:
    """As `linspace` from -1 to 1, for a number that is known when the graph runs."""
    places = ops.cast(ops.arange(count), "float64")
    last = ops.cast(count, "float32") - 1
    step = ops.cast(2.0 / ops.maximum(last, 1.0), "float64")
    behind = ops.cast(last, "float64") - places
    is_first = places < ops.cast(count // 2, "float64")
    ends = ops.where(is_first, -1 + step * places, 1 - step * behind)
    ends = ops.where(ops.equal(count, 1), -1.0 + 0 * places, ends)
    return ops.cast(ends, "float32")


class TrainablePositions(keras.layers.Layer):
    """A trainable vector for each cell of a grid.

    Args:
        index_dims: Sizes of the grid, or the number of cells.
        num_channels: Width.
        stddev: Of fresh values.
    """

    def __init__(
        self, index_dims: Dims, num_channels: int = 128, stddev: float = 0.02, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        dims = (index_dims,) if isinstance(index_dims, int) else tuple(index_dims)
        self.count, self.num_dimensions = math.prod(dims), len(dims)
        self.num_channels, self.stddev = num_channels, stddev

    def output_size(self) -> int:
        """Width of the encoding."""
        return self.num_channels

    def build(self, input_shape: Shape = None) -> None:
        self.position_embeddings = self.add_weight(
            shape=(self.count, self.num_channels),
            initializer=keras.initializers.RandomNormal(stddev=self.stddev),
            name="position_embeddings",
        )

    def call(self, inputs: None = None) -> Tensor:
        """Return the table (1, cells, width): one batch serves all."""
        return ops.cast(self.position_embeddings, self.compute_dtype)[None]
