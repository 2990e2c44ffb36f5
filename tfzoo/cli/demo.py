"""`tfzoo demo`: what the checkpoints that ship with tfzoo say of the samples beside them.

A checkpoint's folder may hold `demo.json`: `about`, what the checkpoint does; `truth`, the right
answer; and `predict`, arguments of `tfzoo predict` in which names of files are those of the folder.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfzoo.cli import predict
from tfzoo.cli.console import UsageError, show, start_keras
from tfzoo.registry import families, family_of

__all__ = ["add_to", "run"]

_FILE = "demo.json"


def add_to(subparsers: Any) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "demo",
        help="run the small checkpoints that ship with tfzoo on their samples",
        description="Run the small trained checkpoints that ship with tfzoo on the samples that "
        "ship with them, and show the answers beside the truth. Nothing is downloaded.",
    )
    parser.add_argument(
        "family", metavar="FAMILY", nargs="?", help="one family, as `tfzoo list` names it"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a checkpoint")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Show what each checkpoint does.

    Raises:
        UsageError: No such family, or none of its checkpoints ships with a sample.
        ValueError: A checkpoint or its sample is damaged.
    """
    chosen = _chosen(args.family)
    start_keras()
    for number, (folder, sample) in enumerate(chosen):
        if not args.json:
            show(*([""] if number else []), f"{folder.name}: {sample['about']}")
        _predict(folder, sample, args.json)
        if not args.json:
            show(f"truth: {sample['truth']}")


def _chosen(family: str | None) -> list[tuple[Path, dict[str, Any]]]:
    """Folders and samples of one family or of all."""
    from tfzoo.assets import shipped_checkpoints
    from tfzoo.core.files import read_json

    known = [one.name for one in families()]
    if family is not None and family not in known:
        raise UsageError(f"expected one of the families {', '.join(known)}, got {family!r}.")
    found: dict[str, list[tuple[Path, dict[str, Any]]]] = {}
    for folder in shipped_checkpoints().values():
        if (folder / _FILE).is_file():
            owner = family_of(read_json(folder / "config.json")["model_type"]).name
            found.setdefault(owner, []).append((folder, read_json(folder / _FILE)))
    chosen = [row for owner, rows in found.items() if family in (None, owner) for row in rows]
    if not chosen:
        others = f" for {family}; there are such for {', '.join(sorted(found))}" if found else ""
        raise UsageError(f"No checkpoint with a sample ships{others}.")
    return chosen


def _predict(folder: Path, sample: Mapping[str, Any], as_json: bool) -> None:
    """Run `tfzoo predict`, and say how it is run."""
    here = [str(folder / w) if (folder / w).is_file() else w for w in sample["predict"]]
    words = ["predict", *here, "--model", str(folder)]
    if not as_json:
        show(f"$ tfzoo {shlex.join(words)}")
    parser = argparse.ArgumentParser()
    predict.add_to(parser.add_subparsers())
    predict.run(parser.parse_args([*words, *(["--json"] if as_json else [])]))
