"""`tfzoo convert`: a checkpoint in another format."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
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
from tfzoo.cli.finished import is_finished, stamp
from tfzoo.cli.forms import as_dtype
from tfzoo.core.files import is_keras_file
from tfzoo.core.replacing import recover, replacing
from tfzoo.modeling.processor_files import PROCESSOR_FILES
from weights_convert.console import SUFFIXES, add_convert_arguments

__all__ = ["add_to", "check_target", "is_empty", "run"]


def add_to(subparsers: Any) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser("convert", help="write a checkpoint in another format")
    add_convert_arguments(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Convert the checkpoint; DST is written whole or not at all, and kept if it is finished."""
    target = args.target
    check_target(target, args.to, args.source)
    start_keras()
    with Progress(load=f"reading {args.source}", write=f"writing {target}") as progress:
        model = _load(args)
        beside = _processor_folder(args)
        progress.next()
        is_there = not args.force and _is_there(target, args.to, model, beside)
        if not is_there:
            with replacing(target, force=args.force or is_empty(target)) as path:
                _write(model, path, args.to)
    _report(args, model, is_there)


def check_target(target: Path, to: str, source: str) -> None:
    """Refuse what cannot end well before anything is loaded."""
    suffix = SUFFIXES[to]
    if suffix is not None and not target.name.endswith(suffix):
        raise UsageError(f"DST must end in {suffix} for --to {to}, got {str(target)!r}.")
    recover(target)
    if not os.path.lexists(target):
        return
    if target.is_dir() == (suffix is not None):
        kinds = ("a folder", "a file") if target.is_dir() else ("a file", "a folder")
        raise FileExistsError(f"{target} is {kinds[0]} and would become {kinds[1]}: remove it.")
    inside = (Path(source).resolve(), Path.cwd())
    if any(target.resolve() in path.parents for path in inside) or target.resolve() == Path.cwd():
        raise FileExistsError(f"{target} holds SRC or the working directory; it is not replaced.")


def is_empty(target: Path) -> bool:
    """Whether there is nothing but a folder with nothing in it."""
    return target.is_dir() and not any(target.iterdir())


def _is_there(target: Path, to: str, model: Any, beside: Path | None) -> bool:
    """Whether the target is finished; if it is anything else, it is an error."""
    if not os.path.lexists(target) or is_empty(target):
        return False
    if not is_finished(target, to, model, beside):
        raise FileExistsError(f"{target} exists: choose another name, or replace it with --force.")
    return True


def _load(args: argparse.Namespace) -> Any:
    from tfzoo.auto import load_checkpoint, load_model

    if is_keras_file(args.source):
        model = load_model(args.source)
        return as_dtype(model, args.dtype) if args.dtype else model
    return load_checkpoint(args.source, hub_options(args), args.dtype)


def _write(model: Any, path: Path, to: str) -> None:
    if to == "pytorch":
        model.save_pretrained(path)
    elif to == "keras":
        model.save(path)
    elif to == "weights":
        model.save_weights(path)
    else:
        model.export(path, verbose=False)
        stamp(path, model)


def _processor_folder(args: argparse.Namespace) -> Path | None:
    """Where the source's processor files are, fetched where needed."""
    from tfzoo.hub import resolve

    if args.to != "pytorch":
        return None
    if is_keras_file(args.source):
        note("a .keras file holds no preprocessor_config.json and no tokenizer; none is written.")
        return None
    return resolve(args.source, "config.json", hub_options(args), optional=PROCESSOR_FILES)


def _report(args: argparse.Namespace, model: Any, is_there: bool) -> None:
    values = {
        "source": args.source,
        "target": str(args.target),
        "to": args.to,
        "class": type(model).__name__,
        "parameters": model.count_params(),
        "bytes": _bytes(args.target),
        "written": not is_there,
    }
    if args.json:
        show_json(values)
        return
    state = ", finished before: kept" if is_there else ""
    show(
        f"{values['target']}: {values['class']}, {values['parameters']:,} parameters, "
        f"{values['bytes']:,} bytes{state}"
    )


def _bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
