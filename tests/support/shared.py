"""What takes long to make, made by one of pytest-xdist's workers for all of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

__all__ = ["made_once"]


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], str]) -> str:
    """What `make` returns for a new folder: called by the first worker that asks.

    Args:
        factory: pytest's fixture `tmp_path_factory`.
        name: What is made; the folder's name.
        make: Makes it in the folder, and returns what tells others of it.
    """
    folder = factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "made-once"
    folder.mkdir(exist_ok=True)
    result = folder / f"{name}.txt"
    with FileLock(folder / f"{name}.lock"):
        if not result.exists():
            (folder / name).mkdir()
            result.write_text(make(folder / name), encoding="utf-8")
        return result.read_text(encoding="utf-8")
