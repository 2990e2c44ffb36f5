"""The registry of families: the folder `tfzoo/models` itself, without any other list.

Each family's ``__init__.py`` declares one `Family` and nothing heavy, so all of them can be read
without loading Keras. Classes are imported on first use.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from tfzoo.core.quiet import quiet_start

__all__ = ["Family", "families", "family_of", "import_name", "public_names"]


@dataclass(frozen=True)
class Family:
    """What a family declares about itself.

    Attributes:
        package: Import path of the folder, `__name__` in its `__init__.py`.
        title: The architecture's name as written in its paper.
        paper: Where it was published.
        modules: Public names of each submodule, e.g. `{"config": ("TimesformerConfig",)}`.
        configs: Config class for each `model_type` that the folder serves.
        auto: For each auto class, the class that it resolves to, by `model_type`; or several, from
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
        """Import a public name of this family; it is the `__getattr__` of the family's folder.

        Raises:
            AttributeError: The family has no such name.
        """
        name = self.aliases.get(name, name)
        for module, names in self.modules.items():
            if name in names:
                with quiet_start():
                    return getattr(importlib.import_module(f"{self.package}.{module}"), name)
        raise AttributeError(f"{self.package} has no public name {name!r}; it has {self.classes}.")


@cache
def families() -> tuple[Family, ...]:
    """All families, in alphabetical order."""
    models = importlib.import_module("tfzoo.models")
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
    raise ValueError(f"Unknown model_type {model_type!r:.100}. tfzoo has: {known}.")


@cache
def public_names() -> dict[str, Family]:
    """The family of each public name, old names included.

    Raises:
        ValueError: Two families declare the same name.
    """
    names: dict[str, Family] = {}
    for family in families():
        for name in (*family.classes, *family.aliases):
            if name in names:
                raise ValueError(
                    f"{names[name].package} and {family.package} both declare {name!r}. "
                    "Leave the class to the family that it belongs to."
                )
            names[name] = family
    return names


def import_name(name: str) -> Any:
    """Import the public name `name` from whichever family has it.

    Raises:
        AttributeError: No family has it.
    """
    if name not in public_names():
        raise AttributeError(f"no family of tfzoo has a class {name!r}")
    return public_names()[name].load(name)
