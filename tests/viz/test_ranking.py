"""`draw_ranking`: labels and their probabilities under an image."""

from __future__ import annotations

import numpy as np
import pytest

from tfzoo.viz import draw_ranking

ROWS = [("cat", 0.75), ("dog", 0.2), ("a label that is far too long to be shown " * 3, 0.0)]
BAR = (46, 125, 180)


def bars(image: np.ndarray) -> list[int]:
    """How long the bar of each row is, in pixels."""
    lengths = (image == BAR).all(-1).sum(-1)
    starts = np.flatnonzero((lengths[1:] > 0) & (lengths[:-1] == 0)) + 1
    return lengths[starts].tolist()


def test_bars_are_as_long_as_probabilities() -> None:
    drawn = np.asarray(draw_ranking(ROWS, width=440))
    unit = 440 // 36
    whole = 440 - 2 * unit
    assert drawn.shape[1] == 440
    assert bars(drawn) == pytest.approx([0.75 * whole, 0.2 * whole], abs=2)
    assert (drawn[:, -unit:] == 255).all(), "nothing runs over the edge"


def test_an_image_stands_above() -> None:
    image = np.full((30, 40, 3), (200, 10, 10), np.uint8)
    plain, above = draw_ranking(ROWS, width=200), draw_ranking(ROWS, image, width=200)
    assert above.size == (200, plain.height + 150)
    assert above.getpixel((100, 75)) == (200, 10, 10)
    np.testing.assert_array_equal(np.asarray(above)[150:], np.asarray(plain))
    titled = draw_ranking(ROWS, width=200, title="what is it?")
    assert titled.height > plain.height


def test_what_is_no_probability() -> None:
    for value in (1.5, -0.1, np.nan):
        with pytest.raises(ValueError, match="expected probabilities from 0 to 1"):
            draw_ranking([("cat", value)])
    with pytest.raises(ValueError, match="width: expected a whole number"):
        draw_ranking(ROWS, width=0)
