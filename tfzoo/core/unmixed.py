"""Files that belong together, read whole although another process may replace them meanwhile.

Standard library only.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["Watch", "read_unmixed"]

_Found = TypeVar("_Found")
_ATTEMPTS = 5


class Watch:
    """What files were when their reading began."""

    def __init__(self) -> None:
        self._seen: list[tuple[Callable[[Path], Any], Path, Any]] = []

    def files(self, *paths: Path) -> None:
        """Watch files, whether they exist or not. Any writing changes them."""
        self._seen += [(_identity, path, _identity(path)) for path in paths]

    def content(self, path: Path) -> None:
        """Watch a small file, which the same content leaves the same."""
        self._seen.append((_content, path, _content(path)))

    def is_same(self) -> bool:
        """Whether all files are what they were."""
        return all(look(path) == seen for look, path, seen in self._seen)


def read_unmixed(
    read: Callable[[Watch], _Found], source: Any, error: type[Exception] = ValueError
) -> _Found:
    """Read files of one version: again, if another process replaced some of them meanwhile.

    Args:
        read: Reads them, and has the `Watch` look at each file before that.
        source: Where they are, for the message.
        error: What is raised where they never stay the same.

    Raises:
        error: They were replaced each time.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "greeting.txt"
        >>> _ = path.write_text("hello")
        >>> def read(watch):
        ...     watch.files(path)
        ...     return path.read_text()
        >>> read_unmixed(read, path)
        'hello'
    """
    for _ in range(_ATTEMPTS):
        watch = Watch()
        try:
            found = read(watch)
        except Exception:
            if watch.is_same():
                raise
        else:
            if watch.is_same():
                return found
    raise error(
        f"{source}: the files were replaced {_ATTEMPTS} times while they were read. Wait until no "
        "other process writes them, or read a copy."
    )


def _identity(path: Path) -> Any:
    try:
        found = path.stat()
    except (OSError, ValueError):  # the latter for what cannot be a path
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _content(path: Path) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read(2**25)
    except (OSError, ValueError):
        return None
