"""The rows of known answers, computed by the reference in its own words on the same checkpoints.

`PUBLISHED` in a family's `parity.py` does what the reference's tests do that published the numbers;
small checkpoints stand for the published ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support import reference
from tests.support.compare import assert_same
from tests.support.families import declared
from tfzoo.modeling.expected import Answer, Sources, answers_of
from tfzoo.registry import families

REFERENCE: dict[str, tuple[Callable[..., Any], ...]] = declared("parity", "PUBLISHED")
ROWS = [
    pytest.param(answer, theirs, id=f"{family.name}-{answer.name}")
    for family in families()
    for answer, theirs in zip(answers_of(family.name), REFERENCE.get(family.name, ()), strict=True)
]


@pytest.mark.parametrize(("answer", "theirs"), ROWS)
def test_rows_do_what_the_reference_does(
    answer: Answer, theirs: Callable[..., Any], stand_ins: Sources
) -> None:
    ours = stand_ins.outputs(answer)
    folder = stand_ins.folders.get(answer.checkpoint, Path())
    with reference.torch.no_grad():
        expected = theirs(folder, stand_ins.files)
    for number in answer.numbers:
        want = np.asarray(expected[number.output])
        assert math.isfinite(float(np.abs(want).sum()))
        assert_same(np.asarray(ours[number.output]), {"": want}, what=str(number))
