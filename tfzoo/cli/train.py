"""`tfzoo train`: a checkpoint that has learnt from your files."""

from __future__ import annotations

import argparse
import math
from itertools import chain
from pathlib import Path
from typing import Any

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
from tfzoo.cli.convert import check_target, is_empty
from tfzoo.core.replacing import replacing

__all__ = ["add_data_arguments", "add_to", "figures_text", "make_task", "run"]

_DATA = """DATA is, for each family:
  TimeSformer, X-CLIP    a folder with a folder of videos for each label
  OWLv2, OWL-ViT         COCO's JSON, and the folder of its images
  TVP                    Charades-STA's lines, and the folder of the videos
  LXMERT                 LXMERT's JSON of questions, and the TSV file of region features"""


def add_to(subparsers: Any) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "train",
        help="fine-tune a checkpoint on your videos, boxes, moments or questions",
        description="Fine-tune a checkpoint; DIR gets model, processor and the names of the "
        f"labels, for `tfzoo predict` and PyTorch.\n\n{_DATA}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_data_arguments(parser)
    parser.add_argument(
        "--out", metavar="DIR", type=Path, required=True, help="folder of the new checkpoint"
    )
    parser.add_argument(
        "--val", metavar="PATH", type=_path, nargs="+", help="examples to validate with, as DATA"
    )
    parser.add_argument(
        "--val-split",
        metavar="P",
        type=probability,
        help="share of each label's videos to validate with, instead of --val",
    )
    parser.add_argument("--epochs", metavar="N", type=positive, default=5, help="default: 5")
    parser.add_argument(
        "--learning-rate", metavar="RATE", type=_rate, default=1e-5, help="default: 1e-5"
    )
    parser.add_argument(
        "--freeze",
        metavar="PART",
        help="leave this part of the model as it is: a name such as OWLv2's and TVP's 'backbone', "
        "or layers whose path matches a regular expression, e.g. '^text_'",
    )
    parser.add_argument(
        "--lora",
        metavar="RANK",
        type=positive,
        help="train low-rank adapters of the attentions, and the head; they are merged at the end",
    )
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="default: 0")
    parser.add_argument("--force", action="store_true", help="replace DIR if it exists")
    parser.set_defaults(run=run)


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `train` and `val` have in common."""
    parser.add_argument("data", metavar="DATA", type=_path, nargs="+", help="see above")
    parser.add_argument(
        "--model", metavar="DIR_OR_REPO", required=True, help="checkpoint, with its processor"
    )
    parser.add_argument("--batch-size", metavar="B", type=positive, default=8, help="default: 8")
    parser.add_argument(
        "--template",
        metavar="TEXT",
        default="{}",
        help="sentence around each name, with {} in its place, e.g. 'a photo of a {}'; for models "
        "that read texts",
    )
    parser.add_argument(
        "--on-error",
        choices=("raise", "skip"),
        default="raise",
        help="what to do about broken files and questions without a known answer; default: raise",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_hub_options(parser)


def run(args: argparse.Namespace) -> None:
    """Train the checkpoint; DIR is written whole or not at all.

    Raises:
        UsageError: Options that do not go together, or do not fit the checkpoint.
        FileExistsError: DIR holds something, and there is no --force.
        HubError: No such checkpoint.
        ConfigError: The checkpoint's family has no reader of training files.
        DataError: The files hold something else.
    """
    _check_usage(args)
    with Progress(load="loading", train="training", write="writing") as progress:
        task = make_task(args, seed=args.seed, sets=[args.data, args.val])
        import keras

        keras.utils.set_random_seed(args.seed)
        has_new_labels = task.choose_labels(args.data)
        training, validation = _sets(task, args)
        model = task.load(has_new_labels)
        if args.freeze is not None:
            model.freeze(args.freeze)
        if args.lora is not None:
            model.enable_lora(args.lora, train=task.head)
        trained = sum(math.prod(weight.shape) for weight in model.trainable_weights)
        progress.next()
        figures = _fit(task, model, training, validation, args)
        progress.next()
        if args.lora is not None:
            model.merge_lora()
        with replacing(args.out, force=args.force or is_empty(args.out)) as folder:
            model.save_pretrained(folder)
            task.processor.save_pretrained(folder)
    answer = {
        "out": str(args.out),
        "model": args.model,
        "class": type(model).__name__,
        "labels": model.config.num_labels,
        "parameters": model.count_params(),
        "trained": trained,
        "epochs": args.epochs,
        "metrics": figures,
        "seconds": progress.seconds,
    }
    if args.json:
        show_json(answer)
        return
    show(
        f"{args.out}: {answer['class']}, {trained:,} of {answer['parameters']:,} parameters "
        f"trained in {args.epochs} epochs",
        figures_text(figures),
    )


def make_task(args: argparse.Namespace, sets: list[Any], **reading: Any) -> Any:
    """The checkpoint's task, once it is seen that the paths of all sets can be its data."""
    from tfzoo.auto import AutoConfig

    for path in chain.from_iterable(filter(None, sets)):
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file or folder.")
    check_setting("--template", "hypothesis_template", args.template)
    options = hub_options(args)
    config = AutoConfig.from_pretrained(args.model, **options.keywords())
    start_keras()
    from tfzoo.tasks.trainable import trainable_for

    kind = trainable_for(config)
    for paths in filter(None, sets):
        if len(paths) != len(kind.data):
            raise UsageError(
                f"{args.model} learns from {' and '.join(kind.data)}: give "
                f"{'a path' if len(kind.data) == 1 else f'{len(kind.data)} paths'}, got "
                f"{len(paths)}."
            )
    reading = {"batch_size": args.batch_size, "on_error": args.on_error, **reading}
    return kind(args.model, config, options, args.template, **reading)


def figures_text(figures: dict[str, float]) -> str:
    """Figures in a line of text."""
    return ", ".join(f"{name} {value:.4f}" for name, value in figures.items())


def _check_usage(args: argparse.Namespace) -> None:
    """Refuse what cannot end well before anything is loaded."""
    if args.val and args.val_split is not None:
        raise UsageError("Give --val or --val-split, not both.")
    if args.freeze is not None and args.lora is not None:
        raise UsageError("Give --freeze or --lora, not both: LoRA freezes all other weights.")
    check_target(args.out, "pytorch", args.model)
    if args.out.exists() and not (args.force or is_empty(args.out)):
        raise FileExistsError(
            f"{args.out} exists: choose another name, or replace it with --force."
        )
    for path in (*args.data, *(args.val or ())):
        if args.out.resolve() in (path.resolve(), *path.resolve().parents):
            raise FileExistsError(f"{args.out} holds {path}; it is not replaced.")


def _sets(task: Any, args: argparse.Namespace) -> tuple[Any, Any]:
    if args.val_split is not None:
        if not hasattr(task, "split"):
            raise UsageError(
                "--val-split is for folders of videos: give the examples to validate with as --val."
            )
        return task.split(args.data, args.val_split)
    validation = task.read(args.val, False) if args.val else None
    return task.read(args.data, True), validation


def _fit(
    task: Any, model: Any, training: Any, validation: Any, args: argparse.Namespace
) -> dict[str, float]:
    """Train the model, a line on stderr for each epoch; the figures of the last one."""
    import keras

    def tell(epoch: int, logs: dict[str, float]) -> None:
        note(f"epoch {epoch + 1}/{args.epochs}: {figures_text(logs)}")

    task.compile(model, keras.optimizers.AdamW(args.learning_rate, global_clipnorm=1.0))
    history = model.fit(
        training,
        validation_data=validation,
        epochs=args.epochs,
        shuffle=False,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=tell)],
    ).history
    figures = {name: float(values[-1]) for name, values in history.items()}
    if validation is not None:
        more = task.measure(model, validation)
        figures.update({f"val_{name}": value for name, value in more.items()})
    return figures


def _path(text: str) -> Path:
    return Path(text).expanduser()


def _rate(text: str) -> float:
    """The type of an argument that must be a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value
