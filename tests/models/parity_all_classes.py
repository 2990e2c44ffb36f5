"""PyTorch loads what every public model class writes: no class is left out."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest

import tfzoo
from tests.models.lxmert.cases import CASES as LXMERT
from tests.support import reference
from tests.support.classes import model_families
from tests.support.parity_checks import ParityChecks
from tfzoo.registry import families


def parity_cases(family: str) -> tuple[Any, ...]:
    module = importlib.import_module(f"tests.models.{family}.parity")
    (checks,) = (
        cls
        for _, cls in inspect.getmembers(module, inspect.isclass)
        if issubclass(cls, ParityChecks) and cls is not ParityChecks
    )
    return checks.cases


@pytest.mark.parametrize("family", [family.name for family in families()])
def test_every_class_is_compared(family: str) -> None:
    compared = {case.model for case in parity_cases(family)}
    assert compared == {name for name, owner in model_families().items() if owner == family}


@pytest.mark.parametrize("name", model_families())
def test_the_reference_has_every_class(name: str) -> None:
    cls = getattr(reference.transformers, name.removeprefix("TF"))
    assert issubclass(cls, reference.torch.nn.Module)


def test_the_second_name_of_lxmert_is_a_model_there(tmp_path: Path) -> None:
    tfzoo.TFLxmertMainLayer.from_pretrained(LXMERT[0].folder).save_pretrained(tmp_path)
    reference.load_strictly("LxmertModel", tmp_path)
