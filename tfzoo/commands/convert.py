"""`tfzoo convert`: a checkpoint in another format."""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path
from typing import Any

from tfzoo.commands.console import UsageError, add_hub_options, hub_options, note, start_keras
from tfzoo.files import replacing

__all__ = ["add_to", "run"]

# For each format, how its file is called; None: it is a folder.
_SUFFIXES = {"pytorch": None, "keras": ".keras", "weights": ".weights.h5", "savedmodel": None}
_DTYPES = ("float32", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16")
# Whatever of these a checkpoint has goes along, unchanged, into a PyTorch folder.
_PROCESSOR_FILES = (
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
)


def add_to(subparsers: Any) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser("convert", help="write a checkpoint in another format")
    parser.add_argument(
        "source", metavar="SRC", help="checkpoint folder, repository name or .keras file"
    )
    parser.add_argument("target", metavar="DST", type=Path, help="file or folder to write")
    parser.add_argument(
        "--to",
        required=True,
        choices=tuple(_SUFFIXES),
        help="pytorch: a folder with safetensors; keras: x.keras; weights: x.weights.h5; "
        "savedmodel: a folder for TensorFlow Serving",
    )
    parser.add_argument("--dtype", choices=_DTYPES, help="default: float32, or the .keras file's")
    parser.add_argument(
        "--force", action="store_true", help="replace DST, a folder with all that is in it"
    )
    add_hub_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Convert the checkpoint; DST is written whole or not at all.

    Raises:
        UsageError: DST's name does not fit the format.
        FileExistsError: DST exists and `--force` is not given.
        HubError: There is no such checkpoint.
        OSError: DST cannot be written.
    """
    target = args.target
    _check_target(target, args.to, args.source, args.force)
    start_keras()
    model = _load(args)
    with replacing(target, args.force) as path:
        _write(model, path, args)
    count = model.count_params()
    print(f"{target}: {type(model).__name__}, {count:,} parameters, {_bytes(target):,} bytes")


def _check_target(target: Path, to: str, source: str, force: bool) -> None:
    """Refuse what cannot end well before anything is loaded."""
    suffix = _SUFFIXES[to]
    if suffix is not None and not target.name.endswith(suffix):
        raise UsageError(f"DST must end in {suffix} for --to {to}, got {str(target)!r}.")
    if not os.path.lexists(target):
        return
    if not force:
        raise FileExistsError(f"{target} exists: choose another name, or replace it with --force.")
    if target.is_dir() == (suffix is not None):
        kinds = ("a folder", "a file") if target.is_dir() else ("a file", "a folder")
        raise FileExistsError(f"{target} is {kinds[0]} and would become {kinds[1]}: remove it.")
    inside = (Path(source).resolve(), Path.cwd())
    if any(target.resolve() in path.parents for path in inside) or target.resolve() == Path.cwd():
        raise FileExistsError(f"{target} holds SRC or the working directory; it is not replaced.")


def _load(args: argparse.Namespace) -> Any:
    from tfzoo.auto import AutoConfig, load_model, model_class_for

    if _is_keras_file(args.source):
        model = load_model(args.source)
        return _as_dtype(model, args.dtype) if args.dtype else model
    where = hub_options(args)
    config = AutoConfig.from_pretrained(args.source, **where)
    return model_class_for(config).from_pretrained(args.source, dtype=args.dtype, **where)


def _is_keras_file(source: str) -> bool:
    return source.endswith(".keras") and not Path(source).is_dir()


def _as_dtype(model: Any, dtype: str) -> Any:
    """The same model with another dtype policy."""
    copy = type(model)(model.config, dtype=dtype)
    for new, old in zip(copy.weights, model.weights, strict=True):
        new.assign(old.value)
    return copy


def _write(model: Any, path: Path, args: argparse.Namespace) -> None:
    if args.to == "pytorch":
        model.save_pretrained(path)
        _copy_processor(args.source, path, hub_options(args))
    elif args.to == "keras":
        model.save(path)
    elif args.to == "weights":
        model.save_weights(path)
    else:
        model.export(path, verbose=False)


def _copy_processor(source: str, folder: Path, where: dict[str, Any]) -> None:
    from tfzoo.hub import resolve

    if _is_keras_file(source):
        note("a .keras file holds no preprocessor_config.json and no tokenizer; none was written.")
        return
    found = resolve(source, "config.json", optional=_PROCESSOR_FILES, **where)
    for name in _PROCESSOR_FILES:
        if (found / name).is_file():
            shutil.copyfile(found / name, folder / name)


def _bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
