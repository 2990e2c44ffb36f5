"""Warnings point at the user's line."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import tfzoo
from tests.support.paths import FIXTURES
from tfzoo.core.warn import warn


def inside(package: str) -> Callable[[Callable[[], Any]], Any]:
    """A function of a package that calls what it is given."""
    place: dict[str, Any] = {"__name__": f"{package}.deep.inside"}
    exec(compile("def call(it):\n    return it()", f"{package}.py", "exec"), place)
    return place["call"]


def test_the_nearest_line_outside() -> None:
    keras_s, ours, others = map(inside, ("keras", "tfzoo", "theirs"))
    with pytest.warns(FutureWarning, match="mind the gap") as caught:
        keras_s(partial(ours, partial(warn, "mind the gap", FutureWarning)))
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="gap") as caught:
        ours(partial(others, partial(keras_s, partial(warn, "gap"))))
    assert caught[0].filename == "theirs.py"


def test_a_line_is_told_once() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            warn("once")
    assert len(caught) == 1


_FRACTIONS = np.full((8, 3, 32, 32), 0.5, "float32")
_HEADLESS = FIXTURES / "models" / "timesformer" / "bare"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tfzoo.Owlv2ImageProcessor(size=32)(_FRACTIONS[0]), "rescaled once more"),
        (lambda: tfzoo.VideoMAEImageProcessor()(_FRACTIONS), "rescaled once more"),
        (lambda: tfzoo.TimesformerConfig(num_labels=3, id2label={0: "still"}), "id2label wins"),
        (
            lambda: tfzoo.TFTimesformerForVideoClassification.from_pretrained(_HEADLESS),
            "has no weights for classifier",
        ),
    ],
    ids=["images", "videos", "config", "model"],
)
def test_warnings_of_every_depth_name_the_users_line(call: Callable[[], Any], message: str) -> None:
    with pytest.warns(UserWarning, match=message) as caught:
        call()
    assert (caught[0].filename, caught[0].lineno) == (__file__, call.__code__.co_firstlineno)
