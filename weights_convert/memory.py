"""Memory for weights: aligned as the kernels want it, and given back when the weights go.

The first touch of a page costs more than reading it from the page cache, so memory to read into is
used again. Huge pages would be fewer, but the host of a virtual machine takes free ones back, and
fetching 600 MB of them again took twice as long as touching small pages.
"""

from __future__ import annotations

import math
import mmap
import os
import threading
from collections.abc import Callable

import numpy as np

__all__ = ["Arena", "Empty", "Scratch", "aligned", "transposed"]

#: What makes an array for a shape and a dtype, without values.
Empty = Callable[[tuple[int, ...], np.dtype], np.ndarray]

_ALIGNMENT = 64  # of addresses; past it the kernels use their widest loads
_BLOCK = 2**24
_SLAB = 32  # rows: of each column, what a read of memory brings along is used up at once


def aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Return an empty array whose address TensorFlow and JAX take without a copy.

    Args:
        shape: shape of the array.
        dtype: type of its items.

    Returns:
        The array.

    Example:
        >>> aligned((2, 3), np.dtype("f4")).ctypes.data % 64
        0
    """
    size = math.prod(shape) * dtype.itemsize
    raw = np.empty(size + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)


class Arena:
    """Memory for many arrays that live as long as a model, in blocks.

    A block is given back when none of its arrays is left. Threads may share an arena.

    Example:
        >>> arena = Arena()
        >>> arena.empty((2, 3), np.dtype("f4")).shape
        (2, 3)
    """

    def __init__(self) -> None:
        self._block = np.empty(0, np.uint8)
        self._lock = threading.Lock()

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Return an empty array of the arena, aligned as that of ``aligned``.

        Args:
            shape: shape of the array.
            dtype: type of its items.

        Returns:
            The array.
        """
        size = math.prod(shape) * dtype.itemsize
        step = -size % _ALIGNMENT + size
        with self._lock:
            if step >= len(self._block):
                self._block = _pages(max(step, _BLOCK))
            part, self._block = self._block[:size], self._block[step:]
        return part.view(dtype).reshape(shape)


class Scratch:
    """One piece of memory for one array after another; not for threads.

    Example:
        >>> scratch = Scratch()
        >>> first = scratch.empty((2, 3), np.dtype("f4"))
        >>> np.shares_memory(first, scratch.empty((3,), np.dtype("f8")))
        True
    """

    def __init__(self) -> None:
        self._memory = np.empty(0, np.uint8)

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Return an empty array in place of the last one, aligned as that of ``aligned``.

        Args:
            shape: shape of the array.
            dtype: type of its items.

        Returns:
            The array.
        """
        size = math.prod(shape) * dtype.itemsize
        if size > len(self._memory):
            self._memory = _pages(size)
        return self._memory[:size].view(dtype).reshape(shape)


def transposed(array: np.ndarray, empty: Empty = aligned) -> np.ndarray:
    """Return a view's values in order of its axes; matrices faster than NumPy does it.

    Args:
        array: a view of any strides.
        empty: makes the array that is returned.

    Returns:
        A C-contiguous copy.

    Example:
        >>> transposed(np.arange(6).reshape(2, 3).T).tolist()
        [[0, 3], [1, 4], [2, 5]]
    """
    result = empty(array.shape, array.dtype)
    if array.ndim == 2 and array.flags.f_contiguous:
        for start in range(0, array.shape[1], _SLAB):
            result[:, start : start + _SLAB] = array[:, start : start + _SLAB]
    else:
        result[...] = array
    return result


def _pages(size: int) -> np.ndarray:
    """Return fresh memory of small pages, which goes back to the system when nothing uses it."""
    private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if os.name == "posix" else {}
    return np.frombuffer(mmap.mmap(-1, max(size, 1), **private), np.uint8)
