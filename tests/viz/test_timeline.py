"""Moments on a time axis."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

import tfzoo
from tests.support.paths import FIXTURES
from tfzoo.viz import draw_timeline
from tfzoo.viz.drawing import colour_of

VIDEO = FIXTURES / "videos/nasa_13013.mp4"
PHOTO = FIXTURES / "photos/coffee.jpg"
TRACK, TRUTH = (225, 225, 225), (110, 110, 110)
UNIT = 10  # the height of the letters
SIZE: dict[str, Any] = {"width": 20 + 400, "font_size": UNIT}  # 400 pixels are the video's length


def greys(*values: int, height: int = 30, width: int = 40) -> np.ndarray:
    """Frames of one grey each."""
    return np.stack([np.full((height, width, 3), value, np.uint8) for value in values])


FRAMES = greys(10, 60, 110, 160)
STRIP = 75  # height of the four frames, 100 pixels wide each


def drawn(spans: Any, *args: Any, frames: Any = FRAMES, **options: Any) -> np.ndarray:
    """A picture of a video of 8 seconds."""
    return np.asarray(draw_timeline(frames, spans, 8.0, *args, **{**SIZE, **options}))


def row_of(number: int) -> int:
    """The middle row of pixels of a bar."""
    return 2 * UNIT + STRIP + UNIT * (2 + 3 * number) + UNIT + UNIT // 3 + UNIT // 2


def columns(image: np.ndarray, row: int, colour: tuple[int, ...]) -> tuple[int, int]:
    """First and last pixel of a colour in a row, counted from the axis's left end."""
    found = np.flatnonzero((image[row] == colour).all(-1)) - UNIT
    assert len(found) == found[-1] - found[0] + 1, "without a gap"
    return int(found[0]), int(found[-1])


def test_the_bar_covers_the_moment() -> None:
    image = drawn((2.0, 5.0))
    assert columns(image, row_of(0), colour_of(0)) == (100, 249)
    track = (image[row_of(0)] == TRACK).all(-1)
    assert track.sum() == 400 - 150
    assert (image[row_of(0), [0, UNIT - 1, UNIT + 400, -1]] == 255).all(), "margins"


def test_each_moment_has_its_row_and_colour() -> None:
    image = drawn([(0.0, 8.0), (7.5, 8.0), (3.0, 4.0)])
    for number, expected in enumerate(((0, 399), (375, 399), (150, 199))):
        assert columns(image, row_of(number), colour_of(number)) == expected
    assert image.shape[0] - drawn((0.0, 8.0)).shape[0] == 2 * 3 * UNIT


def test_frames_stand_where_they_belong_in_time() -> None:
    image = drawn((0.0, 0.0))
    middles = [tuple(image[UNIT + STRIP // 2, UNIT + 50 + 100 * i]) for i in range(4)]
    assert middles == [(grey,) * 3 for grey in (10, 60, 110, 160)]
    assert (image[UNIT - 1] == 255).all()
    late = drawn((0.0, 0.0), times=[0.0, 6.0, 7.0, 8.0])  # nearest to 1, 3, 5 and 7 seconds
    middles = [late[UNIT + STRIP // 2, UNIT + 50 + 100 * i, 0] for i in range(4)]
    assert middles == [10, 10, 60, 110]
    pair = drawn((0.0, 0.0), columns=2)
    assert [pair[UNIT + 40, UNIT + x, 0] for x in (100, 300)] == [60, 110]


def test_moments_are_framed_on_the_frames() -> None:
    image = drawn((2.0, 6.0))
    strip = image[UNIT : UNIT + STRIP, UNIT : UNIT + 400]
    coloured = (strip == colour_of(0)).all(-1)
    assert coloured[0, 100:300].all()
    assert coloured[-1, 100:300].all()
    assert coloured[:, [100, 299]].all()
    assert not coloured[3:-3, 103:297].any(), "the frames show"
    assert not coloured[:, :100].any()
    assert not coloured[:, 300:].any()


def test_a_moment_that_ends_before_it_begins_is_hollow() -> None:
    image = drawn((5.0, 2.0))
    row = (image[row_of(0)] == colour_of(0)).all(-1)
    assert np.flatnonzero(row).tolist() == [UNIT + x for x in (100, 101, 248, 249)]
    assert not (image[:STRIP] == colour_of(0)).all(-1).any(), "no frame is framed"


@pytest.mark.parametrize("time", [0.0, 3.0, 8.0])
def test_a_moment_without_length_shows(time: float) -> None:
    assert columns(drawn((time, time)), row_of(0), colour_of(0))[0] == min(50 * time, 399)


def test_what_lies_beyond_the_video_is_cut() -> None:
    np.testing.assert_array_equal(drawn((-3.0, 99.0))[row_of(0)], drawn((0.0, 8.0))[row_of(0)])


def test_the_truth_lies_under_the_bar() -> None:
    below = row_of(0) + UNIT // 2 + 1
    image = drawn((2.0, 5.0), truths=(1.0, 4.0))
    assert columns(image, below, TRUTH) == (50, 199)
    assert columns(image, row_of(0), colour_of(0)) == (100, 249)
    assert not (drawn((2.0, 5.0))[below] == TRUTH).all(-1).any()
    some = drawn([(2.0, 5.0), (1.0, 2.0)], truths=[None, (0.0, 4.0)])
    assert not (some[below] == TRUTH).all(-1).any()
    assert columns(some, below + 3 * UNIT, TRUTH) == (0, 199)


def test_words() -> None:
    def ink(image: np.ndarray) -> int:
        """How many pixels to the right the words above the bar reach."""
        words = image[row_of(0) - 2 * UNIT : row_of(0) - UNIT // 2 - 2, UNIT:]
        return int(np.flatnonzero((words != 255).any((0, 2)))[-1])

    times, named = drawn((2.0, 5.0)), drawn((2.0, 5.0), "a person sits")
    assert ink(named) > ink(times) > 30
    assert ink(drawn((2.0, 5.0), truths=(2.0, 5.0))) > ink(times)
    np.testing.assert_array_equal(named, drawn([(2.0, 5.0)], ["a person sits"]))
    long = drawn((2.0, 5.0), "a person sits " * 40)
    assert 300 < ink(long) < 400, "cut, so that the times show"
    np.testing.assert_array_equal(long, drawn((2.0, 5.0), "a person sits " * 50))


@pytest.mark.parametrize(
    ("duration", "ticks"),
    [(8.0, 9), (10.0, 11), (11.0, 6), (0.05, 11), (3600.0, 8), (5000.0, 11), (325 / 25, 7)],
)
def test_the_axis_has_few_round_numbers(duration: float, ticks: int) -> None:
    image = np.asarray(draw_timeline(FRAMES, (0, 0), duration, **SIZE))
    row = image[2 * UNIT + STRIP + 2]
    assert (row != 255).any(-1).sum() == ticks


def test_at_most_twelve_frames_are_shown() -> None:
    clip = tfzoo.read_video(VIDEO, num_frames=48)
    picture = draw_timeline(clip.frames, (1.0, 4.0), clip.duration)
    assert (picture.width, picture.mode) == (1280, "RGB")
    np.testing.assert_array_equal(
        np.asarray(picture),
        np.asarray(draw_timeline(clip.frames, (1.0, 4.0), clip.duration, columns=12)),
    )
    assert draw_timeline(clip.frames, (1.0, 4.0), 13.0, columns=3).height > picture.height


def test_all_kinds_of_frames() -> None:
    expected = drawn((2.0, 5.0))
    pillow = [Image.fromarray(frame) for frame in FRAMES]
    for frames in (list(FRAMES), pillow, FRAMES[..., :1], FRAMES.transpose(0, 3, 1, 2)):
        np.testing.assert_array_equal(drawn((2.0, 5.0), frames=frames), expected)
    import keras

    np.testing.assert_array_equal(
        drawn(keras.ops.convert_to_tensor([2.0, 5.0]), frames=FRAMES), expected
    )
    assert draw_timeline([PHOTO, PHOTO], (0, 1), 2).width == 1280
    assert (np.asarray(FRAMES) == greys(10, 60, 110, 160)).all(), "frames stay as they are"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"frames": []}, "at least one frame, got none"),
        ({"frames": FRAMES / 255}, "uint8"),
        ({"frames": [FRAMES[0], FRAMES[0, 1:]]}, "frames of one size, got several"),
        ({"spans": []}, r"spans: expected \(start, end\)"),
        ({"spans": [1.0, 2.0, 3.0]}, "spans: expected start and end"),
        ({"spans": [(1.0, 2.0, 3.0)]}, r"spans: .* got \[1.0, 2.0, 3.0\]"),
        ({"spans": "now"}, "spans: expected start and end"),
        ({"spans": [(1.0, 2.0), None]}, r"spans: expected \(start, end\) in seconds for each"),
        ({"spans": (1.0, float("nan"))}, "spans"),
        ({"truths": [(1.0, 2.0), None]}, "truths: expected one for each of 1 spans, got 2"),
        ({"truths": [("a", "b")]}, "truths: expected start and end"),
        ({"labels": ["a", "b"]}, "labels: expected one for each of 1 spans, got 2"),
        ({"duration": 0}, "duration: expected seconds above 0, got 0.0"),
        ({"duration": float("inf")}, "duration"),
        ({"duration": float("nan")}, "duration"),
        ({"times": [0, 1]}, "ascending list of 4 seconds"),
        ({"times": [0, 3, 2, 4]}, "ascending"),
        ({"times": [0, 1, 2, float("nan")]}, "ascending"),
        ({"columns": 0}, "columns: expected a whole number"),
        ({"width": 0}, "width: expected a whole number"),
        ({"font_size": -1}, "font_size: expected a whole number"),
        ({"font": "none.ttf"}, "font: expected the file of a TrueType font"),
    ],
)
def test_what_is_refused(call: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw_timeline(**{"frames": FRAMES, "spans": (1.0, 2.0), "duration": 8.0, **call})
    with pytest.raises(TypeError, match="got int"):
        draw_timeline([3], (1.0, 2.0), 8.0)
