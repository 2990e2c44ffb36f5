"""No public model class is left out of the checks that every class gets."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from tests.support.cases import Case
from tests.support.classes import model_classes, model_families
from tests.support.family_checks import checks_of
from tfzoo.registry import families

NAMES = [family.name for family in families()]
# Inputs in dicts do not fit the common checks: tests/models/perceiver/test_multimodal.py.
OTHERWISE = {"TFPerceiverForMultimodalAutoencoding"}


def cases_of(family: str) -> tuple[Case, ...]:
    return importlib.import_module(f"tests.models.{family}.cases").CASES


@pytest.mark.parametrize("family", NAMES)
def test_every_class_has_a_case(family: str) -> None:
    classes = {name for name, owner in model_families().items() if owner == family}
    assert classes
    assert {case.model for case in cases_of(family)} == classes


@pytest.mark.parametrize("family", NAMES)
def test_every_case_is_checked_and_recorded(family: str) -> None:
    checked = {case.name for case in checks_of(family).cases}
    for case in cases_of(family):
        assert case.name in checked or case.model in OTHERWISE, case.name
        assert (case.folder / "outputs.npz").is_file()
        assert (case.folder / "step.npz").is_file() is case.has_loss


@pytest.mark.parametrize("family", families(), ids=lambda family: family.name)
def test_classes_are_found(family: Any) -> None:
    """The search itself: by what classes can do, not by their names."""
    found = set(model_classes(family))
    named = {n for n in family.classes if n.startswith("TF") and ("Model" in n or "For" in n)}
    second = {"TFLxmertMainLayer"}
    others = {n for n in named if n.endswith("PreTrainedModel") or "Output" in n}
    assert found == named - others - second
