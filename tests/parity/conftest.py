"""Marks the parity tests, so that they can be chosen beside others; see .ci/run."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every test of this folder the mark."""
    for item in items:
        if item.path.is_relative_to(FOLDER):
            item.add_marker("parity")
