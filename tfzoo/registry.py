"""The registry of families: it is the folder `tfzoo/models` itself, there is no other list.

Each family's ``__init__.py`` declares one `Family` and nothing heavy, so all of them can be read
without loading Keras. Classes are imported when somebody asks for one by name.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import Any

__all__ = ["Family", "families", "family_of", "import_name", "lazy_getattr", "public_names"]


@dataclass(frozen=True)
class Family:
    """What a family declares about itself.

    Attributes:
        package: Import path of the folder, `__name__` in its `__init__.py`.
        title: The architecture's name as written in its paper.
        paper: Where it was published.
        modules: Public names of each submodule, e.g. `{"config": ("TimesformerConfig",)}`.
        configs: Config class for each `model_type` that the folder serves.
        auto: For each auto class, the class that it resolves to, by `model_type`; or several, of
            which the checkpoint's architecture chooses.
        aliases: Other names that files give a class of this family, e.g. an old processor's.
        checkpoints: Published repositories.
    """

    package: str
    title: str
    paper: str
    modules: Mapping[str, tuple[str, ...]]
    configs: Mapping[str, str]
    auto: Mapping[str, Mapping[str, str | tuple[str, ...]]]
    aliases: Mapping[str, str] = field(default_factory=dict)
    checkpoints: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.package.rpartition(".")[2]

    @property
    def model_types(self) -> tuple[str, ...]:
        """The `model_type`s that the folder serves."""
        return tuple(self.configs)

    @property
    def classes(self) -> tuple[str, ...]:
        """All public names, in the order in which they are declared."""
        return tuple(name for names in self.modules.values() for name in names)

    def load(self, name: str) -> Any:
        """Import the public name `name` of this family."""
        name = self.aliases.get(name, name)
        for module, names in self.modules.items():
            if name in names:
                return getattr(importlib.import_module(f"{self.package}.{module}"), name)
        raise AttributeError(f"{self.package} has no public name {name!r}; it has {self.classes}.")


@cache
def families() -> tuple[Family, ...]:
    """All families, in alphabetical order."""
    models: ModuleType = importlib.import_module("tfzoo.models")
    found = sorted(info.name for info in pkgutil.iter_modules(models.__path__) if info.ispkg)
    return tuple(importlib.import_module(f"tfzoo.models.{name}").FAMILY for name in found)


def family_of(model_type: str) -> Family:
    """The family that serves `model_type`.

    Raises:
        ValueError: No family does; the message lists those that exist.
    """
    for family in families():
        if model_type in family.configs:
            return family
    known = ", ".join(sorted(t for family in families() for t in family.configs))
    raise ValueError(f"Unknown model_type {model_type!r}. tfzoo has: {known}.")


@cache
def public_names() -> dict[str, Family]:
    """The family of each public name, old names included."""
    names: dict[str, Family] = {}
    for family in families():
        names.update(dict.fromkeys((*family.classes, *family.aliases), family))
    return names


def import_name(name: str) -> Any:
    """Import the class `name` from whichever family has it.

    Raises:
        AttributeError: No family has it.
    """
    try:
        return public_names()[name].load(name)
    except KeyError:
        raise AttributeError(f"no family of tfzoo has a class {name!r}") from None


def lazy_getattr(family: Family) -> Any:
    """The module-level `__getattr__` of a family's folder: names resolve on first use."""

    def __getattr__(name: str) -> Any:  # noqa: N807 - the hook's own name
        if name in family.classes or name in family.aliases:
            return family.load(name)
        raise AttributeError(f"module {family.package!r} has no attribute {name!r}")

    return __getattr__
