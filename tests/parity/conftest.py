"""Marks what lies here, so that one run can take these tests and the slow ones."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test of this folder as `parity`."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("parity")
