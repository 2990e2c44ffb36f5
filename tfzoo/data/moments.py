"""Moments of videos that sentences describe, for TVP.

Letters: B batch, T frames, C channels, N tokens.
"""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfzoo.core.untrusted import refuse_lfs_pointer
from tfzoo.data.annotations import need_file
from tfzoo.data.clips import SUFFIXES, Augment, ClipReader
from tfzoo.data.errors import DataError, shown
from tfzoo.data.pipeline import Progress, Reading, reporter, stream

__all__ = ["grounding_dataset_from_charades"]

_LINE = re.compile(r"(\S+) +(\d+(?:\.\d*)?) +(\d+(?:\.\d*)?) *##(.*)")


def grounding_dataset_from_charades(
    annotations: str | os.PathLike[str],
    directory: str | os.PathLike[str],
    processor: Any,
    num_frames: int,
    *,
    max_text_length: int | None = None,
    batch_size: int = 8,
    shuffle: bool = True,
    seed: int | None = None,
    augment: Augment | None = None,
    on_error: str = "raise",
    workers: int | None = None,
    progress: Progress = True,
) -> Any:
    """Stream videos, sentences and their moments into TVP's `fit`.

    T frames are taken from all over each video, of a short one some twice. Where a moment ends
    after its video, as some of Charades-STA do, its end becomes the video's. At a variable frame
    rate, labels tell where a moment lies among the frames, as if these were evenly spaced in time.

    Args:
        annotations: Lines `VIDEO START END##SENTENCE`, times in seconds.
        directory: The folder of the videos, `VIDEO.mp4` or another suffix of videos.
        processor: The checkpoint's `TvpProcessor`.
        num_frames: T, the model's `config.num_frames`.
        max_text_length: N; longer sentences are refused. Default: that of the longest one.
        batch_size: B; the last batch may be smaller.
        shuffle: Whether each epoch has an order of its own.
        seed: Of the order and the augmentation.
        augment: A function of the frames (T, height, width, 3) uint8 and a NumPy `Generator`, such
            as `ClipAugmentation(...)`.
        on_error: "raise" ends the reading at a video that is damaged or missing, and at a moment
            that begins after its video has ended; "skip" leaves it out with a `BrokenFileWarning`.
        workers: How many videos are read at once; None leaves it to `tf.data`.
        progress: True shows a bar on a terminal while the lines are read; a function is called with
            (done, total) bytes.

    Returns:
        A `tf.data.Dataset` of `({"input_ids": (B, N), "attention_mask": (B, N), "pixel_values":
        (B, T, C, height, width)}, labels)` with labels (B, 3): duration, start and end in seconds.
        Attributes: `file_paths` and `skipped`.

    Raises:
        DataError: Lines of another form, or videos that are missing. While it is read, the dataset
            raises `tf.errors.InvalidArgumentError` with the same kind of message.
        TypeError: `processor` does not prepare videos and sentences.
        ValueError: An invalid argument, or a sentence that is empty or too long.

    Example:
        >>> import pathlib, tempfile, tfzoo
        >>> from tfzoo.data import grounding_dataset_from_charades
        >>> path = pathlib.Path(tempfile.mkdtemp(), "moments.txt")
        >>> _ = path.write_text("clip 0.5 1.5##the dog runs.")
        >>> processor = tfzoo.TvpProcessor.from_pretrained("tvp")
        >>> dataset = grounding_dataset_from_charades(path, ".", processor, num_frames=4)
        >>> inputs, labels = next(iter(dataset))
        >>> inputs["pixel_values"].shape, labels.numpy()
        (TensorShape([1, 4, 3, 64, 64]), array([[13. ,  0.5,  1.5]], dtype=float32))
    """
    reading = Reading(batch_size, shuffle, seed, on_error, workers)
    if not hasattr(processor, "tokenizer") or not hasattr(processor, "image_processor"):
        raise TypeError(f"processor: expected a TvpProcessor, got {type(processor).__name__}.")
    reader = ClipReader(processor, num_frames, "spread", augment=augment)
    if num_frames < 2:
        raise ValueError(f"num_frames must be at least 2 to locate a moment, got {num_frames}.")
    spec = reader.spec(batch_size)
    moments = _read_charades(annotations, progress)
    paths = _videos(moments, Path(directory).expanduser(), on_error)
    texts = _encoded(processor, [moment.sentence for moment in moments], max_text_length)
    pairs = _Pairs(moments, paths, texts, reader)

    def finish(values: dict[str, Any]) -> Any:
        return {name: values[name] for name in (*texts, "pixel_values")}, values["labels"]

    names = [f"{path} ({m.sentence!r})" for path, m in zip(paths, moments, strict=True)]
    dataset = stream(names, pairs.load, pairs.signature(spec), reading, finish)
    dataset.file_paths = [str(path) for path in paths]
    return dataset


class _Moment(NamedTuple):
    """A sentence and the time in seconds at which a video, named without suffix, shows it."""

    video: str
    start: float
    end: float
    sentence: str


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Sentences with their videos."""

    moments: list[_Moment]
    paths: list[Path]
    texts: Mapping[str, np.ndarray]
    reader: ClipReader

    def signature(self, pixels: tf.TensorSpec) -> dict[str, tf.TensorSpec]:
        """Shapes and dtypes of one pair."""
        texts = {k: tf.TensorSpec(v.shape[1:], v.dtype) for k, v in self.texts.items()}
        return {**texts, "pixel_values": pixels, "labels": tf.TensorSpec((3,), tf.float32)}

    def load(self, place: int, rng: np.random.Generator) -> dict[str, Any]:
        """Read one video, and find the moment in its duration."""
        moment, path = self.moments[place], self.paths[place]
        if path.stem != moment.video:  # a name that leads out of the folder is missing in it
            raise DataError(f"{path.parent}: there is no video {moment.video!r:.200}.")
        pixels, clip = self.reader.read(path, rng)
        if moment.start >= clip.duration:
            raise DataError(
                f"{path}: the moment {moment.start:g} to {moment.end:g} s, {moment.sentence!r}, "
                f"begins after the video has ended, at {clip.duration:g} s."
            )
        # In float32 like the labels, whose rounding must not put the end behind the duration.
        span = clip.parts_at([moment.start, moment.end]) * clip.duration
        span = np.minimum(np.float32(span), np.float32(clip.duration))
        labels = np.array([clip.duration, *span], np.float32)
        texts = {name: rows[place] for name, rows in self.texts.items()}
        return {**texts, "pixel_values": pixels, "labels": labels}


def _read_charades(path: str | os.PathLike[str], progress: Progress) -> list[_Moment]:
    """Read lines such as `AO8RW 0.0 6.9##a person is putting a book on a shelf.`"""
    path = Path(path).expanduser()
    need_file(path)
    refuse_lfs_pointer(path, DataError)
    moments, done = [], 0
    with open(path, "rb") as file, reporter(progress, "B", path.stat().st_size) as report:
        number = 0
        for part in file:
            done += len(part)
            report(done)
            for line in part.splitlines():  # of which some programs end each in a CR alone
                number += 1
                if number == 1:
                    line = line.removeprefix(codecs.BOM_UTF8)
                if line.strip():
                    moments.append(_moment(line, f"{path}, line {number}"))
    if not moments:
        raise DataError(f"{path}: expected lines VIDEO START END##SENTENCE, found none.")
    return moments


def _moment(line: bytes, where: str) -> _Moment:
    try:
        text = line.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: expected UTF-8 text: {error}.") from error
    found = _LINE.fullmatch(text)
    if found is None or not found[4].strip():
        raise DataError(
            f"{where}: expected VIDEO START END##SENTENCE, times in seconds, got {text[:80]!r}."
        )
    start, end = float(found[2]), float(found[3])
    if start >= end:
        raise DataError(f"{where}: expected a start before the end, got {start:g} and {end:g} s.")
    return _Moment(found[1], start, end, found[4].strip())


def _videos(moments: list[_Moment], directory: Path, on_error: str) -> list[Path]:
    """The file of each moment; of a missing one the name that it would have."""
    if not directory.is_dir():
        raise DataError(f"{directory}: expected the folder of the videos, found none.")
    files: dict[str, Path] = {}
    for path in sorted(directory.iterdir()):
        if path.suffix.lower() in SUFFIXES:
            if path.stem in files:
                raise DataError(f"{path}: {files[path.stem].name} has the same name; remove one.")
            files[path.stem] = path
    needed = dict.fromkeys(moment.video for moment in moments)
    missing = [name for name in needed if name not in files]
    if len(missing) == len(needed) or (missing and on_error == "raise"):
        raise DataError(
            f"{directory}: {len(missing)} of {len(needed)} videos are missing: {shown(missing)}. "
            f"Expected files that end in {', '.join(SUFFIXES)}."
        )
    # A name that leads out of the folder is looked for nowhere, see `load`.
    return [files.get(m.video, directory / f"{Path(m.video).name}.mp4") for m in moments]


def _encoded(processor: Any, sentences: list[str], length: int | None) -> dict[str, np.ndarray]:
    """All sentences as ids, of one length."""
    options = {"padding": True} if length is None else {"max_text_length": length}
    encoded = processor(text=sentences, return_tensors="np", **options)
    return {name: encoded[name] for name in ("input_ids", "attention_mask")}
