"""`tfzoo val`: how good a checkpoint is on your files."""

from __future__ import annotations

import argparse
from typing import Any

from tfzoo.cli.console import Progress, show, show_json
from tfzoo.cli.train import add_data_arguments, figures_text, make_task

__all__ = ["add_to", "run"]


def add_to(subparsers: Any) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "val",
        help="measure a checkpoint on your videos, boxes, moments or questions",
        description="Measure a checkpoint: accuracy of videos and questions, average precision of "
        "boxes, R@1 and mean IoU of moments. DATA is as for `tfzoo train`.",
    )
    add_data_arguments(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Print the task's metrics.

    Raises:
        UsageError: Paths or options that do not fit the checkpoint.
        HubError: No such checkpoint.
        ConfigError: The checkpoint's family has no reader of such files.
        DataError: The files hold something else, or labels that the model does not know.
    """
    with Progress(load="loading", measure="measuring") as progress:
        task = make_task(args, sets=[args.data])
        dataset = task.read(args.data, False)
        model = task.load()
        task.compile(model)
        progress.next()
        figures = task.evaluate(model, dataset)
    answer = {
        "model": args.model,
        "data": [str(path) for path in args.data],
        "class": type(model).__name__,
        "metrics": figures,
        "seconds": progress.seconds,
    }
    if args.json:
        show_json(answer)
        return
    show(f"{' '.join(answer['data'])} ({args.model})", figures_text(figures))
