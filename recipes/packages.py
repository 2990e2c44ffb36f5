"""Finds data files inside installed packages, without importing any of them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

__all__ = ["package_folder"]


def package_folder(name: str, holds: str) -> Path:
    """The folder of an installed package.

    Args:
        name: The name to import it by.
        holds: What is looked for in it, for the error.

    Raises:
        FileNotFoundError: It is not installed.

    Example:
        >>> package_folder("numpy", "arrays").name
        'numpy'
    """
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(
            f"the package {name!r}, which holds {holds}, is not installed; install tfzoo with its "
            "'train' extra"
        )
    return Path(spec.submodule_search_locations[0])
