"""Memory for weights."""

import gc
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from weights_convert.memory import Arena, Scratch, aligned, transposed

F4 = np.dtype("f4")
SHAPES = [(3,), (), (0, 4), (5, 7), (1025, 129), (2**21, 3)]


@pytest.mark.parametrize("kind", ["aligned", "arena", "scratch"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_arrays_are_aligned_and_can_be_written(kind, shape):
    empty = {"aligned": aligned, "arena": Arena().empty, "scratch": Scratch().empty}[kind]
    for dtype in (F4, np.dtype("f8"), np.dtype("?")):
        array = empty(shape, dtype)
        array[...] = 1
        assert (array.shape, array.dtype) == (shape, dtype)
        assert array.flags.carray
        assert array.ctypes.data % 64 == 0 or not array.size


def test_arrays_of_an_arena_are_apart():
    arena = Arena()
    with ThreadPoolExecutor(4) as pool:
        arrays = list(pool.map(lambda i: arena.empty((i % 50 + 1,), F4), range(2000)))
    for i, array in enumerate(arrays):
        array[...] = i
    assert all((array == i).all() for i, array in enumerate(arrays))


def test_an_arena_gives_back_what_nothing_uses():
    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    arena = Arena()
    before = resident()
    arrays = [arena.empty((2**21,), F4) for _ in range(10)]
    for array in arrays:
        array[...] = 1
    held = resident() - before
    del arrays, array
    gc.collect()
    assert held > 75e6
    assert resident() - before < 20e6


def test_scratch_grows_and_is_used_again():
    scratch = Scratch()
    small = scratch.empty((4,), F4)
    large = scratch.empty((4096,), F4)
    assert not np.shares_memory(small, large)
    assert np.shares_memory(large, scratch.empty((4,), F4))


@pytest.mark.parametrize("shape", [(1, 1), (31, 65), (64, 32), (100, 1), (0, 3)], ids=str)
@pytest.mark.parametrize("dtype", ["f4", "f2", "i8"])
def test_transposing(shape, dtype):
    array = np.random.default_rng(0).integers(0, 99, shape).astype(dtype)
    found = transposed(array.T)
    assert found.flags.c_contiguous
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array.T)


def test_transposing_more_axes_and_arrays_in_order():
    array = np.arange(120).reshape(2, 3, 4, 5)
    np.testing.assert_array_equal(
        transposed(array.transpose(2, 3, 1, 0)), np.moveaxis(array, (2, 3, 1, 0), (0, 1, 2, 3))
    )
    again = transposed(array)
    np.testing.assert_array_equal(again, array)
    assert not np.shares_memory(again, array)
