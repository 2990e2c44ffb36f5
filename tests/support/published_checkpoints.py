"""Small checkpoints that stand for the published ones, and files for their documented inputs."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image

from tests.support.families import declared
from tests.support.paths import FIXTURES

__all__ = ["moved", "write_inputs", "write_stand_ins", "writers"]

PHOTO = FIXTURES / "photos" / "coffee.jpg"


def moved(model: Any) -> Any:
    """The same model with all weights moved: fresh ones give zeros and halves."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if "float" in str(weight.dtype) and "variance" not in weight.path:
            weight.assign(weight + 0.05 * rng.standard_normal(weight.shape))
    return model


def writers() -> dict[str, Callable[[Path], Any]]:
    """For each published checkpoint of which numbers are known, what writes its stand-in.

    They are `PUBLISHED` in the families' `checkpoints.py`.
    """
    parts = declared("checkpoints", "PUBLISHED").values()
    return {name: write for part in parts for name, write in part.items()}


def write_stand_ins(folder: Path) -> dict[str, Path]:
    """Write a small checkpoint for each published one; returns where each lies."""
    places = {}
    for name, write in writers().items():
        keras.utils.set_random_seed(zlib.crc32(name.encode()))
        places[name] = folder / name
        write(places[name])
    return places


def write_inputs(folder: Path) -> dict[str, Path]:
    """Write a file for each documented input; returns where each lies."""
    folder.mkdir(parents=True)
    photo = np.asarray(Image.open(PHOTO).convert("RGB"))
    frames = np.stack([np.roll(photo, 5 * i, axis=1) for i in range(9)])
    np.save(folder / "frames.npy", frames)
    np.save(folder / "frames8.npy", frames[1:])
    return {
        "cats": PHOTO,
        "sintel": PHOTO,
        "spaghetti": folder / "frames.npy",
        "spaghetti8": folder / "frames8.npy",
    }
