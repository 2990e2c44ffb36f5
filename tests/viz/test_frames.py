"""Frames side by side, and what a model looks at in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfzoo.viz import draw_attention, draw_frames
from tfzoo.viz.drawing import heat

MARK, TRACK = (214, 69, 29), (225, 225, 225)
UNIT = 10


def greys(*values: int, height: int = 30, width: int = 40) -> np.ndarray:
    """Frames of one grey each."""
    return np.stack([np.full((height, width, 3), value, np.uint8) for value in values])


def drawn(*args: Any, **options: Any) -> np.ndarray:
    """A strip with cells of 90 x 68 pixels, five beside each other."""
    how = {"width": 510, "font_size": UNIT, "columns": 5, **options}
    return np.asarray(draw_frames(*args, **how))


def test_chosen_frames_are_shown_in_order() -> None:
    image = drawn(greys(*range(0, 200, 20)), [7, 0, 3])
    middles = [image[UNIT + 34, UNIT + 45 + 100 * column] for column in range(4)]
    assert [tuple(pixel) for pixel in middles] == [(140,) * 3, (0,) * 3, (60,) * 3, (255,) * 3]


def test_numbers_stand_below_the_frames() -> None:
    image = drawn(greys(200, 200, 200), [0, 2])
    below = image[UNIT + 68 + 1 : UNIT + 68 + 2 * UNIT]
    for column, is_written in enumerate((True, True, False)):
        cell = below[:, UNIT + 100 * column : UNIT + 100 * column + 90]
        assert (cell < 128).any() == is_written


def test_marks_stand_where_the_frames_lie_in_the_video() -> None:
    image = drawn(greys(50, 60), [0, 75], total=100)
    bar = image[-UNIT - UNIT // 2, UNIT:-UNIT]
    marked = np.flatnonzero((bar == MARK).all(-1))
    width = 510 - 2 * UNIT
    assert set(marked) == {*range(width // 100), *range(width * 75 // 100, width * 76 // 100)}
    assert (bar[200] == TRACK).all()


def test_many_frames_take_several_rows() -> None:
    one, two = (draw_frames(greys(*range(count)), width=800) for count in (8, 9))
    assert two.height > one.height
    assert one.width == two.width == 800


@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        ((np.zeros((0, 2, 2, 3), np.uint8),), {}, "at least one frame"),
        ((greys(1, 2), [2]), {}, r"numbers from 0 to 1, got \[2\]"),
        ((greys(1, 2), [-1]), {}, r"numbers from 0 to 1"),
        ((greys(1, 2), [0.5]), {}, "whole numbers"),
        ((greys(1, 2), [0]), {"total": 9}, "expected 2, one for each frame, got 1"),
        (([*greys(1), *greys(2, height=9)],), {}, "frames of one size"),
        ((greys(1),), {"columns": 0}, "columns: expected a whole number of pixels above 0, got 0"),
    ],
)
def test_wrong_frames_are_refused(args: tuple, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw_frames(*args, **options)


# ---- attention over frames
def test_the_brightest_patch_is_where_the_map_is_largest() -> None:
    maps = np.zeros((2, 3, 4))
    maps[1, 2, 0], maps[0, 0, 3] = 4.0, 2.0
    image = np.asarray(draw_attention(greys(0, 0), maps, opacity=1.0, width=815, columns=2))
    height, width = 300, 400  # of a frame

    def patch(frame: int, row: int, column: int) -> tuple[int, ...]:
        left = 5 + frame * (width + 5)
        return tuple(
            image[5 + int((row + 0.5) * height / 3), left + int((column + 0.5) * width / 4)]
        )

    brightest, half, none = (tuple(colour) for colour in heat(np.array([1.0, 0.5, 0.0])))
    assert patch(1, 2, 0) == brightest
    assert patch(0, 0, 3) == half, "one scale for all frames"
    assert patch(0, 2, 0) == patch(1, 0, 3) == none


def test_without_opacity_the_frames_are_as_they_were() -> None:
    maps = np.random.default_rng(0).random((1, 3, 4))
    image = np.asarray(draw_attention(greys(77), maps, opacity=0.0, width=400))
    assert (image[100, 200] == 77).all()


@pytest.mark.parametrize(
    ("maps", "options", "message"),
    [
        (np.zeros((3, 2, 2)), {}, r"for 2 frames, got shape \(3, 2, 2\)"),
        (np.full((2, 2, 2), -1.0), {}, "not negative"),
        (np.full((2, 2, 2), np.nan), {}, "finite"),
        (np.zeros((2, 2, 2)), {"opacity": 1.5}, r"in \[0, 1\], got 1.5"),
    ],
)
def test_wrong_maps_are_refused(maps: np.ndarray, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw_attention(greys(1, 2), maps, **options)
