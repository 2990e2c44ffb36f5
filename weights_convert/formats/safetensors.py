"""Safetensors files, read and written.

    | n: uint64, little-endian | n bytes of JSON | data, without gaps |

Each entry of the JSON is ``name: {dtype, shape, data_offsets}``, offsets counted from the start
of the data. Nothing in a header is believed: sizes are compared with the file's before anything
is allocated, and the entries must cover the data exactly once.

All files of a checkpoint are replaced together, see ``tfzoo.core.replacing``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tfzoo.core.replacing import updating
from weights_convert.errors import CheckpointError
from weights_convert.formats.tensor_file import TensorFile
from weights_convert.memory import Empty, aligned
from weights_convert.tensors import DTYPES, TensorInfo, float32_to_bfloat16

__all__ = ["INDEX_NAME", "SINGLE_NAME", "SafetensorsFile", "unique_object", "write_checkpoint"]

SINGLE_NAME = "model.safetensors"
INDEX_NAME = "model.safetensors.index.json"

_LENGTH = 8
_MAX_HEADER = 2**24  # as Python objects up to thirty times that; of 10,000 tensors, 1.5 MB
_MAX_AXES = 32  # what every supported NumPy can hold
_MAX_ELEMENTS = 2**59  # times the largest item, still a signed 64-bit count of bytes

#: Name, dtype code, shape, and a callable that returns the array.
Source = tuple[str, str, tuple[int, ...], Callable[[], np.ndarray]]


class SafetensorsFile(TensorFile):
    """An open safetensors file.

    Args:
        path: path of the file.

    Raises:
        CheckpointError: the file is missing, malformed or unreadable.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "ones.safetensors"
        >>> write_checkpoint(path, [("a", "F32", (2,), lambda: np.ones(2, np.float32))])
        >>> file = SafetensorsFile(path)
        >>> file.read("a")
        array([1., 1.], dtype=float32)
        >>> file.close()
    """

    def load_contents(self) -> None:
        label = str(self.path)
        if self.size < _LENGTH:
            raise CheckpointError(f"{label}: expected at least {_LENGTH} bytes, found {self.size}")
        length = int.from_bytes(self.bytes_at(0, _LENGTH), "little")
        limit = min(_MAX_HEADER, self.size - _LENGTH)
        if length > limit:
            raise CheckpointError(
                f"{label}: expected a header of at most {limit} bytes (the file has {self.size}), "
                f"found a length of {length}; the file is truncated or not a safetensors file"
            )
        values = _parse(self.bytes_at(_LENGTH, length), label)
        try:
            self.metadata = _checked_metadata(values.pop("__metadata__", {}))
        except ValueError as error:
            raise CheckpointError(f"{label}: {error}") from None
        start = _LENGTH + length
        spans = {name: _span(name, entry, label) for name, entry in values.items()}
        _check_cover(spans, self.size - start, label)
        self.tensors = {name: info for name, (info, _) in spans.items()}
        self._offsets = {name: start + at for name, (_, at) in spans.items()}

    def read(self, name: str, empty: Empty = aligned) -> np.ndarray:
        info = self.tensors[name]
        return self.array_at(self._offsets[name], info.shape, DTYPES[info.dtype], name, empty)


def unique_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build a JSON object whose keys must be unique valid text; a hook for ``json.loads``.

    Args:
        pairs: the keys and values of the object.

    Returns:
        The object.

    Raises:
        ValueError: a key appears twice, or is text that cannot be encoded.

    Example:
        >>> unique_object([("a", 1)])
        {'a': 1}
    """
    values = dict(pairs)
    if len(values) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"the key {key!r:.200} appears twice")
            seen.add(key)
    "".join(values).encode()  # a lone surrogate would fail later, wherever the name is printed
    return values


def _checked_metadata(value: Any) -> dict[str, str]:
    """Return a copy of metadata, which must map text to text."""
    if not isinstance(value, Mapping) or not all(
        isinstance(part, str) for item in value.items() for part in item
    ):
        raise ValueError(f"metadata: expected an object of text to text, found {value!r:.200}")
    "".join(value.values()).encode()  # as in unique_object
    return dict(value)


def _parse(text: bytes, label: str) -> dict[str, Any]:
    if not text.startswith(b"{"):
        raise CheckpointError(f"{label}: expected a JSON object as header, found {text[:20]!r}")
    try:
        return json.loads(text.decode(), object_pairs_hook=unique_object)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{label}: the header is not valid JSON: {error}") from error


def _span(name: str, entry: Any, label: str) -> tuple[TensorInfo, int]:
    """Return what the entry of one tensor says and where its bytes begin."""
    fields = {"dtype", "shape", "data_offsets"}
    if not isinstance(entry, dict) or set(entry) != fields:
        raise CheckpointError(
            f"{label}: {name!r:.200}: expected the fields {sorted(fields)}, found {entry!r:.200}"
        )
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise CheckpointError(
            f"{label}: {name!r:.200}: expected a dtype among {', '.join(DTYPES)}, "
            f"found {dtype!r:.200}"
        )
    if not _is_shape(shape):
        raise CheckpointError(f"{label}: {name!r:.200}: expected a shape, found {shape!r:.200}")
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise CheckpointError(
            f"{label}: {name!r:.200}: expected data_offsets [begin, end], found {offsets!r:.200}"
        )
    info = TensorInfo(dtype, tuple(shape))
    if offsets[1] - offsets[0] != info.nbytes:
        raise CheckpointError(
            f"{label}: {name!r:.200}: expected {info.nbytes} bytes for {dtype} {shape}, "
            f"found data_offsets {offsets!r:.200}"
        )
    return info, offsets[0]


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _is_shape(value: Any) -> bool:
    """Whether these are lengths of axes; an empty one does not excuse the others."""
    if not _are_sizes(value) or len(value) > _MAX_AXES:
        return False
    return prod(max(length, 1) for length in value) <= _MAX_ELEMENTS


def _check_cover(spans: Mapping[str, tuple[TensorInfo, int]], size: int, label: str) -> None:
    """Raise unless the tensors cover the data without a gap, an overlap or a rest."""
    at, before = 0, "the start of the data"
    for name, (info, begin) in sorted(
        spans.items(), key=lambda item: (item[1][1], item[1][0].nbytes)
    ):
        if begin != at:
            fault = "overlaps" if begin < at else "leaves a gap behind"
            raise CheckpointError(
                f"{label}: {name!r:.200} {fault} {before}: expected offset {at}, found {begin}"
            )
        at, before = begin + info.nbytes, f"{name!r:.200}"
    if at != size:
        fault = "truncated" if at > size else "longer than its header says"
        raise CheckpointError(f"{label}: {fault}: expected {at} bytes of data, found {size}")


def write_checkpoint(
    folder_or_file: str | Path,
    tensors: Sequence[Source],
    *,
    max_shard_bytes: int = 5_000_000_000,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a checkpoint, one tensor in memory at a time.

    Past the size of a shard it becomes ``model-00001-of-00003.safetensors`` and so on, and an
    index. They replace those of an older checkpoint of the same name all together; after a
    failure these are as they were, and nothing of the new one is left.

    Args:
        folder_or_file: a ``.safetensors`` file, or the folder (made where needed) of
            ``model.safetensors``.
        tensors: (name, dtype code, shape, callable that returns the array), see
            ``tensors.DTYPES``. A BF16 array may be uint16 bits, a ``bfloat16`` of ml_dtypes, or
            float32 to be rounded; all others must have the stated dtype.
        max_shard_bytes: largest sum of tensors in a file; a larger tensor gets its own.
        metadata: free text entries of each file; ``{"format": "pt"}`` unless given.

    Raises:
        ValueError: a name appears twice, or an array is not what was announced.
        OSError: the disk is full or the folder cannot be written.

    Example:
        >>> import tempfile
        >>> ones = np.ones(2, np.float32)
        >>> write_checkpoint(tempfile.mkdtemp(), [("a", "F32", (2,), lambda: ones)])
    """
    target = Path(folder_or_file)
    path = target if target.suffix == ".safetensors" else target / SINGLE_NAME
    metadata = _checked_metadata({"format": "pt"} if metadata is None else metadata)
    _check_names(tensors)
    files = _name_shards(path, _split(tensors, max_shard_bytes))
    index = f"{path.name}.index.json"
    with updating(path.parent, obsolete=_older(path), gates=(index,)) as folder:
        for name, shard in files.items():
            with open(folder / name, "wb") as file:
                _write_file(file, shard, metadata)
        if len(files) > 1:
            (folder / index).write_bytes(_index(files))


def _check_names(tensors: Sequence[Source]) -> None:
    seen: set[str] = set()
    for name, dtype, *_ in tensors:
        if not isinstance(name, str) or name in seen or name == "__metadata__":
            raise ValueError(f"tensor name {name!r:.200}: expected unique text, not '__metadata__'")
        if dtype not in DTYPES:
            raise ValueError(f"{name}: expected a dtype among {', '.join(DTYPES)}, got {dtype!r}")
        seen.add(name)


def _split(tensors: Sequence[Source], limit: int) -> list[list[Source]]:
    """Fill shards in the given order, each up to the limit."""
    if limit <= 0:
        raise ValueError(f"max_shard_bytes: expected a positive number, got {limit}")
    shards: list[list[Source]] = [[]]
    room = limit
    for source in tensors:
        size = _info(source).nbytes
        if size > room and shards[-1]:
            shards.append([])
            room = limit
        shards[-1].append(source)
        room -= size
    return shards


def _name_shards(path: Path, shards: list[list[Source]]) -> dict[str, list[Source]]:
    if len(shards) == 1:
        return {path.name: shards[0]}
    count = len(shards)
    return {f"{path.stem}-{i:05d}-of-{count:05d}.safetensors": s for i, s in enumerate(shards, 1)}


def _write_file(file: BinaryIO, sources: list[Source], metadata: Mapping[str, str]) -> None:
    # Widest items first keeps every tensor aligned to its own item size.
    sources = sorted(sources, key=lambda source: -DTYPES[source[1]].itemsize)
    file.write(_encode_header({source[0]: _info(source) for source in sources}, metadata))
    for source in sources:
        file.write(_content(source))  # bound to no name, so it is gone before the next is fetched


def _encode_header(tensors: Mapping[str, TensorInfo], metadata: Mapping[str, str]) -> bytes:
    """Return length and JSON of tensors that lie one behind another, in their order.

    Spaces pad it, so that the data starts at a multiple of eight.
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


def _content(source: Source) -> memoryview:
    """Fetch one array and return its bytes as they are stored."""
    name, dtype, shape, fetch = source
    array = np.asarray(fetch())
    if dtype == "BF16" and array.dtype == np.float32:
        array = float32_to_bfloat16(array)
    elif dtype == "BF16" and array.dtype.name == "bfloat16":
        array = array.view(np.uint16)
    if array.dtype.newbyteorder("<") != DTYPES[dtype] or array.shape != tuple(shape):
        found = f"{array.dtype} {array.shape}"
        raise ValueError(f"{name}: expected {dtype} of shape {tuple(shape)}, got {found}")
    return np.ascontiguousarray(array, DTYPES[dtype]).reshape(-1).view(np.uint8).data


def _info(source: Source) -> TensorInfo:
    return TensorInfo(source[1], tuple(source[2]))


def _index(files: Mapping[str, list[Source]]) -> bytes:
    total = sum(_info(source).nbytes for shard in files.values() for source in shard)
    places = {source[0]: name for name, shard in files.items() for source in shard}
    values = {"metadata": {"total_size": total}, "weight_map": places}
    return (json.dumps(values, indent=2, sort_keys=True) + "\n").encode()


def _older(path: Path) -> Callable[[str], bool]:
    """Whether a name is of what an older checkpoint left, which a reader would take for this."""
    stem = re.escape(path.stem)
    old = re.compile(rf"{stem}(-\d{{5}}-of-\d{{5}})?\.safetensors|{stem}\.safetensors\.index\.json")
    return lambda name: old.fullmatch(name) is not None
