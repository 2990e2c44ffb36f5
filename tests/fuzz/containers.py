"""Changes inside files that hold others: archives, arrays, HDF5, safetensors, pickles, PNG.

Mere bytes changed at random seldom come past a check sum or a table of contents; these do.
"""

from __future__ import annotations

import io
import itertools
import json
import pickletools
import random
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from math import prod
from typing import Any

import h5py
import numpy as np

__all__ = [
    "NotThisKind",
    "h5_mutant",
    "npy_mutant",
    "pickles_mutant",
    "png_mutant",
    "safetensors_mutant",
    "zip_mutant",
]

Change = Callable[[bytes, random.Random], bytes]


class NotThisKind(Exception):
    """The content cannot be taken apart as its name suggests."""


# -- archives -------------------------------------------------------------------------------------

_MEMBERS = ("../evil", "/etc/passwd", "a" * 300, "config.json", "x\0y", "é", "data/0", "a\\b")


def zip_mutant(
    content: bytes,
    rng: random.Random,
    changed: Callable[[str, bytes, random.Random], bytes],
    compress: bool,
) -> bytes:
    """An archive with another member.

    Raises:
        NotThisKind: It is not an archive.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise NotThisKind from error
    at = rng.randrange(len(members))
    name, data = members[at]
    what = rng.random()
    if what < 0.75:
        members[at] = (name, changed(name, data, rng))
    elif what < 0.8:
        del members[at]
    elif what < 0.85:
        members.append((name, changed(name, data, rng)))
    elif what < 0.9:
        members[at] = (rng.choice(_MEMBERS), data)
    elif what < 0.95:
        other = rng.randrange(len(members))
        members[at], members[other] = (name, members[other][1]), (members[other][0], data)
    else:
        members[at] = (name, bytes(rng.choice((10**6, 10**8))))
        compress = True
    kind = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", kind, compresslevel=1) as archive:
        warnings.simplefilter("ignore")  # two members of one name
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, kind)
    return buffer.getvalue()


# -- arrays of NumPy ------------------------------------------------------------------------------

_DESCRIPTIONS = (
    *("|O", "<f8", "<f2", ">f4", "<c8", "<U9", "|S3", "|V8", "<M8[s]", "|b1", "<i8", "|u1", "<f16"),
    *("", "x", "<f4,<f4"),
)
_SHAPES = ("()", "(0,)", "(1,)", "(-1,)", "(1000000000,)", "(4, 4, 4)", "(2, 10)", "(1.5,)", "3")


def npy_mutant(content: bytes, rng: random.Random) -> bytes:
    """An .npy whose header says something else, with the right length.

    Raises:
        NotThisKind: It is not an .npy.
    """
    if not content.startswith(b"\x93NUMPY\x01") or len(content) < 12:
        raise NotThisKind
    end = 10 + int.from_bytes(content[8:10], "little")
    text, data = content[10:end].decode("latin-1"), content[end:]
    what = rng.random()
    if what < 0.35:
        text = re.sub(r"\([^)]*\)", rng.choice(_SHAPES), text, count=1)
    elif what < 0.7:
        description = rng.choice(_DESCRIPTIONS)
        text = re.sub(r"'descr': '[^']*'", f"'descr': '{description}'", text)
    elif what < 0.75:
        text = text.replace("False", "True")
    elif what < 0.8:
        text = rng.choice(("{}", "", "[" * 5000, "__import__('os')", text.replace("{", "")))
    else:
        values = rng.choice((np.nan, np.inf, -1.0, 1e38, 0.0))
        data = np.full(len(data) // 4, values, np.float32).tobytes()
    text = text.strip()
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return content[:8] + struct.pack("<H", len(text)) + text.encode("latin-1") + data


# -- PNG ------------------------------------------------------------------------------------------

_START = b"\x89PNG\r\n\x1a\n"
_CHUNKS = (b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"tRNS", b"PLTE", b"IDAT", b"IHDR", b"IEND", b"acTL")


def png_mutant(content: bytes, rng: random.Random, change: Change) -> bytes:
    """A PNG with another chunk.

    Raises:
        NotThisKind: It is not a PNG.
    """
    if not content.startswith(_START):
        raise NotThisKind
    chunks, at = [], len(_START)
    while at + 12 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    place = rng.randrange(len(chunks))
    place = 0 if rng.random() < 0.3 else place
    kind, data = chunks[place]
    what = rng.random()
    if what < 0.6:
        chunks[place] = (kind, change(data, rng))
    elif what < 0.7:
        chunks.insert(place, (rng.choice(_CHUNKS), rng.randbytes(rng.choice((0, 4, 30)))))
    elif what < 0.75:
        chunks.insert(place, (b"zTXt", b"a\0\0" + zlib.compress(bytes(10**7))))
    elif what < 0.8:
        chunks.insert(place, (kind, data))
    elif what < 0.85:
        del chunks[place]
    else:  # another size, and as much data as it needs where that is little
        width, height = (rng.choice((0, 1, 3, 200, 65535, 2**31 - 1)) for _ in range(2))
        bits, colour = rng.choice((1, 2, 4, 8, 16)), rng.choice((0, 2, 3, 4, 6, 7))
        chunks[0] = (b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
        rows = min(height * (1 + width * 8), 10**6)
        rest = [chunk for chunk in chunks[1:] if chunk[0] != b"IDAT"]
        chunks = [chunks[0], (b"IDAT", zlib.compress(bytes(rows), 1)), *rest]
    return _START + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


# -- safetensors ----------------------------------------------------------------------------------

_SIZES = {  # bytes of an item; of some that no reader need know
    name: size
    for size, names in {
        8: ("F64", "I64", "U64"),
        4: ("F32", "I32", "U32"),
        2: ("F16", "BF16", "I16", "U16"),
        1: ("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F4"),
    }.items()
    for name in names
}


def safetensors_mutant(content: bytes, rng: random.Random, change: Change) -> bytes:
    """A safetensors file with another header, most often one that fits its length.

    Raises:
        NotThisKind: It is not a safetensors file.
    """
    length = int.from_bytes(content[:8], "little")
    header, data = content[8 : 8 + length], content[8 + length :]
    try:
        values = json.loads(header)
    except ValueError as error:
        raise NotThisKind from error
    what = rng.random()
    if what < 0.5:
        header = change(header, rng)
    elif what < 0.9:
        header, data = _repacked(values, data, rng)
    else:
        data += rng.choice((b"\0", bytes(1000)))
    length = len(header) if rng.random() < 0.9 else rng.choice((0, 1, 2**20, 2**63, 2**64 - 1))
    return length.to_bytes(8, "little") + header + data


def _repacked(values: dict[str, Any], data: bytes, rng: random.Random) -> tuple[bytes, bytes]:
    """A sound header and its data, with one tensor that is missing or new, or has another type."""
    metadata = values.pop("__metadata__", None)
    tensors = {
        name: (entry["dtype"], entry["shape"], data[slice(*entry["data_offsets"])])
        for name, entry in values.items()
    }
    name = rng.choice(sorted(tensors))
    dtype, shape, raw = tensors[name]
    what = rng.randrange(6)
    if what == 0:
        del tensors[name]
    elif what == 1:
        tensors[rng.choice((name + "x", "", "a.b", "\x1b[31m", "a" * 500))] = tensors.pop(name)
    elif what == 2:
        dtype = rng.choice(sorted(_SIZES))
        tensors[name] = (dtype, shape, bytes(prod(shape) * _SIZES[dtype]))
    elif what == 3:
        shape = rng.choice(([], [0], [1], [*shape, 1], shape[::-1], [2, *shape], [1] * 40))
        tensors[name] = (dtype, shape, bytes(prod(shape) * _SIZES[dtype]))
    elif what == 4:
        filling = rng.choice((b"\xff", b"\x7f", b"\0", b"\x80"))
        tensors[name] = (dtype, shape, filling * len(raw))
    else:
        tensors["new"] = (dtype, shape, raw)
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    at = 0
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(raw)]}
        at += len(raw)
    return json.dumps(header).encode(), b"".join(raw for _, _, raw in tensors.values())


# -- pickles --------------------------------------------------------------------------------------

_FRAGMENTS = (
    *(b"N", b"(", b"}", b"]", b")", b"\x85", b"\x86", b"Q", b"R", b"b", b"0", b"1", b"2", b"t"),
    *(b"l", b"d", b"u", b"e", b"s", b"a", b".", b"\x88", b"\x94", b"\x93", b"\x81", b"\x92"),
    *(b"cos\nsystem\n", b"cbuiltins\neval\n", b"ctorch\nFloatStorage\n", b"ios\nsystem\n"),
    *(b"h\0", b"h\xff", b"q\0", b"q\xff", b"r\xff\xff\xff\x7f", b"j\xff\xff\xff\xff"),
    *(b"X\4\0\0\0abcd", b"X\xff\xff\xff\xff", b"X\0\0\0\0", b"U\2\x1b[", b"X\3\0\0\0\xed\xa0\x80"),
    *(b"K\xff", b"J\xff\xff\xff\x7f", b"J\xff\xff\xff\xff", b"\x8a\xff", b"I" + b"9" * 900 + b"\n"),
    *(b"L" + b"9" * 900 + b"L\n", b"G\x7f\xf8\0\0\0\0\0\0", b"Fnan\n", b"F1e999\n", b"Pa\n"),
    *(b"N" + b"\x85" * 10_000, b"(" * 10_000, b"]q\0" + b"h\0a" * 2_000, b"}" * 10_000),
    *(b"]q\7(" + b"h\7" * 5_000 + b"e", b")q\7" + b"(h\7h\7tq\7" * 200),
    b"(" + b"X\1\0\0\0aN" * 3_000 + b"d",
)


def pickles_mutant(content: bytes, rng: random.Random) -> bytes:
    """Pickles, one behind another, of which one has other instructions.

    Raises:
        NotThisKind: There is no pickle at the start.
    """
    stream, spans = io.BytesIO(content), []
    for _ in range(5):
        begin = stream.tell()
        try:
            starts = [at for _, _, at in pickletools.genops(stream)]
        except (ValueError, IndexError, UnicodeDecodeError):
            break
        spans.append([*starts, stream.tell()])
        if stream.tell() == begin:
            break
    if not spans:
        raise NotThisKind
    starts = rng.choice(spans)
    operations = [content[a:b] for a, b in itertools.pairwise(starts)]
    for _ in range(rng.choice((1, 1, 2, 4))):
        _change_operations(operations, rng)
    return content[: starts[0]] + b"".join(operations) + content[starts[-1] :]


def _change_operations(operations: list[bytes], rng: random.Random) -> None:
    at = rng.randrange(len(operations)) if operations else 0
    what = rng.random()
    if what < 0.15 or not operations:
        del operations[at : at + 1]
    elif what < 0.5:
        operations.insert(at, rng.choice(_FRAGMENTS))
    elif what < 0.6:
        operations[at] = rng.choice(_FRAGMENTS)
    elif what < 0.7:
        operations[at] *= rng.choice((2, 100))
    elif what < 0.8:
        other = rng.randrange(len(operations))
        operations[at], operations[other] = operations[other], operations[at]
    else:  # an argument
        data = bytearray(operations[at])
        data[rng.randrange(len(data))] = rng.choice((0, 1, 127, 255, rng.randrange(256)))
        operations[at] = bytes(data)


# -- HDF5 -----------------------------------------------------------------------------------------

_TYPES = ("f8", "f2", ">f4", "i1", "i8", "c8", "S5", "b1", "V4")


def h5_mutant(content: bytes, rng: random.Random) -> bytes:
    """An HDF5 file in which a dataset is gone, or of another kind.

    Raises:
        NotThisKind: It is not HDF5, or has no datasets.
    """
    buffer = io.BytesIO(content)
    try:
        with h5py.File(buffer, "r+") as file:
            names: list[str] = []
            file.visititems(
                lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None
            )
            if not names:
                raise NotThisKind
            rng.choice(_H5_CHANGES)(file, rng.choice(sorted(names)), rng)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, ArithmeticError) as error:
        raise NotThisKind from error
    return buffer.getvalue()


def _h5_drop(file: h5py.File, name: str, rng: random.Random) -> None:
    del file[name]


def _h5_move(file: h5py.File, name: str, rng: random.Random) -> None:
    file.move(name, rng.choice((name + "x", "x", name.rpartition("/")[0] + "/a/b", "\x1b[31m")))


def _h5_type(file: h5py.File, name: str, rng: random.Random) -> None:
    shape = file[name].shape
    del file[name]
    file.create_dataset(name, shape, rng.choice(_TYPES))


def _h5_shape(file: h5py.File, name: str, rng: random.Random) -> None:
    shape, kind = file[name].shape, file[name].dtype
    other = rng.choice(((), (0,), (1,), (*shape, 1), shape[::-1], (*shape[:-1], 3), (2, *shape)))
    del file[name]
    file.create_dataset(name, other, kind)


def _h5_fill(file: h5py.File, name: str, rng: random.Random) -> None:
    file[name][...] = rng.choice((0, -1, 1, 2**31, 10**9, 10**18, float("nan"), 1e30))


def _h5_huge(file: h5py.File, name: str, rng: random.Random) -> None:
    """A dataset that says that it has gigabytes, of which the file holds none."""
    axes = max(len(file[name].shape), 1)
    shape = (rng.choice((10**5, 10**9)), *[10**4] * (axes - 1))
    kind, packing = file[name].dtype, rng.choice((None, "gzip"))
    del file[name]
    chunks = (1000, *[100] * (axes - 1))
    file.create_dataset(name, shape, kind, chunks=chunks, compression=packing)


def _h5_packed(file: h5py.File, name: str, rng: random.Random) -> None:
    values = file[name][...]
    del file[name]
    file.create_dataset(name, data=values, chunks=True, compression="gzip", shuffle=True)


def _h5_external(file: h5py.File, name: str, rng: random.Random) -> None:
    shape, kind = file[name].shape, file[name].dtype
    del file[name]
    size = prod(shape) * kind.itemsize
    file.create_dataset(name, shape, kind, external=[("/etc/hostname", 0, max(size, 1))])


def _h5_virtual(file: h5py.File, name: str, rng: random.Random) -> None:
    shape, kind = file[name].shape, file[name].dtype
    layout = h5py.VirtualLayout(shape, kind)
    layout[...] = h5py.VirtualSource("other.h5", "x", shape)
    del file[name]
    file.create_virtual_dataset(name, layout)


def _h5_link(file: h5py.File, name: str, rng: random.Random) -> None:
    """A link to elsewhere, or groups in a circle."""
    del file[name]
    file[name] = rng.choice(
        (
            h5py.SoftLink("/nowhere"),
            h5py.SoftLink(f"/{name}"),
            h5py.ExternalLink("/etc/hostname", "/x"),
            file["/"],
        )
    )


_H5_CHANGES: tuple[Callable[[h5py.File, str, random.Random], None], ...] = (
    *(_h5_drop, _h5_move, _h5_type, _h5_type, _h5_shape, _h5_shape, _h5_fill, _h5_fill),
    *(_h5_huge, _h5_packed, _h5_external, _h5_virtual, _h5_link),
)
