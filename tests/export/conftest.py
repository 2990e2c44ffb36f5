"""What the tests of exporting share."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from filelock import FileLock

from tests.support.served import export_head


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The exported version of a head in `tests.support.served.SERVED`, made on its first use.

    By one of pytest-xdist's workers for all of them: an export takes seconds.
    """
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "exported"
    folder.mkdir(exist_ok=True)

    def export(name: str) -> Path:
        made = folder / f"{name}.txt"
        with FileLock(folder / f"{name}.lock"):
            if not made.exists():
                made.write_text(str(export_head(name, folder / name)))
            return Path(made.read_text())

    return cache(export)
