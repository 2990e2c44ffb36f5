"""Fine-tunes X-CLIP on your own videos and labels.

    python -m recipes.xclip_finetune --model microsoft/xclip-base-patch32 --videos FOLDER --out DIR

Cost, with base-patch32: 7 seconds for a step of 8 pairs on two shared CPU cores, a minute and a
half for the first, 8 GB of memory, whatever the number of videos.
Result: prints the accuracy on held-out videos before and after. Synthetic clips of three colours go
from 0.33 to 1.00 in 12 epochs even from tiny random weights (tests/recipes); the gain on real
videos depends on them.

FOLDER holds a folder of videos for each label, at least two of each; its name, with spaces for
`_`, is the label:

    FOLDER/eating_spaghetti/1.mp4
    FOLDER/eating_spaghetti/2.mp4
    FOLDER/playing_sports/a.webm
    ...

Every fifth video of a label is held out, starting with the first. The others make pairs with the
text of their label, and the contrastive loss of a batch is small where each video finds its text
and each text its video. So a batch holds each label at most once: two equal texts would count as
wrong for each other. All labels appear equally often, however many videos they have; an epoch reads
about as many videos as there are to train on.

The text tower is frozen (`--no-freeze-text` also trains it), as in the paper: the texts keep their
places, and the videos learn to find them. DIR gets all files of a checkpoint,
for PyTorch and for

    tfzoo predict VIDEO --model DIR --labels "eating spaghetti" "playing sports"
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfzoo import TFXCLIPModel, XCLIPProcessor
from tfzoo.cli.console import positive
from tfzoo.core.replacing import replacing

__all__ = ["Reader", "accuracy", "find_videos", "freeze_text", "main", "pairs", "split", "train"]

Videos = Mapping[str, Sequence[Path]]  # of each label
HELD_OUT = 5  # every fifth video


def find_videos(folder: Path) -> dict[str, list[Path]]:
    """The videos of each label, both in alphabetical order; hidden files do not count.

    Raises:
        ValueError: Anything but two or more folders that hold two or more files each.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; expected a folder of videos for each label.")
    videos: dict[str, list[Path]] = {}
    for path in _visible(folder):
        label = " ".join(path.name.replace("_", " ").split())
        if not path.is_dir():
            raise ValueError(f"{path} is not a folder; expected a folder of videos for each label.")
        if label in videos or not label:
            raise ValueError(f"{path}: its label {label!r} is empty or also another folder's.")
        videos[label] = _files(path)
    if len(videos) < 2:
        raise ValueError(f"{folder} holds {len(videos)} folders; expected two labels or more.")
    return videos


def _files(folder: Path) -> list[Path]:
    """The videos of one label."""
    paths = _visible(folder)
    if inner := [path for path in paths if path.is_dir()]:
        raise ValueError(f"{inner[0]} is a folder; expected the videos of one label.")
    if len(paths) < 2:
        raise ValueError(
            f"{folder} holds {len(paths)} videos; expected at least two, one to train on and one "
            "to test with."
        )
    return paths


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def split(videos: Videos) -> tuple[dict[str, list[Path]], dict[str, list[Path]]]:
    """Videos to train on, and those held out."""
    held_out = {label: list(paths[::HELD_OUT]) for label, paths in videos.items()}
    rest = {
        label: [path for place, path in enumerate(paths) if place % HELD_OUT]
        for label, paths in videos.items()
    }
    return rest, held_out


@dataclass(frozen=True)
class Reader:
    """Reads files and labels as the model's inputs.

    Attributes:
        processor: The checkpoint's own.
        num_frames: T, taken evenly from each video.
        template: Sentence with `{}` where the label goes.
    """

    processor: XCLIPProcessor
    num_frames: int
    template: str = "{}"

    def pixels(self, path: Path) -> np.ndarray:
        """(1, T, C, height, width) of a video."""
        inputs = self.processor(videos=path, num_frames=self.num_frames, return_tensors="np")
        return inputs["pixel_values"]

    def texts(self, labels: Sequence[str]) -> dict[str, np.ndarray]:
        """`input_ids` and `attention_mask` of the sentences, (Q, N) each."""
        sentences = [self.template.replace("{}", label) for label in labels]
        return dict(self.processor(text=sentences, padding=True, return_tensors="np"))


def pairs(
    videos: Videos, reader: Reader, size: int, seed: int
) -> Iterator[tuple[dict[str, np.ndarray]]]:
    """Endless batches of `size` different labels, each with the next of its videos.

    Only one batch is held at a time. A label's videos come in a new order in each round.
    """
    rng, labels = np.random.default_rng(seed), list(videos)
    texts = reader.texts(labels)
    queues = {label: _endless(paths, rng) for label, paths in videos.items()}
    while True:
        chosen = rng.permutation(len(labels))[:size]
        pixels = [reader.pixels(next(queues[labels[i]])) for i in chosen]
        inputs = {name: values[chosen] for name, values in texts.items()}
        yield ({**inputs, "pixel_values": np.concatenate(pixels)},)


def _endless(paths: Sequence[Path], rng: np.random.Generator) -> Iterator[Path]:
    while True:
        yield from (paths[i] for i in rng.permutation(len(paths)))


def freeze_text(model: TFXCLIPModel) -> None:
    """Freeze the text tower and its projection; call it before `compile`."""
    model.text_model.trainable = False
    model.text_projection.trainable = False


def train(model: TFXCLIPModel, videos: Videos, reader: Reader, args: argparse.Namespace) -> Any:
    """Fit the model with AdamW, a short warm-up and a cosine decay; returns Keras's history."""
    size = min(args.batch, len(videos))
    steps = max(1, round(sum(map(len, videos.values())) / size))
    warmup = steps * args.epochs // 10
    rate = keras.optimizers.schedules.CosineDecay(
        args.learning_rate / 100 if warmup else args.learning_rate,
        steps * args.epochs - warmup,
        alpha=0.01,
        warmup_target=args.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=1e-3, global_clipnorm=1.0)
    optimizer.exclude_from_weight_decay([w for w in model.weights if len(w.shape) < 2])
    model.compile(optimizer)  # without a loss: the model's own, of pairs
    batches = pairs(videos, reader, size, args.seed)
    return model.fit(batches, steps_per_epoch=steps, epochs=args.epochs, shuffle=False, verbose=2)


def accuracy(model: TFXCLIPModel, videos: Videos, reader: Reader) -> float:
    """Share of the videos whose own label ranks first; one video is held at a time."""
    classifier = model.zero_shot_classifier(list(videos), reader.template, reader.processor)
    best = [
        (label, classifier.rank(reader.pixels(path), top_k=1)[0][0][0])
        for label, paths in videos.items()
        for path in paths
    ]
    return float(np.mean([label == found for label, found in best]))


def main(argv: Sequence[str] | None = None) -> None:
    args = _arguments(argv)
    training, held_out = split(args.videos)
    keras.utils.set_random_seed(args.seed)
    started = time.monotonic()
    model = TFXCLIPModel.from_pretrained(args.model)
    processor = XCLIPProcessor.from_pretrained(args.model)
    reader = Reader(processor, model.config.vision_config.num_frames, args.template)
    if args.freeze_text:
        freeze_text(model)
    before = accuracy(model, held_out, reader)
    print(f"{len(held_out)} labels; accuracy {before:.4f} on held-out videos before", flush=True)
    train(model, training, reader, args)
    with replacing(args.out, force=False) as folder:
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
    after = accuracy(model, held_out, reader)
    minutes = (time.monotonic() - started) / 60
    print(f"{minutes:.1f} minutes; accuracy {after:.4f} after")


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The checked arguments; wrong ones end the program with a message."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="X-CLIP checkpoint: folder or repository")
    parser.add_argument(
        "--videos", type=_videos, required=True, help="folder of a folder per label"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the new checkpoint")
    parser.add_argument("--template", default="{}", help="sentence, {} is the label")
    parser.add_argument("--freeze-text", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--epochs", type=positive, default=10)
    parser.add_argument("--batch", type=positive, default=8, help="pairs, at most one of a label")
    parser.add_argument("--learning-rate", type=float, default=8e-6)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    if args.out.exists():
        parser.error(f"{args.out} exists: choose another name.")
    if args.batch < 2:
        parser.error("--batch must be at least 2: a single pair has nothing to contrast with.")
    if "{}" not in args.template:
        parser.error(f"--template must hold {{}} where the label goes, got {args.template!r}.")
    return args


def _videos(folder: str) -> dict[str, list[Path]]:
    try:
        return find_videos(Path(folder))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    main()
