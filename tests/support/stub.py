"""Stubs of the packages whose names are lazy: `python -m tests.support.stub` writes them.

Editors and type checkers do not run `__getattr__`; the stubs tell them which module has each name.
They are made from the packages' own maps and from the registry of families.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path

import tfzoo
from tests.support.paths import ROOT
from tfzoo.registry import families

LAZY = ("beam", "data", "io", "metrics", "viz")
HEAD = '''# ruff: noqa
# fmt: off
"""Where the names are, for editors and type checkers; made by `python -m tests.support.stub`."""

'''


def imports(package: str, modules: dict[str, Iterable[str]]) -> list[str]:
    """A line for each name of each module."""
    return [
        f"from {package}.{module} import {name} as {name}"
        for module, names in modules.items()
        for name in names
    ]


def stubs() -> dict[Path, str]:
    """The content of each stub."""
    lines = {f"tfzoo/{n}": imports(f"tfzoo.{n}", _map(f"tfzoo.{n}")) for n in LAZY}
    lines["tfzoo"] = [
        *(f"from . import {name} as {name}" for name in tfzoo._PACKAGES),
        *imports("tfzoo", tfzoo._MODULES),
    ]
    for family in families():
        lines["tfzoo"] += imports(family.package, family.modules)
    lines["tfzoo"] += ["", "__version__: str"]
    lines["tfzoo"] += [f"{old} = {new}" for f in families() for old, new in f.aliases.items()]
    return {
        ROOT / folder / "__init__.pyi": HEAD + "\n".join(text) + "\n"
        for folder, text in lines.items()
    }


def _map(package: str) -> dict[str, tuple[str, ...]]:
    return importlib.import_module(package)._MODULES


def main() -> None:
    """Write all stubs."""
    for path, text in stubs().items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
