"""Small videos made on the spot; the grey level of a frame tells its place."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

STEP = 5  # grey levels between neighbouring frames; more than any codec here is off


def make_video(
    path: Path,
    frames: int = 40,
    *,
    codec: str = "libx264",
    size: tuple[int, int] = (48, 64),
    pixels: str = "yuv420p",
    gop: int = 12,
    b_frames: int = 2,
    corner: bool = False,
    options: dict[str, str] | None = None,
    codec_options: dict[str, str] | None = None,
) -> Path:
    """Write `frames` frames of (height, width), a keyframe every `gop`, with B-frames.

    `corner` makes the top left quarter white, to tell which side is up.
    """
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = size
        stream.pix_fmt = pixels
        stream.bit_rate = 4_000_000
        if codec.startswith(("libx26", "mpeg4")):
            own = {"g": str(gop), "bf": str(b_frames), "sc_threshold": "0"}
            stream.options = own | (codec_options or {})
        for i in range(frames):
            grey = np.full((*size, 3), i * STEP % 256, np.uint8)
            grey[: size[0] // 2 * corner, : size[1] // 2] = 255
            for packet in stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def decode_all(path: Path, stream: int = 0) -> np.ndarray:
    """All frames, one after the other, as the documented example reads them."""
    with av.open(str(path)) as container:
        frames = container.decode(video=stream)
        return np.stack([frame.to_ndarray(format="rgb24") for frame in frames])


def places(frames: np.ndarray) -> list[int]:
    """The place of each frame, read from its grey level."""
    return np.rint(frames.mean(axis=(1, 2, 3)) / STEP).astype(int).tolist()


def patched(path: Path, box: bytes, offset: int, new: bytes) -> Path:
    """Overwrite bytes of an MP4 box, counted from its name."""
    data = bytearray(path.read_bytes())
    start = data.index(box) + offset
    data[start : start + len(new)] = new
    path.write_bytes(data)
    return path


def turned(path: Path, clockwise: int) -> Path:
    """Tag an MP4 to be shown turned by quarters, as a phone does."""
    right, down = [(1, 0), (0, 1), (-1, 0), (0, -1)][clockwise]
    one = 1 << 16
    matrix = (right * one, down * one, 0, -down * one, right * one, 0, 0, 0, 1 << 30)
    return patched(path, b"tkhd", 44, struct.pack(">9i", *matrix))


def trimmed(path: Path, first: int, frames: int) -> Path:
    """Trim an MP4 as phones do: by its edit list, leaving all frames in the file."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        tick = round(1 / stream.time_base / stream.average_rate)
    start = 2 * tick + first * tick  # two frames of delay, for the B-frames
    edit = struct.pack(">Ii", frames * 40, start)  # a frame lasts 40 ms
    return patched(path, b"elst", 12, edit)


def cut_off(path: Path, share: float = 0.6) -> Path:
    """Keep only the first part of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def with_matrix(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Give an MP4 the display matrix of quarter turns and mirrors."""
    one = 1 << 16
    matrix = (a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    return patched(path, b"tkhd", 44, struct.pack(">9i", *matrix))


def timed(path: Path, stamps: list[int], codec: str, sound: int = 0, **options: str) -> Path:
    """Write frames at time stamps in milliseconds, and some seconds of sound."""
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 25 if codec == "mpeg2video" else 1000)
        audio = container.add_stream("libopus", rate=48000) if sound else None
        for i, stamp in enumerate(stamps):
            grey = np.full((48, 64, 3), i * STEP % 256, np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
            frame.time_base = Fraction(1, 1000)
            frame.pts = stamp
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        for i in range(50 * sound):
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 960), np.float32), "flt", "mono")
            silence.sample_rate, silence.pts = 48000, 960 * i
            container.mux(audio.encode(silence))
        if audio:
            container.mux(audio.encode(None))
    return path


def with_cover(path: Path, with_video: bool) -> Path:
    """Sound with the cover of its album before, and three frames after it or none."""
    cover = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(cover, "PNG")
    with av.open(str(path), "w") as container:
        audio = container.add_stream("aac", rate=48000)
        audio.layout = "mono"
        picture = container.add_stream("png")
        picture.width, picture.height, picture.pix_fmt = 64, 48, "rgb24"
        picture.disposition = av.stream.Disposition.attached_pic
        video = container.add_stream("libx264", rate=25) if with_video else None
        if video:
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        packet = av.Packet(cover.getvalue())
        packet.stream, packet.time_base, packet.pts, packet.dts = picture, Fraction(1, 25), 0, 0
        packet.is_keyframe = True
        container.mux(packet)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        silence.sample_rate, silence.pts = 48000, 0
        container.mux([*audio.encode(silence), *audio.encode(None)])
        for i in range(3 * with_video):
            grey = np.full((48, 64, 3), i * STEP, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        if video:
            container.mux(video.encode(None))
    return path


def images(path: Path, frames: list[bytes], codec: str = "mjpeg", pixels: str = "yuvj420p") -> Path:
    """Put encoded images into a file as the frames of a video of 10 a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        for i, content in enumerate(frames):
            packet = av.Packet(content)
            packet.stream, packet.time_base = stream, Fraction(1, 10)
            packet.pts = packet.dts = i
            packet.is_keyframe = True
            container.mux(packet)
    return path


# ---- H.264 in fields, which no encoder here writes
def interlaced(frames: int, *, fields: bool) -> list[bytes]:
    """The access units of a stream of 16 x 32 pixels, one field or one frame each.

    All macroblocks are raw samples, so that no more of a codec is needed than its headers.

    Source: ITU-T Rec. H.264, 7.3.2 to 7.3.5.
    """
    sequence = _unit(
        0x67, [(77, 8), (0, 8), (30, 8)], *_ue(0, 0, 2, 1), (0, 1), *_ue(0, 0), (0, 1), (0, 1),
        (1, 1), (0, 1), (0, 1),
    )  # fmt: skip
    picture = _unit(
        0x68, [], *_ue(0, 0), (0, 1), (0, 1), *_ue(0, 0, 0), (0, 3), *_ue(0, 0, 0), (0, 1), (0, 2)
    )
    units = []
    for i in range(frames):
        for field in range(2) if fields else [None]:
            is_idr = i == 0 and not field
            head = [*_ue(0, 7, 0), (i % 16, 4), (field is not None, 1)]
            head += [] if field is None else [(field, 1)]
            head += _ue(0) if is_idr else []
            head += [(0, 1), (0, 1)] if is_idr else [(0, 1)]  # how reference frames are kept
            head += _ue(0)  # the quantiser
            luma = 16 + round(i * STEP * 219 / 255)
            body = _macroblocks(head, luma, count=2 if field is None else 1)
            slices = bytes([0x65 if is_idr else 0x41]) + _escaped(body)
            start = sequence + picture if is_idr else b""
            units.append(start + b"\0\0\0\1" + slices)
    return units


def _ue(*numbers: int) -> list[tuple[int, int]]:
    """Numbers in Exp-Golomb code, each as (value, bits)."""
    return [(number + 1, 2 * (number + 1).bit_length() - 1) for number in numbers]


def _packed(fields: list[tuple[int, int]], end: str = "1") -> bytes:
    bits = "".join(f"{int(value):0{count}b}" for value, count in fields) + end
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def _escaped(body: bytes) -> bytes:
    """Keep start codes out of a unit."""
    result = bytearray()
    for byte in body:
        if byte <= 3 and result[-2:] == b"\0\0":
            result.append(3)
        result.append(byte)
    return bytes(result)


def _unit(kind: int, start: list[tuple[int, int]], *fields: tuple[int, int]) -> bytes:
    return b"\0\0\0\1" + bytes([kind]) + _escaped(_packed([*start, *fields]))


def _macroblocks(head: list[tuple[int, int]], luma: int, count: int) -> bytes:
    """A slice of raw macroblocks of one grey level."""
    body, fields = b"", head
    for _ in range(count):
        body += _packed([*fields, *_ue(25)], end="")  # aligned with zeros
        body += bytes([luma] * 256 + [128] * 128)
        fields = []
    return body + b"\x80"


def muxed(path: Path, units: list[bytes], step: int) -> Path:
    """Put access units of H.264 into a container, each `step` ticks of 1/90000 s after the last."""
    raw = path.with_suffix(".h264")
    raw.write_bytes(b"".join(units))
    with av.open(str(raw)) as source, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        for i, unit in enumerate(units):
            packet = av.Packet(unit)
            packet.stream, packet.time_base = stream, Fraction(1, 90000)
            packet.pts = packet.dts = i * step
            packet.duration, packet.is_keyframe = step, i == 0
            container.mux(packet)
    return path
