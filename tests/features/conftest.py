"""Every test of a feature runs on every family."""

from __future__ import annotations

from typing import Any

import pytest

from tests.features.families import FAMILIES


@pytest.fixture(params=FAMILIES, ids=lambda tiny: tiny.name)
def tiny(request: pytest.FixtureRequest) -> Any:
    """A tiny head of one family."""
    return request.param
