"""Values of annotation files, as many programs write them: ids, flags and numbers checked."""

from __future__ import annotations

import numbers
import re
from pathlib import Path
from typing import Any

from tfzoo.core.files import load_json
from tfzoo.data.errors import DataError

__all__ = ["flag", "identifier", "is_number", "need_file", "read_annotations"]

_LARGEST = 1e9  # of a number of pixels, or a score
_WHOLE = re.compile(r"0|-?[1-9]\d{0,17}", re.ASCII)


def read_annotations(path: Path) -> Any:
    """Read a JSON file of any size and form.

    Raises:
        DataError: It is missing, cannot be read, or is not JSON.
    """
    need_file(path)
    try:
        return load_json(path, DataError, limit=path.stat().st_size)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def need_file(path: Path) -> None:
    """Make sure that a file is there.

    Raises:
        DataError: It does not exist, or is a folder.
    """
    if not path.is_file():
        reason = "expected a file, got a folder" if path.is_dir() else "no such file"
        raise DataError(f"{path}: {reason}.")


def identifier(value: Any, where: str) -> int | str:
    """An id, whether a program wrote it as a number or as text: 1, 1.0 and "1" are the same.

    Args:
        value: What the file has.
        where: Its place, for the error.

    Raises:
        DataError: Neither a whole number nor text.

    Example:
        >>> [identifier(value, "images[0]") for value in (1, 1.0, "1", "01", "a")]
        [1, 1, 1, '01', 'a']
    """
    if isinstance(value, str):
        return int(value) if _WHOLE.fullmatch(value) else value
    if isinstance(value, numbers.Real) and not isinstance(value, bool) and value % 1 == 0:
        return int(value)
    raise DataError(f"{where}: expected an id, a whole number or text, got {value!r:.100}.")


def flag(value: Any, where: str) -> bool:
    """A flag, whether a program wrote it as a number, as text or as a boolean.

    Args:
        value: What the file has.
        where: Its place, for the error.

    Raises:
        DataError: Neither 0 nor 1.

    Example:
        >>> [flag(value, "iscrowd") for value in (1, "0", None, True)]
        [True, False, False, True]
    """
    if value in (0, "0", "", None):
        return False
    if value in (1, "1"):
        return True
    raise DataError(f"{where}: expected 0 or 1, got {value!r:.100}.")


def is_number(value: Any) -> bool:
    """Whether a value is a finite number of ordinary size.

    Example:
        >>> [is_number(value) for value in (1, 0.5, True, "1", float("nan"), 10**400)]
        [True, True, False, False, False, False]
    """
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return is_real and abs(value) <= _LARGEST
