"""Which families a test of a feature runs on: quick ones on every one.

The others run on the first by default and on one more among the slow tests, another for each test,
unless a test of its own has a second family; where TFZOO_EVERY_FAMILY is set, as for the table in
docs/features.md, on all.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import pytest

from tests.features.families import EVERY_FAMILY, FAMILIES, Tiny


def second(test: str, others: Sequence[Tiny]) -> Tiny:
    """Another family for each test; a new family takes over its share of them, the rest stays."""
    return max(others, key=lambda tiny: zlib.crc32(f"{test} {tiny.name}".encode()))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `tiny` gets the tiny heads of families."""
    if "tiny" not in metafunc.fixturenames:
        return
    first, *others = FAMILIES
    if hasattr(metafunc.function, "on_one_family"):
        chosen = others
        if not EVERY_FAMILY:
            has_its_second = hasattr(metafunc.function, "has_its_second")
            chosen = [] if has_its_second else [second(metafunc.function.__name__, others)]
        others = [pytest.param(tiny, marks=pytest.mark.slow) for tiny in chosen]
    metafunc.parametrize("tiny", [first, *others], ids=lambda tiny: tiny.name)
