"""What the recipes share: arguments, seeds, the learning rate, the data set, saving, a report."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tfzoo.core.variables import named_layers

__all__ = [
    "LIMIT",
    "arguments",
    "compile_for",
    "dataset",
    "fit",
    "report",
    "save",
    "start",
    "weaken",
]

LIMIT = 1_500_000  # bytes of a checkpoint that ships with the package


def arguments(doc: str, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """`--out DIR --seed N`, for the recipe whose docstring is `doc`."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


def start(seed: int) -> float:
    """Makes everything that follows depend on the seed alone; returns the time, for `report`."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    return time.monotonic()


def weaken(model: Any, pattern: str, factor: float) -> None:
    """Multiplies fresh kernels, which as in the reference may be too strong for small models.

    Args:
        model: Any model.
        pattern: Regular expression, searched for in the paths of linear layers.
        factor: What their kernels are multiplied by.
    """
    for path, layer in named_layers(model).items():
        if isinstance(layer, keras.layers.Dense) and re.search(pattern, path):
            layer.kernel.assign(factor * layer.kernel)


def compile_for(
    model: Any, steps: int, peak: float, weight_decay: float = 0.02, **options: Any
) -> None:
    """AdamW with a warm-up of a twentieth of the steps and a cosine decay.

    Args:
        model: Any model.
        steps: Number of steps of the whole training.
        peak: The highest learning rate.
        weight_decay: Of AdamW; vectors and scalars are left out.
        **options: Of `compile`: `loss`, `metrics`, ... The model's own loss by default.
    """
    warmup = max(steps // 20, 1)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, max(steps - warmup, 1), alpha=0.01, warmup_target=peak, warmup_steps=warmup
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=weight_decay, global_clipnorm=1.0)
    optimizer.exclude_from_weight_decay([w for w in model.weights if len(w.shape) < 2])
    model.compile(optimizer=optimizer, **options)


def dataset(batches: Callable[[], Iterator[Any]]) -> tf.data.Dataset:
    """Endless batches made in a thread beside the training; all have the shapes of the first."""
    spec = keras.tree.map_structure(
        lambda array: tf.TensorSpec(array.shape, array.dtype), next(batches())
    )
    return tf.data.Dataset.from_generator(batches, output_signature=spec).prefetch(4)


def fit(
    model: Any, batches: Callable[[], Iterator[Any]], steps: int, epochs: int = 12, **options: Any
) -> keras.callbacks.History:
    """`model.fit` for `steps` steps, with a line of the log for each of `epochs`."""
    epochs = min(epochs, steps)
    return model.fit(
        dataset(batches),
        steps_per_epoch=steps // epochs,
        epochs=epochs,
        shuffle=False,
        verbose=2,
        **options,
    )


def save(folder: Path, *parts: Any) -> int:
    """Writes a model and its processor; returns the bytes of all files.

    Raises:
        ValueError: They are larger than a checkpoint that ships with the package may be.
    """
    for part in parts:
        part.save_pretrained(folder)
    size = sum(path.stat().st_size for path in Path(folder).iterdir())
    if size > LIMIT:
        raise ValueError(f"{folder} takes {size} bytes, at most {LIMIT} are allowed.")
    return size


def report(started: float, model: Any, size: int, figures: dict[str, Any]) -> None:
    """Prints the results and their cost: wall-clock minutes, and CPU minutes of all cores."""
    minutes, busy = (time.monotonic() - started) / 60, time.process_time() / 60
    shown = {name: round(v, 4) if isinstance(v, float) else v for name, v in figures.items()}
    print(f"{model.count_params()} parameters, {size} bytes; {shown}")
    print(f"{minutes:.1f} wall-clock minutes, {busy:.1f} CPU minutes")
