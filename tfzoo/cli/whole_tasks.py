"""What `tfzoo predict` asks of checkpoints whose family has one function for their whole task.

Such are masked texts, photos to classify, and the motion between two frames. The checkpoint's
`architectures` tell which.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfzoo.cli import pictures
from tfzoo.cli.console import Progress, UsageError, hub_options

__all__ = ["answer", "as_text", "task_of"]

# A part of the architecture's name, and the family's function for it.
_TASKS = {
    "ForMaskedLM": "fill_mask",
    "ForImageClassification": "classify_image",
    "ForOpticalFlow": "compute_flow",
}
_WANTED = {
    "fill_mask": "fills in masked texts: give one with --text, and no file",
    "classify_image": "classifies photos: give it one JPEG, PNG or the like",
    "compute_flow": "sees the motion between two frames: give it two JPEGs, PNGs or the like",
}
_USED = {
    "fill_mask": {"text", "top_k"},
    "classify_image": {"inputs", "top_k"},
    "compute_flow": {"inputs", "draw"},
}
_OPTIONS = ("text", "labels", "template", "top_k", "num_frames", "threshold", "draw")


def task_of(config: Any) -> str | None:
    """The function for a checkpoint's task, None if its family has none."""
    from tfzoo.registry import family_of

    name = (config.architectures or [""])[0]
    task = next((task for part, task in _TASKS.items() if part in name), None)
    return task if task in family_of(config.model_type).classes else None


def answer(
    task: str, args: argparse.Namespace, name: str, config: Any, progress: Progress
) -> dict[str, Any]:
    """What the checkpoint says of the text or the pictures.

    Args:
        task: Of `task_of`.
        args: Of the command.
        name: The checkpoint.
        config: Its configuration.
        progress: Is told of the steps.

    Returns:
        `filled` and `candidates`, or `predictions`, or the sizes of the motion and the `picture`.

    Raises:
        UsageError: Options or files that the task has no use for, or too few.
        HubError: Files are missing.
        ValueError: The text, the pictures or the weights do not fit the model.
    """
    from tfzoo.auto import model_class_for
    from tfzoo.registry import family_of

    _check_usage(task, args, name)
    where = hub_options(args)
    model = model_class_for(config).from_pretrained(name, **where)
    function = family_of(config.model_type).load(task)
    return _PERFORM[task](function, model, args, name, where, progress)


def _check_usage(task: str, args: argparse.Namespace, name: str) -> None:
    """Refuse what does not fit the task before the weights are loaded.

    Raises:
        UsageError: See there.
    """
    for option in _OPTIONS:
        if getattr(args, option) is not None and option not in _USED[task]:
            raise UsageError(
                f"--{option.replace('_', '-')} is of no use here: {name} {_WANTED[task]}."
            )
    count = {"fill_mask": 0, "classify_image": 1, "compute_flow": 2}[task]
    lacks_text = task == "fill_mask" and args.text is None
    if len(args.inputs) != count or lacks_text or not all(map(pictures.is_still, args.inputs)):
        raise UsageError(f"{name} {_WANTED[task]}.")


def _fill(
    function: Any, model: Any, args: Any, name: str, where: Mapping[str, Any], progress: Progress
) -> dict[str, Any]:
    from tfzoo.auto import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(name, **where)
    progress.next()
    progress.next()
    filled = function(model, tokenizer, args.text, top_k=args.top_k or 5)
    rows = [[{"token": t, "score": score} for t, score in best] for best in filled.candidates]
    return {"filled": filled.text, "candidates": rows}


def _classify(
    function: Any, model: Any, args: Any, name: str, where: Mapping[str, Any], progress: Progress
) -> dict[str, Any]:
    from tfzoo.auto import AutoImageProcessor
    from tfzoo.io import read_image

    processor = AutoImageProcessor.from_pretrained(name, **where)
    progress.next()
    photo = read_image(args.inputs[0])
    progress.next()
    ranking = function(model, photo, processor, top_k=args.top_k or 5)
    return {"predictions": [{"label": label, "score": score} for label, score in ranking]}


def _flow(
    function: Any, model: Any, args: Any, name: str, where: Mapping[str, Any], progress: Progress
) -> dict[str, Any]:
    from tfzoo.io import read_image

    progress.next()
    frames = [read_image(path) for path in args.inputs]
    progress.next()
    flow = function(model, *frames, progress=False)
    length = np.hypot(flow[..., 0], flow[..., 1])
    found = {
        "size": list(flow.shape[:2]),
        "mean_flow": flow.mean((0, 1), dtype="float64").tolist(),
        "mean_length": float(length.mean(dtype="float64")),
        "longest": float(length.max()),
    }
    if args.draw is not None:
        from tfzoo.viz import flow_to_image

        pictures.write(flow_to_image(flow), args.draw)
        found["picture"] = str(args.draw)
    return found


_PERFORM = {"fill_mask": _fill, "classify_image": _classify, "compute_flow": _flow}


def as_text(found: Mapping[str, Any]) -> list[str]:
    """Lines that show what `answer` gave."""
    if "filled" in found:
        places = [
            f"[MASK] {number}: "
            + "  ".join(f"{row['token']!r} {100 * row['score']:.1f} %" for row in best)
            for number, best in enumerate(found["candidates"], 1)
        ]
        return [found["filled"], *places]
    if "predictions" in found:
        return [
            f"{rank:3d}  {100 * row['score']:6.2f} %  {row['label']}"
            for rank, row in enumerate(found["predictions"], 1)
        ]
    right, down = found["mean_flow"]
    lines = [
        f"motion of {found['size'][1]} x {found['size'][0]} pixels: on average "
        f"{found['mean_length']:.2f} pixels, at most {found['longest']:.2f}",
        f"mean {right:.2f} to the right, {down:.2f} downwards",
    ]
    return lines + ([f"picture {found['picture']}"] if "picture" in found else [])
