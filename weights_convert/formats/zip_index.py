"""The table of contents of a zip archive whose members are stored as they are.

PyTorch writes its archives uncompressed, so a member is a range of the file and nothing has to
be unpacked. The checksums are not looked at: PyTorch has an option that leaves them out.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from weights_convert.errors import CheckpointError
from weights_convert.formats.tensor_file import TensorFile

__all__ = ["Members", "read_members"]

Members = dict[str, tuple[int, int]]

_END = struct.Struct("<4s4H2LH")  # end of central directory
_LOCATOR = struct.Struct("<4sLQL")  # where its 64-bit form is
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")  # one member in the central directory
_LOCAL = struct.Struct("<4s5H3L2H")  # in front of the member's bytes
_LONGEST_COMMENT = 2**16 - 1
_MAX_DIRECTORY = 2**24
_FULL = {2: 2**16 - 1, 4: 2**32 - 1}  # such a field has its value in a 64-bit one
_ENCRYPTED = 1


def read_members(file: TensorFile) -> Members:
    """Return where the bytes of each member lie.

    Args:
        file: the archive.

    Returns:
        name -> (position of its first byte in the file, number of bytes).

    Raises:
        CheckpointError: the archive is damaged, or a member is compressed or encrypted.
    """
    count, size, offset = _find_directory(file)
    if size > _MAX_DIRECTORY:
        raise _damaged(file, f"a table of contents of {size} bytes")
    members: Members = {}
    for name, entry in _entries(file, file.bytes_at(offset, size)):
        if name in members:
            raise _damaged(file, f"two members called {name!r}")
        members[name] = _place(file, name, *entry)
    if len(members) != count:
        raise _damaged(file, f"{len(members)} members, where its end says {count}")
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
            raise _damaged(file, f"{name!r} compressed or encrypted, where PyTorch stores it")
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
        raise _damaged(file, f"{name!r} not where the table of contents says")
    begin += name_length + extra_length
    if begin + size > file.size:
        raise _damaged(file, f"{name!r} of {size} bytes at {begin}, beyond its {file.size} bytes")
    return begin, size


def _damaged(file: TensorFile, found: str) -> CheckpointError:
    return CheckpointError(
        f"{file.path}: expected a zip archive as PyTorch writes it, found {found}; the file is "
        "truncated, damaged or of another program"
    )
