"""The frames of a video stream, listed from its packets without decoding."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import dropwhile, pairwise
from statistics import median_low
from typing import Any, NamedTuple, TypeVar

import av

from tfzoo.io.ends import seems_cut_off
from tfzoo.io.errors import VideoError
from tfzoo.io.h264 import FieldPairs, field_pairs

__all__ = ["FrameTable", "of_pyav", "read_table"]

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class FrameTable:
    """The frames of a stream in the order of display.

    Attributes:
        total: Number of frames.
        stamps: Time stamp of each frame, ascending; empty where the file's cannot be trusted.
        keys: Indices of the keyframes, ascending.
        seeks: Time stamp of each keyframe, to seek to it.
        seconds: From the start of the first frame to the end of the last; 0 where the packets do
            not say.
        times: Start of each frame in seconds, the first one's 0; empty where the packets do not
            say.
    """

    total: int
    stamps: tuple[int, ...] = ()
    keys: tuple[int, ...] = ()
    seeks: tuple[int, ...] = ()
    seconds: Fraction = Fraction(0)
    times: tuple[float, ...] = ()

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
    dts: int | None
    duration: int
    is_key: bool
    is_shown: bool
    is_corrupt: bool
    is_second_field: bool


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
        >>> table.total, table.seconds
        (325, Fraction(13, 1))
    """
    codec = stream.codec_context
    pairs = field_pairs(codec)
    packets = [_packet(codec, pairs, p) for p in of_pyav(container.demux(stream)) if p.size]
    packets = _whole_frames(_whole_packets(container, stream, packets))
    # A stream cut out of a broadcast may begin with frames that lack their keyframe.
    packets = list(dropwhile(lambda p: not p.is_key, packets)) or packets
    shown = [packet for packet in packets if packet.is_shown]
    if not shown:
        raise VideoError("expected a video, got a stream without frames.")
    stamps = [packet.pts for packet in shown]
    # AVI has no display times, only an order of decoding that FFmpeg numbers.
    is_avi = container.format.name == "avi"
    are_known = None not in stamps and len(set(stamps)) == len(stamps)
    times = [packet.dts for packet in shown] if is_avi else stamps
    tick = stream.time_base or Fraction(0)
    are_timed = (is_avi or are_known) and None not in times  # or time starts again in the file
    begins = sorted(times) if are_timed else []
    seconds = _span(begins, times, shown) * tick
    starts = tuple(float((begin - begins[0]) * tick) for begin in begins) if seconds else ()
    if is_avi or not are_known:
        return FrameTable(len(stamps), seconds=seconds, times=starts)
    order = sorted(stamps)
    # Hidden keyframes count as well: what an edit list leaves of a video may start after one.
    keys = {bisect_left(order, p.pts): p.pts for p in packets if p.is_key and p.pts is not None}
    places = sorted(place for place in keys if place < len(order))
    seeks = tuple(keys[p] for p in places)
    return FrameTable(len(order), tuple(order), tuple(places), seeks, seconds, starts)


def of_pyav(items: Iterator[_Item]) -> Iterator[_Item]:
    """What PyAV yields, with whatever it raises of a damaged file as a `VideoError`.

    Args:
        items: Its packets or frames.

    Raises:
        VideoError: An error of PyAV itself.
        av.FFmpegError: One of FFmpeg.
    """
    while True:
        try:
            item = next(items)
        except StopIteration:
            return
        except (av.FFmpegError, VideoError, MemoryError):
            raise
        except Exception as error:
            raise VideoError(f"the video is damaged ({type(error).__name__}: {error}).") from error
        yield item


def _packet(codec: Any, pairs: FieldPairs | None, packet: Any) -> _Packet:
    # VP8 has reference frames that are never shown: bit 4 of the packet's first byte is off.
    hidden = codec.name in ("vp8", "libvpx") and not memoryview(packet)[0] & 0x10
    return _Packet(
        pts=packet.pts,
        dts=packet.dts,
        duration=packet.duration or 0,
        is_key=packet.is_keyframe,
        is_shown=not (packet.is_discard or hidden),
        is_corrupt=packet.is_corrupt,
        is_second_field=pairs is not None and pairs.complete_a_frame(bytes(packet)),
    )


def _whole_frames(packets: list[_Packet]) -> list[_Packet]:
    """One packet for each frame: that of its first field lasts as long as both."""
    frames: list[_Packet] = []
    for packet in packets:
        if packet.is_second_field:
            first = frames.pop()
            packet = first._replace(duration=first.duration + packet.duration)
        frames.append(packet)
    return frames


def _span(order: list[int], times: list[int | None], shown: list[_Packet]) -> Fraction:
    """From the start of the first frame to the end of the last, in ticks; 0 where unknown.

    Args:
        order: The times in order; empty where they are not known.
        times: The frames' times as they come.
        shown: Their packets.
    """
    if not order:
        durations = [packet.duration for packet in shown]
        return Fraction(sum(durations) if all(durations) else 0)
    lasts = shown[times.index(order[-1])].duration
    if not lasts and len(order) > 1:  # as long as most others
        lasts = median_low(after - before for before, after in pairwise(order))
    return Fraction(order[-1] - order[0] + lasts)


def _whole_packets(container: Any, stream: Any, packets: list[_Packet]) -> list[_Packet]:
    """The packets of a file that does not end before its header says so, and up to its end.

    Of a stream that ends within a packet, which `seems_cut_off` tells, those before are whole.
    """
    promised = 0
    if "mp4" in container.format.name:
        # The index, unlike the header's count, leaves out what an edit list cuts off.
        promised = len(getattr(stream, "index_entries", ()))
    is_cut = bool(packets) and packets[-1].is_corrupt
    if is_cut and seems_cut_off(container.name.removeprefix("file:"), container.format.name):
        return packets[:-1]
    if is_cut or len(packets) < promised:
        raise VideoError(
            f"expected {promised or stream.frames or 'more'} frames, as the header says, got "
            f"{len(packets) - is_cut} before the file ends: it is truncated. Download or copy it "
            "again."
        )
    return packets
