"""What `tfzoo predict` asks for the moments of a video, whatever the family."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfzoo.cli import pictures
from tfzoo.cli.console import Progress, UsageError, hub_options

__all__ = ["as_text", "check_queries", "find", "fits", "refuse_options"]

# Options of the other models, as argparse names them.
_FOREIGN = ("labels", "template", "threshold", "top_k")


def fits(config: Any) -> bool:
    """Whether a checkpoint's family finds when what a sentence says happens."""
    from tfzoo.auto import TFAutoModelForVideoGrounding
    from tfzoo.core.config import ConfigError

    try:
        TFAutoModelForVideoGrounding.class_for(config)
    except ConfigError:
        return False
    return True


def check_queries(queries: Sequence[str] | None) -> None:
    """Refuse sentences that cannot be meant.

    Raises:
        UsageError: One is empty or given twice.
    """
    for number, query in enumerate(queries or ()):
        if not query.strip():
            raise UsageError(f"--query: query {number + 1} is empty.")
        if query in queries[:number]:
            raise UsageError(f"--query: {query!r} is given twice.")


def refuse_options(args: argparse.Namespace, reason: str) -> None:
    """Refuse sentences where nothing looks for them.

    Raises:
        UsageError: One was given.
    """
    if args.query is not None:
        raise UsageError(f"--query is for models that find moments in videos, {reason}.")


def find(args: argparse.Namespace, name: str, config: Any, progress: Progress) -> dict[str, Any]:
    """Find when in a video what each query says happens, and draw it where wanted.

    The video is encoded once, for all queries.

    Args:
        args: Of the command.
        name: The checkpoint.
        config: Its configuration.
        progress: Is told of the steps.

    Returns:
        `duration` in seconds, `frames` (places of those that were looked at), `moments` (query,
        start and end in seconds) and, if there is one, `picture`.

    Raises:
        UsageError: Options or a file that the model has no use for, or no query.
        ConfigError: The checkpoint is of another part of the family.
        HubError: Files are missing.
        ValueError: The video, the weights or the queries do not fit the model.
    """
    from tfzoo.io import read_video

    _check_usage(args, name)
    processor, model = _load(name, config, hub_options(args))
    texts = processor(
        text=args.query,
        max_text_length=_longest(config, processor),
        padding=True,
        return_tensors="np",
    )
    progress.next()
    clip = read_video(
        args.input,
        # Prompts of one frame are those of all frames, and a moment needs two.
        num_frames=args.num_frames or max(config.num_frames, 2),
        sampling="spread",
        progress=lambda done, all_: progress.detail(f"frame {done}/{all_}"),
    )
    if clip.duration <= 0:
        raise ValueError(f"{args.input}: the file does not say how long the video is.")
    progress.next()
    spans = _spans(processor, model, clip, texts)
    answer = {
        "duration": clip.duration,
        "frames": clip.indices.tolist(),
        "moments": [
            {"query": query, "start": start, "end": end}
            for query, (start, end) in zip(args.query, spans, strict=True)
        ],
    }
    if args.draw is not None:
        _draw(args, clip, spans)
        answer["picture"] = str(args.draw)
    return answer


def _check_usage(args: argparse.Namespace, name: str) -> None:
    """Refuse what does not fit before any weights are loaded.

    Raises:
        UsageError: See there.
    """
    for option in _FOREIGN:
        if getattr(args, option) is not None:
            raise UsageError(
                f"--{option.replace('_', '-')} does not go with {name}, which finds when what "
                "--query says happens."
            )
    if args.query is None:
        raise UsageError(
            f"{name} finds when in a video something happens: say what with --query, e.g. "
            "--query 'a person is sitting on a bed'."
        )
    if args.input.is_dir():
        raise UsageError(
            f"{name} finds seconds of a video, and {args.input} is a folder, whose frames have no "
            "times: give it the video."
        )
    if pictures.is_still(args.input):
        raise UsageError(
            f"{name} finds moments of a video, and {args.input} is a still image: give it a video."
        )


def _load(name: str, config: Any, where: dict[str, Any]) -> tuple[Any, Any]:
    """The checkpoint's processor and model."""
    from tfzoo.auto import AutoProcessor, TFAutoModelForVideoGrounding
    from tfzoo.cli.classifier import check_architecture

    wanted = TFAutoModelForVideoGrounding.class_for(config)
    check_architecture(name, config, wanted, "has no trained head for moments")
    return AutoProcessor.from_pretrained(name, **where), wanted.from_pretrained(name, **where)


def _longest(config: Any, processor: Any) -> int:
    """How many tokens a query may have."""
    limits = [processor.tokenizer.model_max_length, config.max_position_embeddings]
    own = getattr(config, "max_text_length", None)  # in the published files, for the processor
    return min(limits if own is None else [*limits, own])


def _spans(processor: Any, model: Any, clip: Any, texts: Any) -> list[tuple[float, float]]:
    """Start and end of each query in seconds."""
    pixels = processor(videos=clip.frames, return_tensors="np")
    # Called directly: for one video, tracing a graph as `predict` does would cost more than it
    # wins.
    logits = model.ground(texts, model.encode_video(pixels)).logits
    logits = np.asarray(logits, "float32")
    if not np.isfinite(logits).all():
        raise ValueError("The model's outputs are not finite: its weights are damaged or overflow.")
    return processor.post_process_batch(logits, clip.duration)


def _draw(args: argparse.Namespace, clip: Any, spans: list[tuple[float, float]]) -> None:
    from tfzoo.viz import draw_timeline

    times = clip.indices * (clip.duration / clip.total_frames)
    picture = draw_timeline(clip.frames, spans, clip.duration, args.query, times=times)
    pictures.write(picture, args.draw)


def as_text(answer: dict[str, Any]) -> list[str]:
    """Lines that show what `find` gave."""
    lines = [
        f"{number:3d}  {row['start']:7.1f} s to {row['end']:7.1f} s  {row['query']}"
        for number, row in enumerate(answer["moments"], 1)
    ]
    lines.append(f"of {answer['duration']:.1f} s, frames " + " ".join(map(str, answer["frames"])))
    return lines + ([f"picture {answer['picture']}"] if "picture" in answer else [])
