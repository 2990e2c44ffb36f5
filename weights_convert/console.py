"""What ``python -m weights_convert`` and the ``tfzoo`` command share: arguments and printing."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from tfzoo.core.untrusted import escaped

__all__ = [
    "SUFFIXES",
    "add_convert_arguments",
    "add_hub_options",
    "cell",
    "megabytes",
    "print_table",
    "shape_text",
    "show",
    "show_json",
]

#: How the file of each format that ``convert`` writes is called; None: it is a folder.
SUFFIXES: dict[str, str | None] = {
    "pytorch": None,
    "keras": ".keras",
    "weights": ".weights.h5",
    "savedmodel": None,
}
_DTYPES = ("float32", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16")


def add_hub_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options that say where a checkpoint is looked for.

    Args:
        parser: of the command.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_hub_options(parser)
        >>> parser.parse_args(["--revision", "v2"]).revision
        'v2'
    """
    group = parser.add_argument_group("checkpoints from the model hub")
    group.add_argument("--revision", metavar="NAME", help="branch, tag or commit")
    group.add_argument("--cache-dir", metavar="DIR", help="folder of the download cache")
    group.add_argument("--offline", action="store_true", help="use the cache only")


def add_convert_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``convert``.

    Args:
        parser: of the command.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_convert_arguments(parser)
        >>> parser.parse_args(["a", "b.keras", "--to", "keras"]).target.name
        'b.keras'
    """
    parser.add_argument(
        "source", metavar="SRC", help="checkpoint folder or file, repository name or .keras file"
    )
    parser.add_argument(
        "target",
        metavar="DST",
        type=Path,
        help="file or folder to write; one that holds just that is kept",
    )
    parser.add_argument(
        "--to",
        required=True,
        choices=tuple(SUFFIXES),
        help="pytorch: a folder with safetensors; keras: x.keras; weights: x.weights.h5; "
        "savedmodel: a folder for TensorFlow Serving",
    )
    parser.add_argument("--dtype", choices=_DTYPES, help="default: float32, or the .keras file's")
    parser.add_argument(
        "--force", action="store_true", help="replace DST; of a folder, all that is in it"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_hub_options(parser)


def show(*lines: str, file: TextIO | None = None) -> None:
    """Print lines; what is in them may come from anybody's files.

    Args:
        lines: texts without line ends: one in a name must not look like another line.
        file: where to, standard output if None.

    Example:
        >>> show("a.weight\\nb.weight")
        a.weight\\nb.weight
    """
    for line in lines:
        print(escaped(line), file=file, flush=True)


def show_json(value: Any, indent: int | None = None) -> None:
    """Print a value as JSON, in which all but plain letters and signs is escaped.

    Example:
        >>> show_json({"name": "größe"})
        {"name": "gr\\u00f6\\u00dfe"}
    """
    print(json.dumps(value, indent=indent).replace("\x7f", "\\u007f"), flush=True)


def print_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows of texts under their titles, the columns aligned.

    Args:
        titles: one for each column.
        rows: as many texts each.

    Example:
        >>> print_table(("name", "MB"), [("a.weight", "0.10")])
        name      MB
        a.weight  0.10
    """
    rows = [[escaped(text) for text in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    for row in (titles, *rows):
        cells = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        show("  ".join(cells).rstrip())


def cell(value: str | Sequence[int] | None) -> str:
    """Return the text of a name or a shape; a dash for what is not there.

    Example:
        >>> cell(None), cell((2, 3))
        ('-', '(2, 3)')
    """
    if value is None:
        return "-"
    return value if isinstance(value, str) else shape_text(value)


def shape_text(shape: Sequence[int]) -> str:
    """Return a shape as it is written in messages.

    Example:
        >>> shape_text([3])
        '(3)'
    """
    return f"({', '.join(map(str, shape))})"


def megabytes(size: int) -> str:
    """Return a number of bytes in millions.

    Example:
        >>> megabytes(2_500_000)
        '2.50'
    """
    return f"{size / 1e6:.2f}"
