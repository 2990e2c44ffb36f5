"""What the folders `tests/models/<family>` declare, collected in the registry's order."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from tfzoo.registry import families

__all__ = ["declared"]


def declared(module: str, name: str) -> dict[str, Any]:
    """Family -> what its module declares under a name; families that declare nothing are left out.

    Args:
        module: A file of the folders `tests/models/<family>`, without `.py`.
        name: What it declares.
    """
    found = {}
    for family in families():
        path = f"tests.models.{family.name}.{module}"
        if find_spec(path) and hasattr(import_module(path), name):
            found[family.name] = getattr(import_module(path), name)
    return found
