"""`tfzoo list`: the families, their classes and their published checkpoints."""

from __future__ import annotations

import argparse
import json
from typing import Any

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
        print(json.dumps(rows, indent=2))
    else:
        print("\n\n".join(map(_as_text, families())))


def _as_text(family: Family) -> str:
    lines = [f"{family.name}: {family.title} ({family.paper})", "  classes"]
    lines += [f"    {name}" for name in family.classes]
    lines += ["  published checkpoints"] if family.checkpoints else []
    return "\n".join(lines + [f"    {name}" for name in family.checkpoints])
