"""The header of a safetensors file: eight bytes of length, JSON, then the tensors' bytes.

    | n: uint64, little-endian | n bytes of JSON | data, without gaps |

Each entry of the JSON is ``name: {dtype, shape, data_offsets}``, offsets counted from the start
of the data. Nothing in a header is believed: sizes are compared with the file's before anything
is allocated, and the entries must cover the data exactly once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from weights_convert.errors import CheckpointError
from weights_convert.tensors import DTYPES, TensorInfo

__all__ = ["Header", "checked_metadata", "encode_header", "read_header", "unique_object"]

_LENGTH = 8
_MAX_HEADER = 100_000_000  # the limit of the reference library
_MAX_AXES = 32  # what every supported NumPy can hold
_MAX_ELEMENTS = 2**59  # times the largest item, still a signed 64-bit count of bytes


@dataclass(frozen=True)
class Header:
    """What one file holds and where.

    Args:
        tensors: name -> dtype and shape.
        offsets: name -> position of its first byte in the file.
        metadata: free text entries, e.g. ``{"format": "pt"}``.

    Example:
        >>> Header({"a": TensorInfo("F32", (2,))}, {"a": 64}).tensors["a"].nbytes
        8
    """

    tensors: dict[str, TensorInfo]
    offsets: dict[str, int]
    metadata: dict[str, str] = field(default_factory=dict)


def read_header(file: BinaryIO, size: int, label: str) -> Header:
    """Read and validate the header of an open file.

    Args:
        file: binary file at its start.
        size: bytes in the file.
        label: how errors call it.

    Returns:
        The header.

    Raises:
        CheckpointError: the file is no well-formed safetensors file.

    Example:
        >>> import io
        >>> raw = encode_header({"a": TensorInfo("U8", (3,))}, {}) + b"abc"
        >>> read_header(io.BytesIO(raw), len(raw), "a file").tensors
        {'a': TensorInfo(dtype='U8', shape=(3,))}
    """
    if size < _LENGTH:
        raise CheckpointError(f"{label}: expected at least {_LENGTH} bytes, found {size}")
    length = int.from_bytes(file.read(_LENGTH), "little")
    limit = min(_MAX_HEADER, size - _LENGTH)
    if length > limit:
        raise CheckpointError(
            f"{label}: expected a header of at most {limit} bytes (the file has {size}), "
            f"found a length of {length}; the file is truncated or no safetensors file"
        )
    values = _parse(file.read(length), label)
    metadata = values.pop("__metadata__", {})
    try:
        metadata = checked_metadata(metadata)
    except ValueError as error:
        raise CheckpointError(f"{label}: {error}") from None
    start = _LENGTH + length
    spans = {name: _span(name, entry, label) for name, entry in values.items()}
    _check_cover(spans, size - start, label)
    tensors = {name: info for name, (info, _) in spans.items()}
    return Header(tensors, {name: start + at for name, (_, at) in spans.items()}, metadata)


def encode_header(tensors: Mapping[str, TensorInfo], metadata: Mapping[str, str]) -> bytes:
    """Write the header of tensors that lie one behind another, in their order.

    Args:
        tensors: name -> dtype and shape.
        metadata: free text entries.

    Returns:
        Length and JSON, padded with spaces so that the data starts at a multiple of eight.

    Raises:
        ValueError: the header is longer than readers accept.

    Example:
        >>> len(encode_header({"a": TensorInfo("F32", (2,))}, {"format": "pt"})) % 8
        0
    """
    values: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    at = 0
    for name, info in tensors.items():
        end = at + info.nbytes
        values[name] = {"dtype": info.dtype, "shape": info.shape, "data_offsets": [at, end]}
        at = end
    text = json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _LENGTH)
    if len(text) > _MAX_HEADER:
        raise ValueError(f"header: expected at most {_MAX_HEADER} bytes, got {len(text)}")
    return len(text).to_bytes(_LENGTH, "little") + text


def checked_metadata(value: Any) -> dict[str, str]:
    """Return metadata that is a mapping of text to text.

    Args:
        value: what stands in a header or shall stand there.

    Returns:
        A copy.

    Raises:
        ValueError: it is anything else.

    Example:
        >>> checked_metadata({"format": "pt"})
        {'format': 'pt'}
    """
    if not isinstance(value, Mapping) or not all(
        isinstance(part, str) for item in value.items() for part in item
    ):
        raise ValueError(f"metadata: expected an object of text to text, found {value!r:.200}")
    "".join(value.values()).encode()  # as in unique_object
    return dict(value)


def unique_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build a JSON object whose keys must be unique valid text; a hook for ``json.loads``.

    Args:
        pairs: the keys and values of the object.

    Returns:
        The object.

    Raises:
        ValueError: a key stands twice, or is text that cannot be encoded.

    Example:
        >>> unique_object([("a", 1)])
        {'a': 1}
    """
    values = dict(pairs)
    if len(values) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise ValueError(f"the key {twice!r} stands twice")
    "".join(values).encode()  # a lone surrogate would fail later, wherever the name is printed
    return values


def _parse(text: bytes, label: str) -> dict[str, Any]:
    if not text.startswith(b"{"):
        raise CheckpointError(f"{label}: expected a JSON object as header, found {text[:20]!r}")
    try:
        return json.loads(text.decode(), object_pairs_hook=unique_object)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{label}: the header is no valid JSON: {error}") from error


def _span(name: str, entry: Any, label: str) -> tuple[TensorInfo, int]:
    """Return what the entry of one tensor says and where its bytes begin."""
    fields = {"dtype", "shape", "data_offsets"}
    if not isinstance(entry, dict) or set(entry) != fields:
        raise CheckpointError(
            f"{label}: {name!r}: expected the fields {sorted(fields)}, found {entry!r:.200}"
        )
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise CheckpointError(
            f"{label}: {name!r}: expected a dtype among {', '.join(DTYPES)}, found {dtype!r:.200}"
        )
    if not _are_sizes(shape) or len(shape) > _MAX_AXES or _elements(shape) > _MAX_ELEMENTS:
        raise CheckpointError(f"{label}: {name!r}: expected a shape, found {shape!r:.200}")
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise CheckpointError(
            f"{label}: {name!r}: expected data_offsets [begin, end], found {offsets!r:.200}"
        )
    info = TensorInfo(dtype, tuple(shape))
    if offsets[1] - offsets[0] != info.nbytes:
        raise CheckpointError(
            f"{label}: {name!r}: expected {info.nbytes} bytes for {dtype} {shape}, "
            f"found data_offsets {offsets}"
        )
    return info, offsets[0]


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _elements(shape: list[int]) -> int:
    """Bound of the elements; an empty axis does not excuse the others."""
    total = 1
    for length in shape:
        total *= max(length, 1)
    return total


def _check_cover(spans: Mapping[str, tuple[TensorInfo, int]], size: int, label: str) -> None:
    """Raise unless the tensors cover the data without a gap, an overlap or a rest."""
    at, before = 0, "the start of the data"
    for name, (info, begin) in sorted(
        spans.items(), key=lambda item: (item[1][1], item[1][0].nbytes)
    ):
        if begin != at:
            fault = "overlaps" if begin < at else "leaves a gap behind"
            raise CheckpointError(
                f"{label}: {name!r} {fault} {before}: expected offset {at}, found {begin}"
            )
        at, before = begin + info.nbytes, repr(name)
    if at != size:
        fault = "truncated" if at > size else "longer than its header says"
        raise CheckpointError(f"{label}: {fault}: expected {at} bytes of data, found {size}")
