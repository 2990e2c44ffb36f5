"""Reading ``pytorch_model.bin`` without PyTorch, and without executing anything.

Both forms that ``torch.save`` has written are known: the zip archive (since PyTorch 1.6) and the
older sequence of pickles, followed by the bytes of the storages. Of the pickles only tensors in
plain dictionaries are ever built, see ``pickle_reader.py``; a tensor here is no more than a range
of a storage and its strides. Its bytes are read when it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from weights_convert.errors import CheckpointError
from weights_convert.formats.pickle_reader import ByteSource, Constructor, Global, run, scan
from weights_convert.formats.tensor_file import TensorFile
from weights_convert.formats.zip_index import Members, read_members
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
        CheckpointError: there is no such file, it is malformed, unreadable or big-endian, or
            its pickle names anything but tensors.

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
        """Read the pickles, and find the place of each storage.

        Raises:
            CheckpointError: the file is malformed, or its pickle is not one of tensors.
        """
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
        """Read one tensor as it is stored, see ``TensorFile.read``."""
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
        members = read_members(self)
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
            raise CheckpointError(f"the storage {storage.key!r} is missing from the archive")
        _, found = self._places[storage.key]
        if found != storage.nbytes:
            raise CheckpointError(
                f"expected {storage.nbytes} bytes in storage {storage.key!r}, found {found}"
            )


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
        raise ValueError(f"storage {storage.key!r} has two descriptions")
    return storage


def _storage(value: Any) -> _Storage:
    """Make a storage of its persistent id, ``("storage", type, key, device, items)``."""
    if type(value) is not tuple or len(value) not in (5, 6) or type(value[0]) is not str:
        raise ValueError("a persistent id that is no storage")
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
    """``torch._utils._rebuild_parameter``: of no interest here beyond its tensor."""
    if not isinstance(tensor, _Tensor):
        raise ValueError("a parameter without a tensor")
    return tensor


def _dictionary(pairs: Any = ()) -> dict[str, Any]:
    """``collections.OrderedDict``; Python 2 passed a list of pairs."""
    if not isinstance(pairs, (list, tuple)) or not all(
        isinstance(pair, (list, tuple)) and len(pair) == 2 and isinstance(pair[0], str)
        for pair in pairs
    ):
        raise ValueError("a dictionary of what are no pairs of text and value")
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
