"""`tfzoo export`: a model for a server, or for another runtime."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfzoo.cli.console import (
    Progress,
    UsageError,
    add_hub_options,
    hub_options,
    positive,
    probability,
    show,
    show_json,
    start_keras,
)
from tfzoo.core.files import is_keras_file, read_text
from tfzoo.hub import DEFAULTS, HubFileNotFoundError, HubOptions

__all__ = ["add_to", "processor_for", "run"]

_FORMATS = ("savedmodel", "litert", "onnx")
_SERVED = (  # what has a meaning for a SavedModel alone
    "signature",
    "version",
    "labels",
    "queries",
    "top_k",
    "threshold",
    "iou_threshold",
    "max_detections",
    "max_pixels",
    "no_warmup",
    "processor",
)


def add_to(subparsers: Any) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "export",
        help="write a model for TensorFlow Serving, LiteRT or ONNX",
        description="Write a SavedModel that takes images, clips or texts and answers in the "
        "user's terms, as a version that TensorFlow Serving loads; or the bare model as a file "
        "for LiteRT or ONNX, whose outputs are compared with the model's.",
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="checkpoint: folder, .keras file, short name or repository, see `tfzoo list`",
    )
    parser.add_argument(
        "target",
        metavar="DST",
        type=Path,
        help="folder of the model, in which a folder for the version is made; or the file, "
        "x.tflite or x.onnx",
    )
    parser.add_argument("--processor", help="checkpoint of the processor; default: the model's")
    parser.add_argument("--format", choices=_FORMATS, default="savedmodel")
    parser.add_argument("--dtype", help="dtype policy of the model, e.g. bfloat16")
    _add_serving_options(parser.add_argument_group("SavedModels"))
    parser.add_argument(
        "--shape",
        metavar="NAME=N,...",
        action="append",
        help="sizes of an input of a LiteRT or ONNX file, e.g. pixel_values=1,3,224,224; default: "
        "free where the format allows it, else those of one item",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_hub_options(parser)
    parser.set_defaults(run=run)


def _add_serving_options(group: Any) -> None:
    group.add_argument(
        "--signature",
        metavar="NAME",
        nargs="+",
        action="extend",
        help="write only these signatures, the first also as serving_default; default: all",
    )
    group.add_argument("--version", metavar="N", type=_version, help="default: 1")
    texts = {"metavar": "FILE|A,B,C", "help": None}
    texts["help"] = "names of the classes, one in each line of a file; default: the config's"
    group.add_argument("--labels", **texts)
    texts["help"] = "texts to build into the model, e.g. what a detector looks for"
    group.add_argument("--queries", **texts)
    group.add_argument("--top-k", metavar="K", type=positive, help="answers to one item")
    group.add_argument("--threshold", metavar="P", type=probability, help="least score of a box")
    group.add_argument(
        "--iou-threshold", metavar="P", type=probability, help="overlap that drops a weaker box"
    )
    group.add_argument(
        "--max-detections", metavar="N", type=positive, help="rows of a detector's answer"
    )
    group.add_argument(
        "--max-pixels", metavar="N", type=positive, help="refuse images that have more pixels"
    )
    group.add_argument(
        "--no-warmup", action="store_true", default=None, help="leave the warm-up requests out"
    )


def _version(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0, got {text!r}")
    return int(text)


def run(args: argparse.Namespace) -> None:
    """Load the checkpoint and write it in the format asked for."""
    settings = _settings(args)
    start_keras()
    from tfzoo.auto import load_checkpoint

    write = _write_version if args.format == "savedmodel" else _write_file
    with Progress(load=f"reading {args.model}", write=f"writing {args.target}") as progress:
        model = load_checkpoint(args.model, hub_options(args), args.dtype)
        answer = write(args, model, settings, progress)
    if args.json:
        show_json(answer)
    else:
        show(*_as_lines(answer))


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    """The keywords of `export_serving` that were given."""
    if is_keras_file(args.model) and args.dtype is not None:
        raise UsageError("--dtype is for checkpoints; the model of a .keras file has its own.")
    given = {name: getattr(args, name) for name in _SERVED if getattr(args, name) is not None}
    if args.format != "savedmodel" and given:
        option = "--" + next(iter(given)).replace("_", "-")
        raise UsageError(f"{option} is for --format savedmodel; {args.format} has the bare model.")
    if args.format == "savedmodel" and args.shape:
        raise UsageError("--shape is for --format litert and onnx; a SavedModel takes any sizes.")
    given.pop("processor", None)
    for name in ("labels", "queries"):
        if name in given:
            given[name] = list(_texts(f"--{name}", given[name]))
    if "signature" in given:
        given["signatures"] = given.pop("signature")
    if given.pop("no_warmup", False):
        given["warmup"] = False
    return given


def _texts(option: str, given: str) -> Iterator[str]:
    """The lines of a file, or texts between commas."""
    path = Path(given)
    if os.path.isfile(path):  # which texts between commas may be too long to name
        lines = read_text(path, UsageError).splitlines()
    elif path.suffix in (".txt", ".csv", ".json") or os.sep in given:
        raise UsageError(f"{option}: there is no file {given}.")
    else:
        lines = given.split(",")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            raise UsageError(f"{option}: text {number} of {given} is empty.")
        yield line.strip()


def processor_for(model: Any, name: str, options: HubOptions = DEFAULTS) -> Any:
    """The processor of a checkpoint for the model's head; None if it has none, like optical flow.

    Args:
        model: The model.
        name: The checkpoint.
        options: Where to look.
    """
    from tfzoo.auto import AutoImageProcessor, AutoProcessor

    takes_text = any(row.name == "input_ids" for row in model.inputs_table)
    auto = AutoProcessor if takes_text else AutoImageProcessor
    try:
        return auto.from_pretrained(name, **options.keywords())
    except HubFileNotFoundError:
        return None


def _write_version(
    args: argparse.Namespace, model: Any, settings: dict[str, Any], progress: Progress
) -> dict[str, Any]:
    from tfzoo.export import ServingError, export_serving
    from tfzoo.export.saved_model import read_signatures

    of_file = is_keras_file(args.model)
    beside = (os.path.dirname(args.model) or ".") if of_file else args.model
    processor = processor_for(model, args.processor or beside, hub_options(args))
    if processor is None and args.processor:
        raise UsageError(f"--processor {args.processor} holds no processor.")
    progress.next()
    try:
        folder = export_serving(model, processor, args.target, **settings)
    except ServingError as error:
        if processor is None and of_file:
            raise ServingError(
                f"{args.model} holds no processor, and neither does its folder: name one by "
                "--processor, e.g. the checkpoint that it was made of."
            ) from error
        raise
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return {
        "target": str(folder),
        "format": "savedmodel",
        "class": type(model).__name__,
        "bytes": size,
        "signatures": {
            name: {"inputs": list(inputs), "outputs": list(outputs)}
            for name, (inputs, outputs) in read_signatures(folder).items()
        },
    }


def _write_file(
    args: argparse.Namespace, model: Any, settings: dict[str, Any], progress: Progress
) -> dict[str, Any]:
    from tfzoo.export.formats import export_format

    progress.next()
    made = export_format(model, args.target, args.format, _shapes(args.shape))
    return {
        "target": str(made.path),
        "format": args.format,
        "class": type(model).__name__,
        "bytes": made.path.stat().st_size,
        "shapes": {name: list(shape) for name, shape in made.shapes.items()},
        "differences": dict(made.differences),
    }


def _shapes(given: list[str] | None) -> dict[str, tuple[int, ...]] | None:
    """Arguments such as `pixel_values=1,3,224,224`, by name."""
    shapes = {}
    for text in given or ():
        name, _, sizes = text.partition("=")
        if not re.fullmatch(r"[1-9]\d*(,[1-9]\d*)*", sizes):
            raise UsageError(f"--shape must look like pixel_values=1,3,224,224, got {text!r}.")
        shapes[name] = tuple(map(int, sizes.split(",")))
    return shapes or None


def _as_lines(answer: dict[str, Any]) -> list[str]:
    lines = [f"{answer['target']}: {answer['class']}, {answer['bytes']:,} bytes"]
    for name, sides in answer.get("signatures", {}).items():
        inputs, outputs = (", ".join(sides[side]) for side in ("inputs", "outputs"))
        lines.append(f"  {name}: {inputs} -> {outputs}")
    for name, shape in answer.get("shapes", {}).items():
        lines.append(f"  takes {name}: {', '.join('any' if n is None else str(n) for n in shape)}")
    for name, difference in answer.get("differences", {}).items():
        lines.append(f"  {name}: differs by {difference:.1e} of its largest magnitude")
    return lines
