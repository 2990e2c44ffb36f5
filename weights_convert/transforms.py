"""What a kind of slot means on disk: the leaf's name there and the order of its axes.

The kind of a slot (which layer owns the variable) and the variable's own name decide both, never
the shape: a square kernel must be transposed as well.
"""

from __future__ import annotations

__all__ = ["KINDS", "checkpoint_leaf", "inverse", "permutation", "variable_leaf"]

Axes = tuple[int, ...]

_BIAS = {"bias": ("bias", None)}

# kind -> variable leaf -> (checkpoint leaf, axes that take the checkpoint's array to Keras's)
_LAYOUTS: dict[str, dict[str, tuple[str, Axes | None]]] = {
    "dense": {"kernel": ("weight", (1, 0)), **_BIAS},  # (out, in) -> (in, out)
    "conv1d": {"kernel": ("weight", (2, 1, 0)), **_BIAS},  # OIW -> WIO
    "conv2d": {"kernel": ("weight", (2, 3, 1, 0)), **_BIAS},  # OIHW -> HWIO
    "conv3d": {"kernel": ("weight", (2, 3, 4, 1, 0)), **_BIAS},  # OIDHW -> DHWIO
    "norm": {
        "gamma": ("weight", None),
        "beta": ("bias", None),
        "moving_mean": ("running_mean", None),
        "moving_variance": ("running_var", None),
        "num_batches_tracked": ("num_batches_tracked", None),
    },
    "embedding": {"embeddings": ("weight", None)},
}

#: Every kind of slot; a ``raw`` variable keeps its leaf and its axes, whatever they are.
KINDS: tuple[str, ...] = (*_LAYOUTS, "raw")


def checkpoint_leaf(kind: str, leaf: str) -> str:
    """Return the checkpoint's name of a variable's last component.

    Args:
        kind: one of ``KINDS``.
        leaf: the variable's own name, e.g. ``kernel``.

    Returns:
        The leaf in the checkpoint, e.g. ``weight``.

    Raises:
        ValueError: the kind is unknown or owns no such variable.

    Example:
        >>> checkpoint_leaf("norm", "moving_variance")
        'running_var'
    """
    return _layout(kind, leaf)[0]


def permutation(kind: str, leaf: str) -> Axes | None:
    """Return the axes that take the checkpoint's array to Keras's layout.

    Args:
        kind: one of ``KINDS``.
        leaf: the variable's own name, e.g. ``kernel``.

    Returns:
        The argument of ``np.transpose``, or None where the layouts are the same.

    Raises:
        ValueError: the kind is unknown or owns no such variable.

    Example:
        >>> permutation("conv2d", "kernel")
        (2, 3, 1, 0)
    """
    return _layout(kind, leaf)[1]


def variable_leaf(kind: str, leaf: str) -> str:
    """Return the variable's own name for a checkpoint's leaf: ``checkpoint_leaf`` backwards.

    Args:
        kind: one of ``KINDS``.
        leaf: the last component of a checkpoint's name, e.g. ``weight``.

    Returns:
        The variable's leaf, e.g. ``kernel``.

    Raises:
        ValueError: the kind is unknown or has no such tensor.

    Example:
        >>> variable_leaf("dense", "weight")
        'kernel'
    """
    if kind == "raw":
        return leaf
    leaves = {stored: own for own, (stored, _) in _table(kind).items()}
    if leaf not in leaves:
        raise ValueError(f"kind {kind!r} stores {sorted(leaves)}, not {leaf!r}")
    return leaves[leaf]


def inverse(axes: Axes) -> Axes:
    """Return the permutation that undoes another.

    Args:
        axes: a permutation of 0 .. n-1.

    Returns:
        The inverse permutation.

    Example:
        >>> inverse((2, 3, 1, 0))
        (3, 2, 0, 1)
    """
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))


def _layout(kind: str, leaf: str) -> tuple[str, Axes | None]:
    if kind == "raw":
        return leaf, None
    table = _table(kind)
    if leaf not in table:
        raise ValueError(f"kind {kind!r} has the variables {sorted(table)}, not {leaf!r}")
    return table[leaf]


def _table(kind: str) -> dict[str, tuple[str, Axes | None]]:
    if kind not in _LAYOUTS:
        raise ValueError(f"unknown kind of slot {kind!r}; expected one of {list(KINDS)}")
    return _LAYOUTS[kind]
