"""Which videos a folder holds, what their labels are, and which of them are held out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tfzoo.data.errors import DataError, shown
from tfzoo.data.progress import Progress, reporter

__all__ = ["SUFFIXES", "check_split", "find_classes", "find_videos", "held_out"]

SUFFIXES = (
    *(".3gp", ".avi", ".flv", ".gif", ".m4v", ".mkv", ".mov", ".mp4"),
    *(".mpeg", ".mpg", ".ogv", ".webm", ".wmv"),
)


def find_classes(
    directory: str | os.PathLike[str],
    class_names: Sequence[str] | None = None,
    *,
    follow_links: bool = False,
    progress: Progress = True,
) -> tuple[list[Path], np.ndarray, list[str]]:
    """The videos of a folder that holds a folder for each label.

    Args:
        directory: The folder.
        class_names: The names of its folders, in the order of their labels; default: alphabetical.
        follow_links: Whether to look into folders that are symbolic links, too.
        progress: See `reporter`.

    Returns:
        All videos, the label of each, and the names of the labels.

    Raises:
        DataError: No folders, a folder without videos, videos in none of them, or other names.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for label in ("landing", "launch"):
        ...     (folder / label).mkdir()
        ...     (folder / label / "1.mp4").touch()
        >>> paths, labels, names = find_classes(folder)
        >>> labels, names
        (array([0, 1], dtype=int32), ['landing', 'launch'])
    """
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


def find_videos(
    directory: str | os.PathLike[str], *, follow_links: bool = False, progress: Progress = True
) -> list[Path]:
    """All videos in a folder and in those inside it, in alphabetical order.

    Args:
        directory: The folder.
        follow_links: Whether to look into folders that are symbolic links, too.
        progress: See `reporter`.

    Returns:
        Their paths.

    Raises:
        DataError: There are none, or there is no such folder.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in ("b.mp4", "a.webm", "notes.txt"):
        ...     (folder / name).touch()
        >>> [path.name for path in find_videos(folder)]
        ['a.webm', 'b.mp4']
    """
    with reporter(progress, "file") as report:
        return _walk(_folder(directory), follow_links, report)


def check_split(validation_split: float | None, subset: str | None, seed: int | None) -> None:
    """Refuse arguments that name no part of a set.

    Args:
        validation_split: Share that is held out.
        subset: "training", "validation" or "both".
        seed: Of the draw.

    Raises:
        ValueError: One without the other, values that are none, or a part without a seed.

    Example:
        >>> check_split(0.2, "training", seed=0)
    """
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


def held_out(groups: np.ndarray, share: float, seed: int | None) -> np.ndarray:
    """Draw the examples to validate with, the same share of each group.

    Args:
        groups: (N,), what each example belongs to: its label, for instance.
        share: Of each group.
        seed: Of the draw; the same seed, the same examples.

    Returns:
        (N,) bool, true where held out.

    Raises:
        DataError: Nothing would be held out, or nothing would be left.

    Example:
        >>> held_out(np.array([0, 0, 1, 1, 1, 1]), 0.5, seed=0).sum()
        np.int64(3)
    """
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


def _walk(folder: Path, follow_links: bool, report: Callable[[int], None]) -> list[Path]:
    """The videos below a folder; at least one."""
    paths: list[Path] = []
    for root, folders, files in os.walk(folder, followlinks=follow_links):
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
