"""Files and folders that are replaced as a whole, and the JSON files beside a checkpoint."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["read_json", "replacing", "write_json"]

_MARK = ".unfinished"
_OLD = ".old"  # added to the name of what is being replaced


def read_json(path: Path, error: type[Exception] = ValueError) -> dict[str, Any]:
    """Read one JSON object.

    Raises:
        error: The file is not JSON, or does not hold an object.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as cause:
        raise error(f"{path} is not valid JSON: {cause}.") from cause
    if not isinstance(values, dict):
        raise error(f"{path} must hold a JSON object, got {type(values).__name__}.")
    return values


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write `values` to `path`, whole or not at all; the folder is made where needed.

    Raises:
        OSError: The folder cannot be made or written.
    """
    text = json.dumps(values, indent=2, sort_keys=True) + "\n"
    with replacing(path, force=True) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def replacing(target: Path, force: bool) -> Iterator[Path]:
    """A path beside `target` to write to, which takes its place once the block has succeeded.

    A file is replaced in one step. A folder takes two, and a process that is killed between them
    leaves the old one to be put back by the next call. What a killed process left is removed then.

    Args:
        target: File or folder to write; folders above it are made.
        force: Whether it may exist, and then be replaced.

    Raises:
        FileExistsError: It exists, and `force` is not given.
        OSError: It cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(target)
        workshop, lock = _new_workshop(target)
    except OSError as error:
        # The kind stays: PermissionError, NotADirectoryError, ...
        raise type(error)(f"{target.parent} cannot be written to: {error.strerror}.") from error
    made = workshop / target.name
    try:
        yield made
        if os.path.lexists(target):
            if not force:
                raise FileExistsError(f"{target} has come to exist meanwhile; it is not replaced.")
            if made.is_dir() or target.is_dir():
                os.rename(target, workshop / f"{target.name}{_OLD}")
        os.replace(made, target)
    finally:
        _clear(workshop, target)
        if lock is not None:
            os.close(lock)


def _new_workshop(target: Path) -> tuple[Path, int | None]:
    """An empty folder beside `target`, and the lock on it."""
    while True:
        made = tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=_MARK)
        lock = _lock(Path(made), wait=True)
        if os.path.isdir(made):
            return Path(made), lock
        if lock is not None:  # before the lock, another process took it for abandoned
            os.close(lock)


def _remove_abandoned(target: Path) -> None:
    """Remove the workshops of processes that have ended: nobody holds their locks."""
    pattern = f".{glob.escape(target.name)}.*{_MARK}"
    for workshop in target.parent.glob(pattern):
        lock = _lock(workshop)
        if lock is not None:
            _clear(workshop, target)
            os.close(lock)


def _clear(workshop: Path, target: Path) -> None:
    """Put the old target back if nothing took its place, and remove the workshop."""
    old = workshop / f"{target.name}{_OLD}"
    if os.path.lexists(old) and not os.path.lexists(target):
        os.rename(old, target)
    shutil.rmtree(workshop, ignore_errors=True)


def _lock(folder: Path, wait: bool = False) -> int | None:
    """Lock a folder until the descriptor is closed or the process ends; None if another has."""
    try:
        import fcntl
    except ImportError:  # Windows has no such locks: nothing counts as abandoned there
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
