"""The command line: ``python -m weights_convert inspect SRC`` and ``... plan SRC``.

SRC is a folder, a weights file or its index, or the name of a repository on the hub. Exit codes:
0 all is well, 1 the checkpoint is malformed or does not fit, 2 the command was misspelt.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from weights_convert.checkpoint import Checkpoint, open_checkpoint
from weights_convert.errors import CheckpointError
from weights_convert.plan import Entry, Match, match_tensors
from weights_convert.rules import FamilyMap, SlotLike, family_map
from weights_convert.tensors import TensorInfo

__all__ = ["main"]

Row = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Args:
        arguments: words of the command line, ``sys.argv``'s if None.

    Returns:
        0, or 1 after a message on stderr.

    Raises:
        SystemExit: 2 for a misspelt command, 0 for ``--help``.

    Example:
        >>> main(["inspect", "no/such/folder"])
        1
    """
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except (OSError, ValueError) as error:  # CheckpointError, ConfigError and HubError are these
        print(f"weights_convert: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m weights_convert", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for run, about in (
        (_inspect, "list the tensors of a checkpoint, indices folded to *"),
        (_plan, "show where each tensor goes in its tfzoo model, unmatched ones first"),
    ):
        command = commands.add_parser(run.__name__.strip("_"), help=about, description=about)
        command.add_argument("source", metavar="SRC", help="folder, file or hub name")
        command.add_argument("--json", action="store_true", help="print JSON")
        command.set_defaults(run=run)
    return parser


def _inspect(options: argparse.Namespace) -> int:
    path = _locate(options.source)
    with open_checkpoint(path) as checkpoint:
        groups = _groups(checkpoint)
        report = {
            "source": options.source,
            "model_type": _model_type(path),
            "metadata": checkpoint.metadata,
            "tensors": len(checkpoint),
            "bytes": sum(info.nbytes for info in checkpoint.values()),
            "groups": groups,
        }
    if options.json:
        print(json.dumps(report, indent=2))
        return 0
    print(f"{report['source']}: {report['tensors']} tensors, {_megabytes(report['bytes'])} MB")
    print(f"model_type: {report['model_type'] or 'unknown, there is no config.json beside it'}")
    print(f"metadata: {json.dumps(report['metadata'], sort_keys=True)}")
    _print_table(("count", "dtype", "shape", "MB", "name"), [_group_cells(row) for row in groups])
    return 0


def _groups(checkpoint: Checkpoint) -> list[Row]:
    """Fold names that differ in their indices alone."""
    groups: dict[str, Row] = {}
    for name in sorted(checkpoint, key=_natural):
        info = checkpoint[name]
        folded = re.sub(r"(?<![^.])\d+(?![^.])", "*", name)
        empty = {"name": folded, "count": 0, "dtypes": [], "shapes": [], "bytes": 0}
        row = groups.setdefault(folded, empty)
        row["count"] += 1
        row["bytes"] += info.nbytes
        for key, value in (("dtypes", info.dtype), ("shapes", list(info.shape))):
            if value not in row[key]:
                row[key].append(value)
    return list(groups.values())


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key that puts layer 2 before layer 10."""
    return [(int(part) if part.isdecimal() else -1, part) for part in name.split(".")]


def _group_cells(row: Row) -> tuple[str, ...]:
    shapes = " ".join(_shape(shape) for shape in row["shapes"])
    return (
        str(row["count"]),
        " ".join(row["dtypes"]),
        shapes,
        _megabytes(row["bytes"]),
        row["name"],
    )


def _plan(options: argparse.Namespace) -> int:
    path = _locate(options.source)
    slots, family = _model(options.source)
    with open_checkpoint(path) as checkpoint:
        match = match_tensors(slots, checkpoint, family)
        rows = _rows(match, checkpoint)
    fits = not (match.missing or match.unexpected or match.mismatched)
    if options.json:
        print(json.dumps({"source": options.source, "fits": fits, "rows": rows}, indent=2))
    else:
        keys = ("status", "tensor", "found", "variable", "expected", "transform")
        _print_table(keys, [tuple(_cell(row[key]) for key in keys) for row in rows])
    return 0 if fits else 1


def _rows(match: Match, checkpoint: Checkpoint) -> list[Row]:
    """One row for each variable and each tensor, what does not fit first."""
    pairs: list[tuple[str, str, Entry | None]] = [
        *(("missing", entry.name, entry) for entry in match.missing),
        *(("unexpected", name, None) for name in match.unexpected),
        *(("mismatched", entry.name, entry) for entry in match.mismatched),
        *(("fresh", entry.name, entry) for entry in match.fresh),
    ]
    seen = {name for _, name, _ in pairs} | {entry.name for entry in match.filled}
    pairs += [("ignored", name, None) for name in checkpoint if name not in seen]
    pairs += [("ok", entry.name, entry) for entry in match.filled]
    return [_row(status, name, entry, checkpoint.get(name)) for status, name, entry in pairs]


def _row(status: str, name: str, entry: Entry | None, info: TensorInfo | None) -> Row:
    """Describe one pair; both shapes are in the checkpoint's layout."""
    return {
        "status": status,
        "tensor": name,
        "found": None if info is None else list(info.shape),
        "variable": None if entry is None else entry.path,
        "expected": None if entry is None else list(entry.checkpoint_shape),
        "transform": None if entry is None else _transform(entry),
    }


def _transform(entry: Entry) -> str:
    return "as is" if entry.axes is None else f"transpose {_shape(entry.axes)}"


def _model(source: str) -> tuple[Mapping[str, SlotLike], FamilyMap]:
    """Build the model that a checkpoint is for, and return its variables and its family's map."""
    from tfzoo.auto import AutoConfig, model_class_for
    from tfzoo.variables import slots

    config = AutoConfig.from_pretrained(source)
    model = model_class_for(config)(config)
    return slots(model), family_map(model.base_model_type)


def _locate(source: str) -> Path:
    """Return the local file or folder; a name that is neither is asked for on the hub."""
    if os.path.exists(source):
        return Path(source)
    from tfzoo.checkpoint import locate

    return locate(source)


def _model_type(path: Path) -> str | None:
    """Return what the config beside the weights says, if there is one."""
    config = (path if path.is_dir() else path.parent) / "config.json"
    if not config.is_file():
        return None
    try:
        values = json.loads(config.read_bytes())
    except ValueError as error:
        raise CheckpointError(f"{config}: no valid JSON: {error}") from error
    model_type = values.get("model_type") if isinstance(values, dict) else None
    return None if model_type is None else str(model_type)


def _print_table(titles: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    for row in (titles, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def _cell(value: str | list[int] | None) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else _shape(value)


def _shape(shape: Sequence[int]) -> str:
    return f"({', '.join(map(str, shape))})"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.2f}"


if __name__ == "__main__":
    sys.exit(main())
