"""What a stored tensor is: its dtype code, its shape, and the two forms of bfloat16.

Dtypes are called by the codes of the safetensors format. NumPy has no bfloat16, so its bits
travel as ``uint16`` and its values as ``float32``, which holds every one of them exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Protocol

import numpy as np

from weights_convert.memory import Empty, aligned

__all__ = [
    "DTYPES",
    "FLOATS",
    "TensorInfo",
    "Tensors",
    "bfloat16_to_float32",
    "float32_to_bfloat16",
]

#: Dtype code -> the little-endian NumPy dtype of the stored bits.
DTYPES: dict[str, np.dtype] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}

#: The dtype codes of weights; whole numbers in their place are quantized ones.
FLOATS: tuple[str, ...] = ("F64", "F32", "F16", "BF16")


@dataclass(frozen=True)
class TensorInfo:
    """Dtype code and shape of one stored tensor, known without reading it.

    Args:
        dtype: a key of ``DTYPES``.
        shape: lengths of its axes, in the checkpoint's layout.

    Example:
        >>> TensorInfo("BF16", (2, 3)).nbytes
        12
    """

    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes that the tensor takes in the file."""
        return prod(self.shape) * DTYPES[self.dtype].itemsize


class Tensors(Protocol):
    """Names of tensors with their dtypes and shapes: a mapping, or what reads like one."""

    def __iter__(self) -> Iterator[str]: ...

    def __getitem__(self, name: str, /) -> TensorInfo: ...


def bfloat16_to_float32(bits: np.ndarray, empty: Empty = aligned) -> np.ndarray:
    """Return the exact float32 values of bfloat16 bits.

    Args:
        bits: uint16 array of any shape.
        empty: makes the array that is returned, see ``memory.py``.

    Returns:
        float32 array of that shape.

    Example:
        >>> bfloat16_to_float32(np.array([0x3F80, 0xC000], np.uint16))
        array([ 1., -2.], dtype=float32)
    """
    wide = empty(bits.shape, np.dtype(np.uint32))
    np.left_shift(bits, 16, out=wide, dtype=np.uint32)
    return wide.view(np.float32)


def float32_to_bfloat16(values: np.ndarray) -> np.ndarray:
    """Round float32 values to the nearest bfloat16, ties to even, and return the bits.

    Args:
        values: float32 array of any shape.

    Returns:
        uint16 array of that shape; every NaN stays a NaN of the same sign.

    Example:
        >>> [hex(bits) for bits in float32_to_bfloat16(np.array([1.0, -2.0], np.float32))]
        ['0x3f80', '0xc000']
    """
    wide = np.array(values, np.float32, copy=None, order="C").view(np.uint32)
    high = (wide >> 16).astype(np.uint16)
    # Half of the dropped range minus one, plus the last kept bit: carries exactly when rounding up.
    rounded = ((wide.astype(np.uint64) + 0x7FFF + (high & 1)) >> 16).astype(np.uint16)
    quiet_nan = high | np.uint16(0x0040)
    # bits that are exact stay as they are, so a signalling NaN also survives the round trip
    exact = (wide & 0xFFFF) == 0
    return np.where(exact, high, np.where(np.isnan(values), quiet_nan, rounded))
