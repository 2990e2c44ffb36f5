"""Videos to arrays: exactly the frames that are asked for, decoding as little as possible.

A file is first read through without decoding, which gives the time stamps of all frames in display
order and the keyframes. So the number of frames and the duration are known whatever the header
says, index i means the i-th frame that a player shows, and a seek never returns a wrong frame,
since frames are recognised by their time stamps.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from numbers import Integral
from typing import Any

import av
import numpy as np
from av.stream import Disposition
from av.video.reformatter import VideoReformatter
from tqdm import tqdm

from tfzoo.core.brief import brief_repr
from tfzoo.core.untrusted import refuse_lfs_pointer
from tfzoo.core.warn import warn
from tfzoo.io.animation import Animation, animation_of
from tfzoo.io.display import display_matrix, shown_by
from tfzoo.io.ends import says_more, seems_cut_off
from tfzoo.io.errors import ImageError, VideoError
from tfzoo.io.frame_table import FrameTable, of_pyav, read_table
from tfzoo.io.limits import CLIP_PIXELS, FRAME_PIXELS
from tfzoo.io.sampling import choose_indices

__all__ = ["VideoClip", "check_video", "read_video"]

#: FFmpeg's formats that are no videos: texts that it would draw, and lists of other files, which
#: whoever wrote the list chose.
_NOT_VIDEOS = {
    "tty": "a text file",
    **dict.fromkeys(("concat", "concatf", "dash", "hls", "imf", "rtsp", "sdp"), "a playlist"),
}

#: FFmpeg's formats of still images that are read as `read_image` does.
_STILLS = ("bmp_pipe", "gif", "jpeg_pipe", "png_pipe", "tiff_pipe", "webp_pipe")


@dataclass(frozen=True, eq=False)
class VideoClip:
    """Frames read from a video.

    Attributes:
        frames: (T, height, width, 3) uint8, RGB.
        indices: (T,) int64, the index of each frame in the video, from 0.
        fps: Frames per second on average, over the whole video.
        total_frames: Number of frames of the video.
        duration: Seconds from the start of the video's first frame to the end of its last, by their
            time stamps; sound may be longer.
        timestamps: (T,) float64, seconds from the start of the video's first frame to that of each
            frame. Default: those of a constant frame rate.
    """

    frames: np.ndarray
    indices: np.ndarray
    fps: float
    total_frames: int
    duration: float
    timestamps: np.ndarray = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        if not self.timestamps.size:
            even = self.indices * (self.duration / max(self.total_frames, 1))
            object.__setattr__(self, "timestamps", even)

    def __len__(self) -> int:
        return len(self.frames)

    def seconds_of(self, parts: Any) -> np.ndarray:
        """Convert parts of the video's frames to seconds.

        Models that see evenly spaced frames locate moments so. They are parts of the duration only
        at a constant frame rate; else times between the frames of the clip are interpolated.

        Args:
            parts: Any shape, 0 for the start of the video and 1 for its end.

        Returns:
            Float64 of the same shape.

        Example:
            >>> clip = VideoClip(np.zeros((2, 4, 4, 3), "uint8"), np.array([0, 1]), 1.0, 2, 2.0)
            >>> clip.seconds_of([0.25, 1.0])
            array([0.5, 2. ])
        """
        return np.interp(parts, *self.knots())

    def parts_at(self, seconds: Any) -> np.ndarray:
        """The inverse of `seconds_of`.

        Args:
            seconds: Any shape, from 0 to `duration`.
        """
        parts, times = self.knots()
        return np.interp(seconds, times, parts)

    def knots(self) -> tuple[np.ndarray, np.ndarray]:
        """What `seconds_of` interpolates between: ascending parts, and their seconds."""
        order = np.argsort(self.indices, kind="stable")
        parts = np.concatenate([[0], self.indices[order] / self.total_frames, [1]])
        return parts, np.concatenate([[0], self.timestamps[order], [self.duration]])

    def __repr__(self) -> str:
        return brief_repr(self, vars(self))


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
    """Read frames of a video of any format that FFmpeg knows, or of an animated image.

    Those are GIF, PNG, WebP and AVIF. Transparency is dropped as by `read_image`, but for a GIF of
    several frames, which FFmpeg puts on white.

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
        upright: Turn and mirror the frames as the file's display matrix says (videos of phones).
        progress: True shows a bar on a terminal; a function is called with (done, wanted).

    Returns:
        The frames in the order of the indices, equal to those of a full sequential decode.

    Raises:
        FileNotFoundError: The file does not exist.
        VideoError: Not a video, no such stream, too few frames, a damaged file, one that is
            shorter than it says, or more pixels than `tfzoo.io.limits` allows. A stream that seems
            to be cut off is warned of (MPEG, AVI, FLV, ASF, MXF, IVF, Y4M, GIF; raw streams do not
            tell).
        ValueError: Arguments that contradict each other, or an unknown `sampling`.

    Example:
        >>> clip = read_video("clip.mp4", num_frames=8)
        >>> clip.frames.shape
        (8, 180, 320, 3)
    """
    if indices is not None and num_frames is not None:
        raise ValueError("Give indices or num_frames, not both.")
    if isinstance(stream, bool) or not isinstance(stream, Integral):
        raise ValueError(f"stream must be a whole number, got {stream!r:.100}.")
    path = os.fspath(path)

    def choose(total: int) -> np.ndarray:
        if num_frames is None:
            return _checked(indices, total)
        how = {"frame_sample_rate": frame_sample_rate, "rng": rng}
        return choose_indices(total, num_frames, sampling, **how)

    with _errors_of(path):
        _check_file(path)
        animation = animation_of(path)
        if animation is not None:
            return _read_animation(animation, choose, stream, upright, progress)
        with _open(path) as container:
            _check_end(path, container)
            video = _select_stream(container, stream)
            table = read_table(container, video)
            wanted = choose(table.total)
            if table.total == 1 and container.format.name in _STILLS:
                pixels = Animation(path).pixels({0}, upright)
            else:
                pixels = _pixels(container, video, table, sorted({*wanted.tolist()}), upright)
            frames = _collect(pixels, wanted, table.total, progress)
            rate = float(video.average_rate or video.guessed_rate or 0)
            fps, duration = _timing(table.seconds, table.total, rate)
            return VideoClip(
                frames, wanted, fps, table.total, duration, _times_of(table.times, wanted)
            )


def check_video(path: str | os.PathLike[str]) -> None:
    """Open a video as `read_video` does, and read none of its frames.

    Raises:
        FileNotFoundError: The file does not exist.
        VideoError: It is not a video, or its header is damaged.

    Example:
        >>> check_video("clip.mp4")
    """
    path = os.fspath(path)
    with _errors_of(path):
        _check_file(path)
        if animation_of(path) is None:
            with _open(path) as container:
                _select_stream(container, 0)


def _read_animation(
    animation: Animation,
    choose: Callable[[int], np.ndarray],
    stream: int,
    upright: bool,
    progress: bool | Callable[[int, int], None],
) -> VideoClip:
    if stream:
        raise VideoError(f"expected a video stream number of 0, got {stream}.")
    wanted = choose(animation.total)
    pixels = animation.pixels({*wanted.tolist()}, upright)
    frames = _collect(pixels, wanted, animation.total, progress)
    fps, duration = _timing(animation.seconds, animation.total, 0.0)
    times = _times_of(animation.times, wanted)
    return VideoClip(frames, wanted, fps, animation.total, duration, times)


def _times_of(times: Sequence[float], wanted: np.ndarray) -> np.ndarray:
    """The wanted frames' times; empty where they are not known."""
    return np.array(times)[wanted] if times else np.empty(0)


def _timing(seconds: Fraction, total: int, rate: float) -> tuple[float, float]:
    """Frames per second and the duration; by the rate of the header where no time stamps say it."""
    if seconds:
        return float(total / seconds), float(seconds)
    return rate, total / rate if rate else 0.0


@contextlib.contextmanager
def _errors_of(path: str) -> Iterator[None]:
    """Put the path in front of the messages."""
    try:
        yield
    except VideoError as error:
        raise VideoError(f"{path}: {error}") from error.__cause__
    except ImageError as error:  # of an animation, which has the path in front
        raise VideoError(str(error)) from error
    except av.FFmpegError as error:
        raise VideoError(
            f"{path}: the video is damaged, or its frames have more than {FRAME_PIXELS} pixels "
            f"({error.strerror})."
        ) from error
    except MemoryError as error:
        raise VideoError(
            f"{path}: the frames do not fit into the memory. Choose fewer with indices or "
            "num_frames."
        ) from error


def _check_file(path: str) -> None:
    if not os.path.exists(path):
        raise FileNotFoundError(f"{path}: no such video file.")
    if os.path.isdir(path):
        raise VideoError("expected a video file, got a folder. Use read_frames for it.")
    if not os.path.isfile(path):
        raise VideoError("expected a video file, got a pipe or a device.")  # which may wait
    refuse_lfs_pointer(path, VideoError)
    try:
        open(path, "rb").close()
    except OSError as error:
        raise VideoError(f"the file cannot be read: {error.strerror}.") from error


def _open(path: str) -> Any:
    try:
        container = av.open(
            f"file:{path}",  # else FFmpeg takes what stands before a colon for a protocol
            options={"max_pixels": str(FRAME_PIXELS)},
            container_options={"protocol_whitelist": "file", "pattern_type": "none"},
            metadata_errors="replace",
        )
    except Exception as error:  # not of FFmpeg alone: PyAV has some of its own
        raise VideoError(
            "expected a video that FFmpeg can read, got something else or a file that is damaged "
            f"or cut off ({getattr(error, 'strerror', None) or error})."
        ) from error
    if kind := _NOT_VIDEOS.get(container.format.name):
        container.close()
        raise VideoError(f"expected a video, got {kind}.")
    return container


def _videos_of(container: Any) -> list[Any]:
    """The streams of video but for the cover of an album, which is a single image."""
    return [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]


def _select_stream(container: Any, number: int) -> Any:
    streams = _videos_of(container)
    if not streams:
        kinds = ", ".join(
            "a cover image" if s.type == "video" else s.type for s in container.streams
        )
        raise VideoError(
            "expected a video stream, got a file with streams: "
            f"{kinds or 'none (it may be cut off)'}."
        )
    if not 0 <= number < len(streams):
        raise VideoError(
            f"expected a video stream number from 0 to {len(streams) - 1}, got {number}."
        )
    stream = streams[number]
    codec = stream.codec_context
    if codec is None:
        raise VideoError("expected a video of a codec that FFmpeg decodes, got an unknown one.")
    if codec.height * codec.width > FRAME_PIXELS:
        raise VideoError(
            f"expected frames of up to {FRAME_PIXELS} pixels, got {codec.height} x {codec.width}."
        )
    codec.options = {"max_pixels": str(FRAME_PIXELS)}  # sizes may change within a stream
    codec.thread_type = "AUTO"
    return stream


def _check_end(path: str, container: Any) -> None:
    if says_more(path, container.format.name):
        raise VideoError(
            "expected a longer file, as its header says: it is truncated. Download or copy it "
            "again."
        )
    if seems_cut_off(path, container.format.name):
        warn(
            f"{path}: the video seems to be cut off; the frames up to there are read.",
        )


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
    pixels: Iterator[tuple[int, np.ndarray]],
    wanted: np.ndarray,
    total: int,
    progress: bool | Callable[[int, int], None],
) -> np.ndarray:
    """Put each decoded frame in all its places."""
    places: dict[int, list[int]] = {}
    for place, index in enumerate(wanted.tolist()):
        places.setdefault(index, []).append(place)
    frames: np.ndarray | None = None
    missing = set(places)
    with _reporter(progress, len(places)) as report:
        for index, frame in pixels:
            if frames is None:
                frames = _room(len(wanted), frame.shape)
            if frame.shape != frames.shape[1:]:
                raise VideoError(
                    f"expected frames of one size, {frames.shape[1:3]} (height, width), got "
                    f"{frame.shape[:2]} at frame {index}."
                )
            frames[places[index]] = frame
            missing.discard(index)
            report(len(places) - len(missing))
    if frames is None or missing:
        raise VideoError(
            f"expected {total} frames, as the file's packets say, but frame "
            f"{min(missing)} does not decode: the video is truncated or damaged."
        )
    return frames


def _room(count: int, shape: tuple[int, ...]) -> np.ndarray:
    """An array for all frames."""
    height, width = shape[:2]
    if count * height * width > CLIP_PIXELS:
        raise VideoError(
            f"expected up to {CLIP_PIXELS} pixels at a time, got {count} frames of {height} x "
            f"{width}. Read fewer with indices or num_frames."
        )
    return np.empty((count, *shape), np.uint8)


def _pixels(
    container: Any, stream: Any, table: FrameTable, wanted: list[int], upright: bool
) -> Iterator[tuple[int, np.ndarray]]:
    """The wanted frames in RGB, each with its index."""
    decoded = _by_stamp if table.stamps else _by_order
    reformatter = VideoReformatter()  # one for all, since it keeps its tables
    for index, frame in decoded(container, stream, table, wanted):
        pixels = reformatter.reformat(frame, format="rgb24").to_ndarray()
        matrix = display_matrix(frame, stream.codec_context.name) if upright else None
        yield index, shown_by(matrix, pixels)


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
        yield from of_pyav(container.decode(stream))
        return
    # Not every format can seek to its start, so the file is opened again.
    with _open(container.name.removeprefix("file:")) as again:
        number = [s.index for s in _videos_of(container)].index(stream.index)
        yield from of_pyav(again.decode(_select_stream(again, number)))
