"""What the tests of exporting share."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.support.served import export_head
from tests.support.shared import made_once


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The exported version of a head in `tests.support.served.SERVED`, made on its first use."""

    def export(name: str) -> Path:
        return Path(made_once(tmp_path_factory, name, lambda at: str(export_head(name, at))))

    return cache(export)
