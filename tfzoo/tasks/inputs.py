"""What tasks are given: paths, addresses, bytes, images, arrays, lists, folders and generators."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import tempfile
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from tfzoo.hub.download import download, is_address
from tfzoo.io import ImageError, VideoClip, VideoError, read_frames, read_image, read_video
from tfzoo.io.image_reader import files_of, opened, upright_rgb
from tfzoo.io.limits import DOWNLOAD_BYTES
from tfzoo.io.sampling import FrameChoice, check_counts
from tfzoo.io.video_reader import check_video
from tfzoo.preprocessing.image import as_array, is_image
from tfzoo.preprocessing.image_batch import open_image

__all__ = [
    "are_still",
    "batches",
    "check_file",
    "choice_of",
    "clip_of",
    "image_of",
    "image_or_clip_of",
    "is_file",
    "is_still",
    "read_ahead",
    "split",
]

Item = TypeVar("Item")

# In these formats files of several images are animations, in the others pages.
_ANIMATED = {"GIF", "WEBP", "PNG", "AVIF"}
_FORMS = "path, an address, bytes, an image, an array, a list, a folder"
# How many axes an array of one input has, by what the task takes; one more is a batch.
_AXES = {
    "image": (2, 3),
    "image or video": (2, 3),
    "clip": (2, 3, 4),
    "video": (4,),
    "pair": (4,),
}


# ---- one input or many
def split(inputs: Any, kind: str) -> tuple[list[Any] | Iterator[Any], bool]:
    """What a task is called with, as single inputs.

    Args:
        inputs: One input, a list of them, a folder of files, an array with one more axis than that
            of one input, or a generator or other iterable.
        kind: What one is: "image", "image or video", "video", "clip" (a video, or an image that
            stands for one), "pair" (of images), "text", or "sound" (a tuple of a video and its
            sound).

    Returns:
        A list, or for a generator or other iterable an iterator; and whether `inputs` was one.

    Raises:
        TypeError: Something else.
        ValueError: An array of another number of axes, or an empty folder.

    Example:
        >>> split(["a.jpg", "b.jpg"], "image")
        (['a.jpg', 'b.jpg'], False)
    """
    if kind == "text" and isinstance(inputs, (str, bytes)):
        return [inputs], True
    if is_file(inputs) and kind != "text":
        files = _files_in(inputs, kind)
        return ([inputs], True) if files is None else (files, False)
    if isinstance(inputs, (Image.Image, VideoClip)):
        return [inputs], True
    if isinstance(inputs, (list, tuple)):
        is_one = _is_one(inputs, kind)
        return ([inputs], True) if is_one else (list(inputs), False)
    if hasattr(inputs, "__array__") and kind in _AXES:
        return _split_array(as_array(inputs), kind)
    if isinstance(inputs, Iterable) and not isinstance(inputs, Mapping):
        return iter(inputs), False
    what = "text, a list" if kind == "text" else _FORMS
    raise TypeError(f"Expected a {what} or a generator of them, got a {type(inputs).__name__}.")


def _is_one(inputs: Sequence[Any], kind: str) -> bool:
    """Whether a list or tuple is a single input: the frames of a video, or a pair."""
    if kind in ("clip", "video"):
        return bool(inputs) and all(map(is_image, inputs))
    if kind == "pair":
        return len(inputs) == 2 and all(is_file(item) or is_image(item) for item in inputs)
    return kind == "sound" and isinstance(inputs, tuple)


def _split_array(array: np.ndarray, kind: str) -> tuple[list[Any], bool]:
    axes = _AXES[kind]
    if array.ndim in axes:
        return [array], True
    if array.ndim - 1 in axes:
        return list(array), False
    raise ValueError(
        f"Expected an array of {' or '.join(map(str, axes))} axes for one {kind}, or of "
        f"one more for several, got shape {array.shape}."
    )


def _files_in(source: Any, kind: str) -> list[Any] | None:
    """The files of a folder; None for a file, and for a folder that is one video."""
    if isinstance(source, bytes) or is_address(source):
        return None
    folder = Path(source).expanduser()
    if not folder.is_dir():
        return None
    files = files_of(folder)
    if not files:
        raise ImageError(f"{source}: expected a folder of images or videos, got an empty one.")
    if kind == "clip" and are_still(files):
        return None
    return files


def is_file(source: Any) -> bool:
    """Whether an input is a path, an address, or the bytes of a file."""
    return isinstance(source, (str, bytes, os.PathLike))


# ---- one input
def image_of(source: Any) -> Any:
    """An image, upright and in RGB if it is a file or of Pillow; an array is kept as it is.

    Args:
        source: Path, address or bytes of an image file, Pillow image or array.

    Raises:
        FileNotFoundError: No such file.
        HubError: The address cannot be downloaded.
        ImageError: The file is not an image.
        TypeError: Something else.

    Example:
        >>> image_of("photo.jpg").size
        (320, 213)
    """
    if isinstance(source, Image.Image):
        return upright_rgb(source)
    if is_file(source):
        with _on_disk(source, keep_bytes=True) as file:
            return open_image(file)
    if not is_image(source):
        raise TypeError(
            "Expected an image as a path, an address, bytes, a Pillow image or an array, got a "
            f"{type(source).__name__}."
        )
    return source


def choice_of(processor: Any, config: Any) -> FrameChoice:
    """Which frames of a video a checkpoint takes, by its processor and its configuration."""
    return getattr(processor, "image_processor", processor).choice_of(config.to_dict())


def clip_of(source: Any, choice: FrameChoice | Sequence[int]) -> VideoClip:
    """Choose frames of a video, an animation, a folder of images or frames in memory.

    Args:
        source: Path, address or bytes of a file; path of a folder of images; `VideoClip`, array
            (T, height, width, C) or list of frames; or an image, which is repeated.
        choice: How frames are chosen, or the numbers of those wanted. Frames in memory that are
            as many as are wanted are taken as they are.

    Returns:
        The frames. Without a file of a video, the rate and the duration are 0.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is neither a video nor an image, or too short.
        TypeError: Something else.
    """
    if isinstance(source, VideoClip):
        return _clip_within(source, choice)
    if not is_file(source):
        if not isinstance(source, (list, tuple)) and getattr(source, "ndim", 0) not in (2, 3, 4):
            source = image_of(source)  # refuses what is none
        frames = [source] if is_image(source) else list(source)
        frames = [upright_rgb(f) if isinstance(f, Image.Image) else f for f in frames]
        return _clip(frames, choice)
    with _on_disk(source) as path:
        if path.is_dir():
            return _clip(read_frames(path), choice, exact=False)
        if is_still(path):
            return _clip(read_image(path)[None], choice)
        return _video(path, choice)


def image_or_clip_of(source: Any, choice: FrameChoice | Sequence[int] | None) -> Any:
    """An image as `image_of`, or of a file that is a video, a clip as `clip_of`.

    Args:
        source: An input of either.
        choice: Frames of a video; all of them where None.
    """
    if isinstance(source, VideoClip):
        return source if choice is None else _clip_within(source, choice)
    if not is_file(source):
        return image_of(source)
    with _on_disk(source) as path:
        if is_still(path):
            return open_image(path)
        return read_video(path) if choice is None else _video(path, choice)


def _video(path: Path, choice: FrameChoice | Sequence[int]) -> VideoClip:
    how = vars(choice) if isinstance(choice, FrameChoice) else {"indices": choice}
    return read_video(path, **how)


def _clip(frames: Any, choice: FrameChoice | Sequence[int], exact: bool = True) -> VideoClip:
    """A clip of frames without times; a single one stands for as many as are wanted."""
    total = len(frames)
    if not isinstance(choice, FrameChoice):
        indices = np.asarray(choice)
    elif total == 1:
        check_counts(num_frames=choice.num_frames)
        indices = np.zeros(choice.num_frames, "int64")
    elif exact and total == choice.num_frames:
        indices = np.arange(total)
    else:
        indices = choice.indices(total)
    chosen = [np.asarray(frames[i]) for i in indices.tolist()]
    shapes = sorted({frame.shape for frame in chosen})
    if len(shapes) > 1:
        raise VideoError(f"Expected frames of one size, got frames of the shapes {shapes}.")
    return VideoClip(np.stack(chosen), indices, fps=0.0, total_frames=total, duration=0.0)


def _clip_within(clip: VideoClip, choice: FrameChoice | Sequence[int]) -> VideoClip:
    """A part of a clip."""
    if not isinstance(choice, FrameChoice):
        places = {number: place for place, number in enumerate(clip.indices.tolist())}
        kept = np.array([places[number] for number in choice])
    elif len(clip) == choice.num_frames:
        return clip
    elif len(clip) == 1:  # stands for as many as are wanted, as in `_clip`
        kept = np.zeros(choice.num_frames, "int64")
    else:
        kept = choice.indices(len(clip))
    chosen = {name: getattr(clip, name)[kept] for name in ("frames", "indices", "timestamps")}
    return dataclasses.replace(clip, **chosen)


# ---- files
def is_still(source: str | os.PathLike[str] | bytes) -> bool:
    """Whether a file is an image that does not move."""
    if not isinstance(source, bytes) and os.path.isdir(source):
        return False
    try:
        with opened(source) as image:
            return not (image.format in _ANIMATED and getattr(image, "is_animated", False))
    except ImageError:
        return False


def are_still(sources: Iterable[Any]) -> bool:
    """Whether all are files of images that do not move; of addresses that is not known."""
    return all(not is_address(source) and is_still(source) for source in sources)


def check_file(path: Path, kind: str) -> None:
    """Refuse a file of another kind than a task takes, without decoding it.

    Args:
        path: The file, or a folder of frames.
        kind: See `split`.

    Raises:
        FileNotFoundError: It does not exist.
        ValueError: It is something else.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file.")
    is_image_file = is_still(path)
    if kind in ("image", "pair") or (kind == "image or video" and path.is_dir()):
        if not is_image_file:
            with opened(path) as image:  # the error says what else it is
                count = getattr(image, "n_frames", 1)
            raise ImageError(f"{path}: expected a still image, got an animation of {count} frames.")
    elif kind == "video" and (path.is_dir() or is_image_file):
        raise VideoError(f"{path}: expected a video; images have no times.")
    elif not path.is_dir() and not is_image_file:
        check_video(path)


@contextlib.contextmanager
def _on_disk(source: Any, keep_bytes: bool = False) -> Iterator[Any]:
    """A path of a file, which is downloaded or written where needed; bytes, if they may stay."""
    if not is_address(source) and (keep_bytes or not isinstance(source, bytes)):
        yield source if isinstance(source, bytes) else Path(source).expanduser()
        return
    with tempfile.TemporaryDirectory(prefix="tfzoo-") as folder:
        suffix = "" if isinstance(source, bytes) else Path(urlsplit(source).path).suffix
        path = Path(folder, "file" + (suffix if suffix[1:].isalnum() else ""))
        if isinstance(source, bytes):
            path.write_bytes(source)
        else:
            download(source, path, DOWNLOAD_BYTES)
        try:
            yield path
        except (ImageError, VideoError) as error:
            name = f"{len(source)} bytes" if isinstance(source, bytes) else source
            raise type(error)(str(error).replace(str(path), name)) from error


def read_ahead(
    sources: Iterable[Any], read: Callable[[Any], Item], most: int
) -> Generator[tuple[Any, Item], None, None]:
    """Read inputs in a thread while those before them are worked on.

    Args:
        sources: The inputs.
        read: Called with each of them.
        most: How many may wait that have been read.

    Yields:
        Each input and what was read of it, in order. An error comes in its place, after what was
        read before it, be it one of `sources` or of `read`.
    """
    pool = ThreadPoolExecutor(1, "tfzoo.tasks")
    waiting: deque[tuple[Any, Future[Item]]] = deque()

    def begun() -> Iterator[tuple[Any, Future[Item]]]:
        try:
            for source in sources:
                yield source, pool.submit(read, source)
        except Exception as error:
            failed: Future[Item] = Future()
            failed.set_exception(error)
            yield None, failed

    try:
        for job in begun():
            waiting.append(job)
            if len(waiting) > most:
                source, future = waiting.popleft()
                yield source, future.result()
        for source, future in waiting:
            yield source, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of up to `size` items; an error comes after the items before it."""
    batch = []
    try:
        for item in items:
            batch.append(item)
            if len(batch) == size:
                yield batch
                batch = []
    except Exception:
        if batch:
            yield batch
        raise
    if batch:
        yield batch
