"""`python -m tfzoo.beam`: a checkpoint or an exported model over many files."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from weights_convert.console import show

__all__ = ["main"]

_SAMPLING = ("uniform", "spread", "segment", "centre")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: Arguments; those of Beam's runners, such as `--runner`, are passed on.

    Returns:
        0, or 2 for wrong arguments.
    """
    parser = _parser()
    args, runner_args = parser.parse_known_args(argv)
    try:
        transform = _transform(args)
    except ImportError as error:
        if error.name != "apache_beam":
            raise
        reason = "Apache Beam is not installed: pip install 'tfzoo[beam]'"
    except (OSError, ValueError) as error:
        reason = str(error)
    else:
        _run(args, transform, runner_args)
        return 0
    show(f"tfzoo.beam: {reason}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tfzoo.beam",
        description="Run a checkpoint or an exported model over files with Apache Beam. Each "
        "result is a line of JSON with the file's name; files that cannot be read or answered go "
        "to a file of their own, each with the reason.",
        epilog="Further options are those of Beam, e.g. --runner DirectRunner, --runner "
        "DataflowRunner --project P --region R, or --runner FlinkRunner --flink_master HOST:PORT.",
    )
    parser.add_argument("--input", required=True, metavar="GLOB", help="e.g. 'videos/*.mp4'")
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help="a checkpoint as `tfzoo predict` takes it: folder, .keras file, repository or short "
        "name; or a version that tfzoo.export_serving wrote, for labels of videos or images, for "
        "detections, or for moments; default: the checkpoint that ships for --task",
    )
    parser.add_argument("--output", required=True, metavar="FILE", help="e.g. out.jsonl")
    parser.add_argument(
        "--failures", metavar="FILE", help="default: the output's name with .failed in it"
    )
    parser.add_argument(
        "--shards",
        type=int,
        default=1,
        metavar="N",
        help="files to write; more than one are numbered; default: 1",
    )
    parser.add_argument("--batch-size", type=int, default=8, metavar="N", help="default: 8")
    tasks = parser.add_argument_group("checkpoints")
    tasks.add_argument("--task", metavar="NAME", help="default: what the checkpoint is for")
    tasks.add_argument("--labels", nargs="+", action="extend", metavar="LABEL")
    tasks.add_argument("--template", metavar="TEXT", help="sentence around each label, with {}")
    tasks.add_argument("--question", metavar="TEXT")
    tasks.add_argument("--threshold", type=float, metavar="P")
    tasks.add_argument("--top-k", type=int, metavar="K")
    videos = parser.add_argument_group("videos")
    videos.add_argument("--num-frames", type=int, metavar="T", help="default: the model's")
    videos.add_argument(
        "--sampling",
        choices=_SAMPLING,
        help="how an exported model's frames are chosen; default: spread for moments, else "
        "uniform; a checkpoint says it itself",
    )
    videos.add_argument("--frame-sample-rate", type=int, metavar="N")
    videos.add_argument(
        "--query", action="append", metavar="SENTENCE", help="what happens; may be repeated"
    )
    videos.add_argument(
        "--tokenizer",
        metavar="DIR_OR_REPO",
        help="the checkpoint whose tokenizer reads queries for an exported model",
    )
    return parser


# Settings of tasks by their options; exported models take some of them.
_SETTINGS = {
    "labels": "candidate_labels",
    "template": "hypothesis_template",
    "question": "question",
    "threshold": "threshold",
    "top_k": "top_k",
    "query": "queries",
    "num_frames": "num_frames",
}
_EXPORTED = ("query", "num_frames", "sampling", "frame_sample_rate", "tokenizer")


def _transform(args: argparse.Namespace) -> Any:
    """What answers files; what does not fit the model is refused."""
    import tensorflow as tf
    from apache_beam.io.filesystems import FileSystems

    from tfzoo.beam.pipeline import AnswerFiles, PredictFiles

    for name in ("batch_size", "shards", "num_frames", "frame_sample_rate"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 1, got {value}.")
    if not FileSystems.match([args.input])[0].metadata_list:
        raise ValueError(f"No file matches {args.input!r}.")
    is_exported = args.model is not None and tf.saved_model.contains_saved_model(args.model)
    given = {n for n in (*_SETTINGS, *_EXPORTED, "task") if getattr(args, n) is not None}
    for name in sorted(given - set(_EXPORTED if is_exported else (*_SETTINGS, "task"))):
        kind = "checkpoints" if is_exported else "exported models"
        raise ValueError(f"--{name.replace('_', '-')} is for {kind}, see --help.")
    if is_exported:
        return PredictFiles(args.model, _reading(args), args.batch_size)
    settings = {_SETTINGS[name]: getattr(args, name) for name in given - {"task"}}
    _check_task(args, settings)
    return AnswerFiles(args.task, args.model, args.batch_size, **settings)


def _check_task(args: argparse.Namespace, settings: dict[str, Any]) -> None:
    """Refuse what would fail on every file."""
    from tfzoo.auto import AutoConfig
    from tfzoo.tasks import task_class, task_for
    from tfzoo.tasks.settings import checked

    if args.model is None and args.task is None:
        raise ValueError("Give --model, --task or both.")
    config = None if args.model is None else AutoConfig.from_pretrained(args.model)
    kind = task_for(config) if args.task is None else task_class(args.task)
    try:
        kind.check_names(settings)
    except TypeError as error:
        raise ValueError(str(error)) from None
    for name, value in settings.items():
        checked(name, value)
    if kind.needs and not set(kind.needs) & set(settings):
        raise ValueError(f"{kind.name} needs {' or '.join(kind.needs)}.")


def _reading(args: argparse.Namespace) -> Any:
    """How files are read for an exported model."""
    from tfzoo.beam.reading import reading_for
    from tfzoo.export.saved_model import read_examples, read_signatures

    example = read_examples(args.model)
    frames = next((e["frames"].shape[1] for e in example.values() if "frames" in e), None)
    if None not in (args.num_frames, frames) and args.num_frames != frames:
        raise ValueError(f"The model takes {frames} frames, --num-frames is {args.num_frames}.")
    tokenizer = None
    if args.tokenizer is not None:
        from tfzoo.auto import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(args.tokenizer)
    return reading_for(
        read_signatures(args.model),
        num_frames=args.num_frames or frames,
        sampling=args.sampling,
        frame_sample_rate=args.frame_sample_rate or 1,
        queries=args.query,
        tokenizer=tokenizer,
    )


def _run(args: argparse.Namespace, transform: Any, runner_args: Sequence[str]) -> None:
    import apache_beam as beam
    from apache_beam.io import fileio
    from apache_beam.options.pipeline_options import PipelineOptions

    failures = args.failures or ".failed".join(os.path.splitext(args.output))
    with beam.Pipeline(options=PipelineOptions(list(runner_args))) as pipeline:
        results, failed = (
            pipeline
            | "Match" >> fileio.MatchFiles(args.input)
            | "Path" >> beam.Map(lambda found: found.path)
            | "Deal out" >> beam.Reshuffle()
            | "Predict" >> transform
        )
        for name, rows, path in (("results", results, args.output), ("failed", failed, failures)):
            template = "" if args.shards == 1 else None
            _ = (
                rows
                | f"Format {name}" >> beam.Map(json.dumps, ensure_ascii=False)
                | f"Write {name}"
                >> beam.io.WriteToText(path, num_shards=args.shards, shard_name_template=template)
            )


if __name__ == "__main__":
    sys.exit(main())
