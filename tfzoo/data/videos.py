"""Labelled videos in folders, like `keras.utils.image_dataset_from_directory` for images.

Letters: B batch, T frames, C channels.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfzoo.data.clips import SUFFIXES, Augment, ClipReader
from tfzoo.data.errors import DataError, shown
from tfzoo.data.pipeline import Progress, Reading, reporter, stream

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
        follow_links: Whether folders that are symbolic links are searched as well.
        progress: True shows a bar on a terminal while files are found; a function is called with
            (done, None).

    Returns:
        A `tf.data.Dataset` of `({"pixel_values": (B, T, C, height, width)}, labels)`, or of the
        first alone without labels; for "both" two of them. Attributes: `class_names`,
        `file_paths`, and `skipped`, what was left out so far, path -> reason.

    Raises:
        DataError: No videos where they should be, or labels that do not fit them. While it is read,
            the dataset raises `tf.errors.InvalidArgumentError` with the same kind of message.
        TypeError: `processor` does not prepare videos.
        ValueError: An invalid argument, or videos that would come out in different sizes.

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
    _check_split(validation_split, subset, seed)
    spec = reader.spec(batch_size)
    found = _find(directory, labels, label_mode, class_names, follow_links, progress)
    if subset is None:
        return _dataset(found, reader, spec, reading)
    chosen = _held_out(found.groups, validation_split, seed)
    # The middle of a video represents it better than a clip drawn once.
    steady = "centre" if sampling == "random_clip" else sampling
    still = replace(reader, sampling=steady, augment=None), spec, replace(reading, shuffle=False)
    parts = {
        "training": lambda: _dataset(found.part(~chosen), reader, spec, reading),
        "validation": lambda: _dataset(found.part(chosen), *still),
    }
    return tuple(part() for part in parts.values()) if subset == "both" else parts[subset]()


class _Videos(NamedTuple):
    """The videos of a set; `targets` are the labels as the model takes them, or None."""

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
    """All videos with their labels."""
    if label_mode not in _MODES:
        raise ValueError(f"label_mode must be one of {_MODES}, got {label_mode!r}.")
    if isinstance(labels, str) and labels == "inferred":
        paths, indices, names = _find_classes(directory, class_names, follow_links, progress)
        return _Videos(paths, indices, _targets(indices, len(names), label_mode), names)
    if class_names is not None:
        raise ValueError("class_names orders inferred labels; leave it out with other labels.")
    paths = _find_videos(directory, follow_links, progress)
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


def _find_classes(
    directory: str | os.PathLike[str],
    class_names: Sequence[str] | None,
    follow_links: bool,
    progress: Progress,
) -> tuple[list[Path], np.ndarray, list[str]]:
    """The videos of a folder that holds a folder for each label, their labels, and the names."""
    directory = _folder(directory)
    inside = sorted(p for p in directory.iterdir() if not p.name.startswith("."))
    if loose := [p.name for p in inside if p.is_file() and p.suffix.lower() in SUFFIXES]:
        raise DataError(
            f"{directory}: expected every video in a folder named like its label, found beside "
            f"them {shown(loose)}. Move them, or pass labels=None or a list of labels."
        )
    found = [p.name for p in inside if p.is_dir()]
    if not found:
        raise DataError(
            f"{directory}: expected a folder of videos for each label, found none. For videos "
            "without labels pass labels=None."
        )
    names = found if class_names is None else list(class_names)
    if sorted(names) != found:
        raise DataError(
            f"class_names: expected {found} in any order, the folders' names, got {names}."
        )
    paths, labels = [], []
    with reporter(progress, "file") as report:
        for label, name in enumerate(names):
            done = len(paths)
            paths += _walk(directory / name, follow_links, lambda n, done=done: report(done + n))
            labels += [label] * (len(paths) - done)
    return paths, np.array(labels, np.int32), names


def _find_videos(
    directory: str | os.PathLike[str], follow_links: bool, progress: Progress
) -> list[Path]:
    """All videos in a folder and in those inside it, in alphabetical order."""
    with reporter(progress, "file") as report:
        return _walk(_folder(directory), follow_links, report)


def _check_split(validation_split: float | None, subset: str | None, seed: int | None) -> None:
    """Refuse arguments that name no part of a set."""
    if (validation_split is None) != (subset is None):
        raise ValueError(
            "validation_split and subset belong together, got "
            f"validation_split={validation_split!r} and subset={subset!r}."
        )
    if subset is None:
        return
    if subset not in ("training", "validation", "both"):
        raise ValueError(f"subset must be 'training', 'validation' or 'both', got {subset!r}.")
    if isinstance(validation_split, bool) or not 0 < validation_split < 1:
        raise ValueError(f"validation_split must lie between 0 and 1, got {validation_split!r}.")
    if seed is None and subset != "both":
        raise ValueError(
            f"subset={subset!r} needs a seed, the same for both parts, or they would overlap."
        )


def _held_out(groups: np.ndarray, share: float, seed: int | None) -> np.ndarray:
    """Draw the examples to validate with, the same share of each group: (N,) bool."""
    rng, chosen = np.random.default_rng(seed), np.zeros(len(groups), bool)
    for group in np.unique(groups):
        places = rng.permutation(np.flatnonzero(groups == group))
        chosen[places[: round(share * len(places))]] = True
    if chosen.all() or not chosen.any():
        raise DataError(
            f"validation_split={share} of {len(groups)} examples in {len(np.unique(groups))} "
            f"groups holds out {chosen.sum()}: both parts must have some. Choose another share, or "
            "add files."
        )
    return chosen


def _folder(directory: str | os.PathLike[str]) -> Path:
    directory = Path(directory).expanduser()
    if not directory.is_dir():
        raise DataError(f"{directory}: expected a folder, found none of this name.")
    return directory


def _refuse(error: OSError) -> None:
    """Let `os.walk` leave out no folder that it cannot read."""
    raise DataError(f"{error.filename}: the folder cannot be read: {error.strerror}.") from error


def _walk(folder: Path, follow_links: bool, report: Callable[[int], None]) -> list[Path]:
    """The videos below a folder; at least one."""
    paths: list[Path] = []
    known: set[tuple[int, int]] = set()
    for root, folders, files in os.walk(folder, followlinks=follow_links, onerror=_refuse):
        place = os.stat(root)
        if (place.st_dev, place.st_ino) in known:  # a link leads to where the walk has been
            folders.clear()
            continue
        known.add((place.st_dev, place.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                paths.append(Path(root, name))
        report(len(paths))
    if not paths:
        raise DataError(
            f"{folder}: expected videos, found none (files that end in {', '.join(SUFFIXES)})."
        )
    return paths
