"""Every test of a feature runs on every family."""

from __future__ import annotations

import pytest

from tests.features.families import FAMILIES


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `tiny` gets a tiny head of each family."""
    if "tiny" not in metafunc.fixturenames:
        return
    marks = [pytest.mark.slow] if hasattr(metafunc.function, "on_one_family") else []
    first, *others = FAMILIES
    tinies = [first, *(pytest.param(tiny, marks=marks) for tiny in others)]
    metafunc.parametrize("tiny", tinies, ids=lambda tiny: tiny.name)
