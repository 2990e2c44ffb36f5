"""`tfzoo verify`: do the published checkpoints give the published numbers?"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfzoo.cli.console import UsageError, note, show, show_json, start_keras
from tfzoo.hub import HubOptions
from tfzoo.registry import families

__all__ = ["VerificationError", "add_to", "run"]


_STATUSES = ("agrees", "differs", "failed", "not run")


class VerificationError(ValueError):
    """Numbers differ from the published ones, or could not be computed; exit code 1."""


@dataclass(frozen=True)
class _Row:
    """The outcome of one known answer."""

    family: str
    answer: Any
    status: str  # one of _STATUSES
    comparisons: Sequence[Any] = ()
    reason: str = ""


def add_to(subparsers: Any) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "verify",
        help="check that published checkpoints give the published numbers",
        description="Download the published checkpoints, compute what numbers were published for, "
        "and compare. Exit code 1 if one differs or fails. Images and videos are fetched from the "
        "hub's data sets; the image of the optical flow has to be given.",
    )
    parser.add_argument(
        "--published",
        nargs="*",
        required=True,
        metavar="FAMILY",
        help="families to check, as `tfzoo list` names them; default: all",
    )
    parser.add_argument(
        "--checkpoint",
        action="append",
        default=[],
        metavar="REPO=DIR",
        help="take this checkpoint from a folder",
    )
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="take this input from a file: cats, spaghetti, spaghetti8 or sintel",
    )
    parser.add_argument("--cache-dir", metavar="DIR", help="folder of the download cache")
    parser.add_argument("--offline", action="store_true", help="use the cache only")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Compute every known answer of the families and print it beside the published one.

    Raises:
        VerificationError: Some differ, or could not be computed.
    """
    chosen = list(_chosen(args.published))
    sources = _sources(args, chosen)
    start_keras()
    rows = []
    for number, (family, answer) in enumerate(chosen, start=1):
        note(f"{number} of {len(chosen)}: {answer.name}")
        rows.append(_verified(family, answer, sources))
        if not args.json:
            show(*_as_lines(rows[-1]))
    if args.json:
        show_json([_as_dict(row) for row in rows])
    counts = {status: sum(row.status == status for row in rows) for status in _STATUSES}
    if not args.json:
        show(
            "",
            f"{counts['agrees']} of {len(rows)} agree, {counts['differs']} differ, "
            f"{counts['failed']} failed, {counts['not run']} were not run",
        )
    if counts["differs"] or counts["failed"]:
        raise VerificationError(
            f"{counts['differs']} of {len(rows)} known answers differ, {counts['failed']} could "
            "not be computed."
        )
    if not counts["agrees"]:
        raise VerificationError("None of the known answers was computed: see --input.")


def _chosen(names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    from tfzoo.modeling.expected import answers_of

    known = [family.name for family in families()]
    for name in names:
        if name not in known:
            raise UsageError(f"--published: no family {name!r}; there are {', '.join(known)}.")
    for name in known:
        if name in names or not names:
            yield from ((name, answer) for answer in answers_of(name))


def _sources(args: argparse.Namespace, chosen: Sequence[tuple[str, Any]]) -> Any:
    from tfzoo.modeling.expected import Sources
    from tfzoo.modeling.expected_inputs import INPUTS

    checkpoints = {answer.checkpoint for _, answer in chosen if answer.checkpoint}
    return Sources(
        _pairs("--checkpoint", args.checkpoint, sorted(checkpoints)),
        _pairs("--input", args.input, list(INPUTS)),
        HubOptions(cache_dir=args.cache_dir, local_files_only=args.offline),
    )


def _pairs(option: str, given: Sequence[str], known: Sequence[str]) -> dict[str, Path]:
    """NAME=PATH arguments as a dict."""
    pairs = {}
    for text in given:
        name, sign, path = text.partition("=")
        if not sign or not path:
            raise UsageError(f"{option} must look like NAME=PATH, got {text!r}.")
        if name not in known:
            raise UsageError(f"{option}: no {name!r} is needed; there are {', '.join(known)}.")
        if not Path(path).exists():
            raise UsageError(f"{option}: there is no {path}.")
        pairs[name] = Path(path)
    return pairs


def _verified(family: str, answer: Any, sources: Any) -> _Row:
    """Compute one answer; an error ends only this one."""
    from tfzoo.modeling.expected import compare
    from tfzoo.modeling.expected_inputs import InputMissingError

    try:
        outputs = sources.outputs(answer)
        comparisons = [compare(number, outputs) for number in answer.numbers]
    except InputMissingError as error:
        return _Row(family, answer, "not run", reason=str(error))
    except (OSError, ValueError) as error:
        return _Row(family, answer, "failed", reason=str(error).strip().split("\n")[0])
    agrees = all(comparison.agrees for comparison in comparisons)
    return _Row(family, answer, "agrees" if agrees else "differs", comparisons)


def _as_lines(row: _Row) -> list[str]:
    lines = [f"{row.answer.name}: {row.status}"]
    lines += [f"  {row.reason}"] if row.reason else []
    for found in row.comparisons:
        number = found.number
        lines.append(f"  {number}, shape {found.shape}")
        if number.shape not in (None, found.shape):
            lines.append(f"    expected shape {number.shape}")
        lines.append(f"    expected   {_digits(number.values)}")
        lines.append(f"    got        {'-' if found.got is None else _digits(found.got)}")
        bound = f"{number.tolerance:.0e} + {number.tolerance:.0e} of the number"
        lines.append(f"    difference {found.difference:.1e}, allowed {bound}")
    return lines


def _digits(values: Any) -> str:
    array = np.asarray(values, "float64")
    rows = array.reshape(-1, array.shape[-1]) if array.ndim > 1 else array.reshape(1, -1)
    return " / ".join(" ".join(f"{value:.7g}" for value in row) for row in rows)


def _as_dict(row: _Row) -> dict[str, Any]:
    return {
        "family": row.family,
        "checkpoint": row.answer.checkpoint or None,
        "revision": row.answer.revision,
        "title": row.answer.title,
        "status": row.status,
        "reason": row.reason or None,
        "numbers": [_number_as_dict(found) for found in row.comparisons],
    }


def _number_as_dict(found: Any) -> dict[str, Any]:
    finite = found.got is not None and bool(np.isfinite(found.got).all())
    return {
        "output": str(found.number),
        "expected": np.asarray(found.number.values, "float64").tolist(),
        "got": found.got.tolist() if finite else None,
        "shape": list(found.shape),
        "expected_shape": list(found.number.shape) if found.number.shape else None,
        "difference": found.difference if math.isfinite(found.difference) else None,
        "tolerance": found.number.tolerance,
        "agrees": found.agrees,
    }
