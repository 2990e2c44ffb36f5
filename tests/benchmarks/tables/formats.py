"""Which heads become files for LiteRT and ONNX with the installed versions, and how exactly.

    python -m tests.benchmarks.tables.formats
    python -m tests.benchmarks.tables.formats lxmert tvp --formats onnx

Small models of each head stand for the published ones: which operations a model needs does not
depend on its size. Differences are in parts of an output's largest magnitude, the largest of all
outputs.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.support.served import SERVED, load_head
from tfzoo.export import ServingError
from tfzoo.export.formats import SUFFIXES, export_format

__all__ = ["main", "outcome"]

_PACKAGES = ("tensorflow", "keras", "onnx", "tf2onnx", "onnxruntime")


def outcome(name: str, format: str) -> str:
    """What comes of one head in one format, in words."""
    with tempfile.TemporaryDirectory() as folder:
        model, _ = load_head(name, Path(folder) / "checkpoint")
        try:
            made = export_format(model, Path(folder) / f"model{SUFFIXES[format]}", format)
        except ServingError as error:
            return f"no: {error}"
    worst = max(made.differences.values())
    is_free = any(None in shape for shape in made.shapes.values())
    return f"{'free' if is_free else 'fixed'} sizes, {worst:.0e}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Try every head in every format and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("heads", nargs="*", default=list(SERVED), help=", ".join(SERVED))
    parser.add_argument("--formats", nargs="+", choices=SUFFIXES, default=list(SUFFIXES))
    args = parser.parse_args(arguments)
    print(f"| head | {' | '.join(args.formats)} |\n|---|{'---|' * len(args.formats)}")
    for name in args.heads:
        cells = " | ".join(outcome(name, format) for format in args.formats)
        print(f"| {name} | {cells} |", flush=True)
    print("\n" + ", ".join(filter(None, map(_version, _PACKAGES))))


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return ""


if __name__ == "__main__":
    main()
