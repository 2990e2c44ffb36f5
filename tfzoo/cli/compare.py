"""Whether two checkpoints are the same: `python -m weights_convert verify SRC DST`."""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Iterator
from typing import Any

from tfzoo.cli.console import Progress, UsageError, hub_options, note, start_keras
from tfzoo.cli.forms import Side, is_weights_file, open_side
from tfzoo.cli.outputs import compare_outputs
from weights_convert.compare import CODES, Difference, compare
from weights_convert.rules import FamilyMap, family_map
from weights_convert.tables import cell, print_table

__all__ = ["run"]

Row = dict[str, Any]

_SHOWN = 20


def run(args: argparse.Namespace) -> int:
    """Compare the weights bit by bit, and the outputs where PyTorch is installed.

    Returns:
        0 if nothing differs, else 1.

    Raises:
        UsageError: Something that is no checkpoint, or files that name no model.
        CheckpointError: A file is damaged.
        HubError: There is no such checkpoint.
    """
    start_keras()
    with (
        Progress(weights="comparing weights", outputs="comparing outputs") as progress,
        _both(args) as (first, second),
    ):
        family = _family(first) or _family(second)
        rows = list(compare(first.tensors, second.tensors, family, CODES.get(args.dtype)))
        progress.next()
        outputs = None if args.weights_only else _outputs(first, second, args)
    differing = [row for row in rows if not row.is_equal]
    too_far = [row for row in outputs or () if not row["relative"] <= args.tolerance]
    if args.json:
        print(json.dumps(_as_json(args, rows, differing, outputs, not (differing or too_far))))
    else:
        _print(rows, differing, outputs, args.tolerance)
    return 1 if differing or too_far else 0


@contextlib.contextmanager
def _both(args: argparse.Namespace) -> Iterator[tuple[Side, Side]]:
    """Open both sides; the one that names a model first, where the other needs one."""
    where, local = hub_options(args), {"local_files_only": args.offline}
    if is_weights_file(args.source) and is_weights_file(args.target):
        raise UsageError("two .weights.h5 files name no model: convert one of them first.")
    if is_weights_file(args.source):
        with open_side(args.target, local) as second, open_side(args.source, where, second) as one:
            yield one, second
        return
    with open_side(args.source, where) as first, open_side(args.target, local, first) as second:
        yield first, second


def _family(side: Side) -> FamilyMap | None:
    if side.model_class is None:
        return None
    package = side.model_class.__module__.split(".")
    return family_map(package[2])


def _outputs(first: Side, second: Side, args: argparse.Namespace) -> list[Row] | None:
    """The rows of the outputs; None, and a note, where they cannot be compared."""
    if first.is_keras and second.is_keras:
        note("neither side is of PyTorch's form; the weights alone were compared.")
        return None
    if first.model_class is None or second.model_class is None:
        note("no config.json of a family of tfzoo; the weights alone were compared.")
        return None
    if first.model_class is not second.model_class:
        note("the sides are of different classes; the weights alone were compared.")
        return None
    rows = compare_outputs(first, second, args.source, args.target)
    if rows is None:
        note("torch and transformers are not installed; the weights alone were compared.")
    return rows


def _as_json(
    args: argparse.Namespace,
    rows: list[Difference],
    differing: list[Difference],
    outputs: list[Row] | None,
    is_same: bool,
) -> Row:
    return {
        "source": args.source,
        "target": args.target,
        "same": is_same,
        "tensors": len(rows),
        "equal": len(rows) - len(differing),
        "differing": [_difference(row) for row in differing],
        "outputs": outputs,
    }


def _difference(row: Difference) -> Row:
    one, two = row.first, row.second
    return {
        "name": row.name,
        "status": row.status,
        "dtypes": [side and side.dtype for side in (one, two)],
        "shapes": [side and list(side.shape) for side in (one, two)],
        "largest": row.largest,
        "count": row.count,
    }


def _print(
    rows: list[Difference], differing: list[Difference], outputs: list[Row] | None, bound: float
) -> None:
    """The largest differences first; the JSON has them all."""
    print(f"{len(rows) - len(differing)} of {len(rows)} tensors are equal, bit by bit")
    if differing:
        order = sorted(differing, key=lambda row: -1.0 if row.largest is None else -row.largest)
        titles = ("status", "tensor", "SRC", "DST", "values", "largest difference")
        print_table(titles, [_cells(row) for row in order[:_SHOWN]])
    if len(differing) > _SHOWN:
        print(f"... and {len(differing) - _SHOWN} more")
    if outputs is None:
        return
    order = sorted(outputs, key=lambda row: -row["relative"])
    print(f"outputs in PyTorch and in tfzoo, allowed are {bound:g} of the largest magnitude:")
    print_table(
        ("output", "shape", "largest magnitude", "largest difference", "relative"),
        [
            (
                row["output"],
                cell(row["shape"]),
                f"{row['magnitude']:.4g}",
                f"{row['difference']:.2e}",
                f"{row['relative']:.2e}",
            )
            for row in order
        ],
    )


def _cells(row: Difference) -> tuple[str, ...]:
    sides = [
        f"{side.dtype} {cell(side.shape)}" if side else "-" for side in (row.first, row.second)
    ]
    count = "-" if row.count is None else str(row.count)
    largest = "-" if row.largest is None else f"{row.largest:.3e}"
    return row.status, row.name, *sides, count, largest
