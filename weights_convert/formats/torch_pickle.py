"""Reading ``pytorch_model.bin`` without PyTorch, and without executing anything.

Both forms that ``torch.save`` has written are known: the zip archive (since PyTorch 1.6) and the
older sequence of pickles, followed by the bytes of the storages. Of the pickles only tensors in
plain dictionaries are ever built, see ``pickle_reader.py``; a tensor here is just a range of
a storage and its strides. Its bytes are read when it is asked for.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from weights_convert.errors import CheckpointError
from weights_convert.formats.pickle_reader import ByteSource, Constructor, Global, run, scan
from weights_convert.formats.tensor_file import TensorFile
from weights_convert.memory import Empty, aligned
from weights_convert.tensors import DTYPES, TensorInfo

__all__ = ["ALLOWED", "TorchFile"]

_MAX_PICKLE = 2**26
_MAX_AXES = 32  # what every supported NumPy can hold
_MAX_ELEMENTS = 2**59
_SMALL = 2**20  # bytes that a tensor may have more than its storage (an expanded one has)
_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_COUNT = 8  # bytes in front of each storage of the older form

#: Name of a storage, or of a member of an archive -> position and number of its bytes.
Members = dict[str, tuple[int, int]]

# Records of a zip archive.
_END = struct.Struct("<4s4H2LH")  # end of central directory
_LOCATOR = struct.Struct("<4sLQL")  # where its 64-bit form is
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")  # one member in the central directory
_LOCAL = struct.Struct("<4s5H3L2H")  # in front of the member's bytes
_LONGEST_COMMENT = 2**16 - 1
_MAX_DIRECTORY = 2**24
_FULL = {2: 2**16 - 1, 4: 2**32 - 1}  # such a field has its value in a 64-bit one
_ENCRYPTED = 1


@dataclass(frozen=True)
class _Dtype:
    """Stands for ``torch.float32`` and for ``torch.FloatStorage`` alike.

    Args:
        code: dtype code, see ``tensors.DTYPES``.
        is_storage: whether it is the type of a storage.
    """

    code: str
    is_storage: bool = False


@dataclass(frozen=True)
class _Storage:
    """What a pickle says of a storage: the dtype of its items, its key, how many there are."""

    dtype: str
    key: str
    items: int

    @property
    def nbytes(self) -> int:
        return self.items * DTYPES[self.dtype].itemsize


@dataclass(frozen=True)
class _Tensor:
    """A view of a storage; offset and strides count items."""

    info: TensorInfo
    storage: _Storage
    offset: int
    strides: tuple[int, ...]

    @property
    def extent(self) -> int:
        """Items of the storage from the first to the last that belong to the tensor."""
        if 0 in self.info.shape:
            return 0
        return 1 + sum(
            (n - 1) * stride for n, stride in zip(self.info.shape, self.strides, strict=True)
        )

    @property
    def is_contiguous(self) -> bool:
        """Whether its items stand one behind another in the order of their indices."""
        expected = 1
        for length, stride in zip(self.info.shape[::-1], self.strides[::-1], strict=True):
            if length != 1 and stride != expected:
                return False
            expected *= length
        return True


class TorchFile(TensorFile):
    """An open file that ``torch.save`` has written from a state dict.

    Args:
        path: path of the file.

    Raises:
        CheckpointError: the file is missing, malformed, unreadable or big-endian, or its pickle
            names anything but tensors.

    Example:
        >>> from pathlib import Path
        >>> Path("evil.bin").write_bytes(b"cos\\nsystem\\n(X\\x02\\x00\\x00\\x00lstR.") > 0
        True
        >>> TorchFile(Path("evil.bin"))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        weights_convert.errors.CheckpointError: evil.bin: the pickle names os.system, which ...
    """

    def load_contents(self) -> None:
        first = self.bytes_at(0, min(4, self.size))
        load = self._load_archive if first == b"PK\3\4" else self._load_legacy
        try:
            values, self._places = load()
            self._tensors = _checked(values)
            for tensor in self._tensors.values():
                self._check_storage(tensor.storage)
        except CheckpointError as error:
            text = str(error)
            if text.startswith(str(self.path)):
                raise
            raise CheckpointError(f"{self.path}: {text}") from error
        self.tensors = {name: tensor.info for name, tensor in self._tensors.items()}

    def read(self, name: str, empty: Empty = aligned) -> np.ndarray:
        tensor = self._tensors[name]
        dtype, shape = DTYPES[tensor.info.dtype], tensor.info.shape
        begin = self._places[tensor.storage.key][0] + tensor.offset * dtype.itemsize
        if tensor.is_contiguous or 0 in shape:
            return self.array_at(begin, shape, dtype, name, empty)
        flat = self.array_at(begin, (tensor.extent,), dtype, name)
        steps = [stride * dtype.itemsize for stride in tensor.strides]
        array = empty(shape, dtype)
        array[...] = np.lib.stride_tricks.as_strided(flat, shape, steps, writeable=False)
        return array

    def _load_archive(self) -> tuple[Any, Members]:
        """Read the zip form: its pickle, and the places of the storages by their keys."""
        members = _read_members(self)
        pickles = [name for name in members if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise CheckpointError(f"expected one data.pkl in the archive, found {len(pickles)}")
        top = pickles[0].removesuffix("data.pkl")
        begin, size = members.get(f"{top}byteorder", (0, 0))
        order = self.bytes_at(begin, min(size, 20))
        if order not in (b"", b"little"):
            raise CheckpointError(f"expected little-endian numbers, found byteorder {order!r}")
        begin, size = members[pickles[0]]
        if size > _MAX_PICKLE:
            raise CheckpointError(f"expected a pickle of at most {_MAX_PICKLE} bytes, found {size}")
        scan(ByteSource(self.bytes_at, begin, begin + size), ALLOWED)
        values = run(ByteSource(self.bytes_at, begin, begin + size), ALLOWED, _storage)
        data = f"{top}data/"
        places = {
            name.removeprefix(data): at for name, at in members.items() if name.startswith(data)
        }
        return values, places

    def _load_legacy(self) -> tuple[Any, Members]:
        """Read the older form: magic number, version, machine, values, keys; then the bytes."""
        end = min(self.size, _MAX_PICKLE)
        source = ByteSource(self.bytes_at, 0, end)
        scan(source, ALLOWED)
        magic = run(ByteSource(self.bytes_at, 0, end), ALLOWED)
        if type(magic) is not int or magic != _MAGIC:
            raise CheckpointError(
                "expected a file of torch.save, found neither a zip archive nor PyTorch's magic "
                "number"
            )
        begin = source.position
        for _ in range(4):
            scan(source, ALLOWED)
        source = ByteSource(self.bytes_at, begin, end)
        version, machine = run(source, {}), run(source, {})
        if type(version) is not int or version != _PROTOCOL:
            raise CheckpointError(f"expected version {_PROTOCOL} of PyTorch's format")
        if type(machine) is not dict or machine.get("little_endian") is not True:
            raise CheckpointError("expected little-endian numbers")
        storages: dict[str, _Storage] = {}
        values = run(source, ALLOWED, lambda value: _collected(value, storages))
        return values, self._places_of(run(source, {}), storages, source.position)

    def _places_of(self, keys: Any, storages: Mapping[str, _Storage], at: int) -> Members:
        """Walk over the storages, each behind its count of items."""
        if type(keys) is not list or not all(type(key) is str for key in keys):
            raise CheckpointError("expected a list of the storages' keys")
        if len(set(keys)) < len(keys) or set(keys) != set(storages):
            raise CheckpointError("the list of storages is not that of the tensors")
        places: Members = {}
        for key in keys:
            items = int.from_bytes(self.bytes_at(at, _COUNT), "little", signed=True)
            if items != storages[key].items:
                expected = storages[key].items
                raise CheckpointError(f"expected {expected} items in storage {key}, found {items}")
            places[key] = at + _COUNT, storages[key].nbytes
            at += _COUNT + storages[key].nbytes
        if at != self.size:
            raise CheckpointError(f"expected {at} bytes, found {self.size}; the file is damaged")
        return places

    def _check_storage(self, storage: _Storage) -> None:
        if storage.key not in self._places:
            raise CheckpointError(f"the storage {storage.key!r:.200} is missing from the archive")
        _, found = self._places[storage.key]
        if found != storage.nbytes:
            raise CheckpointError(
                f"expected {storage.nbytes} bytes in storage {storage.key!r:.200}, found {found}"
            )


# -- from a pickle to tensors -------------------------------------------------------------------


def _checked(values: Any) -> dict[str, _Tensor]:
    """Return the state dict that a pickle held, or say what it holds instead."""
    if type(values) is not dict:
        raise CheckpointError(f"expected a dictionary of tensors, found a {_kind(values)}")
    for name, value in values.items():
        if not isinstance(value, _Tensor):
            raise CheckpointError(
                f"expected a dictionary of tensors, found a {_kind(value)} under {name!r:.200}; "
                "save model.state_dict() alone"
            )
    return values


def _kind(value: Any) -> str:
    return type(value).__name__.strip("_").lower()


def _collected(value: Any, storages: dict[str, _Storage]) -> _Storage:
    """Make a storage and remember it; two descriptions of one must be the same."""
    storage = _storage(value)
    if storages.setdefault(storage.key, storage) != storage:
        raise ValueError(f"storage {storage.key!r:.200} has two descriptions")
    return storage


def _storage(value: Any) -> _Storage:
    """Make a storage of its persistent id, ``("storage", type, key, device, items)``."""
    if type(value) is not tuple or len(value) not in (5, 6) or type(value[0]) is not str:
        raise ValueError("a persistent id that is not a storage")
    kind, dtype, key, _, items, *view = value
    if kind != "storage" or view not in ([], [None]):
        raise ValueError(f"a persistent id of the kind {kind!r:.100}")
    if not isinstance(dtype, _Dtype) or not dtype.is_storage or type(key) is not str:
        raise ValueError("a storage without type or key")
    if type(items) is not int or not 0 <= items <= _MAX_ELEMENTS:
        raise ValueError("a storage without a length")
    return _Storage(dtype.code, key, items)


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> _Tensor:
    """``torch._utils._rebuild_tensor`` and ``_v2``; the rest is about gradients."""
    if not isinstance(storage, _Storage):
        raise ValueError("a tensor without a storage")
    return _view(storage, offset, shape, strides)


def _typed_tensor(
    storage: Any,
    offset: Any,
    shape: Any,
    strides: Any,
    requires_grad: Any,
    hooks: Any,
    dtype: Any,
    *rest: Any,
) -> _Tensor:
    """``torch._utils._rebuild_tensor_v3``: items of a dtype in a storage of bytes."""
    if not isinstance(storage, _Storage) or not isinstance(dtype, _Dtype) or dtype.is_storage:
        raise ValueError("a tensor without a storage or a dtype")
    items = storage.nbytes // DTYPES[dtype.code].itemsize
    view = _view(_Storage(dtype.code, storage.key, items), offset, shape, strides)
    return _Tensor(view.info, storage, view.offset, view.strides)


def _view(storage: _Storage, offset: Any, shape: Any, strides: Any) -> _Tensor:
    if not (_are_sizes(shape) and _are_sizes(strides) and _are_sizes((offset,))):
        raise ValueError("a tensor whose offset, shape and strides are not natural numbers")
    if len(shape) != len(strides) or len(shape) > _MAX_AXES:
        raise ValueError(f"a tensor of {len(shape)} axes and {len(strides)} strides")
    if prod(max(length, 1) for length in shape) > _MAX_ELEMENTS:
        raise ValueError(f"a tensor of shape {shape!r:.200}")
    tensor = _Tensor(TensorInfo(storage.dtype, shape), storage, offset, strides)
    if offset + tensor.extent > storage.items:
        raise ValueError(f"a tensor of shape {shape} that reaches beyond its storage")
    if tensor.info.nbytes > storage.nbytes + _SMALL:
        raise ValueError(f"a tensor of shape {shape}, much larger than its storage")
    return tensor


def _are_sizes(value: Any) -> bool:
    return type(value) is tuple and all(
        type(item) is int and 0 <= item <= _MAX_ELEMENTS for item in value
    )


def _parameter(tensor: Any, requires_grad: Any, hooks: Any) -> _Tensor:
    """``torch._utils._rebuild_parameter``: its tensor."""
    if not isinstance(tensor, _Tensor):
        raise ValueError("a parameter without a tensor")
    return tensor


def _dictionary(pairs: Any = ()) -> dict[str, Any]:
    """``collections.OrderedDict``; Python 2 passed a list of pairs."""
    if not isinstance(pairs, (list, tuple)) or not all(
        isinstance(pair, (list, tuple)) and len(pair) == 2 and isinstance(pair[0], str)
        for pair in pairs
    ):
        raise ValueError("a dictionary of something other than pairs of text and value")
    return dict(pairs)


_STORAGES = {
    "DoubleStorage": "F64",
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    "LongStorage": "I64",
    "IntStorage": "I32",
    "ShortStorage": "I16",
    "CharStorage": "I8",
    "ByteStorage": "U8",
    "BoolStorage": "BOOL",
}
_DTYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
    "bool": "BOOL",
}

#: Every global that a checkpoint may name, and what stands for it here.
ALLOWED: Mapping[Global, Any] = {
    ("collections", "OrderedDict"): Constructor(_dictionary),
    ("torch._utils", "_rebuild_tensor"): Constructor(_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): Constructor(_tensor),
    ("torch._utils", "_rebuild_tensor_v3"): Constructor(_typed_tensor),
    ("torch._utils", "_rebuild_parameter"): Constructor(_parameter),
    ("torch", "UntypedStorage"): _Dtype("U8", is_storage=True),
    ("torch.storage", "UntypedStorage"): _Dtype("U8", is_storage=True),
    **{
        (module, name): _Dtype(code, is_storage=True)
        for module in ("torch", "torch.cuda")
        for name, code in _STORAGES.items()
    },
    **{("torch", name): _Dtype(code) for name, code in _DTYPES.items()},
}


# -- the table of contents of a zip archive -----------------------------------------------------


def _read_members(file: TensorFile) -> Members:
    """Return where the bytes of each member of a zip archive lie.

    PyTorch writes its archives uncompressed, so a member is a range of the file and nothing has
    to be unpacked. Checksums are not compared: PyTorch has an option that leaves them out.
    """
    count, size, offset = _find_directory(file)
    if size > _MAX_DIRECTORY:
        raise _damaged(file, f"a table of contents of {size} bytes")
    members: Members = {}
    for name, entry in _entries(file, file.bytes_at(offset, size)):
        if name in members:
            raise _damaged(file, f"two members called {name!r:.200}")
        members[name] = _place(file, name, *entry)
    if len(members) != count:
        raise _damaged(file, f"{len(members)} members, where its end says {count}")
    end = 0
    for name, (begin, length) in sorted(members.items(), key=lambda member: member[1]):
        if begin < end:
            raise _damaged(file, f"{name!r:.200} inside another member")
        end = begin + length
    return members


def _find_directory(file: TensorFile) -> tuple[int, int, int]:
    """Return how many members there are, and size and position of their table."""
    length = min(file.size, _END.size + _LONGEST_COMMENT)
    tail = file.bytes_at(file.size - length, length)
    at = len(tail)
    while (at := tail.rfind(b"PK\5\6", 0, at)) >= 0:
        if len(tail) - at >= _END.size:
            _, _, _, _, count, size, offset, comment = _END.unpack_from(tail, at)
            if at + _END.size + comment == len(tail):
                break
    else:
        raise _damaged(file, "no table of contents at its end")
    if count == _FULL[2] or _FULL[4] in (size, offset):
        return _find_directory64(file, file.size - length + at)
    return count, size, offset


def _find_directory64(file: TensorFile, end: int) -> tuple[int, int, int]:
    sign, _, offset, _ = _LOCATOR.unpack(file.bytes_at(end - _LOCATOR.size, _LOCATOR.size))
    if sign != b"PK\6\7":
        raise _damaged(file, "no 64-bit table of contents")
    sign, *_, count, size, offset = _END64.unpack(file.bytes_at(offset, _END64.size))
    if sign != b"PK\6\6":
        raise _damaged(file, "no 64-bit table of contents")
    return count, size, offset


def _entries(file: TensorFile, table: bytes) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield the name, the position of the local header and the size of each member."""
    at = 0
    while at < len(table):
        if len(table) - at < _ENTRY.size:
            raise _damaged(file, "a table of contents that breaks off")
        fields = _ENTRY.unpack_from(table, at)
        sign, flags, method = fields[0], fields[3], fields[4]
        packed, size, lengths, offset = fields[8], fields[9], fields[10:13], fields[16]
        begin = at + _ENTRY.size
        at = begin + sum(lengths)
        if sign != b"PK\1\2" or at > len(table):
            raise _damaged(file, "a table of contents that breaks off")
        middle = begin + lengths[0]
        try:
            name = table[begin:middle].decode()
        except UnicodeDecodeError:
            raise _damaged(file, f"a member called {table[begin:middle]!r:.200}") from None
        wide = _wide_fields(file, table[middle : middle + lengths[1]])
        size, packed, offset = (
            next(wide, -1) if value == _FULL[4] else value for value in (size, packed, offset)
        )
        if method or flags & _ENCRYPTED or packed != size:
            found = f"{name!r:.200} compressed or encrypted, where PyTorch stores it"
            raise _damaged(file, found)
        yield name, (offset, size)


def _wide_fields(file: TensorFile, extra: bytes) -> Iterator[int]:
    """The 64-bit numbers that stand in for fields that are too narrow, in their order."""
    at = 0
    while len(extra) - at >= 4:
        kind, length = struct.unpack_from("<2H", extra, at)
        at += 4
        if at + length > len(extra):
            raise _damaged(file, "a member with a broken extra field")
        if kind == 1:
            return iter(struct.unpack_from(f"<{length // 8}Q", extra, at))
        at += length
    return iter(())


def _place(file: TensorFile, name: str, offset: int, size: int) -> tuple[int, int]:
    """Return where a member's bytes begin, behind its local header, and how many they are."""
    sign, *_, name_length, extra_length = _LOCAL.unpack(file.bytes_at(offset, _LOCAL.size))
    begin = offset + _LOCAL.size
    if sign != b"PK\3\4" or file.bytes_at(begin, name_length) != name.encode():
        raise _damaged(file, f"{name!r:.200} not where the table of contents says")
    begin += name_length + extra_length
    if begin + size > file.size:
        found = f"{name!r:.200} of {size} bytes at {begin}, beyond its {file.size} bytes"
        raise _damaged(file, found)
    return begin, size


def _damaged(file: TensorFile, found: str) -> CheckpointError:
    return CheckpointError(
        f"{file.path}: expected a zip archive as PyTorch writes it, found {found}; the file is "
        "truncated, damaged or of another program"
    )
