"""From the name of a checkpoint to a local folder: the only room that knows the model hub.

A name is a folder, a file in a folder, the short name of a checkpoint that ships with tfzoo, or a
repository `org/name` that is looked up in the local cache and, unless this process is offline,
downloaded into it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from tfzoo.assets import shipped_checkpoints
from tfzoo.core.replacing import recover
from tfzoo.core.untrusted import escaped
from tfzoo.hub.download import Beat, fetch, is_known_absent, patiently
from tfzoo.hub.repository import (
    DEFAULTS,
    HubError,
    HubFileNotFoundError,
    HubOptions,
    Repository,
)

__all__ = [
    "DEFAULTS",
    "HubError",
    "HubFileNotFoundError",
    "HubOptions",
    "Repository",
    "file_names",
    "is_path",
    "resolve",
]

_WEIGHT_SUFFIXES = {".safetensors", ".bin", ".h5", ".json", ".keras", ".pt", ".pth"}
_MOST_FILES = 1000  # an index from the hub may name any number


def resolve(
    name_or_path: str | os.PathLike[str],
    filenames: str | Sequence[str],
    options: HubOptions = DEFAULTS,
    *,
    optional: Sequence[str] = (),
    kind: str = "model",
) -> Path:
    """The local folder that holds the files of a checkpoint, downloaded where needed.

    A local folder wins over a checkpoint or repository of the same name. All files of a repository
    come from one commit, even if somebody pushes to it meanwhile. Progress is shown on terminals
    only.

    Args:
        name_or_path: A folder, a file in it, the short name of a shipped checkpoint, or a
            repository `org/name`. A `Path` is never a short name or a repository.
        filenames: The required file or files, relative to the folder, with forward slashes.
        options: Where to look.
        optional: Files that are fetched if the repository has them. Offline, those in the cache
            are used.
        kind: "model", or "dataset" for a repository of data.

    Returns:
        The folder.

    Raises:
        HubFileNotFoundError: A path, repository, revision or required file does not exist, or is
            not in the cache while offline.
        HubError: The name has a wrong form, access is denied or the hub cannot be reached.
        ValueError: `filenames` is empty.

    Example:
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "config.json").write_text("{}")
        >>> resolve(folder, "config.json") == folder
        True
    """
    required = file_names(filenames)
    if not required:
        raise ValueError(
            "filenames is empty: name at least one file that the checkpoint must have."
        )
    file_names([options.inside(name) for name in required])  # checks the subfolder
    text = os.fspath(name_or_path)
    path = Path(os.path.expanduser(text))  # unlike that of Path, for unknown users as well
    if options.subfolder and path.is_file():
        raise HubError(f"{str(path)!r} is a file: subfolder= needs a folder or a repository.")
    if options.subfolder and path.is_dir():
        path /= options.subfolder
    recover(path)
    if os.path.exists(path):
        return _local_folder(path, required)
    if isinstance(name_or_path, str) and text in (shipped := shipped_checkpoints()):
        return _local_folder(shipped[text], required)
    if isinstance(name_or_path, os.PathLike) or is_path(text):
        raise HubFileNotFoundError(
            f"There is no file or folder {str(path)!r} (looked from {os.getcwd()!r}). Check the "
            "path, or name a repository of the model hub as 'org/name'."
        )
    names = ([options.inside(name) for name in part] for part in (required, file_names(optional)))
    root = _download(Repository(text, options, kind), *map(tuple, names))
    return root / (options.subfolder or "")


def file_names(names: str | Sequence[str]) -> tuple[str, ...]:
    """`names` as a tuple.

    Raises:
        HubError: A name (it may come from a downloaded index) leads out of its folder.
    """
    names = (names,) if isinstance(names, str) else tuple(names)
    for name in names:
        path = PurePosixPath(name)
        parts = path.parts
        leads_out = ".." in parts or name.startswith("/") or any(sign in name for sign in "\\:")
        if not parts or leads_out or str(path) != name or not name.isprintable():
            raise HubError(
                f"{name!r} is not the name of a file inside a checkpoint: expected a relative "
                "path with forward slashes and without '..'."
            )
    return names


def _local_folder(path: Path, required: tuple[str, ...]) -> Path:
    folder = path if path.is_dir() else path.parent
    missing = [name for name in required if not (folder / name).is_file()]
    if missing:
        present = sorted(entry.name for entry in folder.iterdir())
        shown = ", ".join(present[:12]) + (", ..." if len(present) > 12 else "")
        raise HubFileNotFoundError(
            f"The folder {str(folder)!r} lacks {escaped(', '.join(missing))}; it has: "
            f"{escaped(shown) or 'nothing'}. "
            "Give the folder of a whole checkpoint, as save_pretrained writes it."
        )
    return folder


def is_path(text: str) -> bool:
    """Whether a name is that of a file or folder, existing or not, rather than a repository."""
    return (
        text.startswith((".", "~"))
        or text.count(os.sep) > 1
        or os.path.isabs(text)
        or Path(text).suffix in _WEIGHT_SUFFIXES
        or os.path.exists(text)
    )


def _download(repository: Repository, required: tuple[str, ...], optional: tuple[str, ...]) -> Path:
    """All files, downloaded where the cache lacks them.

    Raises:
        HubError: There are too many of them, or one cannot be had.
    """
    if len(required) > _MOST_FILES:
        raise HubError(
            f"{repository} names {len(required):,} files, and at most {_MOST_FILES:,} are fetched. "
            "Download it with another program, and give the local folder."
        )
    if repository.offline:
        return _fetch_all(repository, required, optional, lambda count: None)
    return patiently(lambda beat: _fetch_all(repository, required, optional, beat))


def _fetch_all(
    repository: Repository, required: tuple[str, ...], optional: tuple[str, ...], beat: Beat
) -> Path:
    """Fetch all files; the first one fixes the commit of the others."""
    first = required[0]
    folder = fetch(repository, first, repository.options.revision, beat).parents[first.count("/")]
    commit = folder.name  # the cache's layout: snapshots/<commit>/<filename>
    for filename in required[1:]:
        fetch(repository, filename, commit, beat)
    for filename in optional:
        if not is_known_absent(repository, filename, commit):
            try:
                fetch(repository, filename, commit, beat)
            except HubFileNotFoundError:
                continue
    return folder
