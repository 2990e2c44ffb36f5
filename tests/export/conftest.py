"""What the tests of exporting share."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.support.served import export_head


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The exported version of a head in `tests.support.served.SERVED`, made on its first use."""
    return cache(lambda name: export_head(name, tmp_path_factory.mktemp(name)))
