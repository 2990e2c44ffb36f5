"""`tfzoo list`: the families, their classes, and their shipped and published checkpoints."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from tfzoo.assets import card_of, shipped_checkpoints
from tfzoo.cli.console import show, show_json
from tfzoo.core.files import read_json
from tfzoo.registry import Family, families, family_of

__all__ = ["add_to", "run"]


def add_to(subparsers: Any) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser("list", help="show all models, classes and checkpoints")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Print the registry."""
    known, shipped = families(), _shipped()
    if args.json:
        fields = ("name", "title", "paper", "model_types", "classes", "checkpoints")
        rows = [
            {
                **{field: getattr(family, field) for field in fields},
                "shipped": shipped.get(family.name, []),
            }
            for family in known
        ]
        show_json(rows, indent=2)
    else:
        for number, family in enumerate(known):
            show(*([""] if number else []), *_as_lines(family, shipped.get(family.name, ())))


def _shipped() -> dict[str, list[dict[str, Any]]]:
    """What ships with tfzoo of each family: short name, task, what it knows, score and size."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for name, folder in shipped_checkpoints().items():
        card = card_of(folder)
        if card is not None:
            owner = family_of(read_json(folder / "config.json")["model_type"]).name
            size = sum(path.stat().st_size for path in folder.iterdir())
            known = {field: getattr(card, field) for field in ("task", "knows", "score")}
            rows.setdefault(owner, []).append({"name": name, **known, "bytes": size})
    return rows


def _as_lines(family: Family, shipped: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [f"{family.name}: {family.title} ({family.paper})", "  classes"]
    lines += [f"    {name}" for name in family.classes]
    if shipped:
        lines.append("  short names: small checkpoints that ship with tfzoo")
    for row in shipped:
        lines += [
            f"    {row['name']} ({row['task']}, {row['bytes'] / 1e6:.1f} MB)",
            f"      knows {row['knows']}: {row['score']}",
        ]
    lines += ["  published checkpoints"] if family.checkpoints else []
    return lines + [f"    {name}" for name in family.checkpoints]
