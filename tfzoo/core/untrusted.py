"""What comes from strangers: text made safe to show, names, files that stand for others."""

from __future__ import annotations

import os
import re
from typing import Any

__all__ = ["escaped", "is_plain_name", "refuse_lfs_pointer"]

# Control characters and line ends, which steer a terminal or fake a line of output; marks that
# turn the direction of writing; halves of characters, which cannot be printed at all.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

_POINTER = b"version https://git-lfs.github.com/spec/"


def escaped(text: str) -> str:
    r"""A line of text that is safe to print, whatever file it comes from.

    Args:
        text: A name, a message, a row of a table.

    Returns:
        The text, in which an escape such as `\x1b` stands for each character that a terminal
        would act on instead of showing it; letters of all languages stay as they are.

    Example:
        >>> print(escaped("layer.\x1b[2Jweight, größe"))
        layer.\x1b[2Jweight, größe
    """
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def is_plain_name(name: Any) -> bool:
    """Whether something is the name of a file or folder in a folder, and leads out of none.

    Args:
        name: What a file says.

    Example:
        >>> [is_plain_name(name) for name in ("a.json", "../a.json", "..", 3)]
        [True, False, False, False]
    """
    if not isinstance(name, str) or name in ("", ".", "..") or "\0" in name:
        return False
    return os.path.basename(name) == name


def refuse_lfs_pointer(path: str | os.PathLike[str], error: type[Exception]) -> None:
    """Refuse a file that only names another, as a clone without Git LFS leaves it behind.

    A file that cannot be read is left to its reader.

    Args:
        path: The file.
        error: What is raised for a pointer.

    Raises:
        error: The file is a Git LFS pointer.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "vocab.txt")
        >>> _ = path.write_text("[PAD]")
        >>> refuse_lfs_pointer(path, ValueError)
    """
    if not os.path.isfile(path):  # opening a pipe would wait for its other end
        return
    try:
        with open(path, "rb") as file:
            start = file.read(len(_POINTER))
    except OSError:
        return
    if start == _POINTER:
        raise error(
            f"{os.fspath(path)!r} is a Git LFS pointer, not the file itself. Run `git lfs pull` in "
            "its repository, or download the file."
        )
