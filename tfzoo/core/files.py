"""Files that are written whole or not at all, and the small JSON files beside a checkpoint."""

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


def read_json(path: Path, error: type[Exception] = ValueError) -> dict[str, Any]:
    """Read one JSON object.

    Raises:
        error: The file is not JSON, or holds something else than an object.
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
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(values, indent=2, sort_keys=True) + "\n"
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)  # mkstemp's 0600 would hide the file from other users
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def replacing(target: Path, force: bool) -> Iterator[Path]:
    """A path beside `target` to write to, which takes its place once the block has succeeded.

    Args:
        target: File or folder to write; folders above it are made.
        force: Whether it may exist, and then be replaced.

    What an earlier process that was killed left beside `target` is removed.

    Raises:
        FileExistsError: It exists, and `force` is not given.
        OSError: It cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(target)
        workshop = Path(
            tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=_MARK)
        )
    except OSError as error:
        raise OSError(f"{target.parent} is no folder to write to: {error.strerror}.") from error
    lock = _lock(workshop)
    try:
        yield workshop / target.name
        if os.path.lexists(target):
            if not force:
                raise FileExistsError(f"{target} has come to exist meanwhile; it is not replaced.")
            os.rename(target, workshop / "old")
        try:
            os.rename(workshop / target.name, target)
        except OSError:
            if os.path.lexists(workshop / "old"):
                os.rename(workshop / "old", target)
            raise
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _remove_abandoned(target: Path) -> None:
    """Remove the workshops of processes that live no more: nobody holds their locks."""
    pattern = f".{glob.escape(target.name)}.*{_MARK}"
    for workshop in target.parent.glob(pattern):
        lock = _lock(workshop)
        if lock is not None:
            shutil.rmtree(workshop, ignore_errors=True)
            os.close(lock)


def _lock(folder: Path) -> int | None:
    """Lock a folder until the descriptor is closed or the process ends; None if another has."""
    try:
        import fcntl
    except ImportError:  # no such locks on Windows: nothing is ever thought abandoned
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
