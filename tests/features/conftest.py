"""Every test of a feature runs on every family."""

from __future__ import annotations

import pytest

from tests.features.families import FAMILIES, FEW


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `tiny` gets a tiny head of each family."""
    if "tiny" not in metafunc.fixturenames:
        return
    few = getattr(metafunc.function, "on_few_families", False)
    metafunc.parametrize(
        "tiny",
        [
            pytest.param(tiny, marks=[pytest.mark.slow] if few and tiny.name not in FEW else [])
            for tiny in FAMILIES
        ],
        ids=lambda tiny: tiny.name,
    )
