"""`tfzoo predict`: what is in this video?"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tfzoo.commands import classifier
from tfzoo.commands.console import UsageError, add_hub_options, hub_options, note, positive

__all__ = ["add_to", "run"]

# Pillow opens films too: in these formats, files of several pictures are animations.
_ANIMATED = {"GIF", "WEBP", "PNG", "AVIF"}


def add_to(subparsers: Any) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "predict",
        help="classify a video",
        description="Classify a video, an animation, a folder of frames or a still image.",
    )
    parser.add_argument("input", metavar="VIDEO_OR_IMAGE", type=Path)
    parser.add_argument(
        "--model",
        metavar="DIR_OR_REPO",
        help="checkpoint of a video classifier, or, with --labels, of a model of videos and "
        "texts; default: the classifier that ships with tfzoo",
    )
    parser.add_argument(
        "--labels",
        metavar="LABEL",
        nargs="+",
        action="extend",
        help="texts to choose from, for a model of videos and texts",
    )
    parser.add_argument(
        "--template",
        metavar="TEXT",
        help="sentence around each label, with {} in its place, e.g. 'a video of {}'",
    )
    parser.add_argument(
        "--top-k",
        metavar="K",
        type=positive,
        help="how many labels to show; default: 5, or all of --labels",
    )
    parser.add_argument(
        "--num-frames", metavar="T", type=positive, help="how many frames; default: the model's"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_hub_options(parser)
    parser.set_defaults(run=run)


@dataclass
class _Stopwatch:
    """Seconds spent in each step of the command."""

    seconds: dict[str, float] = field(default_factory=dict)
    last: float = field(default_factory=time.perf_counter)

    def lap(self, step: str) -> None:
        now = time.perf_counter()
        self.seconds[step] = round(now - self.last, 3)
        self.last = now


def run(args: argparse.Namespace) -> None:
    """Classify the file and print the most likely labels.

    Raises:
        UsageError: Options that do not go together, or do not fit the checkpoint.
        FileNotFoundError: There is no such file.
        HubError: There is no such checkpoint.
        ConfigError: The checkpoint is not one of a video classifier.
        ValueError: The file is neither a video nor an image, or is too short.
    """
    _check_usage(args)
    if not args.input.exists():
        raise FileNotFoundError(f"{args.input}: there is no such file.")
    name = args.model or _default_model()
    labels, scores, indices, seconds = _classify(args, name)
    count = args.top_k or (5 if args.labels is None else len(labels))
    result = {
        "file": str(args.input),
        "model": str(args.model or Path(name).name),
        **({} if args.template is None else {"template": args.template}),
        "frames": indices,
        "predictions": _best(scores, labels, count),
        "seconds": seconds,
    }
    print(json.dumps(result) if args.json else _as_text(result))


def _check_usage(args: argparse.Namespace) -> None:
    """Refuse what cannot end well before anything is loaded.

    Raises:
        UsageError: `--labels` without `--model`, `--template` without `--labels`, or invalid ones.
    """
    if args.labels is None and args.template is not None:
        raise UsageError("--template needs --labels: it is the sentence around each of them.")
    if args.labels is None:
        return
    if args.model is None:
        raise UsageError(
            "--labels needs --model: the classifier that ships with tfzoo has labels of its own."
        )
    classifier.check_labels(args.labels, args.template)


def _default_model() -> str:
    from tfzoo.assets import default_checkpoint

    return str(default_checkpoint())


def _classify(
    args: argparse.Namespace, name: str
) -> tuple[Mapping[int, str], np.ndarray, list[int], dict[str, float]]:
    """Labels, their scores, the places of the frames, and the seconds that each step took."""
    from tqdm import tqdm

    watch = _Stopwatch()
    # disable=None: silent where stderr is no terminal.
    with tqdm(total=3, desc="loading", unit="step", disable=None, leave=False) as bar:
        model = classifier.load(name, args.labels, args.template, hub_options(args))
        watch.lap("loading")
        bar.update()
        bar.set_description("reading")
        choice = {"num_frames": args.num_frames or model.num_frames, **model.sampling}
        frames, indices = _read(
            args.input, choice, lambda done, all_: bar.set_postfix_str(f"frame {done}/{all_}")
        )
        watch.lap("reading")
        bar.update()
        bar.set_postfix_str("")
        bar.set_description("predicting")
        scores = model.scores(frames)
        watch.lap("prediction")
    return model.labels, scores, indices, watch.seconds


def _read(
    path: Path, choice: dict[str, Any], progress: Callable[[int, int], None]
) -> tuple[np.ndarray, list[int]]:
    """Frames (T, height, width, C) of whatever `path` is, and their places in it."""
    from tfzoo.io import choose_indices, read_frames, read_image, read_video

    if path.is_dir():
        frames = read_frames(path)
        indices = choose_indices(len(frames), **choice)
        return frames[indices], indices.tolist()
    if _is_still(path):
        image = read_image(path)
        count = choice["num_frames"]
        note(f"{path} is a still image: taken as a clip of {count} equal frames.")
        return np.repeat(image[None], count, axis=0), [0] * count
    clip = read_video(path, **choice, progress=progress)
    return clip.frames, clip.indices.tolist()


def _is_still(path: Path) -> bool:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return not (image.format in _ANIMATED and getattr(image, "is_animated", False))
    except UnidentifiedImageError:
        return False


def _best(scores: np.ndarray, labels: Mapping[int, str], count: int) -> list[dict[str, Any]]:
    order = np.argsort(-scores, kind="stable")[:count].tolist()
    return [{"label": labels[i], "score": float(scores[i]), "index": i} for i in order]


def _as_text(result: dict[str, Any]) -> str:
    lines = [f"{result['file']} ({result['model']})"]
    lines += [
        f"{rank:3d}  {100 * row['score']:6.2f} %  {row['label']}"
        for rank, row in enumerate(result["predictions"], 1)
    ]
    lines.append("frames " + " ".join(map(str, result["frames"])))
    lines.append(", ".join(f"{step} {s:.2f} s" for step, s in result["seconds"].items()))
    return "\n".join(lines)
