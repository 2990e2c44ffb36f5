"""Whether two checkpoints are the same: `python -m weights_convert verify SRC DST`."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from typing import Any

from tfzoo.cli.console import (
    Progress,
    UsageError,
    hub_options,
    note,
    show,
    show_json,
    start_keras,
)
from tfzoo.cli.forms import Side, is_weights_file, open_side
from tfzoo.cli.outputs import compare_outputs
from tfzoo.hub import HubOptions
from weights_convert.compare import CODES, Difference, compare
from weights_convert.console import cell, print_table
from weights_convert.rules import FamilyMap, family_map

__all__ = ["run"]

Row = dict[str, Any]

_SHOWN = 20


def run(args: argparse.Namespace) -> int:
    """Compare the weights bit by bit, and the outputs where PyTorch is installed.

    Returns:
        0 if nothing differs, else 1.
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
    is_same = not (differing or too_far)
    if args.json:
        answer = {
            "source": args.source,
            "target": args.target,
            "same": is_same,
            "tensors": len(rows),
            "equal": len(rows) - len(differing),
            "differing": [_difference(row) for row in differing],
            "outputs": outputs,
        }
        show_json(answer)
    else:
        _print(rows, differing, outputs, args.tolerance)
    return 0 if is_same else 1


@contextlib.contextmanager
def _both(args: argparse.Namespace) -> Iterator[tuple[Side, Side]]:
    """Open both sides; if one needs the other's model, the other first."""
    options, local = hub_options(args), HubOptions(local_files_only=args.offline)
    if is_weights_file(args.source) and is_weights_file(args.target):
        raise UsageError("two .weights.h5 files name no model: convert one of them first.")
    with contextlib.ExitStack() as stack:
        if is_weights_file(args.source):
            second = stack.enter_context(open_side(args.target, local))
            first = stack.enter_context(open_side(args.source, options, second))
        else:
            first = stack.enter_context(open_side(args.source, options))
            second = stack.enter_context(open_side(args.target, local, first))
        yield first, second


def _family(side: Side) -> FamilyMap | None:
    if side.model_class is None:
        return None
    package = side.model_class.__module__.split(".")
    return family_map(package[2])


def _outputs(first: Side, second: Side, args: argparse.Namespace) -> list[Row] | None:
    """The rows of the outputs; None, and a note, if they cannot be compared."""
    rows, reason = None, "torch and transformers are not installed"
    if first.is_keras and second.is_keras:
        reason = "neither side is of PyTorch's form"
    elif first.model_class is None or second.model_class is None:
        reason = "no config.json of a family of tfzoo"
    elif first.model_class is not second.model_class:
        reason = "the sides are of different classes"
    else:
        rows = compare_outputs(first, second, args.source, args.target)
    if rows is None:
        note(f"{reason}; the weights alone were compared.")
    return rows


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
    show(f"{len(rows) - len(differing)} of {len(rows)} tensors are equal, bit by bit")
    if differing:
        order = sorted(differing, key=lambda row: -1.0 if row.largest is None else -row.largest)
        titles = ("status", "tensor", "SRC", "DST", "values", "largest difference")
        print_table(titles, [_cells(row) for row in order[:_SHOWN]])
    if len(differing) > _SHOWN:
        show(f"... and {len(differing) - _SHOWN} more")
    if outputs is None:
        return
    order = sorted(outputs, key=lambda row: -row["relative"])
    show(f"outputs in PyTorch and in tfzoo, allowed are {bound:g} of the largest magnitude:")
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
