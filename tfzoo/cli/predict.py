"""`tfzoo predict`: what a checkpoint says of videos, images or texts."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfzoo.assets import shipped_for
from tfzoo.cli.console import (
    Progress,
    UsageError,
    add_hub_options,
    check_setting,
    hub_options,
    note,
    positive,
    probability,
    show,
    show_json,
    start_keras,
)
from tfzoo.hub.download import is_address
from tfzoo.tasks import TASKS, pipeline, task_asked_for, task_class, task_for

if TYPE_CHECKING:
    from tfzoo.tasks.base import Result, Task

__all__ = ["add_to", "run"]

_COMPARE = "models that compare videos or images with texts"
_GROUND, _FIND = "models that find moments in videos", "models that find objects"
# Settings of tasks: their flags, the models that have them, and how they are given.
_SETTINGS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "candidate_labels": (
        "--labels",
        _COMPARE,
        {
            "metavar": "LABEL",
            "nargs": "+",
            "action": "extend",
            "help": "texts to choose from, or for a detector to find",
        },
    ),
    "hypothesis_template": (
        "--template",
        _COMPARE,
        {"help": "sentence around each label, with {} in its place, e.g. 'a photo of {}'"},
    ),
    "queries": (
        "--query",
        _GROUND,
        {
            "metavar": "SENTENCE",
            "action": "append",
            "help": "when does this happen, e.g. 'a person is sitting on a bed'? May be given "
            "several times",
        },
    ),
    "max_text_length": ("--max-text-length", _GROUND, {"type": positive, "help": "in tokens"}),
    "question": ("--question", "models that answer questions", {"help": "about an image"}),
    "query_image": ("--query-image", _FIND, {"help": "file of an image; find what it shows"}),
    "threshold": (
        "--threshold",
        _FIND,
        {"type": probability, "help": "show boxes that score above this; default: 0.1"},
    ),
    "iou_threshold": (
        "--iou-threshold",
        _FIND,
        {
            "type": probability,
            "help": "of boxes of one label that overlap by more, show the best; default: 0.3",
        },
    ),
    "top_k": (
        "--top-k",
        "models that rank labels, objects, answers or bytes",
        {"type": positive, "help": "how many; default: 5, or all of --labels, or all boxes"},
    ),
    "num_frames": (
        "--num-frames",
        "models of videos",
        {"type": positive, "help": "default: the checkpoint's, or all for a detector"},
    ),
    "batch_size": (
        "--batch-size",
        "all models",
        {"type": positive, "help": "inputs that the model sees at a time; default: 1"},
    ),
}
_INPUTS = {
    "clip": "videos or images",
    "video": "videos (the frames of a folder have no times)",
    "image": "JPEGs, PNGs or the like",
    "image or video": "images or videos",
    "pair": "two JPEGs, PNGs or the like",
    "regions": "a file of region features (.tsv, .h5)",
    "text": "no file, but --text",
}


def add_to(subparsers: Any) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "predict",
        help="classify videos, find moments in them or objects in images, fill in a text",
        description="Classify videos, animations, folders of frames or still images; or, "
        "depending on the checkpoint, find what texts describe in images and videos, or when it "
        "happens in a video, answer a question, fill in a text, classify images, or see what moves "
        "between two frames.",
    )
    parser.add_argument(
        "inputs",
        metavar="VIDEO_OR_IMAGE",
        nargs="*",
        help="files, folders of them, or addresses of http or https",
    )
    parser.add_argument("--text", help="text with [MASK] for each byte to guess, or to classify")
    parser.add_argument(
        "--model",
        help="checkpoint: folder, .keras file, short name or repository; default: the one that "
        "ships with tfzoo for what is asked, see `tfzoo list`",
    )
    parser.add_argument("--processor", help="checkpoint of the processor; default: the model's")
    parser.add_argument(
        "--task",
        metavar="NAME",
        choices=TASKS,
        help=f"default: what the checkpoint was made for; one of {', '.join(TASKS)}",
    )
    for setting, (flag, _, how) in _SETTINGS.items():
        parser.add_argument(flag, dest=setting, **{"metavar": flag[2:].upper(), **how})
    parser.add_argument(
        "--draw",
        metavar="FILE",
        type=Path,
        help="write the answer as an image, or detections in a video as a video; the suffix says "
        "in which format; for several inputs, a folder",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object an input")
    add_hub_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Print what the checkpoint answers.

    Raises:
        UsageError: Options that do not go together, or do not fit the checkpoint.
        FileNotFoundError: No such file.
        HubError: No such checkpoint.
        ConfigError: The checkpoint's model has no task here.
        ValueError: An input is of another kind than the model takes, or is too short.
        OSError: The file to draw cannot be written.
    """
    _check_usage(args)
    with Progress(loading="loading", prediction="predicting") as progress:
        kind, name, settings = _chosen(args)
        sources, many = _sources(args, kind, name)
        _check_drawing(args, kind, many)
        how = {"processor": args.processor, **hub_options(args).keywords(), **settings}
        task = pipeline(kind.name, args.model, **how)
        progress.next()
        for number, result in enumerate(task(iter(sources), progress=False), 1):
            progress.detail(f"{number}")
            drawn = _draw(args.draw, result, number if many else None)
            if many:
                progress.clear()
                _show(args, name, result, drawn)
    if not many:
        _show(args, name, result, drawn, progress.seconds)


def _check_usage(args: argparse.Namespace) -> None:
    """Refuse what cannot end well, whatever the model is."""
    if not args.inputs and args.text is None:
        raise UsageError("There is nothing to look at: name a video or an image, or pass --text.")
    if args.hypothesis_template is not None and args.candidate_labels is None:
        raise UsageError("--template needs --labels: it is the sentence around each of them.")
    for setting, value in _given(args).items():
        check_setting(_SETTINGS[setting][0], setting, value)
    for path in [*args.inputs, *filter(None, [args.query_image])]:
        if not is_address(path) and not Path(path).exists():
            raise FileNotFoundError(f"{path}: no such file.")


def _chosen(args: argparse.Namespace) -> tuple[type[Task], str, dict[str, Any]]:
    """The task, the model's name and the task's settings, seen to fit each other."""
    start_keras()
    from tfzoo.auto import AutoConfig

    given, name = _given(args), args.model
    if name is None:
        is_text = args.text is not None
        asked = args.task or ("fill-mask" if is_text else task_asked_for(given, args.inputs))
        name = shipped_for(asked)
        if name is None:
            raise UsageError(f"No checkpoint ships with tfzoo for {asked}: name one by --model.")
    config = AutoConfig.from_pretrained(name, **hub_options(args).keywords())
    kind = task_for(config) if args.task is None else task_class(args.task)
    kind.model_class(config)  # refuses a --task that the model is not for
    if kind.kind not in _INPUTS:
        raise UsageError(f"{name} {kind.does}: give it these in Python, by tfzoo.pipeline.")
    others = dict(_SETTINGS[n][:2] for n in given if n not in kind.settings())
    if args.text is not None and kind.kind != "text":
        others["--text"] = "models that take texts"
    if others:
        flag = min(others)
        chosen = name if args.model else f"{name}, which was taken without --model,"
        architecture = (config.architectures or [config.model_type])[0]
        raise UsageError(f"{flag} is for {others[flag]}, and {chosen} is a {architecture}.")
    if {"candidate_labels", "query_image"} <= set(given):
        raise UsageError("Give --labels or --query-image, not both.")
    lacks = bool(kind.needs) and not set(kind.needs) & set(given)
    fits = len(args.inputs) == 2 if kind.kind == "pair" else bool(args.inputs)
    if lacks or fits == (kind.kind == "text"):
        raise _wrong_inputs(kind, name, f"Got {', '.join(args.inputs) or 'no file'}.")
    return kind, name, given


def _given(args: argparse.Namespace) -> dict[str, Any]:
    """The task's settings that were given."""
    return {name: getattr(args, name) for name in _SETTINGS if getattr(args, name) is not None}


def _wrong_inputs(kind: type[Task], name: str, found: str) -> UsageError:
    flags = " or ".join(_SETTINGS[setting][0] for setting in kind.needs)
    wanted = " and ".join([_INPUTS[kind.kind], *([flags] if flags else [])])
    return UsageError(f"{name} {kind.does}: give it {wanted}. {found}")


def _sources(args: argparse.Namespace, kind: type[Task], name: str) -> tuple[Iterable[Any], bool]:
    """The single inputs, seen to be of the kind that the task takes; and whether there are many."""
    if kind.kind == "text":
        return [args.text], False
    try:
        return kind.gather(args.inputs)
    except ValueError as error:
        raise _wrong_inputs(kind, name, str(error)) from None


def _check_drawing(args: argparse.Namespace, kind: type[Task], many: bool) -> None:
    """Refuse a file that cannot be written, or that must not be overwritten."""
    target = args.draw
    if target is None:
        return
    if many:
        if target.suffix or target.is_file():
            raise UsageError(f"--draw names a folder where there are several inputs, got {target}.")
        return
    from tfzoo.io.image_writer import can_write
    from tfzoo.io.video_writer import VIDEO_FORMATS
    from tfzoo.tasks.inputs import are_still

    has_video = kind.kind == "image or video" and not are_still(args.inputs)
    if not (has_video and target.suffix.lower() in VIDEO_FORMATS) and not can_write(target.suffix):
        raise UsageError(
            "--draw takes the format from the file's suffix, e.g. .png or .jpg, and cannot write "
            f"{target.suffix or 'a file without one'}: {target}."
        )
    if target.is_dir():
        raise UsageError(f"--draw {target} is a folder: name a file in it.")
    if target.exists() and any(Path(s).exists() and target.samefile(s) for s in args.inputs):
        raise UsageError(f"--draw {target} is the input itself: choose another name.")


def _draw(target: Path | None, result: Result, number: int | None) -> Path | None:
    """Draw an answer, if that is asked for, and say where."""
    if target is None:
        return None
    if number is not None:
        name = re.sub(r"[^\w.-]+", "_", Path(str(result.source)).stem)
        target = target / f"{number:04}_{name}{result.drawn_as}"
    result.plot(target)
    return target


def _show(
    args: argparse.Namespace,
    name: str,
    result: Result,
    drawn: Path | None,
    seconds: dict[str, float] | None = None,
) -> None:
    """Print one answer."""
    source = result.source
    files = [str(part) for part in (source if isinstance(source, tuple) else [source])]
    if result.note is not None:
        note(f"{' '.join(files)}: {result.note}")
    if args.json:
        one = {"text" if args.text is not None else "file": files[0]}
        answer = {
            **({"files": files} if len(files) > 1 else one),
            "model": str(name),
            **({} if args.hypothesis_template is None else {"template": args.hypothesis_template}),
            **result.to_dict(),
            **({} if drawn is None else {"picture": str(drawn)}),
            **({} if seconds is None else {"seconds": seconds}),
        }
        show_json(answer)
        return
    show(f"{' '.join(files)} ({name})", *result.lines())
    if drawn is not None:
        show(f"picture {drawn}")
    if seconds is not None:
        show(", ".join(f"{step} {value:.2f} s" for step, value in seconds.items()))
