"""`tfzoo predict`: what a checkpoint says of a video, an image or a text."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfzoo.cli import pictures
from tfzoo.cli.console import (
    Progress,
    UsageError,
    add_hub_options,
    hub_options,
    note,
    positive,
    probability,
    show,
    show_json,
    start_keras,
)

if TYPE_CHECKING:
    from tfzoo.tasks.base import Task

__all__ = ["add_to", "run"]

# Options that some tasks lack, and the models that take them.
_OPTIONS = {
    "labels": "models that compare videos or images with texts",
    "template": "models that compare videos or images with texts",
    "text": "models that fill in masked texts",
    "queries": "models that find moments in videos",
    "threshold": "models that find objects",
    "top_k": "models that rank labels, objects or bytes",
    "num_frames": "models of videos",
    "draw": "models that find objects, moments or motion",
}
_INPUTS = {
    ("clip",): "one video or image",
    ("video",): "one video (the frames of a folder have no times)",
    ("image",): "one JPEG, PNG or the like",
    ("image", "image"): "two JPEGs, PNGs or the like",
    ("text",): "no file, but --text",
}


def add_to(subparsers: Any) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "predict",
        help="classify a video, find moments in it or objects in an image, fill in a text",
        description="Classify a video, an animation, a folder of frames or a still image; or, "
        "depending on the checkpoint, find what texts describe in an image, or when it happens in "
        "a video, fill in a text, classify an image, or see what moves between two frames.",
    )
    parser.add_argument("inputs", metavar="VIDEO_OR_IMAGE", type=Path, nargs="*")
    parser.add_argument(
        "--model",
        metavar="DIR_OR_REPO",
        help="checkpoint of a video classifier; or, with --labels, of a model of videos and texts "
        "or of an object detector; or, with --query, of a video-grounding model; default: the one "
        "that ships with tfzoo for such a task, see `tfzoo demo`",
    )
    parser.add_argument(
        "--labels",
        metavar="LABEL",
        nargs="+",
        action="extend",
        help="texts to choose from, for a model of videos and texts; or to find, for a detector",
    )
    parser.add_argument(
        "--template",
        metavar="TEXT",
        help="sentence around each label, with {} in its place, e.g. 'a photo of {}'",
    )
    parser.add_argument(
        "--text", help="text with [MASK] for each byte to guess, for a masked language model"
    )
    parser.add_argument(
        "--top-k",
        metavar="K",
        type=positive,
        help="how many labels to show; default: 5, or all of --labels; or how many boxes at "
        "most; default: all",
    )
    parser.add_argument(
        "--num-frames", metavar="T", type=positive, help="how many frames; default: the model's"
    )
    _add_finder_options(parser.add_argument_group("detection, video grounding, optical flow"))
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_hub_options(parser)
    parser.set_defaults(run=run)


def _add_finder_options(group: Any) -> None:
    group.add_argument(
        "--query",
        dest="queries",
        metavar="SENTENCE",
        action="append",
        help="when does this happen, e.g. 'a person is sitting on a bed'? May be given several "
        "times; for video-grounding models",
    )
    group.add_argument(
        "--threshold",
        metavar="P",
        type=probability,
        help="show boxes that score above this; default: 0.1; for detectors",
    )
    group.add_argument(
        "--draw",
        metavar="FILE",
        type=Path,
        help="write the image with the boxes drawn on it, the moments on a time axis under "
        "frames of the video, or the motion of two frames as colours; the suffix says in which "
        "format",
    )


def run(args: argparse.Namespace) -> None:
    """Print what the checkpoint answers.

    Raises:
        UsageError: Options that do not go together, or do not fit the checkpoint.
        FileNotFoundError: No such file.
        HubError: No such checkpoint.
        ConfigError: The checkpoint's model has no task here.
        ValueError: The file is neither a video nor an image, or is too short.
        OSError: The file to draw cannot be written.
    """
    _check_usage(args)
    name, options = args.model or str(_shipped(args)), hub_options(args)
    with Progress(loading="loading", reading="reading", prediction="predicting") as progress:
        from tfzoo.auto import AutoConfig

        config = AutoConfig.from_pretrained(name, **options.keywords())
        start_keras()
        from tfzoo.tasks import task_for

        kind = task_for(config)
        settings = _settings(args, kind, name, config)
        task = kind.from_pretrained(name, config, options, **settings)
        progress.next()
        inputs = task.read(
            *(args.inputs or [args.text]),
            progress=lambda done, all_: progress.detail(f"frame {done}/{all_}"),
        )
        if kind.inputs == ("clip",) and _are_still(args.inputs):
            note(
                f"{args.inputs[0]} is a still image: taken as a clip of {len(inputs)} equal frames."
            )
        progress.next()
        result = task.answer(inputs)
        if args.draw is not None:
            pictures.write(task.draw(inputs, result), args.draw)
    files = [str(path) for path in args.inputs]
    one = {"text": args.text} if not files else {"file": files[0]}
    answer = {
        **({"files": files} if len(files) > 1 else one),
        "model": str(args.model or Path(name).name),
        **({} if args.template is None else {"template": args.template}),
        **result.to_dict(),
        **({} if args.draw is None else {"picture": str(args.draw)}),
        "seconds": progress.seconds,
    }
    if args.json:
        show_json(answer)
        return
    show(f"{' '.join(files) or args.text} ({answer['model']})", *result.lines())
    if args.draw is not None:
        show(f"picture {args.draw}")
    show(", ".join(f"{step} {seconds:.2f} s" for step, seconds in progress.seconds.items()))


def _check_usage(args: argparse.Namespace) -> None:
    """Refuse what cannot end well before anything is loaded."""
    if not args.inputs and args.text is None:
        raise UsageError("There is nothing to look at: name a video or an image, or pass --text.")
    _check_texts("--query: query", args.queries or ())
    _check_texts("--labels: label", args.labels or ())
    if args.template is not None and args.labels is None:
        raise UsageError("--template needs --labels: it is the sentence around each of them.")
    if args.template is not None and "{}" not in args.template:
        raise UsageError(
            f"--template must hold {{}} where the label goes, e.g. 'a photo of {{}}', "
            f"got {args.template!r}."
        )
    for path in args.inputs:
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file.")
        if args.draw is not None:
            pictures.check_target("--draw", args.draw, path)


def _check_texts(what: str, texts: Sequence[str]) -> None:
    for number, text in enumerate(texts):
        if not text.strip():
            raise UsageError(f"{what} {number + 1} is empty.")
        if text in texts[:number]:
            raise UsageError(f"{what.partition(':')[0]}: {text!r} is given twice.")


def _shipped(args: argparse.Namespace) -> Path:
    """The folder of the shipped checkpoint for what was asked."""
    from tfzoo.assets import default_checkpoint

    are_still = _are_still(args.inputs)
    if args.text is not None:
        name = "perceiver-bytes"
    elif args.queries is not None:
        name = "tvp-pans"
    elif args.labels is not None:
        name = "owlv2-shapes" if are_still else "xclip-camera-motion"
    else:
        two = are_still and len(args.inputs) == 2
        name = "perceiver-flow" if two else "timesformer-camera-motion"
    return default_checkpoint(name)


def _settings(args: argparse.Namespace, task: type[Task], name: str, config: Any) -> dict[str, Any]:
    """The task's settings, once options and files are seen to fit it."""
    fields = {field.name: field for field in dataclasses.fields(task) if field.kw_only}
    takes = {*fields, *task.inputs, *(["draw"] if hasattr(task, "draw") else [])}
    given = {option for option in _OPTIONS if getattr(args, option) is not None}
    chosen = name if args.model else f"{Path(name).name}, which was taken without --model,"
    for option in sorted(given - takes):
        architecture = (config.architectures or [config.model_type])[0]
        raise UsageError(
            f"{_flag(option)} is for {_OPTIONS[option]}, and {chosen} is a {architecture}."
        )
    needed = [n for n, field in fields.items() if field.default is dataclasses.MISSING]
    if not set(needed) <= given or not _are_readable(task.inputs, args):
        wanted = " and ".join([_INPUTS[task.inputs], *map(_flag, needed)])
        found = ", ".join(map(str, args.inputs)) or "no file"
        raise UsageError(f"{name} {task.does}: give it {wanted}, got {found}.")
    return {option: getattr(args, option) for option in given & set(fields)}


def _flag(option: str) -> str:
    return "--query" if option == "queries" else "--" + option.replace("_", "-")


def _are_readable(kinds: Sequence[str], args: argparse.Namespace) -> bool:
    """Whether the files are as many and of the kinds that a task takes."""
    if kinds == ("text",):
        return args.text is not None and not args.inputs
    if len(args.inputs) != len(kinds):
        return False
    if "image" in kinds:
        return _are_still(args.inputs)
    return kinds == ("clip",) or not (args.inputs[0].is_dir() or _are_still(args.inputs))


def _are_still(paths: Sequence[Path]) -> bool:
    from tfzoo.tasks.files import is_still

    return all(map(is_still, paths))
