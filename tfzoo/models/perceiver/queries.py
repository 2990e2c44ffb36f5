"""Positions: of the inputs, and of the outputs that decoders are queried for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import keras
import numpy as np
from keras import ops

__all__ = [
    "FourierPositions",
    "TrainablePositions",
    "linspace",
    "make_positions",
]

Dims = int | Sequence[int]


def linspace(start: float, stop: float, count: int) -> np.ndarray:
    """`count` numbers from `start` to `stop`, to the last bit those of PyTorch in float32.

    From both ends towards the middle, each rounded once. For audio the numbers become angles of
    48,000 radians, where another rounding would show as 0.008.

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
def _waves(size: int, bands: int, resolution: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions (n,) along an axis, and their sines and cosines (n, bands)."""
    return _waves_at(linspace(-1, 1, size), bands, resolution)


@lru_cache(maxsize=64)
def _edge_waves(size: int, bands: int, resolution: int) -> tuple[np.ndarray, ...]:
    """As `_waves`, for the left edges of so many cells: -1 + 2 i / n."""
    places = np.float32(2) * np.arange(size, dtype="float32") / np.float32(size)
    return _waves_at(places - np.float32(1), bands, resolution)


def _waves_at(places: np.ndarray, bands: int, resolution: int) -> tuple[np.ndarray, ...]:
    angles = np.float32(math.pi) * (places[:, None] * _frequencies(bands, resolution))
    return places, np.sin(angles), np.cos(angles)


@lru_cache(maxsize=64)
def _frequencies(bands: int, resolution: int) -> np.ndarray:
    return linspace(1, resolution / 2, bands)


class FourierPositions:
    """Sines and cosines of the position along each axis, at frequencies from 1 to half the size.

    Args:
        num_bands: K, frequencies of each axis.
        max_resolution: Sizes that the highest frequencies are for, one for each axis.
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

    @property
    def num_dimensions(self) -> int:
        """Number of axes."""
        return len(self.max_resolution)

    def output_size(self) -> int:
        """Width of the encoding."""
        axes, waves = self.num_dimensions, 1 if self.sine_only else 2
        return axes * self.num_bands * waves + (axes if self.concat_pos else 0)

    def grid(self, dims: Dims, dtype: str = "float32") -> Any:
        """The encoding of each cell of a grid whose ends lie at -1 and 1.

        The tables of each axis are made once; only they are kept, and spread over the grid when it
        is used: for optical flow they hold 0.4 MB, the spread table 188 MB.

        Args:
            dims: Sizes of the grid, one for each axis.
            dtype: Of the result; it is computed in float32.

        Returns:
            (1, cells, width), row by row.
        """
        dims = (dims,) if isinstance(dims, int) else tuple(dims)
        if len(dims) != self.num_dimensions:
            raise ValueError(
                f"A grid of sizes {dims} does not fit max_resolution {self.max_resolution}: give "
                "one resolution for each axis."
            )
        if not all(isinstance(size, int) for size in dims):
            return self._unknown_grid(dims, dtype)
        axes = [
            _waves(size, self.num_bands, resolution)
            for size, resolution in zip(dims, self.max_resolution, strict=True)
        ]
        groups = [[places[:, None] for places, _, _ in axes]] if self.concat_pos else []
        groups += [[axis[1] for axis in axes]]
        groups += [] if self.sine_only else [[axis[2] for axis in axes]]
        columns = []
        for group in groups:
            for i, table in enumerate(group):
                shape = [1] * len(dims) + [table.shape[-1]]
                shape[i] = dims[i]
                table = ops.convert_to_tensor(table.reshape(shape), dtype=dtype)
                columns.append(ops.broadcast_to(table, (*dims, table.shape[-1])))
        table = ops.concatenate(columns, axis=-1)
        return ops.reshape(table, (1, math.prod(dims), self.output_size()))

    def _unknown_grid(self, dims: tuple[Any, ...], dtype: str) -> Any:
        """As `grid`, for sizes that are known when the graph runs."""
        axes = [_dynamic_linspace(size) for size in dims]
        points = ops.meshgrid(*axes, indexing="ij")
        points = ops.stack([ops.reshape(axis, (-1,)) for axis in points], axis=1)
        return ops.cast(self.at(points), dtype)

    def at_cells(self, indices: Any, dims: Sequence[int]) -> Any:
        """The encoding of single cells of a grid, at their left edges: decoders are queried there.

        Taken from tables: inside a graph TensorFlow would multiply the constants of the angles
        with each other first, and angles of 48,000 radians show such a rounding.

        Args:
            indices: (P,) integers, cells of the grid row by row.
            dims: Sizes of the grid, one for each axis.

        Returns:
            (1, P, width), float32.

        Example:
            >>> positions = FourierPositions(1, (2, 2), sine_only=True)
            >>> np.asarray(positions.at_cells(np.array([0, 3]), (2, 2)))[0, :, :2].tolist()
            [[-1.0, -1.0], [0.0, 0.0]]
        """
        rest, axes = ops.cast(indices, "int32"), []
        for size, resolution in reversed(list(zip(dims, self.max_resolution, strict=True))):
            places, sines, cosines = _edge_waves(size, self.num_bands, resolution)
            tables = (places[:, None], sines, cosines)
            axes.append([ops.take(ops.convert_to_tensor(t), rest % size, axis=0) for t in tables])
            rest = rest // size
        points, sines, cosines = zip(*axes[::-1], strict=True)
        columns = [*(points if self.concat_pos else ()), *sines]
        return ops.concatenate([*columns, *(() if self.sine_only else cosines)], axis=1)[None]

    def at(self, points: Any) -> Any:
        """The encoding of points.

        Args:
            points: (P, axes) in [-1, 1], float32.

        Returns:
            (1, P, width), float32.
        """
        axes = range(self.num_dimensions)
        angles = ops.concatenate(
            [
                points[:, i : i + 1] * _frequencies(self.num_bands, self.max_resolution[i])
                for i in axes
            ],
            axis=1,
        )
        angles = np.float32(math.pi) * angles
        parts = [points] if self.concat_pos else []
        parts += [ops.sin(angles)] if self.sine_only else [ops.sin(angles), ops.cos(angles)]
        return ops.concatenate(parts, axis=1)[None]


def _dynamic_linspace(count: Any) -> Any:
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
    """A vector for each cell of a grid, which is learnt.

    Args:
        index_dims: Sizes of the grid, or the number of cells.
        num_channels: Width.
        stddev: Of fresh values.
    """

    def __init__(
        self, index_dims: Dims, num_channels: int = 128, stddev: float = 0.02, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.index_dims = index_dims if isinstance(index_dims, int) else tuple(index_dims)
        self.num_channels, self.stddev = num_channels, stddev

    @property
    def count(self) -> int:
        """Number of cells."""
        return self.index_dims if isinstance(self.index_dims, int) else math.prod(self.index_dims)

    @property
    def num_dimensions(self) -> int:
        """Number of axes; 1 for a number of cells."""
        return 1 if isinstance(self.index_dims, int) else len(self.index_dims)

    def output_size(self) -> int:
        """Width of the encoding."""
        return self.num_channels

    def build(self, input_shape: Any = None) -> None:
        """Create the weights."""
        self.position_embeddings = self.add_weight(
            shape=(self.count, self.num_channels),
            initializer=keras.initializers.RandomNormal(stddev=self.stddev),
            name="position_embeddings",
        )
        self.built = True

    def call(self, inputs: Any = None) -> Any:
        """The table, (1, cells, width): one batch serves all."""
        return ops.cast(self.position_embeddings, self.compute_dtype)[None]


def make_positions(
    kind: str,
    stddev: float = 0.02,
    trainable_position_encoding_kwargs: dict[str, Any] | None = None,
    fourier_position_encoding_kwargs: dict[str, Any] | None = None,
    name: str = "position_embeddings",
) -> TrainablePositions | FourierPositions:
    """The position encoding of the given kind.

    Args:
        kind: `"trainable"` or `"fourier"`.
        stddev: Of fresh trainable positions.
        trainable_position_encoding_kwargs: `num_channels` and `index_dims`.
        fourier_position_encoding_kwargs: Arguments of `FourierPositions`.
        name: Of the layer.

    Raises:
        ValueError: An unknown kind, or its arguments are missing.
    """
    if kind == "trainable":
        if not trainable_position_encoding_kwargs:
            raise ValueError(
                "Trainable positions need trainable_position_encoding_kwargs="
                "{'num_channels': ..., 'index_dims': ...}."
            )
        return TrainablePositions(**trainable_position_encoding_kwargs, stddev=stddev, name=name)
    if kind == "fourier":
        if not fourier_position_encoding_kwargs:
            raise ValueError(
                "Fourier positions need fourier_position_encoding_kwargs="
                "{'num_bands': ..., 'max_resolution': (...)}."
            )
        return FourierPositions(**fourier_position_encoding_kwargs)
    raise ValueError(f"position_encoding_type must be 'trainable' or 'fourier', got {kind!r}.")
