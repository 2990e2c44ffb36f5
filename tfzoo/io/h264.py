"""Fields of H.264: which packets hold the second half of a frame.

Interlaced video may code each field as a picture of its own (PAFF, as camcorders and broadcasts
do). FFmpeg hands such a frame out as two packets and decodes one frame from both.

Source: ITU-T Rec. H.264, 7.3.1 to 7.3.3 and 7.4.1.2.4; of each header only what stands before the
flags that are wanted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

__all__ = ["FieldPairs", "Sequence", "field_pairs"]

_SEQUENCE, _SLICES = 7, (1, 2, 5)  # kinds of NAL units
_WITH_CHROMA = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}  # profiles
_HEAD = 64  # bytes of a slice that hold the start of its header


class Sequence(NamedTuple):
    """What a sequence parameter set says about the headers of its slices."""

    has_fields: bool
    separate_planes: bool
    number_bits: int


class _Picture(NamedTuple):
    """What tells the pictures of a stream apart: the number of the frame, and the field."""

    number: int
    is_field: bool
    is_bottom: bool


def field_pairs(codec: Any) -> FieldPairs | None:
    """The pairs of fields of a stream; None where it has none, as all progressive video.

    Args:
        codec: The codec context of the stream.

    Example:
        >>> import av
        >>> with av.open("clip.mp4") as container:
        ...     field_pairs(container.streams.video[0].codec_context)
    """
    if codec.name != "h264":
        return None
    pairs = FieldPairs(codec.extradata)
    return pairs if pairs.sequence is None or pairs.sequence.has_fields else None


class FieldPairs:
    """Tells which packets of a stream, given in order, hold the second field of a frame.

    Args:
        extradata: The stream's; with parameter sets in it, as of MP4 and Matroska, or without.

    Attributes:
        sequence: What the sequence parameter set says; None before there was one.

    Example:
        >>> pairs = FieldPairs(None)
        >>> pairs.complete_a_frame(b"")
        False
    """

    def __init__(self, extradata: bytes | None) -> None:
        self.sequence: Sequence | None = None
        self._open: _Picture | None = None  # the first field of a frame whose second is awaited
        self._prefix = 0  # bytes of a unit's length; 0 where start codes part them
        data = bytes(extradata or b"")
        if data[:1] == b"\1" and len(data) > 8:  # the record of MP4 and Matroska
            self._prefix = (data[4] & 3) + 1
            size = int.from_bytes(data[6:8], "big")
            self._note(data[8 : 8 + size])
        else:
            for unit in self._units(data):
                self._note(unit)

    def complete_a_frame(self, packet: bytes) -> bool:
        """Whether a packet holds nothing but the second field of the frame before."""
        pictures = []
        for unit in self._units(packet):
            self._note(unit)
            picture = self._picture(unit)
            if picture and picture not in pictures[-1:]:  # not a further slice of one
                pictures.append(picture)
        seconds = [self._is_second(picture) for picture in pictures]
        return bool(seconds) and all(seconds)

    def _is_second(self, picture: _Picture) -> bool:
        first, self._open = self._open, None
        if not picture.is_field:
            return False
        is_second = first == picture._replace(is_bottom=not picture.is_bottom)
        if not is_second:
            self._open = picture
        return is_second

    def _units(self, data: bytes) -> Iterator[bytes]:
        """The NAL units of a packet."""
        if not self._prefix:
            yield from data.split(b"\0\0\1")[1:]
            return
        place = 0
        while place + self._prefix < len(data):
            start = place + self._prefix
            place = start + int.from_bytes(data[place:start], "big")
            yield data[start:place]

    def _note(self, unit: bytes) -> None:
        """Keep what a sequence parameter set says."""
        if unit and unit[0] & 31 == _SEQUENCE:
            try:
                self.sequence = _sequence(_Bits(unit[1:]))
            except EOFError:  # a damaged one
                self.sequence = None

    def _picture(self, unit: bytes) -> _Picture | None:
        """The picture of a slice; None for other units and where no fields can be."""
        sequence = self.sequence
        if sequence is None or not sequence.has_fields or not unit or unit[0] & 31 not in _SLICES:
            return None
        bits = _Bits(unit[1:_HEAD])
        try:
            for _ in range(3):  # the first macroblock, the kind of slice, the parameter set
                bits.golomb()
            bits.read(2 * sequence.separate_planes)
            number = bits.read(sequence.number_bits)
            is_field = bool(bits.read(1))
            return _Picture(number, is_field, is_field and bool(bits.read(1)))
        except EOFError:
            return None


class _Bits:
    """Reads numbers of a NAL unit, the bytes that keep start codes apart left out."""

    def __init__(self, unit: bytes) -> None:
        unit = unit.replace(b"\0\0\3", b"\0\0")
        self._value, self._left = int.from_bytes(unit, "big"), 8 * len(unit)

    def read(self, count: int) -> int:
        """An unsigned number of `count` bits."""
        if count > self._left:
            raise EOFError
        self._left -= count
        return self._value >> self._left & ((1 << count) - 1)

    def golomb(self) -> int:
        """An unsigned number in Exp-Golomb code."""
        zeros = 0
        while not self.read(1):
            zeros += 1
        return (1 << zeros) - 1 + self.read(zeros)


def _sequence(bits: _Bits) -> Sequence:
    profile = bits.read(8)
    bits.read(16)
    bits.golomb()
    separate_planes = False
    if profile in _WITH_CHROMA:
        chroma = bits.golomb()
        separate_planes = chroma == 3 and bool(bits.read(1))
        bits.golomb()
        bits.golomb()
        bits.read(1)
        if bits.read(1):
            for number in range(12 if chroma == 3 else 8):
                if bits.read(1):
                    _skip_scaling(bits, 16 if number < 6 else 64)
    number_bits = bits.golomb() + 4
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.read(1)
        bits.golomb()
        bits.golomb()
        for _ in range(bits.golomb()):
            bits.golomb()
    bits.golomb()
    bits.read(1)
    bits.golomb()
    bits.golomb()
    return Sequence(not bits.read(1), separate_planes, number_bits)


def _skip_scaling(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            code = bits.golomb()
            change = (code + 1) // 2 if code % 2 else -(code // 2)
            following = (last + change) % 256
        last = following or last
