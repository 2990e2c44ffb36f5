"""What the operating system offers for files: exchange and lock folders, flush to disk.

Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = [
    "Lock",
    "check_space",
    "exchange",
    "holds_working_directory",
    "is_utf8",
    "is_working_directory",
    "locked",
    "sync",
    "sync_names",
    "writing",
]


def holds_working_directory(folder: Path) -> bool:
    """Whether the working directory of this process is a folder, or lies in it."""
    try:
        here = Path.cwd()
    except OSError:  # it has been removed
        return False
    return folder.resolve() in (here, *here.parents)


def is_working_directory(folder: Path) -> bool:
    """Whether a folder is the working directory of a process, as far as the system tells."""
    if holds_working_directory(folder):
        return True
    processes = os.listdir("/proc") if os.path.isdir("/proc") else []
    for process in filter(str.isdecimal, processes):
        with contextlib.suppress(OSError):  # another user's, or it has ended
            if os.readlink(f"/proc/{process}/cwd") == str(folder):
                return True
    return False


def check_space(target: Path, needed: int) -> None:
    """Refuse what will not fit before it is written.

    Raises:
        OSError: There are fewer than `needed` bytes left where `target` is to be.
    """
    target = Path(os.path.realpath(target))
    place = next(path for path in (target, *target.parents) if path.is_dir())
    free = shutil.disk_usage(place).free
    if free < needed:
        raise OSError(
            f"{target} needs up to {needed / 1e6:,.0f} MB, and {place} has {free / 1e6:,.0f} MB "
            "left: make room, or choose another place."
        )


@contextlib.contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Raise what TensorFlow and HDF5 raise for a full disk and the like as an `OSError`.

    So is a path that is not UTF-8, which TensorFlow cannot write to.
    """
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        of_tensorflow = type(error).__module__ == "tensorflow.python.framework.errors_impl"
        of_name = isinstance(error, UnicodeEncodeError) and not is_utf8(path)
        if not of_tensorflow and not of_name and "write failed" not in str(error):
            raise
        reason = "the path is not UTF-8" if of_name else getattr(error, "message", error)
        raise OSError(f"{path} could not be written: {reason}") from error


def is_utf8(path: str | os.PathLike[str]) -> bool:
    """Whether a path is text in UTF-8, as libraries in other languages expect."""
    try:
        return bool(os.fspath(path).encode())
    except UnicodeEncodeError:
        return False


def exchange(one: Path, two: Path) -> bool:
    """Exchange two folders in one step; False where the system or the file system cannot."""
    import ctypes

    paths = os.fsencode(one), os.fsencode(two)
    try:
        library = ctypes.CDLL(None)
        if sys.platform == "darwin":
            return library.renamex_np(*paths, 2) == 0  # RENAME_SWAP
        here = -100  # AT_FDCWD; the last argument is RENAME_EXCHANGE
        return library.renameat2(here, paths[0], here, paths[1], 2) == 0
    except (AttributeError, TypeError, OSError):  # other systems
        return False


def sync(path: Path) -> None:
    """Flush a file, or a folder with all that is in it, to disk."""
    inside = path.rglob("*") if path.is_dir() else ()
    for item in (*inside, path):
        if item.is_dir():
            sync_names(item)
        elif item.is_file():
            # Windows flushes what may be written alone; what is read-only is flushed elsewhere.
            with open(item, "rb+" if os.name == "nt" else "rb") as file:
                os.fsync(file.fileno())


def sync_names(folder: Path) -> None:
    """Flush the names in a folder to disk, where the system can open folders."""
    if hasattr(os, "O_DIRECTORY"):
        with contextlib.suppress(OSError):
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


class Lock:
    """A lock on a folder, held until `close`, or until the object or the process is gone.

    Args:
        folder: The folder.
        wait: Whether to wait for another process that has the lock.

    Attributes:
        is_held: Whether it was acquired; never on systems without such locks (Windows), where
            nothing counts as abandoned.
    """

    def __init__(self, folder: Path, wait: bool = False) -> None:
        self.descriptor: int | None = None
        self.is_held = False
        with contextlib.suppress(ImportError, OSError):
            import fcntl

            self.descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)  # a pipe would wait
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            self.is_held = True

    def is_still_on(self, folder: Path) -> bool:
        """Whether no other folder has taken its place."""
        try:
            return os.path.samestat(os.fstat(self.descriptor or 0), os.stat(folder))
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Release it."""
        if self.descriptor is not None:
            os.close(self.descriptor)
        self.descriptor, self.is_held = None, False

    __del__ = close


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock on a folder, so that updates come one after the other."""
    lock = Lock(folder, wait=True)
    while lock.is_held and not lock.is_still_on(folder):
        lock.close()
        lock = Lock(folder, wait=True)
    try:
        yield
    finally:
        lock.close()
