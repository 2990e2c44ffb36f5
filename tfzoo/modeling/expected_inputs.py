"""The images and videos that the numbers were published for.

They do not ship with tfzoo, since they are other people's: they are fetched from the hub, or the
user gives their files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfzoo.hub import DEFAULTS, HubOptions, resolve
from tfzoo.io.image_reader import read_image

__all__ = ["INPUTS", "Input", "InputMissingError", "fetch"]


class InputMissingError(ValueError):
    """An input that no hub repository is documented to have; the user has to give its file."""


@dataclass(frozen=True)
class Input:
    """A file that numbers were published for.

    Attributes:
        meaning: What it is.
        read: Reads the file.
        repository: Data set on the hub that has it; empty if none is known.
        filename: Its name there.
    """

    meaning: str
    read: Callable[[Path], Any]
    repository: str = ""
    filename: str = ""


def _frames(path: Path) -> np.ndarray:
    frames = np.load(path, allow_pickle=False)
    if frames.ndim != 4 or frames.dtype != np.uint8:
        raise ValueError(
            f"{path}: expected frames (T, height, width, 3) of uint8, got {frames.dtype} of shape "
            f"{frames.shape}."
        )
    return frames


_SPAGHETTI = "hf-internal-testing/spaghetti-video"
INPUTS: dict[str, Input] = {
    "cats": Input(
        "image 39769 of COCO's val2017, two cats on a couch",
        read_image,
        "hf-internal-testing/fixtures-coco",
        "val2017/000000039769.jpg",
    ),
    "spaghetti": Input(
        "frames of somebody who eats spaghetti", _frames, _SPAGHETTI, "eating_spaghetti.npy"
    ),
    "spaghetti8": Input(
        "eight frames of the same", _frames, _SPAGHETTI, "eating_spaghetti_8_frames.npy"
    ),
    "sintel": Input(
        "the first image of the data set hf-internal-testing/fixtures_sintel, as a file", read_image
    ),
}


def fetch(name: str, given: Path | None, options: HubOptions = DEFAULTS) -> Any:
    """Read an input.

    Args:
        name: Its name in `INPUTS`.
        given: The user's file; None to fetch it from the hub.
        options: Where to look it up.

    Raises:
        InputMissingError: No file was given, and no data set has it.
        HubError: It cannot be fetched.
        ValueError: The file holds something else.

    Example:
        >>> from pathlib import Path
        >>> fetch("cats", Path("photo.jpg")).shape
        (213, 320, 3)
    """
    wanted = INPUTS[name]
    if given is not None:
        return wanted.read(given)
    if not wanted.repository:
        raise InputMissingError(
            f"needs {wanted.meaning}, which is not fetched automatically: give it with "
            f"--input {name}=FILE"
        )
    folder = resolve(wanted.repository, wanted.filename, options, kind="dataset")
    return wanted.read(folder / wanted.filename)
