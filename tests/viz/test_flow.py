"""Motion as colours."""

from __future__ import annotations

from math import floor, hypot, pi

import numpy as np
import pytest
from PIL import Image

from tests.support.paths import FIXTURES
from tfzoo.viz import draw_flow, flow_to_image, flow_wheel

PHOTO = FIXTURES / "photos/coffee.jpg"


def one(u: float, v: float, **options: float) -> tuple[int, ...]:
    """The colour of one motion."""
    return flow_to_image(np.array([[[u, v]]], float), **options).getpixel((0, 0))


@pytest.mark.parametrize(
    ("motion", "colour"),
    [
        ((1, 0), (255, 0, 0)),
        ((-1, 0), (0, 209, 255)),  # third of the eleven steps from cyan to blue
        ((0, 1), (255, 229, 0)),  # between the 14th and 15th step from red to yellow
        ((0, -1), (88, 0, 255)),  # between the 5th and 6th of thirteen from blue to magenta
        ((0, 0), (255, 255, 255)),
        ((0.5, 0), (255, 127, 127)),
        ((2, 0), (191, 0, 0)),  # faster than the scale: darkened
    ],
)
def test_known_motions(motion, colour):
    assert one(*motion, max_flow=1.0) == colour


def scalar(u: float, v: float) -> tuple[int, int, int]:
    """One colour worked out from the six segments of the wheel, one number after the other."""
    segments = [(15, 0, 1, 1), (6, 1, 0, -1), (4, 1, 2, 1), (11, 2, 1, -1), (13, 2, 0, 1)]
    segments.append((6, 0, 2, -1))
    wheel = []
    for count, main, moving, sign in segments:
        for i in range(count):
            colour = [0, 0, 0]
            if sign > 0:
                colour[main], colour[moving] = 255, floor(255 * i / count)
            else:
                colour[main], colour[moving] = 255, 255 - floor(255 * i / count)
            wheel.append(colour)
    # the falling segments keep the colour that they lead to
    place = (np.arctan2(-v, -u) / pi + 1) / 2 * (len(wheel) - 1)
    k, length = floor(place), hypot(u, v)
    mixed = []
    for channel in range(3):
        first, second = wheel[k][channel], wheel[(k + 1) % len(wheel)][channel]
        value = ((1 - (place - k)) * first + (place - k) * second) / 255
        mixed.append(floor(255 * (1 - length * (1 - value)) + 1e-9))
    return tuple(mixed)


def test_all_directions_and_lengths():
    rng = np.random.default_rng(0)
    for _ in range(500):
        angle, length = rng.uniform(-pi, pi), rng.uniform(0, 1)
        u, v = length * np.cos(angle), length * np.sin(angle)
        assert one(u, v, max_flow=1.0) == scalar(u, v)


def test_the_longest_motion_sets_the_scale():
    flow = np.zeros((2, 3, 2))
    flow[0, 0], flow[1, 2] = (3, 4), (-30, -40)
    np.testing.assert_array_equal(flow_to_image(flow), flow_to_image(10 * flow))
    np.testing.assert_array_equal(flow_to_image(flow), flow_to_image(flow, 50))
    assert flow_to_image(flow).size == (3, 2)
    assert (np.asarray(flow_to_image(np.zeros((2, 3, 2)))) == 255).all()


def test_what_is_not_known_is_black():
    flow = np.ones((1, 3, 2))
    flow[0, 0, 0], flow[0, 1, 1] = np.nan, 1e10
    picture = flow_to_image(flow)
    assert [picture.getpixel((x, 0)) == (0, 0, 0) for x in range(3)] == [True, True, False]
    assert picture.getpixel((2, 0)) == one(1, 1)


def test_the_wheel():
    wheel = flow_wheel(101)
    assert wheel.size == (101, 101)
    assert wheel.getpixel((50, 50)) == (255, 255, 255)
    assert wheel.getpixel((100, 50)) == one(1, 0)
    assert wheel.getpixel((50, 100)) == one(0, 1)
    assert wheel.getpixel((0, 0)) == (255, 255, 255)
    for size in (0, 2.5):
        with pytest.raises(ValueError, match="size: expected a whole number"):
            flow_wheel(size)


def test_drawing_on_a_frame():
    frame = np.array(Image.open(PHOTO))
    before = frame.copy()
    flow = np.zeros((*frame.shape[:2], 2))
    np.testing.assert_array_equal(draw_flow(frame, flow, opacity=0), frame)  # nothing moves
    np.testing.assert_array_equal(draw_flow(frame, flow, opacity=1), np.full_like(frame, 255))
    flow[:, 160:] = 20, 0
    plain = np.asarray(draw_flow(PHOTO, flow, opacity=1, step=0))
    np.testing.assert_array_equal(plain, flow_to_image(flow))
    drawn = np.asarray(draw_flow(PHOTO, flow, opacity=1, step=50))
    changed = (drawn != plain).any(-1)
    assert changed[:, 170:].any()
    assert not changed[:, :150].any(), "no arrows where nothing moves"
    rows = np.flatnonzero(changed.any(1))
    assert {25, 75, 125, 175} <= set(rows.tolist())
    assert len(rows) < 60, "thin lines"
    np.testing.assert_array_equal(frame, before)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: flow_to_image(np.zeros((2, 5, 6))), r"expected \(height, width, 2\)"),
        (lambda: flow_to_image(np.zeros((1, 5, 6, 2))), r"Of a batch take one"),
        (lambda: flow_to_image([["a"]]), "expected an array of real numbers"),
        (lambda: flow_to_image(np.ones((5, 6, 2)), 0), "max_flow: expected a number"),
        (lambda: draw_flow(PHOTO, np.zeros((5, 6, 2))), r"the frame's size \(213, 320\)"),
        (lambda: draw_flow(PHOTO, np.zeros((213, 320, 2)), opacity=2), "opacity: expected"),
        (lambda: draw_flow(PHOTO, np.zeros((213, 320, 2)), step=-1), "step: expected"),
        (lambda: draw_flow(np.zeros((5, 6, 3)), np.zeros((5, 6, 2))), "expected pixels as uint8"),
    ],
)
def test_bad_calls(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_negative_zeros_do_not_turn_the_wheel():
    assert one(1, -0.0, max_flow=1.0) == (255, 0, 0)
    assert flow_wheel(99).getpixel((98, 49)) == (255, 0, 0)
