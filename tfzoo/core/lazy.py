"""Packages that import their public names on first use."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

from tfzoo.core.quiet import quiet_start

__all__ = ["attach"]


def attach(
    package: str, modules: Mapping[str, tuple[str, ...]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Make the hooks of a package that imports its public names on first use.

    Editors and type checkers read the stub beside the package; `python -m tests.support.stub`
    writes it from the same map.

    Args:
        package: The package's `__name__`.
        modules: The public names of each of its modules.

    Returns:
        Its `__getattr__`, `__dir__` and `__all__`.

    Example:
        >>> found, _, names = attach("tfzoo.core", {"lazy": ("attach",)})
        >>> found("attach").__name__, names
        ('attach', ['attach'])
    """
    homes = {name: module for module, names in modules.items() for name in names}

    def getattribute(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        with quiet_start():
            return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)

    def directory() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes})

    return getattribute, directory, sorted(homes)
