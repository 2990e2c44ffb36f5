"""Small videos made on the spot; the grey level of a frame tells its place."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import numpy as np

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
            stream.options = {"g": str(gop), "bf": str(b_frames), "sc_threshold": "0"}
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
