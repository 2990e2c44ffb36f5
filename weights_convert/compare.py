"""Two checkpoints side by side, bit by bit.

Both are mappings of names to dtypes and shapes that also read: files of any format, or a model's
variables under the names of its checkpoint. With a family's map old names, a missing base prefix
and tied copies count for what they are; buffers, which are not weights, do not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from weights_convert.plan import canonical_names
from weights_convert.rules import FamilyMap
from weights_convert.tensors import (
    DTYPES,
    FLOATS,
    TensorInfo,
    Tensors,
    bfloat16_to_float32,
    float32_to_bfloat16,
)

__all__ = ["CODES", "Difference", "Readable", "compare", "rounded"]

#: Name of a dtype, as users write it -> its code.
CODES: Mapping[str, str] = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}

_BLOCK = 2**22  # items that are compared at once: the wide copies stay small


class Readable(Tensors, Protocol):
    """What is compared: an open ``Checkpoint``, or anything that reads like one."""

    def __len__(self) -> int: ...

    def read_raw(self, name: str) -> np.ndarray:
        """Read one tensor as it is stored."""


@dataclass(frozen=True)
class Difference:
    """One tensor in both checkpoints.

    Args:
        name: in full form if a map was given, else as in the files.
        status: ``equal``; ``missing`` in the second; ``extra`` in it; another ``shape``; another
            ``dtype``; or ``differs``.
        first: dtype and shape in the first, None where it lacks the tensor.
        second: the same in the second.
        largest: largest difference of two values; NaN where only one of them is a number, None
            where it is unknown.
        count: how many items differ in their bits, or, of two dtypes, in their values.

    Example:
        >>> Difference("a", "equal", None, None).is_equal
        True
    """

    name: str
    status: str
    first: TensorInfo | None
    second: TensorInfo | None
    largest: float | None = None
    count: int | None = None

    @property
    def is_equal(self) -> bool:
        """Whether the two are the same."""
        return self.status == "equal"


def compare(
    first: Readable, second: Readable, family: FamilyMap | None = None, dtype: str | None = None
) -> Iterator[Difference]:
    """Compare two checkpoints, one tensor in memory at a time.

    Args:
        first: a checkpoint.
        second: another.
        family: the map of their family; without it names must be the same.
        dtype: code of the dtype to which the second has been rounded, e.g. ``"BF16"``.

    Yields:
        One row for each tensor, those of the first before what only the second has.

    Raises:
        CheckpointError: a file is damaged, or holds old and new names of one tensor.

    Example:
        >>> import tempfile
        >>> from weights_convert.checkpoint import open_checkpoint, write_checkpoint
        >>> ones, folders = np.ones(2, np.float32), [tempfile.mkdtemp(), tempfile.mkdtemp()]
        >>> for scale, folder in enumerate(folders):
        ...     write_checkpoint(folder, [("a", "F32", (2,), lambda: ones * scale)])
        >>> with open_checkpoint(folders[0]) as a, open_checkpoint(folders[1]) as b:
        ...     row = next(compare(a, b))
        >>> row.status, row.largest, row.count
        ('differs', 1.0, 2)
    """
    names = [
        canonical_names(side, family) if family else {name: name for name in side}
        for side in (first, second)
    ]
    for name, original in names[0].items():
        if name in names[1]:
            yield _compare_one(name, first, original, second, names[1][name], dtype)
        else:
            yield Difference(name, "missing", first[original], None)
    for name, original in names[1].items():
        if name not in names[0]:
            yield Difference(name, "extra", None, second[original])


def rounded(raw: np.ndarray, code: str, target: str) -> np.ndarray:
    """Return a stored array in another float dtype, as stored; integers stay what they are.

    Args:
        raw: the array, bfloat16 as bits.
        code: its dtype code.
        target: code of a float dtype.

    Returns:
        The array, bfloat16 as bits.

    Example:
        >>> hex(rounded(np.ones(1, np.float32), "F32", "BF16")[0])
        '0x3f80'
    """
    if code not in FLOATS or code == target:
        return raw
    values = bfloat16_to_float32(raw) if code == "BF16" else raw
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, as everywhere
        if target == "BF16":
            return float32_to_bfloat16(values.astype(np.float32))
        return values.astype(DTYPES[target])


def _compare_one(
    name: str, first: Readable, one: str, second: Readable, two: str, dtype: str | None
) -> Difference:
    infos = first[one], second[two]
    if infos[0].shape != infos[1].shape:
        return Difference(name, "shape", *infos)
    a, b = first.read_raw(one), second.read_raw(two)
    code = infos[0].dtype
    if dtype is not None and code in FLOATS:
        a, code = rounded(a, code, dtype), dtype
    if code == infos[1].dtype:
        count = _differing_bits(a, b)
        status = "differs" if count else "equal"
    else:
        status, count = "dtype", None
    if status == "equal":
        return Difference(name, status, *infos, 0.0, 0)
    largest, unequal = _largest(_values(a, code), _values(b, infos[1].dtype))
    return Difference(name, status, *infos, largest, unequal if count is None else count)


def _differing_bits(a: np.ndarray, b: np.ndarray) -> int:
    """Bits tell a NaN from another and -0 from 0, which values do not."""
    as_bits = np.dtype(f"u{a.dtype.itemsize}")
    a, b = (np.ascontiguousarray(side).reshape(-1).view(as_bits) for side in (a, b))
    return int(np.count_nonzero(a != b))


def _values(raw: np.ndarray, code: str) -> np.ndarray:
    return bfloat16_to_float32(raw) if code == "BF16" else raw


def _largest(a: np.ndarray, b: np.ndarray) -> tuple[float, int]:
    """Return the largest difference of two arrays, and how many values differ."""
    largest, count = 0.0, 0
    a, b = a.reshape(-1), b.reshape(-1)
    for at in range(0, len(a), _BLOCK):
        x, y = (side[at : at + _BLOCK].astype(np.float64) for side in (a, b))
        unequal = ~((x == y) | (np.isnan(x) & np.isnan(y)))
        if unequal.any():
            with np.errstate(invalid="ignore"):
                largest = float(np.maximum(largest, np.abs(x - y)[unequal].max()))  # NaN stays
            count += int(np.count_nonzero(unequal))
    return largest, count
