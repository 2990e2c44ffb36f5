"""The samples that stand beside the small checkpoints, for `tfzoo demo`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["write_demo", "write_film", "write_photo"]


def write_film(path: Path, frames: np.ndarray, milliseconds: int = 100) -> None:
    """Writes frames (T, height, width, 3) uint8 as an animated GIF.

    Raises:
        ValueError: Neighbouring frames are equal in 64 colours, which GIF cannot represent.
    """
    first, *others = [
        Image.fromarray(frame).quantize(64, dither=Image.Dither.NONE) for frame in frames
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    first.save(path, save_all=True, append_images=others, duration=milliseconds, loop=0)
    with Image.open(path) as film:
        if film.n_frames != len(frames):  # equal neighbours become one that lasts longer
            raise ValueError(f"{path} has {film.n_frames} frames, expected {len(frames)}.")


def write_photo(path: Path, pixels: np.ndarray) -> None:
    """Writes pixels (height, width, 3) uint8 as a PNG file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, optimize=True)


def write_demo(folder: Path, about: str, truth: str, predict: Sequence[str]) -> None:
    """Writes `demo.json`, see `tfzoo.cli.demo`.

    Args:
        folder: The checkpoint's.
        about: What the checkpoint does.
        truth: The right answer.
        predict: Arguments of `tfzoo predict`; files by their names in the folder.
    """
    fields = {"about": about, "truth": truth, "predict": list(predict)}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "demo.json").write_text(json.dumps(fields, indent=2) + "\n", "utf-8")
