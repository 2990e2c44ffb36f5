from __future__ import annotations

import numpy as np
import pytest

from weights_convert.plan import Entry
from weights_convert.transforms import (
    KINDS,
    checkpoint_leaf,
    inverse,
    permutation,
    variable_leaf,
)


@pytest.mark.parametrize(
    ("kind", "leaf", "stored"),
    [
        ("dense", "kernel", "weight"),
        ("dense", "bias", "bias"),
        ("conv1d", "kernel", "weight"),
        ("conv2d", "kernel", "weight"),
        ("conv2d", "bias", "bias"),
        ("conv3d", "kernel", "weight"),
        ("norm", "gamma", "weight"),
        ("norm", "beta", "bias"),
        ("norm", "moving_mean", "running_mean"),
        ("norm", "moving_variance", "running_var"),
        ("embedding", "embeddings", "weight"),
        ("raw", "cls_token", "cls_token"),
        ("raw", "weight", "weight"),
    ],
)
def test_leaves_run_both_ways(kind, leaf, stored):
    assert checkpoint_leaf(kind, leaf) == stored
    assert variable_leaf(kind, stored) == leaf


@pytest.mark.parametrize(
    ("kind", "stored", "keras"),
    [
        ("dense", (5, 3), (3, 5)),  # (out, in) -> (in, out)
        ("conv1d", (5, 3, 2), (2, 3, 5)),  # out in width -> width in out
        ("conv2d", (5, 3, 2, 4), (2, 4, 3, 5)),  # out in height width -> height width in out
        ("conv3d", (5, 3, 6, 2, 4), (6, 2, 4, 3, 5)),
    ],
)
def test_kernels_change_layout_and_come_back(kind, stored, keras):
    entry = Entry("a.kernel", "a.weight", kind, "kernel", keras)
    array = np.arange(np.prod(stored)).reshape(stored)
    assert entry.checkpoint_shape == stored
    value = entry.from_checkpoint(array)
    assert value.shape == keras
    np.testing.assert_array_equal(entry.to_checkpoint(value), array)


def test_a_square_kernel_is_transposed_as_well():
    array = np.array([[1, 2], [3, 4]])
    entry = Entry("a.kernel", "a.weight", "dense", "kernel", (2, 2))
    np.testing.assert_array_equal(entry.from_checkpoint(array), [[1, 3], [2, 4]])


def test_conv2d_puts_each_number_in_its_place():
    array = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    value = Entry("a.kernel", "a.weight", "conv2d", "kernel", (4, 5, 3, 2)).from_checkpoint(array)
    assert value[3, 1, 2, 0] == array[0, 2, 3, 1]


def test_raw_and_embedding_stay_as_they_are():
    array = np.arange(6).reshape(2, 3)
    for kind, leaf in (("raw", "table"), ("embedding", "embeddings")):
        entry = Entry(f"a.{leaf}", "a.weight", kind, leaf, (2, 3))
        assert entry.axes is None
        assert entry.from_checkpoint(array) is array
        assert entry.to_checkpoint(array) is array


def test_an_array_of_another_shape_is_refused():
    entry = Entry("a.kernel", "a.weight", "dense", "kernel", (3, 5))
    with pytest.raises(ValueError, match=r"a\.weight: expected .*\(5, 3\), got \(3, 5\)"):
        entry.from_checkpoint(np.zeros((3, 5)))
    with pytest.raises(ValueError, match=r"a\.kernel: expected .*\(3, 5\), got \(5, 3\)"):
        entry.to_checkpoint(np.zeros((5, 3)))


def test_inverse_undoes():
    shape = (2, 3, 4, 5, 6)
    axes = (4, 0, 3, 1, 2)
    assert np.zeros(shape).transpose(axes).transpose(inverse(axes)).shape == shape


def test_unknown_kinds_and_leaves_are_named():
    with pytest.raises(ValueError, match="unknown kind of slot 'linear'.*'dense'"):
        permutation("linear", "kernel")
    with pytest.raises(ValueError, match="'norm' has the variables.*'gamma'.*not 'kernel'"):
        checkpoint_leaf("norm", "kernel")
    with pytest.raises(ValueError, match="'dense' stores.*'weight'.*not 'kernel'"):
        variable_leaf("dense", "kernel")
    assert "raw" in KINDS
