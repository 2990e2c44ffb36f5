"""Whether a video file is cut off, by the lengths that its container states."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import BinaryIO

__all__ = ["says_more", "seems_cut_off"]

_TAIL = 2**17  # bytes at the end of a program stream that hold its last packet
_SEGMENT, _CLUSTER = b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_MXF_PARTITION = bytes.fromhex("060e2b34020501010d010201")
_PES = re.compile(b"\0\0\1([\xb9-\xff])")


def says_more(path: str, name: str) -> bool:
    """Whether a file is shorter than it states itself: its end is missing.

    Args:
        path: The file.
        name: FFmpeg's name of its format.

    Example:
        >>> says_more("clip.mp4", "mov,mp4,m4a,3gp,3g2,mj2")
        False
    """
    return _asked(path, name, {"matroska": _matroska, "mov": _mp4})


def seems_cut_off(path: str, name: str) -> bool:
    """Whether a file ends within one of its parts, or without the mark that ends the others.

    Of formats that are streams, so that their parts may end anywhere, or that programs often leave
    unfinished. Raw streams, such as those of H.264, do not tell.

    Args:
        path: The file.
        name: FFmpeg's name of its format.

    Example:
        >>> seems_cut_off("clip.mp4", "mov,mp4,m4a,3gp,3g2,mj2")
        False
    """
    checks = {"mpegts": _mpegts, "mpeg": _mpeg, "gif": _gif, "avi": _avi, "flv": _flv}
    checks |= {"asf": _asf, "mxf": _mxf, "ivf": _ivf, "yuv4mpegpipe": _y4m}
    return _asked(path, name, checks)


def _asked(path: str, name: str, checks: dict[str, Callable[[BinaryIO, int], bool]]) -> bool:
    check = checks.get(name.partition(",")[0])
    if check is None:
        return False
    with open(path, "rb") as file:
        return check(file, os.fstat(file.fileno()).st_size)


def _matroska(file: BinaryIO, size: int) -> bool:
    """From element to element; clusters of a live recording have no length, their parts have."""
    place = 0
    while place < size:
        file.seek(place)
        head = file.read(12).ljust(12, b"\xff")
        name_size = 9 - head[0].bit_length()
        width = 9 - head[min(name_size, 11)].bit_length()
        if name_size > 4 or width > 8:
            return False  # not an element: something was appended
        unknown = (1 << 7 * width) - 1
        length = int.from_bytes(head[name_size : name_size + width], "big") & unknown
        name, place = head[:name_size], place + name_size + width
        if length != unknown:
            if name == _SEGMENT:
                return place + length > size
            place += length
        elif name not in (_SEGMENT, _CLUSTER):
            return place > size
    return place > size


def _mp4(file: BinaryIO, size: int) -> bool:
    """From box to box of a fragmented file; in others the index says what is missing."""
    place, has_fragments = 0, False
    while place + 8 <= size:
        file.seek(place)
        head = file.read(16)
        length, name = int.from_bytes(head[:4], "big"), head[4:8]
        if length == 1:
            length = int.from_bytes(head[8:], "big")
        has_fragments = has_fragments or name == b"moof"
        if length < 8:
            return False
        place += length
        if place > size:
            return has_fragments and name in (b"moof", b"mdat")
    return False


def _mpegts(file: BinaryIO, size: int) -> bool:
    """Packets of 188 bytes, on discs with a time of 4 bytes before, in broadcasts with 16 after."""
    head = file.read(2 * 204)
    for width, first in ((188, 0), (192, 4), (204, 0)):
        if head[first : first + 1] == head[first + width : first + width + 1] == b"G":
            return bool(size % width)
    return False


def _mpeg(file: BinaryIO, size: int) -> bool:
    """The last packet of a program stream, whose length stands in its head."""
    start = max(0, size - _TAIL)
    file.seek(start)
    heads = list(_PES.finditer(file.read()))
    if not heads or heads[-1][1] in (b"\xb9", b"\xba"):  # the end mark; the head of a pack
        return False
    place = start + heads[-1].start()
    file.seek(place + 4)
    return place + 6 + int.from_bytes(file.read(2), "big") > size


def _gif(file: BinaryIO, size: int) -> bool:
    """From block to block up to the trailer; anything may follow it."""
    file.seek(10)
    place = 13 + _colours(file.read(1))
    while place < size:
        file.seek(place)
        head = file.read(10)
        if head[:1] == b"!":  # an extension
            place += 2
        elif head[:1] == b",":  # an image; a byte follows its colours
            place += 11 + _colours(head[9:])
        else:
            return head[:1] != b";" and not file.read().rstrip(b"\0").endswith(b";")
        length = 1
        while length and place < size:
            file.seek(place)
            length = int.from_bytes(file.read(1), "big")
            place += 1 + length
    return True


def _colours(flags: bytes) -> int:
    """Bytes of a GIF's table of colours."""
    bits = int.from_bytes(flags, "big")
    return 3 << (bits % 8 + 1) if bits & 0x80 else 0


def _avi(file: BinaryIO, size: int) -> bool:
    """Beyond 2 GB an AVI has several RIFF lists."""
    place = 0
    while place + 8 <= size:
        file.seek(place)
        head = file.read(8)
        if head[:4] != b"RIFF":
            return False
        place += 8 + int.from_bytes(head[4:], "little")
    return place > size


def _flv(file: BinaryIO, size: int) -> bool:
    """From tag to tag; the last one's length, which is repeated behind it, may be missing."""
    file.seek(5)
    place = int.from_bytes(file.read(4), "big") + 4
    while place + 11 <= size:
        file.seek(place)
        place += 15 + int.from_bytes(file.read(4)[1:], "big")
    return not size <= place <= size + 4


def _asf(file: BinaryIO, size: int) -> bool:
    """Of a file that is not a broadcast, whose length was not known when its header was written."""
    head = file.read(2**16)
    place = head.find(_ASF_PROPERTIES)
    flags = int.from_bytes(head[place + 88 : place + 92], "little")
    if place < 0 or flags & 1:
        return False
    return int.from_bytes(head[place + 40 : place + 48], "little") > size


def _mxf(file: BinaryIO, size: int) -> bool:
    """The first partition says where the last one begins, once it is written."""
    head = file.read(2**16)
    place = head.find(_MXF_PARTITION)
    length = int.from_bytes(head[place + 16 : place + 17], "big")
    footer = place + 41 + max(length - 128, 0)
    return place >= 0 and int.from_bytes(head[footer : footer + 8], "big") >= size - place


def _ivf(file: BinaryIO, size: int) -> bool:
    """From frame to frame."""
    place = 32
    while place < size:
        file.seek(place)
        head = file.read(12)
        place += 12 + int.from_bytes(head[:4], "little")
    return place > size


def _y4m(file: BinaryIO, size: int) -> bool:
    """Frames of one length, each after a mark."""
    head = file.read(2**25)
    first = head.find(b"FRAME")
    second = head.find(b"FRAME", first + 5)
    return second > 0 and (size - first) % (second - first) > 0
