"""SECURITY.md says which bounds there are: each is the constant in the code."""

from __future__ import annotations

import importlib
import re

import pytest

from tests.support.paths import ROOT

ROWS = re.findall(
    r"^\| ([^|]+) \| ([\d,]+) \| `([\w.]+)\.(\w+)` \|$",
    (ROOT / "SECURITY.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)


def test_there_is_a_table() -> None:
    assert len(ROWS) > 15


@pytest.mark.parametrize(("what", "number", "module", "name"), ROWS, ids=lambda text: text[-20:])
def test_bounds_are_those_of_the_code(what: str, number: str, module: str, name: str) -> None:
    assert getattr(importlib.import_module(module), name) == int(number.replace(",", "")), what
