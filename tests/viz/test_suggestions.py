"""Masked bytes and their candidates."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tfzoo
from tfzoo.viz import draw_suggestions
from tfzoo.viz.suggestions import _lines

GUESS, BAR, TRACK = (255, 214, 102), (46, 125, 180), (225, 225, 225)
UNIT = 10
TEXT = "m[MASK]ss[MASK]ng"
CANDIDATES = [[("i", 0.8), ("a", 0.1)], [("i", 0.5), (" ", 0.0)]]


def drawn(text: str = TEXT, candidates: Any = CANDIDATES, **options: Any) -> np.ndarray:
    filled = SimpleNamespace(candidates=candidates)
    return np.asarray(draw_suggestions(text, filled, font_size=UNIT, **{"width": 400, **options}))


def runs(row: np.ndarray, colour: tuple[int, ...]) -> list[int]:
    """Lengths of the runs of a colour in a row of pixels."""
    inside = np.concatenate([[0], (row == colour).all(-1).astype(int), [0]])
    starts, ends = np.flatnonzero(np.diff(inside) == 1), np.flatnonzero(np.diff(inside) == -1)
    return (ends - starts).tolist()


def test_each_guess_is_marked_in_the_text() -> None:
    image = drawn()
    assert len(runs(image[UNIT - 1], GUESS)) == 2


def test_bars_are_as_long_as_bytes_are_likely() -> None:
    image = drawn()
    top = UNIT + 16 + UNIT  # below the only line
    long = 11 * UNIT - 3 * UNIT - 3 * UNIT  # without the letter and the number
    assert runs(image[top + 16], BAR) == [round(0.8 * long), round(0.5 * long)]
    assert runs(image[top + 32], BAR) == [round(0.1 * long)], "nothing for a probability of 0"


def test_long_texts_take_several_lines() -> None:
    short = drawn("a" + "[MASK]", CANDIDATES[:1])
    long = drawn("a" * 300 + "[MASK]", CANDIDATES[:1])
    assert long.shape[0] > short.shape[0]


def test_lines_break_behind_words() -> None:
    letters = SimpleNamespace(getlength=lambda character: 10)
    marked = [(character, False) for character in "one two\nthree abcdefghijk"]
    lines = _lines(marked, letters, room=90)
    assert ["".join(c for c, _ in line) for line in lines] == [
        "one two ",
        "three ",
        "abcdefghi",
        "jk",
    ]


def test_what_fill_mask_gives_can_be_drawn() -> None:
    config = tfzoo.PerceiverConfig(
        num_latents=4, d_latents=8, d_model=16, num_self_attends_per_block=1,
        max_position_embeddings=64, v_channels=8, qk_channels=8, num_self_attention_heads=2,
        num_cross_attention_heads=2,
    )  # fmt: skip
    model = tfzoo.TFPerceiverForMaskedLM(config)
    filled = tfzoo.fill_mask(model, tfzoo.PerceiverTokenizer(), TEXT)
    assert draw_suggestions(TEXT, filled).width == 900


@pytest.mark.parametrize(
    ("text", "candidates", "message"),
    [
        ("no mask", CANDIDATES, r"expected 2 times '\[MASK\]'.*got 0"),
        (TEXT, CANDIDATES[:1], "expected 1 times"),
        (TEXT, [[], []], "once for each list"),
        (TEXT, [[("i", 1.8)], [("a", 0.1)]], r"probabilities in \[0, 1\]"),
    ],
)
def test_wrong_arguments_are_refused(text: str, candidates: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw_suggestions(text, SimpleNamespace(candidates=candidates))
