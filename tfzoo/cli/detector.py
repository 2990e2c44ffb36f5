"""What `tfzoo predict` asks for the objects in a photo, whatever the family."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from tfzoo.cli import pictures
from tfzoo.cli.console import Progress, UsageError, hub_options

__all__ = ["THRESHOLD", "as_text", "find", "fits", "refuse_options"]

THRESHOLD = 0.1  # as the processors' own
_OPTIONS = {"threshold": "objects", "draw": "objects or moments"}  # and what is found with each


def fits(config: Any) -> bool:
    """Whether a checkpoint's family has detectors of what texts name."""
    from tfzoo.auto import TFAutoModelForZeroShotObjectDetection
    from tfzoo.core.config import ConfigError

    try:
        TFAutoModelForZeroShotObjectDetection.class_for(config)
    except ConfigError:
        return False
    return True


def refuse_options(args: argparse.Namespace, reason: str) -> None:
    """Refuse the options of detectors where there is none.

    Raises:
        UsageError: One was given.
    """
    for option, found in _OPTIONS.items():
        if getattr(args, option) is not None:
            raise UsageError(f"--{option} is for models that find {found}, {reason}.")


def find(args: argparse.Namespace, name: str, config: Any, progress: Progress) -> dict[str, Any]:
    """Find what the labels name in a photo, and draw it where wanted.

    Args:
        args: Of the command.
        name: The checkpoint.
        config: Its configuration.
        progress: Is told of the steps.

    Returns:
        `threshold`, `detections` (the best first) and, if there is one, `picture`.

    Raises:
        UsageError: Options or a file that a detector has no use for, or no labels.
        ConfigError: The checkpoint is of another part of the family.
        HubError: Files are missing.
        ValueError: The photo, the weights or the labels do not fit the model.
    """
    from PIL import Image

    from tfzoo.io import read_image

    _check_usage(args, name)
    processor, model = _load(name, config, hub_options(args))
    progress.next()
    photo = Image.fromarray(read_image(args.input))
    progress.next()
    threshold = THRESHOLD if args.threshold is None else args.threshold
    sentences = [(args.template or "{}").replace("{}", label) for label in args.labels]
    found = _detections(processor, model, sentences, photo, threshold, args.top_k)
    answer = {"threshold": threshold, "detections": _rows(found, args.labels)}
    if args.draw is not None:
        _draw(photo, found, args.labels, args.draw)
        answer["picture"] = str(args.draw)
    return answer


def _check_usage(args: argparse.Namespace, name: str) -> None:
    """Refuse what does not fit a detector before its weights are loaded.

    Raises:
        UsageError: See there.
    """
    if args.labels is None:
        raise UsageError(
            f"{name} finds what texts name and has no labels of its own: name some with --labels."
        )
    if args.num_frames is not None:
        raise UsageError(f"--num-frames is for videos, and {name} finds objects in a photo.")
    if not pictures.is_still(args.input):
        raise UsageError(
            f"{name} finds objects in a photo, and {args.input} is no still image: give it a "
            "JPEG, PNG or the like, e.g. one frame of a video."
        )


def _load(name: str, config: Any, where: dict[str, Any]) -> tuple[Any, Any]:
    """The checkpoint's processor and model."""
    from tfzoo.auto import AutoProcessor, TFAutoModelForZeroShotObjectDetection
    from tfzoo.cli.classifier import check_architecture

    wanted = TFAutoModelForZeroShotObjectDetection.class_for(config)
    check_architecture(name, config, wanted, "has no trained detector")
    return AutoProcessor.from_pretrained(name, **where), wanted.from_pretrained(name, **where)


def _check_lengths(texts: list[str], tokenizer: Any) -> None:
    """Refuse labels that are too long, by name.

    Raises:
        ValueError: One is.
    """
    with warnings.catch_warnings():  # which would not say of what
        warnings.filterwarnings("ignore", "A text has .* tokens, the model takes")
        lengths = map(len, tokenizer(texts)["input_ids"])
    for text, length in zip(texts, lengths, strict=True):
        if length > tokenizer.model_max_length:
            raise ValueError(
                f"{text!r} has {length} tokens, the model takes {tokenizer.model_max_length}: "
                "choose a shorter label or --template."
            )


def _detections(
    processor: Any, model: Any, texts: list[str], photo: Any, threshold: float, count: int | None
) -> dict[str, np.ndarray]:
    """The `count` best scores, labels and boxes, the best first; boxes clipped to the photo."""
    _check_lengths(texts, processor.tokenizer)
    inputs = processor(text=[texts], images=photo, return_tensors="np")
    # Called directly: for one photo, tracing a graph as `predict` does would cost more than it
    # wins.
    outputs = model(**inputs, training=False, return_dict=True)
    for values in (outputs.logits, outputs.pred_boxes):
        if not np.isfinite(np.asarray(values, "float32")).all():
            raise ValueError(
                "The model's outputs are not finite: its weights are damaged or overflow."
            )
    (found,) = processor.post_process_object_detection(
        outputs, threshold=threshold, target_sizes=[photo.size[::-1]], clip=True
    )
    x0, y0, x1, y1 = found["boxes"].T
    inside = (x0 < x1) & (y0 < y1)  # not wholly in what the photo was padded with
    order = np.argsort(-found["scores"], kind="stable")
    order = order[inside[order]][:count]
    return {field: found[field][order] for field in ("scores", "labels", "boxes")}


def _rows(found: dict[str, np.ndarray], labels: list[str]) -> list[dict[str, Any]]:
    return [
        {"label": labels[index], "score": score, "index": index, "box": box}
        for score, index, box in zip(
            *(found[field].tolist() for field in ("scores", "labels", "boxes")), strict=True
        )
    ]


def _draw(photo: Any, found: dict[str, np.ndarray], labels: list[str], target: Path) -> None:
    from tfzoo.viz import draw_detections

    pictures.write(draw_detections(photo, found, labels), target)


def as_text(answer: dict[str, Any]) -> list[str]:
    """Lines that show what `find` gave."""
    rows = answer["detections"]
    width = max((len(row["label"]) for row in rows), default=0)
    lines = [
        f"{rank:3d}  {100 * row['score']:6.2f} %  {row['label']:{width}}  "
        + " ".join(f"{value:7.1f}" for value in row["box"])
        for rank, row in enumerate(rows, 1)
    ]
    if not rows:
        lines = [f"nothing found that scores above {100 * answer['threshold']:g} %"]
    return lines + ([f"picture {answer['picture']}"] if "picture" in answer else [])
