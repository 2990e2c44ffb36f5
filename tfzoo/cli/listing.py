"""`tfzoo list`: the families, their classes and their published checkpoints."""

from __future__ import annotations

import argparse
from typing import Any

from tfzoo.cli.console import show, show_json
from tfzoo.registry import Family, families

__all__ = ["add_to", "run"]


def add_to(subparsers: Any) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser("list", help="show all models, classes and checkpoints")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Print the registry."""
    if args.json:
        fields = ("name", "title", "paper", "model_types", "classes", "checkpoints")
        rows = [{field: getattr(family, field) for field in fields} for family in families()]
        show_json(rows, indent=2)
    else:
        for number, family in enumerate(families()):
            show(*([""] if number else []), *_as_lines(family))


def _as_lines(family: Family) -> list[str]:
    lines = [f"{family.name}: {family.title} ({family.paper})", "  classes"]
    lines += [f"    {name}" for name in family.classes]
    lines += ["  published checkpoints"] if family.checkpoints else []
    return lines + [f"    {name}" for name in family.checkpoints]
