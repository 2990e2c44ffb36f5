"""Every test of a feature runs on every family."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.features.families import FAMILIES

# XLA compiles each training step once to run it thrice: quick code is not worth its making.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")


@pytest.fixture(params=FAMILIES, ids=lambda tiny: tiny.name)
def tiny(request: pytest.FixtureRequest) -> Any:
    """A tiny head of one family."""
    return request.param
