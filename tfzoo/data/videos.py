"""Labelled videos in folders, as `keras.utils.image_dataset_from_directory` has it for images.

Letters: B batch, T frames, C channels.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfzoo.data.clips import Augment, ClipReader
from tfzoo.data.errors import DataError
from tfzoo.data.folders import check_split, find_classes, find_videos, held_out
from tfzoo.data.pipeline import Reading, stream
from tfzoo.data.progress import Progress

__all__ = ["video_dataset_from_directory"]

_MODES = ("int", "categorical", "binary", None)


def video_dataset_from_directory(
    directory: str | os.PathLike[str],
    processor: Any,
    num_frames: int,
    *,
    labels: str | Sequence[int] | None = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int = 8,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    sampling: str = "uniform",
    frame_sample_rate: int = 1,
    augment: Augment | None = None,
    on_error: str = "raise",
    workers: int | None = None,
    follow_links: bool = False,
    progress: Progress = True,
) -> Any:
    """Stream the videos of a folder into `fit`, `evaluate` or `predict`, decoded when needed.

    `directory` holds a folder of videos for each label, which may hold folders in turn; hidden
    files and files of other kinds do not count. Every epoch reads each video once: one clip of T
    frames, decoded by several threads, changed by `augment`, prepared by `processor`.

    A held-out set keeps its order and is not augmented, and where `sampling` is "random_clip", its
    clips are cut from the middles, "centre".

    Args:
        directory: The folder.
        processor: The checkpoint's own, e.g. of `AutoImageProcessor.from_pretrained`.
        num_frames: T, the model's `config.num_frames`.
        labels: "inferred" from the folders; a list of whole numbers, one for each video in the
            alphabetical order of their paths; or None for videos without labels.
        label_mode: "int" for indices; "categorical" for rows of 0 and 1; "binary" for 0.0 or 1.0,
            of two labels; None for no labels.
        class_names: The folders' names in the order of their labels; default: alphabetical.
        batch_size: B; the last batch may be smaller.
        shuffle: Whether each epoch has an order of its own; otherwise it is alphabetical.
        seed: Of the order, the split, the clips and the augmentation.
        validation_split: Share of each label's videos to hold out, with `subset`.
        subset: "training", "validation", or "both" for a pair of sets.
        sampling: Which frames: "uniform" (over the whole video), "spread" (the same, and of short
            videos some frames twice), "segment", "centre", or "random_clip" (another clip in every
            epoch), see `tfzoo.io.choose_indices`.
        frame_sample_rate: For "centre" and "random_clip": distance of the frames.
        augment: A function of the frames (T, height, width, 3) uint8 and a NumPy `Generator`,
            such as `ClipAugmentation(...)`.
        on_error: "raise" ends the reading at a video that is damaged or too short; "skip" leaves it
            out with a `BrokenFileWarning`.
        workers: How many videos are read at once; None leaves it to `tf.data`.
        follow_links: Whether to look into folders that are symbolic links, too.
        progress: True shows a bar on a terminal while files are found; a function is called with
            (done, None).

    Returns:
        A `tf.data.Dataset` of `({"pixel_values": (B, T, C, height, width)}, labels)`, or of the
        first alone where there are no labels; for "both" two of them. Attributes: `class_names`,
        `file_paths`, and `skipped`, what was left out so far, path -> reason.

    Raises:
        DataError: No videos where they should be, or labels that do not fit them. While it is read,
            the dataset raises `tf.errors.InvalidArgumentError` with the same kind of words.
        TypeError: `processor` prepares no videos.
        ValueError: An argument that is none, or videos that would come out in different sizes.

    Example:
        >>> import pathlib, shutil, tempfile
        >>> from tfzoo.data import video_dataset_from_directory
        >>> from tfzoo import VideoMAEImageProcessor
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> for label in ("landing", "launch"):
        ...     (folder / label).mkdir()
        ...     _ = shutil.copy("clip.mp4", folder / label / "1.mp4")
        >>> processor = VideoMAEImageProcessor(size=32, crop_size=32)
        >>> dataset = video_dataset_from_directory(folder, processor, 4, batch_size=2)
        >>> dataset.class_names
        ['landing', 'launch']
        >>> [(inputs["pixel_values"].shape, sorted(y.numpy().tolist())) for inputs, y in dataset]
        [(TensorShape([2, 4, 3, 32, 32]), [0, 1])]
    """
    reading = Reading(batch_size, shuffle, seed, on_error, workers)
    reader = ClipReader(processor, num_frames, sampling, frame_sample_rate, augment)
    check_split(validation_split, subset, seed)
    spec = reader.spec(batch_size)
    found = _find(directory, labels, label_mode, class_names, follow_links, progress)
    if subset is None:
        return _dataset(found, reader, spec, reading)
    chosen = held_out(found.groups, validation_split, seed)
    # The middle of a video stands for it better than wherever the dice fall once.
    steady = "centre" if sampling == "random_clip" else sampling
    still = replace(reader, sampling=steady, augment=None), spec, replace(reading, shuffle=False)
    parts = {
        "training": lambda: _dataset(found.part(~chosen), reader, spec, reading),
        "validation": lambda: _dataset(found.part(chosen), *still),
    }
    return tuple(part() for part in parts.values()) if subset == "both" else parts[subset]()


class _Videos(NamedTuple):
    """The videos of a set; `targets` are what the model is to say, None without labels."""

    paths: list[Path]
    groups: np.ndarray
    targets: np.ndarray | None
    class_names: list[str] | None

    def part(self, chosen: np.ndarray) -> _Videos:
        """Some of them."""
        targets = None if self.targets is None else self.targets[chosen]
        paths = [path for path, is_chosen in zip(self.paths, chosen, strict=True) if is_chosen]
        return _Videos(paths, self.groups[chosen], targets, self.class_names)


def _find(
    directory: str | os.PathLike[str],
    labels: str | Sequence[int] | None,
    label_mode: str | None,
    class_names: Sequence[str] | None,
    follow_links: bool,
    progress: Progress,
) -> _Videos:
    """All videos with what they are to be told apart by."""
    if label_mode not in _MODES:
        raise ValueError(f"label_mode must be one of {_MODES}, got {label_mode!r}.")
    walking = {"follow_links": follow_links, "progress": progress}
    if isinstance(labels, str) and labels == "inferred":
        paths, indices, names = find_classes(directory, class_names, **walking)
        return _Videos(paths, indices, _targets(indices, len(names), label_mode), names)
    if class_names is not None:
        raise ValueError("class_names orders inferred labels; leave it out with other labels.")
    paths = find_videos(directory, **walking)
    if labels is None:
        return _Videos(paths, np.zeros(len(paths), np.int32), None, None)
    indices = np.asarray(labels)
    if indices.shape != (len(paths),) or not np.issubdtype(indices.dtype, np.integer):
        raise DataError(
            f"labels: expected 'inferred', None or {len(paths)} whole numbers, one for each video "
            f"in {directory} in alphabetical order, got {indices.dtype} of shape {indices.shape}."
        )
    if indices.min() < 0:
        raise DataError(f"labels: expected numbers from 0 on, got {indices.min()}.")
    indices = indices.astype(np.int32)
    return _Videos(paths, indices, _targets(indices, int(indices.max()) + 1, label_mode), None)


def _targets(indices: np.ndarray, classes: int, label_mode: str | None) -> np.ndarray | None:
    """The labels in the form that `label_mode` names."""
    if label_mode is None:
        return None
    if label_mode == "categorical":
        return np.eye(classes, dtype=np.float32)[indices]
    if label_mode == "int":
        return indices
    if classes != 2:
        raise DataError(f"label_mode='binary' needs two labels, got {classes}.")
    return indices[:, None].astype(np.float32)


def _dataset(
    videos: _Videos, reader: ClipReader, spec: tf.TensorSpec, reading: Reading
) -> tf.data.Dataset:
    signature = {"pixel_values": spec}
    if videos.targets is not None:
        signature["labels"] = tf.TensorSpec(videos.targets.shape[1:], videos.targets.dtype)

    def load(place: int, rng: np.random.Generator) -> dict[str, Any]:
        values = {"pixel_values": reader.read(videos.paths[place], rng)[0]}
        return values if videos.targets is None else {**values, "labels": videos.targets[place]}

    def finish(values: dict[str, Any]) -> Any:
        inputs = {"pixel_values": values["pixel_values"]}
        return (inputs, values["labels"]) if "labels" in values else inputs

    names = [str(path) for path in videos.paths]
    dataset = stream(names, load, signature, reading, finish)
    dataset.class_names, dataset.file_paths = videos.class_names, names
    return dataset
