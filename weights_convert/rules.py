"""The map of a family: rows that lead from tfzoo's dotted paths to the checkpoint's names.

A row is a pair of dotted paths without their leaf, e.g. ``("mlp.fc1", "intermediate.dense")``.
A path is read from left to right. At each component the first row that matches there is applied
and reading goes on behind it; where no row applies the component stays. ``*``
stands for exactly one component, which is carried over to the other side. The same rows run
backwards, from the checkpoint's names to tfzoo's.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from weights_convert.transforms import checkpoint_leaf, variable_leaf

__all__ = ["FamilyMap", "SlotLike", "checkpoint_names", "family_map"]

Rows = tuple[tuple[str, str], ...]
_Table = dict[str, list[tuple[list[str], list[str]]]]


class SlotLike(Protocol):
    """What a map needs to know of a model's variable."""

    @property
    def kind(self) -> str:
        """`dense`, `conv1d`, `conv2d`, `conv3d`, `norm`, `embedding` or `raw`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape in Keras's layout."""


@dataclass(frozen=True)
class FamilyMap:
    """How one family's variables are called in its checkpoints. Data only.

    Names below are in full form: the base model's under ``base_prefix``, heads beside it.

    Args:
        base_prefix: component in front of the base model, present in models and checkpoints
            with a head and absent from bare ones; empty for a family without one.
        rows: (tfzoo path, checkpoint path) pairs, see the module's docstring.
        heads: tfzoo paths of parts that a model or a checkpoint may lack as a whole: layers, or
            single variables.
        ignore: ends of checkpoint names (whole components) of what no model of the family has:
            buffers, or weights that tfzoo leaves out.
        ties: (name, canonical name) of tensors that are stored once or twice but are one.
        aliases: (old, new) runs of components in checkpoint names, leaf included.
        towers: tfzoo paths of parts that are also models of their own. Such a model takes its
            part of a whole checkpoint, or a checkpoint that leaves out the tower's name.

    Raises:
        ValueError: the two sides of a row carry different numbers of ``*``.

    Example:
        >>> family = FamilyMap("net", (("mlp.fc1", "intermediate.dense"),), heads=("classifier",))
        >>> family.checkpoint_name("net.layer.0.mlp.fc1.kernel", "dense")
        'net.layer.0.intermediate.dense.weight'
    """

    base_prefix: str
    rows: Rows = ()
    heads: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    ties: Rows = ()
    aliases: Rows = ()
    towers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for old, new in (*self.rows, *self.aliases):
            if not old or not new or _stars(old) != _stars(new):
                raise ValueError(
                    f"row ({old!r}, {new!r}): both sides need a path, and equally many *"
                )

    # Made once: a model has hundreds of names, and each is rewritten several times.
    @cached_property
    def _forwards(self) -> _Table:
        return _by_first(self.rows)

    @cached_property
    def _backwards(self) -> _Table:
        return _by_first(_swapped(self.rows))

    @cached_property
    def _current(self) -> _Table:
        return _by_first(self.aliases)

    @cached_property
    def _ignored(self) -> list[list[str]]:
        return [pattern.split(".") for pattern in self.ignore]

    @cached_property
    def _heads(self) -> list[tuple[str, str]]:
        return [(head, _rewrite(head, self._forwards) + ".") for head in self.heads]

    def checkpoint_name(self, path: str, kind: str) -> str:
        """Return the checkpoint's name of a variable.

        Args:
            path: dotted path of the variable, its own name last.
            kind: kind of its slot, see ``transforms.KINDS``.

        Returns:
            The name in the checkpoint, with the base prefix if and only if the path has it.

        Raises:
            ValueError: the kind is unknown or owns no such variable.
        """
        body, _, leaf = path.rpartition(".")
        return _join(_rewrite(body, self._forwards), checkpoint_leaf(kind, leaf))

    def variable_path(self, name: str, kind: str) -> str:
        """Return the variable's path for a checkpoint's name: ``checkpoint_name`` backwards.

        Args:
            name: name of a tensor in the checkpoint.
            kind: kind of the slot that it fills.

        Returns:
            The dotted path of the variable.

        Raises:
            ValueError: the kind is unknown or has no such tensor.
        """
        body, _, leaf = name.rpartition(".")
        return _join(_rewrite(body, self._backwards), variable_leaf(kind, leaf))

    def current_name(self, name: str) -> str:
        """Return a checkpoint's name with its old components replaced, see ``aliases``."""
        return _rewrite(name, self._current)

    def is_ignored(self, name: str) -> bool:
        """Return whether a checkpoint's tensor is left out, see ``ignore``."""
        parts = name.split(".")
        return any(_carried(end, parts[-len(end) :]) is not None for end in self._ignored)

    def has_base(self, names: Iterable[str]) -> bool:
        """Return whether these names (of one model or checkpoint) carry the base prefix."""
        return bool(self.base_prefix) and any(n.startswith(f"{self.base_prefix}.") for n in names)

    def head_of(self, name: str) -> str | None:
        """Return the head, as in ``heads``, that a checkpoint's name in full form belongs to."""
        for head, prefix in self._heads:
            if f"{name}.".startswith(prefix):
                return head
        return None

    def tower_of(self, names: Iterable[str]) -> str | None:
        """Return the tower, as in ``towers``, that all these names belong to, if one does."""
        names = list(names)
        for tower in self.towers:
            if names and all(name.startswith(f"{tower}.") for name in names):
                return tower
        return None

    def place_of_tower(self, paths: Iterable[str]) -> str:
        """Return where a checkpoint in full form holds a model: its tower's prefix, or ``""``."""
        paths = list(paths)
        tower = self.tower_of(path.removeprefix(f"{self.base_prefix}.") for path in paths)
        if tower is None:
            return ""
        return f"{self.base_prefix}.{tower}." if self.base_prefix else f"{tower}."

    def full_name(self, name: str, has_base: bool) -> str:
        """Return a checkpoint's name in full form, given whether its kin carry the prefix."""
        if has_base or not self.base_prefix or self.head_of(name):
            return name
        return f"{self.base_prefix}.{name}"

    def short_name(self, name: str, has_base: bool) -> str:
        """Return a name in full form as a checkpoint with or without the prefix spells it."""
        return name if has_base else name.removeprefix(f"{self.base_prefix}.")


def checkpoint_names(slots: Mapping[str, SlotLike], family: FamilyMap) -> dict[str, str]:
    """Name every variable of a model as its checkpoint does, one tensor for each.

    Args:
        slots: path -> slot of the model.
        family: the family's map.

    Returns:
        path -> name, in the order of the slots.

    Raises:
        ValueError: two variables lead to one name, or a name does not lead back to its variable:
            the family's rows are at fault.

    Example:
        >>> from types import SimpleNamespace
        >>> slots = {"norm.gamma": SimpleNamespace(kind="norm", shape=(4,))}
        >>> checkpoint_names(slots, FamilyMap("net"))
        {'norm.gamma': 'norm.weight'}
    """
    names: dict[str, str] = {}
    owners: dict[str, str] = {}
    for path, slot in slots.items():
        name = family.checkpoint_name(path, slot.kind)
        if name in owners:
            raise ValueError(
                f"{owners[name]} and {path} both lead to {name}; see the family's rows"
            )
        back = family.variable_path(name, slot.kind)
        if back != path:
            raise ValueError(f"{path} leads to {name}, which leads back to {back}; see the rows")
        names[path], owners[name] = name, path
    return names


def family_map(model_type: str) -> FamilyMap:
    """Return the map of a family.

    Args:
        model_type: the family's name as in ``config.json``, e.g. ``"timesformer"``.

    Returns:
        The ``MAP`` of ``weights_convert.families.<model_type>``.

    Raises:
        ValueError: the family is unknown.

    Example:
        >>> family_map("timesformer").base_prefix
        'timesformer'
    """
    package = importlib.import_module("weights_convert.families")
    known = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    if model_type not in known:
        raise ValueError(f"no weight map for model_type {model_type!r}; known: {', '.join(known)}")
    return importlib.import_module(f"weights_convert.families.{model_type}").MAP


def _by_first(rows: Rows) -> _Table:
    """The rows split at their dots, by the component that a path has to begin with."""
    split = [(old.split("."), new.split(".")) for old, new in rows]
    firsts = {"*", *(old[0] for old, _ in split)}
    return {first: [row for row in split if row[0][0] in (first, "*")] for first in firsts}


def _rewrite(path: str, table: _Table) -> str:
    """Apply the rows to a dotted path, left to right, each component at most once."""
    parts, out, place = path.split("."), [], 0
    while place < len(parts):
        for old, new in table.get(parts[place], table["*"]):
            carried = _carried(old, parts[place : place + len(old)])
            if carried is not None:
                taken = iter(carried)
                out += [next(taken) if part == "*" else part for part in new]
                place += len(old)
                break
        else:
            out.append(parts[place])
            place += 1
    return ".".join(out)


def _carried(pattern: list[str], parts: list[str]) -> list[str] | None:
    """Return what the ``*`` of the pattern stand for, or None where it does not match."""
    if len(pattern) != len(parts):
        return None
    if any(p not in ("*", part) for p, part in zip(pattern, parts, strict=True)):
        return None
    return [part for p, part in zip(pattern, parts, strict=True) if p == "*"]


def _swapped(rows: Rows) -> Rows:
    return tuple((new, old) for old, new in rows)


def _stars(path: str) -> int:
    return path.split(".").count("*")


def _join(body: str, leaf: str) -> str:
    return f"{body}.{leaf}" if body else leaf
