"""Trains the small Perceiver that ships with tfzoo: which digit is in this image?

    python -m recipes.perceiver_digits --out DIR --seed 0

The images are the 1,797 scanned digits that ship with scikit-learn (E. Alpaydin and C. Kaynak, UCI
repository, CC BY 4.0), enlarged from 8 to 16 pixels. All that the model knows about images is
where each pixel is.

Test: the last 450 of them, mostly of other writers; chance is 1 in 10.

Measured with seed 0: 79,588 parameters, 0.33 MB; 6.5 wall-clock minutes on two shared cores (4.9
CPU minutes); accuracy 0.956.

Needs tfzoo with its 'train' extra. DIR gets all files of a checkpoint. The same seed gives the same
files on the same machine.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from recipes.packages import package_folder
from recipes.running import arguments, compile_for, fit, report, save, start
from recipes.samples import write_demo, write_photo
from tfzoo import (
    PerceiverConfig,
    PerceiverImageProcessor,
    TFPerceiverForImageClassificationFourier,
)

__all__ = [
    "batches",
    "digits",
    "evaluate",
    "main",
    "new_model",
    "new_processor",
    "train",
    "write_sample",
]

SIZE, WIDTH, LATENTS, TEST = 16, 48, 16, 450
STEPS, BATCH, PEAK_RATE = 6000, 64, 1.5e-3
_MOVE = 2  # pixels, in training
_TEST_FILE = Path(__file__).resolve().parents[1] / "tests/fixtures/digits/held_out.csv.gz"


def digits(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 8, 8, 3) uint8 and labels (n,) of a split, "train" or "test".

    Raises:
        ValueError: Another split.
        FileNotFoundError: scikit-learn is not installed, for "train".
    """
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', not {split!r}")
    with gzip.open(_TEST_FILE if split == "test" else _package_file(), "rt") as file:
        rows = np.loadtxt(file, delimiter=",")
    rows = rows if split == "test" else rows[:-TEST]
    grey = np.clip(rows[:, :-1] * 255 / 16 + 0.5, 0, 255).astype(np.uint8).reshape(-1, 8, 8)
    return np.repeat(grey[..., None], 3, axis=-1), rows[:, -1].astype(np.int64)


def _package_file() -> Path:
    return package_folder("sklearn", "the digits") / "datasets" / "data" / "digits.csv.gz"


def new_processor() -> PerceiverImageProcessor:
    """Whole images, resized to 16 pixels."""
    return PerceiverImageProcessor(do_center_crop=False, size=SIZE)


def new_model() -> TFPerceiverForImageClassificationFourier:
    """An untrained model."""
    config = PerceiverConfig(
        num_latents=LATENTS,
        d_latents=WIDTH,
        num_self_attends_per_block=2,
        num_self_attention_heads=4,
        num_cross_attention_heads=1,
        qk_channels=WIDTH,
        v_channels=WIDTH,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.1,
        id2label={i: str(i) for i in range(10)},
        label2id={str(i): i for i in range(10)},
    )
    return TFPerceiverForImageClassificationFourier(config)


def batches(
    processor: PerceiverImageProcessor, seed: int, size: int = BATCH
) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
    """Endless batches of digits, each moved by up to two pixels."""
    rng = np.random.default_rng(seed)
    images, labels = digits("train")
    pixels = processor(list(images), return_tensors="np")["pixel_values"]
    pad = [(0, 0), (0, 0), (_MOVE, _MOVE), (_MOVE, _MOVE)]
    padded = np.pad(pixels, pad, mode="edge")
    while True:
        rows = rng.integers(len(labels), size=size)
        moves = rng.integers(0, 2 * _MOVE + 1, (size, 2))
        moved = [
            padded[row, :, y : y + SIZE, x : x + SIZE]
            for row, (y, x) in zip(rows, moves, strict=True)
        ]
        yield {"pixel_values": np.stack(moved).astype(np.float32)}, labels[rows]


def train(
    model: TFPerceiverForImageClassificationFourier,
    processor: PerceiverImageProcessor,
    seed: int,
    steps: int = STEPS,
    size: int = BATCH,
    **options: Any,
) -> keras.callbacks.History:
    """Fits the model; `options` are those of `compile`."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    compile_for(model, steps, PEAK_RATE, loss=loss, metrics=["accuracy"], **options)
    return fit(model, lambda: batches(processor, seed, size), steps)


def evaluate(
    model: TFPerceiverForImageClassificationFourier, processor: PerceiverImageProcessor
) -> float:
    """Accuracy on the held-out digits."""
    images, labels = digits("test")
    inputs = processor(list(images), return_tensors="np")
    logits = keras.ops.convert_to_numpy(model(**inputs, training=False).logits)
    return float((logits.argmax(-1) == labels).mean())


def write_sample(folder: Path) -> None:
    """Writes a held-out digit and `demo.json`, for `tfzoo demo`."""
    images, labels = digits("test")
    write_photo(folder / "sample.png", images[0])
    words = ["sample.png", "--top-k", "3"]
    write_demo(folder, "tells which digit is in a picture", str(labels[0]), words)


def main() -> None:
    args = arguments(__doc__)
    started, processor, model = start(args.seed), new_processor(), new_model()
    train(model, processor, args.seed)
    write_sample(args.out)
    size = save(args.out, model, processor)
    report(started, model, size, {"accuracy": evaluate(model, processor)})


if __name__ == "__main__":
    main()
