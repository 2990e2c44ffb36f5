"""Which families a test of a feature runs on: those that take moments, on every one.

The others run on the first by default and on one more among the slow tests, another for each test;
where TFZOO_EVERY_FAMILY is set, as for the table in docs/features.md, on all.
"""

from __future__ import annotations

import zlib

import pytest

from tests.features.families import EVERY_FAMILY, FAMILIES


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `tiny` gets the tiny heads of families."""
    if "tiny" not in metafunc.fixturenames:
        return
    first, *others = FAMILIES
    if hasattr(metafunc.function, "on_one_family"):
        name = metafunc.function.__name__.encode()
        chosen = others if EVERY_FAMILY else [others[zlib.crc32(name) % len(others)]]
        others = [pytest.param(tiny, marks=pytest.mark.slow) for tiny in chosen]
    metafunc.parametrize("tiny", [first, *others], ids=lambda tiny: tiny.name)
