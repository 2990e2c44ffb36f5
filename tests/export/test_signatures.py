"""What `model.export` offers to a server, compared with what was recorded for each head."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.classes import model_families
from tests.support.signatures import (
    RECORDED,
    as_text,
    families_of_classes,
    recorded_signatures,
    smallest_case,
    traced_signature,
)
from tfzoo.export.saved_model import read_signatures


def heads() -> Iterator[Any]:
    """Every class with its family; all but the first of each family are slow."""
    seen = set()
    for model, family in model_families().items():
        yield pytest.param(model, family, marks=[pytest.mark.slow] if family in seen else [])
        seen.add(family)


@pytest.mark.parametrize(("model", "family"), list(heads()))
def test_signature_is_as_recorded(model: str, family: str) -> None:
    case = smallest_case(model, family)
    sides, fields = traced_signature(case)
    assert sides == recorded_signatures(family)[model]
    for name in sides["outputs"]:
        assert any(name == f or name.startswith(f"{f}_") for f in fields), f"{name} is not a field"
    table = {row.name: row for row in case.tf_class.inputs_table}
    for name, (dtype, sizes) in sides["inputs"].items():
        row = table[name]
        assert dtype == ("int64" if row.dtype in ("mask", "int64") else "float32")
        assert sizes[0] is None, f"{name} has a fixed batch"


@pytest.mark.parametrize("family", families_of_classes())
def test_nothing_else_is_recorded(family: str) -> None:
    recorded = recorded_signatures(family)
    assert sorted(recorded) == sorted(families_of_classes()[family])
    assert (RECORDED / f"{family}.json").read_text(encoding="utf-8") == as_text(recorded)


def test_saved_model_has_the_recorded_signature(tmp_path: Path) -> None:
    case = smallest_case("TFTimesformerForVideoClassification", "timesformer")
    case.load().export(tmp_path / "saved", verbose=False)
    inputs, outputs = read_signatures(tmp_path / "saved")["serving_default"]
    found = {
        "inputs": {n: [s.dtype.name, s.shape.as_list()] for n, s in inputs.items()},
        "outputs": {n: [s.dtype.name, s.shape.as_list()] for n, s in outputs.items()},
    }
    assert found == recorded_signatures("timesformer")[case.model]


def test_free_axes_are_those_that_the_heads_take() -> None:
    free = {}
    for family in families_of_classes():
        for model, sides in recorded_signatures(family).items():
            counts = {n: sizes.count(None) for n, (_, sizes) in sides["inputs"].items()}
            free[model] = counts
    pixels = free["TFTimesformerForVideoClassification"]["pixel_values"]
    assert pixels == 4, "batch, frames, height and width"
    assert free["TFPerceiverForImageClassificationConvProcessing"]["pixel_values"] == 3
    assert free["TFLxmertForQuestionAnswering"]["visual_feats"] == 2, "batch and objects"
    assert free["TFTvpForVideoGrounding"]["input_ids"] == 2, "batch and length"
