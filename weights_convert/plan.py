"""The strict matching of a model's variables with a checkpoint's tensors, before any is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from weights_convert.errors import CheckpointError, WeightMismatchError
from weights_convert.rules import FamilyMap, SlotLike, checkpoint_names
from weights_convert.tensors import TensorInfo, Tensors
from weights_convert.transforms import Axes, inverse, permutation

__all__ = [
    "Entry",
    "Match",
    "Plan",
    "TensorInfo",
    "canonical_names",
    "make_plan",
    "match_tensors",
    "save_plan",
]


@dataclass(frozen=True)
class Entry:
    """One variable and the one tensor that holds its value.

    Args:
        path: dotted path of the variable.
        name: the tensor's name in the checkpoint.
        kind: kind of the variable's slot.
        leaf: the variable's own name, the last component of its path.
        shape: shape of the variable, in Keras's layout.

    Example:
        >>> entry = Entry("head.kernel", "head.weight", "dense", "kernel", (3, 2))
        >>> entry.axes, entry.checkpoint_shape, entry.from_checkpoint(np.zeros((2, 3))).shape
        ((1, 0), (2, 3), (3, 2))
    """

    path: str
    name: str
    kind: str
    leaf: str
    shape: tuple[int, ...]

    @property
    def axes(self) -> Axes | None:
        """Axes that take the checkpoint's array to Keras's layout, None where they are the same."""
        return permutation(self.kind, self.leaf)

    @property
    def checkpoint_shape(self) -> tuple[int, ...]:
        """Shape of the tensor in the checkpoint."""
        if self.axes is None:
            return self.shape
        return tuple(self.shape[axis] for axis in inverse(self.axes))

    def from_checkpoint(self, array: np.ndarray) -> np.ndarray:
        """Return a checkpoint's array in Keras's layout, as a view.

        Args:
            array: the tensor, of ``checkpoint_shape``.

        Returns:
            A view of ``shape``.

        Raises:
            ValueError: the array has another shape.
        """
        _check_shape(self.name, array, self.checkpoint_shape)
        return array if self.axes is None else array.transpose(self.axes)

    def to_checkpoint(self, array: np.ndarray) -> np.ndarray:
        """Return a variable's value in the checkpoint's layout, as a view.

        Args:
            array: the value, of ``shape``.

        Returns:
            A view of ``checkpoint_shape``.

        Raises:
            ValueError: the array has another shape.
        """
        _check_shape(self.path, array, self.shape)
        return array if self.axes is None else array.transpose(inverse(self.axes))


@dataclass(frozen=True)
class Plan:
    """Which tensor goes where; what stays as it was initialised, and what is not used.

    Args:
        entries: one for each variable that the checkpoint fills.
        fresh: paths of the variables that it does not fill.
        ignored: names of the tensors that fill nothing. With those of the entries they are all
            the tensors of the checkpoint.

    Example:
        >>> Plan((), fresh=("classifier.kernel",)).fresh
        ('classifier.kernel',)
    """

    entries: tuple[Entry, ...]
    fresh: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


def make_plan(
    slots: Mapping[str, SlotLike],
    tensors: Mapping[str, TensorInfo],
    family: FamilyMap,
    *,
    ignore_mismatched_sizes: bool = False,
) -> Plan:
    """Match a model's variables with a checkpoint's tensors, all or nothing.

    Model and checkpoint may each carry the family's base prefix or not. A head that only the
    checkpoint has is ignored; one that only the model has is left fresh. A head of one name whose
    tensors have none in common is two heads, such as two of Perceiver's decoders.

    Args:
        slots: path -> slot of the model.
        tensors: name -> dtype and shape in the checkpoint.
        family: the family's map.
        ignore_mismatched_sizes: leave variables fresh whose tensor has another shape.

    Returns:
        The plan, its entries in the order of the slots.

    Raises:
        WeightMismatchError: a tensor is missing, unexpected or of another shape.
        CheckpointError: two tensors are old and new names of one.
        ValueError: the map is not one to one on this model.

    Example:
        >>> from types import SimpleNamespace
        >>> slots = {"head.kernel": SimpleNamespace(kind="dense", shape=(3, 2))}
        >>> plan = make_plan(slots, {"head.weight": TensorInfo("F32", (2, 3))}, FamilyMap("net"))
        >>> plan.entries[0].name
        'head.weight'
    """
    match = match_tensors(slots, tensors, family)
    if match.missing or match.unexpected or (match.mismatched and not ignore_mismatched_sizes):
        raise _mismatch_error(match, tensors, family)
    used = {entry.name for entry in match.filled}
    return Plan(
        entries=match.filled,
        fresh=tuple(entry.path for entry in (*match.fresh, *match.mismatched)),
        ignored=tuple(name for name in sorted(tensors) if name not in used),
    )


def save_plan(slots: Mapping[str, SlotLike], family: FamilyMap) -> tuple[Entry, ...]:
    """Plan a checkpoint that holds all variables of a model, under the reference's names.

    Args:
        slots: path -> slot of the model.
        family: the family's map.

    Returns:
        One entry for each slot; write ``entry.to_checkpoint(value)`` under ``entry.name``.

    Raises:
        ValueError: the map is not one to one on this model.

    Example:
        >>> from types import SimpleNamespace
        >>> slots = {"head.kernel": SimpleNamespace(kind="dense", shape=(3, 2))}
        >>> entry = save_plan(slots, FamilyMap("net"))[0]
        >>> entry.name, entry.checkpoint_shape
        ('head.weight', (2, 3))
    """
    names = checkpoint_names(slots, family)
    return tuple(_entry(path, name, slots[path]) for path, name in names.items())


@dataclass(frozen=True)
class Match:
    """How variables and tensors pair up, before the result is judged.

    Args:
        filled: variables whose tensor fits.
        mismatched: variables whose tensor has another shape.
        missing: variables without a tensor, under the name that it should have had.
        fresh: the same, of heads of which the checkpoint has nothing.
        unexpected: names of tensors that lead to no variable, except those of a head of which the
            model has nothing and those that are not weights of their own.

    Example:
        >>> match_tensors({}, {"a": TensorInfo("F32", ())}, FamilyMap("")).unexpected
        ('a',)
    """

    filled: tuple[Entry, ...]
    mismatched: tuple[Entry, ...]
    missing: tuple[Entry, ...]
    fresh: tuple[Entry, ...]
    unexpected: tuple[str, ...]


def match_tensors(
    slots: Mapping[str, SlotLike], tensors: Mapping[str, TensorInfo], family: FamilyMap
) -> Match:
    """Pair a model's variables with a checkpoint's tensors and report all that is left over.

    Args:
        slots: path -> slot of the model.
        tensors: name -> dtype and shape in the checkpoint.
        family: the family's map.

    Returns:
        The pairs and the rest; every variable is in exactly one of the first four lists.

    Raises:
        CheckpointError: two tensors are old and new names of one.
        ValueError: the map is not one to one on this model.

    Example:
        >>> from types import SimpleNamespace
        >>> slots = {"norm.gamma": SimpleNamespace(kind="norm", shape=(4,))}
        >>> match_tensors(slots, {}, FamilyMap("net")).missing[0].name
        'norm.weight'
    """
    wanted, stored = _full_paths(slots, family), canonical_names(tensors, family)
    place = family.place_of_tower(slots)
    if place and not any(name.startswith(place) for name in stored):
        # The file leaves the tower's own name out.
        stored = canonical_names(tensors, replace(family, base_prefix=place.removesuffix(".")))
    # A head of which they share no name is another head: the model's is fresh, the file's unused.
    common = {family.head_of(name) for name in stored if name in wanted} | {None}
    has_base = family.has_base(tensors)
    filled: list[Entry] = []
    mismatched: list[Entry] = []
    missing: list[Entry] = []
    fresh: list[Entry] = []
    for name, path in wanted.items():
        original = stored.get(name, family.short_name(name, has_base))
        entry = _entry(path, original, slots[path])
        if name in stored:
            fits = entry.checkpoint_shape == tuple(tensors[original].shape)
            (filled if fits else mismatched).append(entry)
        else:
            (missing if family.head_of(name) in common else fresh).append(entry)
    unexpected = [
        original
        for name, original in stored.items()
        if name not in wanted and family.head_of(name) in common and name.startswith(place)
    ]
    return Match(tuple(filled), tuple(mismatched), tuple(missing), tuple(fresh), tuple(unexpected))


def _full_paths(slots: Mapping[str, SlotLike], family: FamilyMap) -> dict[str, str]:
    """Return full checkpoint name -> path of the variable."""
    has_base = family.has_base(slots)
    names = checkpoint_names(slots, family)
    return {family.full_name(name, has_base): path for path, name in names.items()}


def canonical_names(tensors: Tensors, family: FamilyMap) -> dict[str, str]:
    """Name the weights of a checkpoint in one way, however old the file is.

    Args:
        tensors: name -> dtype and shape in the checkpoint.
        family: the family's map.

    Returns:
        Name in full form -> name in the file. Buffers are left out, tied copies count once.

    Raises:
        CheckpointError: two tensors are old and new names of one.

    Example:
        >>> family = FamilyMap("net", aliases=(("norm.gamma", "norm.weight"),))
        >>> canonical_names({"norm.gamma": TensorInfo("F32", (4,))}, family)
        {'net.norm.weight': 'norm.gamma'}
    """
    has_base = family.has_base(tensors)
    stored: dict[str, str] = {}
    for original in sorted(tensors):
        name = family.full_name(family.current_name(original), has_base)
        if family.is_ignored(name):
            continue
        if name in stored:
            both = f"{stored[name]!r} and {original!r}"
            raise CheckpointError(f"the checkpoint holds {both}, old and new names of one tensor")
        stored[name] = original
    for alias, canonical in family.ties:
        if alias in stored and canonical not in stored:
            stored[canonical] = stored.pop(alias)
        elif alias in stored and tensors[stored[alias]] == tensors[stored[canonical]]:
            del stored[alias]
    return stored


def _entry(path: str, name: str, slot: SlotLike) -> Entry:
    return Entry(path, name, slot.kind, path.rpartition(".")[2], tuple(slot.shape))


def _mismatch_error(
    match: Match, tensors: Mapping[str, TensorInfo], family: FamilyMap
) -> WeightMismatchError:
    """Spell the differences as the checkpoint does, and say what to do about them."""
    return WeightMismatchError(
        [entry.name for entry in match.missing],
        match.unexpected,
        [(e.name, e.checkpoint_shape, tuple(tensors[e.name].shape)) for e in match.mismatched],
        _advice(match, tensors, family),
    )


def _advice(match: Match, tensors: Mapping[str, TensorInfo], family: FamilyMap) -> str:
    if match.missing and (tower := family.tower_of(tensors)):
        return f"The checkpoint holds the {tower} alone: load it with the class of that part."
    if not match.filled and not match.mismatched:
        return "No name is shared: is this a checkpoint of another family or another model class?"
    if match.missing or match.unexpected:
        return (
            "Build the model from the config beside the checkpoint and with the class that saved "
            "it; see `python -m weights_convert plan` for every row."
        )
    if all(family.head_of(family.checkpoint_name(e.path, e.kind)) for e in match.mismatched):
        return "Pass ignore_mismatched_sizes=True to start with a fresh head of the new size."
    return (
        "The sizes in the config are not those of the checkpoint; "
        "ignore_mismatched_sizes=True would leave these weights at their random start."
    )


def _check_shape(name: str, array: np.ndarray, expected: tuple[int, ...]) -> None:
    if tuple(array.shape) != expected:
        raise ValueError(f"{name}: expected an array of shape {expected}, got {tuple(array.shape)}")
