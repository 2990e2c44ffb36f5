"""Comparing nested outputs: flatten to named arrays, bound by each field's largest magnitude."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

BOUND = 1e-5
MASKED = -6e4  # below it there are only masks: the least float16 and less


def flatten(
    outputs: Any, to_numpy: Callable[[Any], np.ndarray] = np.asarray, prefix: str = ""
) -> dict[str, np.ndarray]:
    """Nested mappings and tuples -> {"hidden_states.0": array, ...}."""
    if isinstance(outputs, Mapping):
        items = outputs.items()
    elif isinstance(outputs, (tuple, list)):
        items = enumerate(outputs)
    else:
        return {prefix.rstrip("."): to_numpy(outputs)}
    flat: dict[str, np.ndarray] = {}
    for name, value in items:
        flat.update(flatten(value, to_numpy, f"{prefix}{name}."))
    return flat


def assert_same(
    actual: Any, expected: Mapping[str, np.ndarray], bound: float = BOUND, what: str = ""
) -> None:
    """Every field there, of the same shape, within `bound` of its largest magnitude."""
    got = actual if _is_flat(actual) else flatten(actual)
    assert sorted(got) == sorted(expected), f"{what}: fields {sorted(got)} != {sorted(expected)}"
    for name, want in expected.items():
        error = difference(np.asarray(got[name]), want, f"{what} {name}")
        assert error <= bound, f"{what} {name}: off by {error:.2e} of its largest magnitude"


def difference(have: np.ndarray, want: np.ndarray, what: str = "") -> float:
    """The largest difference of a field of one shape, as a part of its largest magnitude."""
    assert have.shape == want.shape, f"{what}: shape {have.shape} != {want.shape}"
    masked = want < MASKED  # else the least float would be the largest magnitude of all
    assert np.array_equal(have < MASKED, masked), f"{what}: other places are masked"
    have, want = have[~masked].astype("float64"), want[~masked]
    scale = max(float(np.abs(want).max(initial=0.0)), 1e-30)
    return float(np.abs(have - want).max(initial=0.0)) / scale


def _is_flat(value: Any) -> bool:
    return type(value) is dict and all(isinstance(v, np.ndarray) for v in value.values())
