"""Similarity matrices as images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfzoo.viz import draw_similarity
from tfzoo.viz.drawing import heat

UNIT, SIDE = 10, 40
MATRIX = np.array([[0.0, 1.0, 0.5], [0.25, 0.75, 1.0]])


def drawn(matrix: Any = MATRIX, *names: Any, **options: Any) -> np.ndarray:
    return np.asarray(draw_similarity(matrix, *names, cell=SIDE, font_size=UNIT, **options))


def corner(image: np.ndarray, row: int, column: int) -> tuple[int, ...]:
    """A pixel of a cell beside its number; the last column ends `UNIT` before the edge."""
    left = image.shape[1] - UNIT - (3 - column) * SIDE
    return tuple(image[2 * UNIT + row * SIDE + 2, left + 2])


def test_each_cell_has_the_colour_of_its_number() -> None:
    image = drawn()
    for (i, j), value in np.ndenumerate(MATRIX):
        assert corner(image, i, j) == tuple(heat(np.array(value))), (i, j)


def test_limits_hold_for_all_images() -> None:
    image = drawn(limits=(0.0, 2.0))
    assert corner(image, 0, 1) == tuple(heat(np.array(0.5)))
    clipped = drawn(limits=(0.4, 0.6))
    assert corner(clipped, 0, 0) == tuple(heat(np.array(0.0)))
    assert corner(clipped, 0, 1) == tuple(heat(np.array(1.0)))


def test_equal_numbers_have_one_colour() -> None:
    image = drawn(np.full((2, 3), 0.3))
    assert {corner(image, i, j) for i in range(2) for j in range(3)} == {tuple(heat(np.array(0.0)))}


def test_names_take_room() -> None:
    plain = drawn()
    named = drawn(MATRIX, ["a dog that runs", "a cat"])
    listed = drawn(MATRIX, None, ["one", "two", "three"])
    assert named.shape[1] > plain.shape[1]
    assert listed.shape[0] == plain.shape[0] + 3 * 15
    assert (listed[plain.shape[0] :] < 128).any()


@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        (([1.0, 2.0],), {}, r"finite numbers \(M, N\), got shape \(2,\)"),
        (([["a"]],), {}, "expected numbers"),
        (([[np.inf]],), {}, "finite"),
        ((MATRIX, ["one"]), {}, r"rows: expected 2 names, got \['one'\]"),
        ((MATRIX, None, "abc"), {}, "columns: expected 3 names, got 'abc'"),
        ((MATRIX,), {"limits": (1.0, 0.0)}, "the lower one first"),
        ((MATRIX,), {"cell": 0}, "cell: expected a whole number of pixels above 0"),
    ],
)
def test_wrong_arguments_are_refused(args: tuple, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw_similarity(*args, **options)
