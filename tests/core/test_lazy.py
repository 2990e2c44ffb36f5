"""Packages that import their names on first use."""

from __future__ import annotations

import importlib

import pytest

PACKAGES = ("beam", "data", "io", "metrics", "viz")


@pytest.mark.parametrize("name", PACKAGES)
def test_names_are_listed_without_being_imported(name: str) -> None:
    package = importlib.import_module(f"tfzoo.{name}")
    names = [public for names in package._MODULES.values() for public in names]
    assert sorted(names) == package.__all__
    assert len(set(names)) == len(names)
    assert set(names) < set(dir(package))
    with pytest.raises(AttributeError, match=f"module 'tfzoo.{name}' has no attribute 'nonsense'"):
        package.nonsense  # noqa: B018
