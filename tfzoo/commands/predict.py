"""`tfzoo predict`: what is in this video?"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tfzoo.commands.console import add_hub_options, hub_options, note, positive, start_keras

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
        help="checkpoint of a video classifier; default: the one that ships with tfzoo",
    )
    parser.add_argument(
        "--top-k", metavar="K", type=positive, default=5, help="how many labels (default 5)"
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
        FileNotFoundError: There is no such file.
        HubError: There is no such checkpoint.
        ConfigError: The checkpoint is not one of a video classifier.
        ValueError: The file is neither a video nor an image, or is too short.
    """
    from tqdm import tqdm

    if not args.input.exists():
        raise FileNotFoundError(f"{args.input}: there is no such file.")
    name = args.model or _default_model()
    watch = _Stopwatch()
    # disable=None: silent where stderr is no terminal.
    with tqdm(total=3, desc="loading", unit="step", disable=None, leave=False) as bar:
        model, processor = _load(name, hub_options(args))
        watch.lap("loading")
        bar.update()
        bar.set_description("reading")
        choice = _choice_of_frames(model.config, args.num_frames)
        frames, indices = _read(
            args.input, choice, lambda done, all_: bar.set_postfix_str(f"frame {done}/{all_}")
        )
        watch.lap("reading")
        bar.update()
        bar.set_postfix_str("")
        bar.set_description("predicting")
        scores = _scores(model, processor, frames)
        watch.lap("prediction")
    result = {
        "file": str(args.input),
        "model": str(args.model or Path(name).name),
        "frames": indices,
        "predictions": _best(scores, model.config.id2label, args.top_k),
        "seconds": watch.seconds,
    }
    print(json.dumps(result) if args.json else _as_text(result))


def _default_model() -> str:
    from tfzoo.assets import default_checkpoint

    return str(default_checkpoint())


def _load(name: str, where: dict[str, Any]) -> tuple[Any, Any]:
    """The classifier and its processor."""
    from tfzoo.auto import (
        AutoConfig,
        AutoImageProcessor,
        TFAutoModelForVideoClassification,
        model_class_for,
    )
    from tfzoo.config import ConfigError

    config = AutoConfig.from_pretrained(name, **where)
    processor = AutoImageProcessor.from_pretrained(name, **where)
    start_keras()
    wanted = TFAutoModelForVideoClassification.class_for(config)
    if config.architectures and model_class_for(config) is not wanted:
        raise ConfigError(
            f"{name} is a {config.architectures[0]}, which has no trained classifier of videos; "
            f"expected a {wanted.__name__.removeprefix('TF')}."
        )
    return wanted.from_pretrained(name, **where), processor


def _choice_of_frames(config: Any, num_frames: int | None) -> dict[str, Any]:
    """How a video is sampled: spread over it, unless the checkpoint's config says otherwise."""
    return {
        "num_frames": num_frames or config.num_frames,
        "sampling": getattr(config, "sampling", "uniform"),
        "frame_sample_rate": getattr(config, "frame_sample_rate", 1),
    }


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


def _scores(model: Any, processor: Any, frames: np.ndarray) -> np.ndarray:
    """Probability of each label, (number of labels,)."""
    import keras

    inputs = processor(list(frames), return_tensors="np")
    # Called directly: for one clip, tracing a graph as `predict` does would cost more than it wins.
    outputs = model(pixel_values=inputs["pixel_values"], training=False, return_dict=True)
    logits = keras.ops.convert_to_numpy(keras.ops.cast(outputs.logits[0], "float32"))
    logits = logits.astype("float64")
    if not np.isfinite(logits).all():
        raise ValueError("The model's logits are not finite: its weights are damaged or overflow.")
    if model.config.problem_type == "multi_label_classification":
        return 1 / (1 + np.exp(-logits))
    odds = np.exp(logits - logits.max())
    return odds / odds.sum()


def _best(scores: np.ndarray, labels: dict[int, str], count: int) -> list[dict[str, Any]]:
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
