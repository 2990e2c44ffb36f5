"""`python -m tfzoo.beam`: an exported model over many files."""

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
        reading = _reading(args)
    except ImportError as error:
        if error.name != "apache_beam":
            raise
        reason = "Apache Beam is not installed: pip install 'tfzoo[beam]'"
    except (OSError, ValueError) as error:
        reason = str(error)
    else:
        _run(args, reading, runner_args)
        return 0
    show(f"tfzoo.beam: {reason}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tfzoo.beam",
        description="Run an exported model over files with Apache Beam. Each result is a line of "
        "JSON with the file's name; files that cannot be read or answered go to a file of their "
        "own, each with the reason.",
        epilog="Further options are those of Beam, e.g. --runner DirectRunner, --runner "
        "DataflowRunner --project P --region R, or --runner FlinkRunner --flink_master HOST:PORT.",
    )
    parser.add_argument("--input", required=True, metavar="GLOB", help="e.g. 'videos/*.mp4'")
    parser.add_argument(
        "--model",
        required=True,
        metavar="DIR",
        help="a version that tfzoo.export_serving wrote, for labels of videos or images, for "
        "detections, or for moments",
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
    videos = parser.add_argument_group("videos")
    videos.add_argument("--num-frames", type=int, metavar="T", help="default: the model's")
    videos.add_argument(
        "--sampling",
        choices=_SAMPLING,
        help="how frames are chosen; default: spread for moments, else uniform",
    )
    videos.add_argument("--frame-sample-rate", type=int, default=1, metavar="N")
    videos.add_argument(
        "--query", action="append", metavar="SENTENCE", help="what happens; may be repeated"
    )
    videos.add_argument(
        "--tokenizer", metavar="DIR_OR_REPO", help="the checkpoint whose tokenizer reads queries"
    )
    return parser


def _reading(args: argparse.Namespace) -> Any:
    """How files are read; what does not fit the model is refused."""
    import tensorflow as tf
    from apache_beam.io.filesystems import FileSystems

    from tfzoo.beam.reading import reading_for
    from tfzoo.export.saved_model import read_examples, read_signatures

    for name in ("batch_size", "shards", "num_frames", "frame_sample_rate"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 1, got {value}.")
    if not FileSystems.match([args.input])[0].metadata_list:
        raise ValueError(f"No file matches {args.input!r}.")
    if not tf.saved_model.contains_saved_model(args.model):
        raise ValueError(
            f"{args.model} is not a SavedModel: name the folder of a version, which holds "
            "saved_model.pb."
        )
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
        frame_sample_rate=args.frame_sample_rate,
        queries=args.query,
        tokenizer=tokenizer,
    )


def _run(args: argparse.Namespace, reading: Any, runner_args: Sequence[str]) -> None:
    import apache_beam as beam
    from apache_beam.io import fileio
    from apache_beam.options.pipeline_options import PipelineOptions

    from tfzoo.beam.pipeline import PredictFiles

    failures = args.failures or ".failed".join(os.path.splitext(args.output))
    with beam.Pipeline(options=PipelineOptions(list(runner_args))) as pipeline:
        results, failed = (
            pipeline
            | "Match" >> fileio.MatchFiles(args.input)
            | "Path" >> beam.Map(lambda found: found.path)
            | "Deal out" >> beam.Reshuffle()
            | "Predict" >> PredictFiles(args.model, reading, args.batch_size)
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
