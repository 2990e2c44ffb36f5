"""The command line: ``python -m weights_convert inspect|plan|convert|verify``.

SRC is a folder, a weights file or its index, or the name of a repository on the hub. Exit codes:
0 all is well, 1 a checkpoint is malformed, does not fit or differs, 2 the usage is wrong.
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

from weights_convert.checkpoint import open_checkpoint, read_config
from weights_convert.compare import CODES
from weights_convert.console import (
    add_convert_arguments,
    add_hub_options,
    cell,
    megabytes,
    print_table,
    shape_text,
    show,
    show_json,
)
from weights_convert.errors import UsageError
from weights_convert.plan import Entry, Match, match_tensors
from weights_convert.rules import FamilyMap, SlotLike, family_map
from weights_convert.tensors import TensorInfo

__all__ = ["main"]

Row = dict[str, Any]

_TOLERANCE = 1e-4  # of an output's largest magnitude; deep models round by some 1e-5


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Args:
        arguments: words of the command line, ``sys.argv``'s if None.

    Returns:
        0, or 1 or 2 after a message on stderr; 1 also where ``verify`` finds a difference.

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
        show(*f"weights_convert: {error}".split("\n"), file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m weights_convert", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for run, about, add_arguments in (
        (_inspect, "list the tensors of a checkpoint, indices folded to *", _add_source),
        (
            _plan,
            "show where each tensor goes in its tfzoo model, unmatched ones first",
            _add_source,
        ),
        (_convert, "write a checkpoint in another format", add_convert_arguments),
        (_verify, "compare two checkpoints of any form bit by bit", _add_both),
    ):
        command = commands.add_parser(run.__name__.strip("_"), help=about, description=about)
        add_arguments(command)
        command.set_defaults(run=run)
    return parser


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SRC", help="folder, file or hub name")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_hub_options(parser)


def _add_both(parser: argparse.ArgumentParser) -> None:
    about = "folder, file or hub name; also a .keras or .weights.h5 file"
    _add_source(parser)
    parser.add_argument("target", metavar="DST", help=about)
    parser.add_argument("--dtype", choices=tuple(CODES), help="that DST has been converted to")
    parser.add_argument(
        "--weights-only", action="store_true", help="skip the outputs, which need PyTorch"
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=_TOLERANCE,
        help="allowed difference of the outputs, in parts of the largest magnitude (%(default)s)",
    )


def _inspect(options: argparse.Namespace) -> int:
    path = _locate(options)
    config = read_config(path)
    with open_checkpoint(path) as checkpoint:
        rows = _groups(checkpoint)
        report = {
            "source": options.source,
            "model_type": None if config is None else config.get("model_type"),
            "config": config,
            "metadata": checkpoint.metadata,
            "tensors": len(checkpoint),
            "bytes": sum(info.nbytes for info in checkpoint.values()),
            "groups": rows,
        }
    if options.json:
        show_json(report, indent=2)
        return 0
    show(
        f"{report['source']}: {report['tensors']} tensors, {megabytes(report['bytes'])} MB",
        f"model_type: {report['model_type'] or 'unknown, no config.json beside it names one'}",
        f"metadata: {json.dumps(report['metadata'], sort_keys=True)}",
        f"config: {_summary(config)}",
    )
    print_table(("count", "dtype", "shape", "MB", "name"), [_group_cells(row) for row in rows])
    return 0


def _groups(tensors: Mapping[str, TensorInfo]) -> list[Row]:
    """Fold names that differ in their indices alone; layer 2 comes before layer 10.

    Returns:
        For each group its name, in which ``*`` stands for an index, the number of tensors, their
        dtypes and shapes, and their bytes.
    """
    rows: dict[str, Row] = {}
    for name in sorted(tensors, key=_natural):
        info = tensors[name]
        folded = re.sub(r"(?<![^.])\d+(?![^.])", "*", name)
        empty = {"name": folded, "count": 0, "dtypes": [], "shapes": [], "bytes": 0}
        row = rows.setdefault(folded, empty)
        row["count"] += 1
        row["bytes"] += info.nbytes
        for key, value in (("dtypes", info.dtype), ("shapes", list(info.shape))):
            if value not in row[key]:
                row[key].append(value)
    return list(rows.values())


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key that puts layer 2 before layer 10."""
    return [(int(part) if part.isdecimal() else -1, part) for part in name.split(".")]


def _summary(config: Row | None) -> str:
    """Return the plain entries of a config in one line; long lists and labels are counted."""
    entries = []
    for key, value in sorted((config or {}).items()):
        if isinstance(value, (dict, list)):
            text = json.dumps(value)
            value = value if len(text) <= 40 else f"{len(value)} entries"
        if key != "model_type":
            entries.append(f"{key}={value}")
    return ", ".join(entries) or "none"


def _group_cells(row: Row) -> tuple[str, ...]:
    shapes = " ".join(shape_text(shape) for shape in row["shapes"])
    dtypes = " ".join(row["dtypes"])
    return str(row["count"]), dtypes, shapes, megabytes(row["bytes"]), row["name"]


def _plan(options: argparse.Namespace) -> int:
    path = _locate(options)
    slots, family = _model(options)
    with open_checkpoint(path) as checkpoint:
        match = match_tensors(slots, checkpoint, family)
        rows = _rows(match, checkpoint)
    fits = not (match.missing or match.unexpected or match.mismatched)
    if options.json:
        show_json({"source": options.source, "fits": fits, "rows": rows}, indent=2)
    else:
        keys = ("status", "tensor", "found", "variable", "expected", "transform")
        print_table(keys, [tuple(cell(row[key]) for key in keys) for row in rows])
    return 0 if fits else 1


def _rows(match: Match, checkpoint: Mapping[str, TensorInfo]) -> list[Row]:
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
    return "as is" if entry.axes is None else f"transpose {shape_text(entry.axes)}"


def _model(options: argparse.Namespace) -> tuple[Mapping[str, SlotLike], FamilyMap]:
    """Build the model that a checkpoint is for, and return its variables and its family's map."""
    from tfzoo.auto import AutoConfig, model_class_for
    from tfzoo.cli.console import hub_options
    from tfzoo.core.variables import slots

    config = AutoConfig.from_pretrained(options.source, **hub_options(options).keywords())
    model = model_class_for(config)(config)
    return slots(model), family_map(model.base_model_type)


def _convert(options: argparse.Namespace) -> int:
    from tfzoo.cli import convert

    convert.run(options)
    return 0


def _verify(options: argparse.Namespace) -> int:
    from tfzoo.cli import compare

    return compare.run(options)


def _locate(options: argparse.Namespace) -> Path:
    """Return the local file or folder; a name that is neither is asked for on the hub."""
    if os.path.exists(options.source):
        return Path(options.source)
    from tfzoo.cli.console import hub_options
    from tfzoo.modeling.checkpoint import locate

    return locate(options.source, hub_options(options))


if __name__ == "__main__":
    sys.exit(main())
