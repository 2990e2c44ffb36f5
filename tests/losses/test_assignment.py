"""The assignment for XLA against SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import linear_sum_assignment

from tfzoo.losses.detection.assignment import assign

COMPILED = tf.function(assign, jit_compile=True)


def problems(rng: np.random.Generator, kind: str) -> np.ndarray:
    """Four problems of 12 rows and 9 columns."""
    if kind == "ties":
        return rng.integers(0, 3, (4, 12, 9)).astype("float32")
    if kind == "near":  # all columns want the same rows
        return (rng.normal(size=(4, 12, 1)) + 0.01 * rng.normal(size=(4, 12, 9))).astype("float32")
    return rng.normal(size=(4, 12, 9), scale=10).astype("float32")


@pytest.mark.parametrize("kind", ["wide", "near", "ties"])
def test_sums_are_the_least(kind: str) -> None:
    rng = np.random.default_rng(3)
    for _ in range(10):
        cost, real = problems(rng, kind), rng.random((4, 9)) < 0.8
        real[0] = True
        real[1] = False
        found = np.asarray(COMPILED(tf.constant(cost), tf.constant(real)))
        assert (found[~real] == -1).all()
        for one, mine, where in zip(cost, found, real, strict=True):
            columns = np.flatnonzero(where)
            assert len(set(mine[columns])) == len(columns), "a row each"
            least = one[:, columns][linear_sum_assignment(one[:, columns])].sum()
            assert one[mine[columns], columns].sum() == pytest.approx(least, abs=1e-4)


def test_as_many_rows_as_columns() -> None:
    cost = np.random.default_rng(0).normal(size=(1, 6, 6)).astype("float32")
    found = np.asarray(assign(tf.constant(cost), tf.ones((1, 6), "bool")))
    rows, columns = linear_sum_assignment(cost[0])
    assert found[0][columns].tolist() == rows.tolist()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_costs_that_are_not_finite_end_nevertheless(value: float) -> None:
    cost = tf.fill((4, 12, 9), np.float32(value))
    assert COMPILED(cost, tf.ones((4, 9), "bool")).shape == (4, 9)
