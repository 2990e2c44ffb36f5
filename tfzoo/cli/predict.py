"""`tfzoo predict`: what is in this video, when does it happen, what is missing in this text?"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfzoo.cli import classifier, detector, grounder, pictures, shipped, whole_tasks
from tfzoo.cli.console import (
    Progress,
    UsageError,
    add_hub_options,
    hub_options,
    note,
    positive,
    probability,
    start_keras,
)

__all__ = ["add_to", "run"]


def add_to(subparsers: Any) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "predict",
        help="classify a video, find moments in it, or objects in a photo, fill in a text",
        description="Classify a video, an animation, a folder of frames or a still image; or, as "
        "the checkpoint is, find what texts name in a photo, or when it happens in a video, fill "
        "in a text, classify a photo, or see what moves between two frames.",
    )
    parser.add_argument("inputs", metavar="VIDEO_OR_IMAGE", type=Path, nargs="*")
    parser.add_argument(
        "--model",
        metavar="DIR_OR_REPO",
        help="checkpoint of a video classifier, or, with --labels, of a model of videos and "
        "texts or of a detector, or, with --query, of a finder of moments; default: that which "
        "ships with tfzoo for such a task, see `tfzoo demo`",
    )
    _add_text_options(parser)
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
    _add_finder_options(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_hub_options(parser)
    parser.set_defaults(run=run)


def _add_text_options(parser: Any) -> None:
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
        "--text", help="text with [MASK] for each byte to guess, for a model of masked texts"
    )


def _add_finder_options(parser: Any) -> None:
    group = parser.add_argument_group("detectors, finders of moments, models of flow")
    group.add_argument(
        "--query",
        metavar="SENTENCE",
        action="append",
        help="when does this happen, e.g. 'a person is sitting on a bed'? May be given several "
        "times; for finders of moments",
    )
    group.add_argument(
        "--threshold",
        metavar="P",
        type=probability,
        help=f"show boxes that score above this; default: {detector.THRESHOLD}; for detectors",
    )
    group.add_argument(
        "--draw",
        metavar="FILE",
        type=Path,
        help="write the photo with the boxes drawn on it, the moments on a time axis under "
        "frames of the video, or the motion of two frames as colours; the suffix says in which "
        "format",
    )


def run(args: argparse.Namespace) -> None:
    """Print the most likely labels of the file, the boxes or moments found, or what is completed.

    Raises:
        UsageError: Options that do not go together, or do not fit the checkpoint.
        FileNotFoundError: There is no such file.
        HubError: There is no such checkpoint.
        ConfigError: The checkpoint is of no model that classifies videos or finds something.
        ValueError: The file is neither a video nor an image, or is too short.
        OSError: The picture cannot be written.
    """
    _check_usage(args)
    for path in args.inputs:
        if not path.exists():
            raise FileNotFoundError(f"{path}: there is no such file.")
        if args.draw is not None:
            pictures.check_target("--draw", args.draw, path)
    name = args.model or shipped.find(args)
    with Progress(loading="loading", reading="reading", prediction="predicting") as progress:
        answer, lines = _answer(args, name, progress)
    result = {
        **_subject(args),
        "model": str(args.model or Path(name).name),
        **({} if args.template is None else {"template": args.template}),
        **answer,
        "seconds": progress.seconds,
    }
    print(json.dumps(result) if args.json else _as_text(result, lines))


def _subject(args: argparse.Namespace) -> dict[str, Any]:
    """What the answer is about."""
    if args.text is not None:
        return {"text": args.text}
    if len(args.inputs) == 1:
        return {"file": str(args.inputs[0])}
    return {"files": [str(path) for path in args.inputs]}


def _check_usage(args: argparse.Namespace) -> None:
    """Refuse what cannot end well before anything is loaded.

    Args:
        args: Of the command.

    Raises:
        UsageError: Nothing to predict from, `--template` without `--labels`, or invalid ones.
    """
    if not args.inputs and args.text is None:
        raise UsageError("There is nothing to look at: name a video or an image, or pass --text.")
    grounder.check_queries(args.query)
    if args.labels is not None:
        classifier.check_labels(args.labels, args.template)
    elif args.template is not None:
        raise UsageError("--template needs --labels: it is the sentence around each of them.")


def _answer(
    args: argparse.Namespace, name: str, progress: Progress
) -> tuple[dict[str, Any], list[str]]:
    """What the checkpoint, of whatever kind, says of the file, and the same in lines."""
    from tfzoo.auto import AutoConfig

    config = AutoConfig.from_pretrained(name, **hub_options(args))
    start_keras()
    chosen = name if args.model else f"{Path(name).name}, which was taken without --model,"
    reason = f"and {chosen} is of model_type {config.model_type!r}"
    task = whole_tasks.task_of(config)
    if task is None:
        args.input = _only_input(args, name)
    if grounder.fits(config):
        answer = grounder.find(args, name, config, progress)
        return answer, grounder.as_text(answer)
    grounder.refuse_options(args, reason)
    if task is not None:
        answer = whole_tasks.answer(task, args, name, config, progress)
        return answer, whole_tasks.as_text(answer)
    if detector.fits(config):
        answer = detector.find(args, name, config, progress)
        return answer, detector.as_text(answer)
    detector.refuse_options(args, reason)
    answer = _classify(args, name, config, progress)
    return answer, _ranking(answer)


def _only_input(args: argparse.Namespace, name: str) -> Path:
    if args.text is not None or len(args.inputs) != 1:
        raise UsageError(
            f"{name} takes one video or image, got "
            + (f"{len(args.inputs)} files." if args.text is None else "--text.")
        )
    return args.inputs[0]


def _classify(
    args: argparse.Namespace, name: str, config: Any, progress: Progress
) -> dict[str, Any]:
    """The places of the frames in the file, and its most likely labels."""
    model = classifier.load(name, config, args.labels, args.template, hub_options(args))
    progress.next()
    choice = {"num_frames": args.num_frames or model.num_frames, **model.sampling}
    frames, indices = _read(args.input, choice, progress)
    progress.next()
    scores = model.scores(frames)
    count = args.top_k or (5 if args.labels is None else len(model.labels))
    return {"frames": indices, "predictions": _best(scores, model.labels, count)}


def _read(path: Path, choice: dict[str, Any], progress: Progress) -> tuple[np.ndarray, list[int]]:
    """Frames (T, height, width, C) of whatever `path` is, and their places in it."""
    from tfzoo.io import choose_indices, read_frames, read_image, read_video

    if path.is_dir():
        frames = read_frames(path)
        indices = choose_indices(len(frames), **choice)
        return frames[indices], indices.tolist()
    if pictures.is_still(path):
        image = read_image(path)
        count = choice["num_frames"]
        note(f"{path} is a still image: taken as a clip of {count} equal frames.")
        return np.repeat(image[None], count, axis=0), [0] * count
    clip = read_video(
        path, **choice, progress=lambda done, all_: progress.detail(f"frame {done}/{all_}")
    )
    return clip.frames, clip.indices.tolist()


def _best(scores: np.ndarray, labels: Mapping[int, str], count: int) -> list[dict[str, Any]]:
    order = np.argsort(-scores, kind="stable")[:count].tolist()
    return [{"label": labels[i], "score": float(scores[i]), "index": i} for i in order]


def _ranking(answer: dict[str, Any]) -> list[str]:
    lines = [
        f"{rank:3d}  {100 * row['score']:6.2f} %  {row['label']}"
        for rank, row in enumerate(answer["predictions"], 1)
    ]
    return [*lines, "frames " + " ".join(map(str, answer["frames"]))]


def _as_text(result: dict[str, Any], lines: list[str]) -> str:
    seconds = ", ".join(f"{step} {s:.2f} s" for step, s in result["seconds"].items())
    subject = result.get("file") or result.get("text") or " ".join(result["files"])
    return "\n".join([f"{subject} ({result['model']})", *lines, seconds])
