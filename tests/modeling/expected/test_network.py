"""The published checkpoints themselves: `python -m pytest -m network`.

Everything is downloaded (some 5 GB, kept in the hub's cache). The row of the optical flow needs an
image that is not fetched automatically; `tfzoo verify --published perceiver --input sintel=FILE`
runs it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tfzoo
from tfzoo.modeling.expected import Answer, Sources, answers_of, compare
from tfzoo.modeling.expected_inputs import INPUTS
from tfzoo.registry import families

pytestmark = pytest.mark.network

ROWS = [
    pytest.param(answer, id=f"{family.name}-{answer.name}")
    for family in families()
    for answer in answers_of(family.name)
    if all(INPUTS[name].repository for name in answer.inputs)
]


@pytest.mark.parametrize("answer", ROWS)
def test_published_weights_give_the_published_numbers(answer: Answer) -> None:
    outputs = Sources().outputs(answer)
    for number in answer.numbers:
        found = compare(number, outputs)
        assert found.agrees, f"{number}: expected {number.values}, got {found.got}"


def test_a_published_checkpoint_comes_back_bit_equal(tmp_path: Path) -> None:
    from tfzoo.hub import HubOptions, resolve
    from weights_convert.checkpoint import open_checkpoint

    name, revision = "Jiqing/tiny-random-tvp", "refs/pr/1"
    model = tfzoo.TFTvpForVideoGrounding.from_pretrained(name, revision=revision)
    model.save_pretrained(tmp_path)
    folder = resolve(name, "model.safetensors", HubOptions(revision))
    with open_checkpoint(folder) as before, open_checkpoint(tmp_path) as after:
        for tensor in after:
            assert np.array_equal(before.read(tensor), after.read(tensor)), tensor
