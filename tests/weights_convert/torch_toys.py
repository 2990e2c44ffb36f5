"""Files of `torch.save`, sound or not, written byte by byte: these tests have no PyTorch."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod

import numpy as np

from tests.support.paths import FIXTURES

DATA = FIXTURES / "torch_pickle"

STORAGES = {"float32": "FloatStorage", "float64": "DoubleStorage", "int64": "LongStorage"}


@dataclass
class Raw:
    """Bytes of a pickle, to be put in as they are."""

    code: bytes


@dataclass
class Entry:
    """One tensor as the pickle describes it; by default truthfully."""

    array: np.ndarray
    key: str = "0"
    shape: object = None
    strides: object = None
    offset: object = 0
    items: object = None
    dtype: str | None = None
    function: str = "torch._utils _rebuild_tensor_v2"
    more: tuple = field(default=(False, Raw(b"}")))

    def code(self, legacy: bool) -> bytes:
        shape = self.array.shape if self.shape is None else self.shape
        strides = row_major(self.array.shape) if self.strides is None else self.strides
        items = self.array.size if self.items is None else self.items
        kind = self.dtype or STORAGES[self.array.dtype.name]
        described = ("storage", named(f"torch {kind}"), self.key, "cpu", items)
        storage = Raw(encode(described + ((None,) if legacy else ())) + b"Q")
        return (
            named(self.function).code
            + encode((storage, self.offset, shape, strides, *self.more))
            + b"R"
        )


def row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(prod(shape[i + 1 :]) for i in range(len(shape)))


def named(text: str) -> Raw:
    """A global, of `module name`."""
    return Raw(b"c" + text.replace(" ", "\n").encode() + b"\n")


def call(text: str, *arguments: object) -> Raw:
    """A call of a global."""
    return Raw(named(text).code + encode(arguments) + b"R")


def encode(value: object) -> bytes:
    """The instructions that put a value on the stack."""
    if isinstance(value, Raw):
        return value.code
    if isinstance(value, bool) or value is None:
        return {True: b"\x88", False: b"\x89", None: b"N"}[value]
    if isinstance(value, int):
        if -(2**31) <= value < 2**31:
            return b"J" + struct.pack("<i", value)
        raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        return b"\x8a" + bytes([len(raw)]) + raw
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, str):
        raw = value.encode("utf-8", "surrogatepass")
        return b"X" + struct.pack("<I", len(raw)) + raw
    if isinstance(value, tuple):
        return b"(" + b"".join(map(encode, value)) + b"t"
    if isinstance(value, list):
        return b"](" + b"".join(map(encode, value)) + b"e"
    if isinstance(value, Mapping):
        pairs = b"".join(encode(k) + encode(v) for k, v in value.items())
        return b"}(" + pairs + b"u"
    raise TypeError(value)


def program(value: object) -> bytes:
    """A whole pickle."""
    return b"\x80\x02" + encode(value) + b"."


def state(entries: Mapping[object, object], legacy: bool = False) -> bytes:
    """The pickle of a state dict."""
    values = {k: Raw(v.code(legacy)) if isinstance(v, Entry) else v for k, v in entries.items()}
    return program(values)


def archive(
    pickle: bytes, storages: Mapping[str, bytes], top: str = "archive", **more: bytes
) -> bytes:
    """The zip form; `more` are further members, under their names."""
    members = {"data.pkl": pickle, "byteorder": b"little", "version": b"3\n"}
    members |= {f"data/{key}": raw for key, raw in storages.items()} | more
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as file:
        for name, raw in members.items():
            file.writestr(f"{top}/{name}", raw)
    return buffer.getvalue()


MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
MACHINE = {"protocol_version": VERSION, "little_endian": True, "type_sizes": {"int": 4}}


def legacy(
    pickle: bytes,
    storages: Mapping[str, bytes],
    *,
    magic: object = MAGIC,
    version: object = VERSION,
    machine: object = MACHINE,
    keys: object = None,
    counts: Iterable[int] | None = None,
    itemsize: int = 4,
) -> bytes:
    """The form before PyTorch 1.6."""
    raw = [program(magic), program(version), program(machine), pickle]
    raw.append(program(sorted(storages) if keys is None else keys))
    counts = [len(s) // itemsize for s in storages.values()] if counts is None else counts
    for count, storage in zip(counts, storages.values(), strict=True):
        raw += [struct.pack("<q", count), storage]
    return b"".join(raw)


def torch_file(arrays: Mapping[str, np.ndarray], *, old: bool = False) -> bytes:
    """A sound file of these arrays, in either form."""
    keys = {name: str(i) for i, name in enumerate(arrays)}
    entries = {name: Entry(array, keys[name]) for name, array in arrays.items()}
    storages = {keys[name]: array.tobytes() for name, array in arrays.items()}
    if not old:
        return archive(state(entries), storages)
    ordered = dict(sorted(storages.items()))
    counts = [arrays[name].size for name, key in sorted(keys.items(), key=lambda item: item[1])]
    return legacy(state(entries, legacy=True), ordered, counts=counts)
