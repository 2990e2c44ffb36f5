"""The JSON and text files beside a checkpoint. Standard library only."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfzoo.core.replacing import replacing
from tfzoo.core.untrusted import refuse_lfs_pointer

__all__ = [
    "TEXT_BYTES",
    "is_keras_file",
    "load_json",
    "parse_json",
    "read_json",
    "read_text",
    "write_json",
]

#: The most bytes of a JSON or text file beside a checkpoint.
TEXT_BYTES = 32 * 2**20
_MAX_DEPTH = 100  # so that copying, comparing and printing the content cannot fail either


def is_keras_file(name: str | os.PathLike[str]) -> bool:
    """Whether a name is that of a `.keras` file."""
    return os.fspath(name).endswith(".keras") and not os.path.isdir(name)


def read_text(path: Path, error: type[Exception] = ValueError, limit: int = TEXT_BYTES) -> str:
    """Read a text file in UTF-8, with or without a byte order mark, with any ends of lines.

    Args:
        path: The file.
        error: What is raised for a file that is not as it should be.
        limit: The most bytes that it may have.

    Raises:
        error: The file is not UTF-8, too large, or stands for one that Git LFS has.
        OSError: It cannot be read.
    """
    refuse_lfs_pointer(path, error)
    with open(path, "rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise error(f"{path}: expected a file of at most {limit:,} bytes, got a larger one.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        raise error(f"{path} is not text in UTF-8: {cause}.") from cause
    return text.replace("\r\n", "\n").replace("\r", "\n")


def load_json(path: Path, error: type[Exception] = ValueError, limit: int = TEXT_BYTES) -> Any:
    """Read a JSON file, whatever it holds. Of a key that an object has twice, the last one counts.

    Args:
        path: The file.
        error: What is raised for a file that is not as it should be.
        limit: The most bytes that it may have; what they become takes up to thirty times as much.

    Raises:
        error: The file is not JSON in UTF-8, too large, or nested too deeply for what is done with
            its content.
        OSError: It cannot be read.
    """
    return parse_json(read_text(path, error, limit), path, error)


def parse_json(text: str, source: Any, error: type[Exception] = ValueError) -> Any:
    """Parse the text of a JSON file, see `load_json`.

    Args:
        text: The text.
        source: Where it is from, for messages.
        error: What is raised for a text that is not as it should be.

    Raises:
        error: It is not JSON, or nested too deeply.
    """
    try:
        value = json.loads(text)
        if re.search(r"\\u[dD][89a-fA-F]", text):  # half a character cannot be written anywhere
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as cause:
        raise _too_deep(source, error) from cause
    except ValueError as cause:  # also for numbers of thousands of digits
        raise error(f"{source} is not valid JSON: {cause}.") from cause
    level: list[Any] = [[value]]
    for _ in range(_MAX_DEPTH + 1):
        parts = [part.values() if isinstance(part, dict) else part for part in level]
        level = [item for part in parts for item in part if isinstance(item, (dict, list))]
        if not level:
            return value
    raise _too_deep(source, error)


def _too_deep(source: Any, error: type[Exception]) -> Exception:
    return error(f"{source}: expected JSON of at most {_MAX_DEPTH} levels, got a deeper one.")


def read_json(
    path: Path, error: type[Exception] = ValueError, limit: int = TEXT_BYTES
) -> dict[str, Any]:
    """Read one JSON object, see `load_json`.

    Raises:
        error: As for `load_json`, or the file does not hold an object.
        OSError: It cannot be read.
    """
    values = load_json(path, error, limit)
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
