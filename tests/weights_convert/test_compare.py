"""Two checkpoints side by side: what counts as equal, and what is said of the rest."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.weights_convert.toys import FAMILY, source
from weights_convert.checkpoint import open_checkpoint, write_checkpoint
from weights_convert.compare import compare, rounded
from weights_convert.tensors import float32_to_bfloat16


def rows(tmp_path, first, second, family=None, dtype=None):
    """The rows of two checkpoints of (array, dtype code) by name."""
    for side, tensors in (("a", first), ("b", second)):
        sources = [source(name, array, code) for name, (array, code) in tensors.items()]
        write_checkpoint(tmp_path / side, sources)
    with open_checkpoint(tmp_path / "a") as a, open_checkpoint(tmp_path / "b") as b:
        return {row.name: row for row in compare(a, b, family, dtype)}


def f32(*values):
    return np.array(values, np.float32), "F32"


def test_the_same_bits_are_equal(tmp_path):
    strange = np.array([np.nan, -0.0, np.inf, 1e-45], np.float32)
    integers = np.arange(4), "I64"
    sides = {"a": (strange, "F32"), "b": integers, "c": (np.array([True, False]), "BOOL")}
    found = rows(tmp_path, sides, sides)
    assert {row.status for row in found.values()} == {"equal"}
    assert all(row.is_equal and row.largest == 0 and row.count == 0 for row in found.values())


def test_differences_are_counted_and_measured(tmp_path):
    (row,) = rows(tmp_path, {"a": f32(1, 2, 3)}, {"a": f32(1, 2.5, -3)}).values()
    assert (row.status, row.largest, row.count) == ("differs", 6, 2)


def test_bits_tell_what_values_do_not(tmp_path):
    (row,) = rows(tmp_path, {"a": f32(0.0, 1)}, {"a": f32(-0.0, 1)}).values()
    assert (row.status, row.largest, row.count) == ("differs", 0, 1)


def test_nan_against_a_number_has_no_distance(tmp_path):
    (row,) = rows(tmp_path, {"a": f32(0, 9)}, {"a": f32(math.nan, 5)}).values()
    assert (row.status, row.count) == ("differs", 2)
    assert math.isnan(row.largest)


def test_other_shapes_dtypes_and_names(tmp_path):
    half = np.array([1, 2], np.float16), "F16"
    first = {"shape": f32(1, 2), "dtype": f32(1, 2.0001), "gone": f32(1)}
    found = rows(tmp_path, first, {"shape": f32(1), "dtype": half, "new": f32(1)})
    assert list(found) == ["dtype", "gone", "shape", "new"] or set(found) == {*first, "new"}
    assert {name: row.status for name, row in found.items()} == {
        "shape": "shape",
        "dtype": "dtype",
        "gone": "missing",
        "new": "extra",
    }
    assert found["dtype"].largest == pytest.approx(1e-4, rel=1e-2)
    assert found["dtype"].count == 1
    assert found["shape"].first.shape == (2,)
    assert found["shape"].second.shape == (1,)
    assert found["gone"].second is None
    assert found["new"].first is None


@pytest.mark.parametrize("code", ["F16", "BF16", "F64"])
def test_rounding_is_taken_into_account(code, tmp_path):
    values = np.random.default_rng(0).normal(size=100).astype(np.float32)
    values[0] = 1e9  # infinite in half precision
    step = np.arange(3), "I64"
    stored = rounded(values, "F32", code)
    as_bits = stored if code == "BF16" else (stored.view(stored.dtype))
    first = {"w": (values, "F32"), "step": step}
    second = {"w": (as_bits, code), "step": step}
    found = rows(tmp_path, first, second, dtype=code)
    assert {row.status for row in found.values()} == {"equal"}
    assert rows(tmp_path, first, second)["w"].status == "dtype"
    other = as_bits.copy()
    other[7] = 0
    found = rows(tmp_path, first, second | {"w": (other, code)}, dtype=code)
    assert (found["w"].status, found["w"].count) == ("differs", 1)


def test_bfloat16_is_compared_by_value(tmp_path):
    bits = float32_to_bfloat16(np.array([1, 2], np.float32))
    other = float32_to_bfloat16(np.array([1, 4], np.float32))
    (row,) = rows(tmp_path, {"a": (bits, "BF16")}, {"a": (other, "BF16")}).values()
    assert (row.status, row.largest, row.count) == ("differs", 2, 1)


def test_a_family_sees_through_names(tmp_path):
    """With and without the base prefix, with and without buffers: the same weights."""
    bare = {"norm.weight": f32(1), "embeddings.position_ids": (np.arange(3), "I64")}
    full = {"net.norm.weight": f32(1)}
    assert set(rows(tmp_path, bare, full)) == {*bare, *full}
    (row,) = rows(tmp_path, bare, full, FAMILY).values()
    assert (row.name, row.status) == ("net.norm.weight", "equal")


def test_large_arrays_are_measured_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("weights_convert.compare._BLOCK", 10)
    a = np.zeros((7, 5), np.float32)
    b = a.copy()
    b[0, 0], b[6, 4], b[3, 2] = 1, -4, math.nan
    (row,) = rows(tmp_path, {"a": (a, "F32")}, {"a": (b, "F32")}).values()
    assert row.count == 3
    assert math.isnan(row.largest)
    b[3, 2] = 2
    (row,) = rows(tmp_path, {"a": (a, "F32")}, {"a": (b, "F32")}).values()
    assert (row.count, row.largest) == (3, 4)
