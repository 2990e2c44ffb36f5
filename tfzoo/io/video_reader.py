"""Videos to arrays: exactly the frames that are asked for, decoding as little as possible.

A file is first read through without decoding, which gives the time stamps of all frames in display
order and the keyframes. So the number of frames is known whatever the header says, index i means
the i-th frame that a player shows, and a seek never returns a wrong frame, since frames are
recognised by their time stamps.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from tqdm import tqdm

from tfzoo.io.errors import VideoError
from tfzoo.io.frame_table import FrameTable, read_table
from tfzoo.io.sampling import choose_indices

__all__ = ["VideoClip", "read_video"]


@dataclass(frozen=True, eq=False)
class VideoClip:
    """Frames read from a video.

    Attributes:
        frames: (T, height, width, 3) uint8, RGB.
        indices: (T,) int64, the index of each frame in the video, from 0.
        fps: Average frames per second of the video.
        total_frames: Number of frames of the video.
        duration: Length of the video in seconds.
    """

    frames: np.ndarray
    indices: np.ndarray
    fps: float
    total_frames: int
    duration: float

    def __len__(self) -> int:
        return len(self.frames)


def read_video(
    path: str | os.PathLike[str],
    *,
    indices: Sequence[int] | np.ndarray | None = None,
    num_frames: int | None = None,
    sampling: str = "uniform",
    frame_sample_rate: int = 1,
    rng: Any = None,
    stream: int = 0,
    upright: bool = True,
    progress: bool | Callable[[int, int], None] = False,
) -> VideoClip:
    """Read frames of a video, of any format that FFmpeg knows, animated GIF and WebP included.

    Give `indices`, or `num_frames` to have them chosen; without both, the whole video is read (a
    minute of 720p takes 5 GB).

    Args:
        path: The video file.
        indices: Frames to read, from 0; any order, repeats allowed.
        num_frames: Number of frames to choose.
        sampling: How: "uniform", "spread", "segment", "centre" or "random_clip", see
            `choose_indices`.
        frame_sample_rate: For "centre" and "random_clip", the distance of the frames.
        rng: For "random_clip": a `numpy.random.Generator`, a `RandomState` or an integer seed.
        stream: Which of the file's video streams.
        upright: Rotate the frames as the file's rotation tag says (videos of phones).
        progress: True shows a bar on a terminal; a function is called with (done, wanted).

    Returns:
        The frames in the order of the indices, equal to those of a full sequential decode.

    Raises:
        FileNotFoundError: The file does not exist.
        VideoError: Not a video, no such stream, too few frames, a truncated or damaged file.
        ValueError: Arguments that contradict each other, or an unknown `sampling`.

    Example:
        >>> clip = read_video("clip.mp4", num_frames=8)
        >>> clip.frames.shape
        (8, 180, 320, 3)
    """
    if indices is not None and num_frames is not None:
        raise ValueError("Give indices or num_frames, not both.")
    path = os.fspath(path)
    with _errors_of(path), _open(path) as container:
        video = _select_stream(container, stream)
        table = read_table(container, video)
        if num_frames is not None:
            indices = choose_indices(
                table.total, num_frames, sampling, frame_sample_rate=frame_sample_rate, rng=rng
            )
        wanted = _checked(indices, table.total)
        with _reporter(progress, len(set(wanted.tolist()))) as report:
            frames = _collect(container, video, table, wanted, upright, report)
        fps = float(video.average_rate or video.guessed_rate or 0)
        return VideoClip(frames, wanted, fps, table.total, _duration(container, video, table, fps))


@contextlib.contextmanager
def _errors_of(path: str) -> Iterator[None]:
    """Put the path in front of the messages."""
    try:
        yield
    except VideoError as error:
        raise VideoError(f"{path}: {error}") from error.__cause__
    except av.FFmpegError as error:
        raise VideoError(f"{path}: the video is damaged: {error.strerror}.") from error


def _open(path: str) -> Any:
    if not Path(path).exists():
        raise FileNotFoundError(f"{path}: no such video file.")
    if Path(path).is_dir():
        raise VideoError("expected a video file, got a folder. Use read_frames for it.")
    try:
        container = av.open(path)
    except av.FFmpegError as error:
        raise VideoError(
            "expected a video that FFmpeg can read, got something else or a file that is damaged "
            f"or cut off ({error.strerror})."
        ) from error
    if container.format.name == "tty":  # FFmpeg would render a text file as a video of characters
        container.close()
        raise VideoError("expected a video, got a text file.")
    return container


def _select_stream(container: Any, number: int) -> Any:
    streams = container.streams.video
    if not streams:
        kinds = ", ".join(s.type for s in container.streams) or "none (it may be cut off)"
        raise VideoError(f"expected a video stream, got a file with streams: {kinds}.")
    if not 0 <= number < len(streams):
        raise VideoError(
            f"expected a video stream number from 0 to {len(streams) - 1}, got {number}."
        )
    streams[number].thread_type = "AUTO"
    return streams[number]


def _checked(indices: Sequence[int] | np.ndarray | None, total: int) -> np.ndarray:
    """The indices to read, all of them where None, checked against the video's length."""
    if indices is None:
        return np.arange(total, dtype=np.int64)
    wanted = np.asarray(indices)
    if wanted.ndim != 1 or not wanted.size or not np.issubdtype(wanted.dtype, np.integer):
        raise VideoError(
            f"expected indices as a flat, non-empty list of integers, got {indices!r}."
        )
    outside = wanted[(wanted < 0) | (wanted >= total)]
    if outside.size:
        raise VideoError(
            f"expected indices from 0 to {total - 1} (the video has {total} frames), got "
            f"{', '.join(map(str, outside[:5]))}."
        )
    return wanted.astype(np.int64)


@contextlib.contextmanager
def _reporter(
    progress: bool | Callable[[int, int], None], wanted: int
) -> Iterator[Callable[[int], None]]:
    """A function of the number of frames read so far."""
    if callable(progress):
        yield lambda done: progress(done, wanted)
        return
    # disable=None: silent where the output is not a terminal.
    with tqdm(total=wanted, unit="frame", disable=None if progress else True) as bar:
        yield lambda done: bar.update(done - bar.n)


def _collect(
    container: Any,
    stream: Any,
    table: FrameTable,
    wanted: np.ndarray,
    upright: bool,
    report: Callable[[int], None],
) -> np.ndarray:
    """Decode each wanted frame once and put it in all its places."""
    places: dict[int, list[int]] = {}
    for place, index in enumerate(wanted.tolist()):
        places.setdefault(index, []).append(place)
    frames: np.ndarray | None = None
    decoded = _by_stamp if table.stamps else _by_order
    missing = set(places)
    reformatter = VideoReformatter()  # one for all, since it keeps its tables
    for index, frame in decoded(container, stream, table, sorted(places)):
        pixels = _pixels(reformatter.reformat(frame, format="rgb24"), frame, upright)
        if frames is None:
            frames = np.empty((len(wanted), *pixels.shape), np.uint8)
        if pixels.shape != frames.shape[1:]:
            raise VideoError(
                f"expected frames of one size, {frames.shape[1:3]} (height, width), got "
                f"{pixels.shape[:2]} at frame {index}."
            )
        frames[places[index]] = pixels
        missing.discard(index)
        report(len(places) - len(missing))
    if frames is None or missing:
        raise VideoError(
            f"expected {table.total} frames, as the file's packets say, but frame "
            f"{min(missing)} does not decode: the video is truncated or damaged."
        )
    return frames


def _pixels(rgb: Any, frame: Any, upright: bool) -> np.ndarray:
    pixels = rgb.to_ndarray()
    turns = _quarter_turns(frame) if upright else 0
    return np.rot90(pixels, turns) if turns else pixels


def _quarter_turns(frame: Any) -> int:
    """Counterclockwise quarter turns that make a frame upright, from its display matrix."""
    for i in range(len(frame.side_data)):
        data = frame.side_data[i]
        if data.type.name == "DISPLAYMATRIX":
            across, down = np.frombuffer(bytes(data), "=i4")[:2].tolist()
            return round(-math.atan2(down, across) / (math.pi / 2)) % 4
    return 0


def _by_order(
    container: Any, stream: Any, table: FrameTable, wanted: list[int]
) -> Iterator[tuple[int, Any]]:
    """The wanted frames, counted from the start."""
    targets = set(wanted)
    for index, frame in enumerate(_decode(container, stream, None)):
        if index in targets:
            yield index, frame
        if index >= wanted[-1]:
            return


def _by_stamp(
    container: Any, stream: Any, table: FrameTable, wanted: list[int]
) -> Iterator[tuple[int, Any]]:
    """The wanted frames, skipping every gap that holds a keyframe."""
    for run in table.runs(wanted):
        # A seek that lands too late (an imprecise index) is repeated one keyframe earlier; the last
        # resort is the start of the file.
        key = table.key_before(run[0])
        for seek in (*reversed(table.seeks[: key + 1]), None):
            found = _decode_run(_decode(container, stream, seek), table, run)
            first = next(found, None)
            if first is not None and first[0] == run[0]:
                yield first
                yield from found
                break
        else:
            return


def _decode_run(
    frames: Iterator[Any], table: FrameTable, run: list[int]
) -> Iterator[tuple[int, Any]]:
    """The frames of a run, recognised by their time stamps."""
    targets = {table.stamps[index]: index for index in run}
    last = table.stamps[run[-1]]
    for frame in frames:
        if frame.pts in targets:
            yield targets[frame.pts], frame
        if frame.pts is not None and frame.pts >= last:
            return


def _decode(container: Any, stream: Any, seek: int | None) -> Iterator[Any]:
    """Decode from the keyframe at a time stamp; from the start of the file where None."""
    if seek is not None:
        container.seek(seek, stream=stream)
        yield from container.decode(stream)
        return
    # Not every format can seek to its start, so the file is opened again.
    with _open(container.name) as again:
        yield from again.decode(again.streams[stream.index])


def _duration(container: Any, stream: Any, table: FrameTable, fps: float) -> float:
    """Seconds from the header, else from the number of frames."""
    if stream.duration is not None and stream.time_base:
        return stream.duration * float(stream.time_base)
    if container.duration:
        return container.duration / av.time_base
    return table.total / fps if fps else 0.0
