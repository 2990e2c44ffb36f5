"""The arguments that ``python -m weights_convert`` and the ``tfzoo`` command share."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["SUFFIXES", "add_convert_arguments", "add_hub_options"]

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
        help="file or folder to write; a finished one is left, one that broke off is made anew",
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
        "--force", action="store_true", help="replace DST, a folder with all that is in it"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_hub_options(parser)
