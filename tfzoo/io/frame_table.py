"""The frames of a video stream, listed from its packets without decoding."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import dropwhile
from typing import Any, NamedTuple

from tfzoo.io.errors import VideoError

__all__ = ["FrameTable", "read_table"]


@dataclass(frozen=True)
class FrameTable:
    """The frames of a stream in the order of display.

    Attributes:
        total: Number of frames.
        stamps: Time stamp of each frame, ascending; empty where the file's cannot be trusted.
        keys: Indices of the keyframes, ascending.
        seeks: Time stamp of each keyframe, to seek to it.
    """

    total: int
    stamps: tuple[int, ...] = ()
    keys: tuple[int, ...] = ()
    seeks: tuple[int, ...] = ()

    def key_before(self, index: int) -> int:
        """Position in `keys` of the last keyframe that is not after frame `index`, or -1."""
        return bisect_right(self.keys, index) - 1

    def runs(self, wanted: list[int]) -> Iterator[list[int]]:
        """Split ascending indices wherever a seek saves decoding: at a keyframe in a gap."""
        run = wanted[:1]
        for index in wanted[1:]:
            key = self.key_before(index)
            if key >= 0 and self.keys[key] > run[-1] + 1:
                yield run
                run = []
            run.append(index)
        yield run


class _Packet(NamedTuple):
    """What the table needs of a packet, without the packet's bytes."""

    pts: int | None
    is_key: bool
    is_shown: bool
    is_corrupt: bool


def read_table(container: Any, stream: Any) -> FrameTable:
    """Read all packets of a stream and list its frames.

    Args:
        container: The opened file, at its end afterwards.
        stream: One of its video streams.

    Raises:
        VideoError: No frames, or a file that is cut off.

    Example:
        >>> import av
        >>> with av.open("clip.mp4") as container:
        ...     table = read_table(container, container.streams.video[0])
    """
    packets = [_packet(stream, packet) for packet in container.demux(stream) if packet.size]
    _check_whole(container, stream, packets)
    # A stream cut out of a broadcast may begin with frames that lack their keyframe.
    packets = list(dropwhile(lambda p: not p.is_key, packets)) or packets
    stamps = [packet.pts for packet in packets if packet.is_shown]
    if not stamps:
        raise VideoError("expected a video, got a stream without frames.")
    # AVI has no display times, only an order of decoding that FFmpeg numbers.
    if container.format.name == "avi" or None in stamps or len(set(stamps)) < len(stamps):
        return FrameTable(len(stamps))
    order = sorted(stamps)
    # Hidden keyframes count as well: what an edit list leaves of a video may start after one.
    keys = {bisect_left(order, p.pts): p.pts for p in packets if p.is_key and p.pts is not None}
    places = sorted(place for place in keys if place < len(order))
    return FrameTable(len(order), tuple(order), tuple(places), tuple(keys[p] for p in places))


def _packet(stream: Any, packet: Any) -> _Packet:
    # VP8 has reference frames that are never shown: bit 4 of the packet's first byte is off.
    hidden = stream.codec_context.name in ("vp8", "libvpx") and not memoryview(packet)[0] & 0x10
    is_shown = not (packet.is_discard or hidden)
    return _Packet(packet.pts, packet.is_keyframe, is_shown, packet.is_corrupt)


def _check_whole(container: Any, stream: Any, packets: list[_Packet]) -> None:
    """Refuse a file that ends before its header says so."""
    promised = 0
    if "mp4" in container.format.name:
        # The index, unlike the header's count, leaves out what an edit list cuts off.
        promised = len(getattr(stream, "index_entries", ()))
    if len(packets) < promised or (packets and packets[-1].is_corrupt):
        raise VideoError(
            f"expected {stream.frames or 'more'} frames, as the header says, got "
            f"{len(packets)} before the file ends: it is truncated. Download or copy it again."
        )
