"""The easy-VQA data set with region features: 5,000 small images, 48,000 questions, 13 answers.

The images and questions are files inside the package `easy-vqa` (Victor Zhou, MIT licence; extra
``train``), read with its own split. LXMERT sees regions, not images: here 11 of each image, the
whole, what differs from its background, and nine overlapping quarters. A region's features are its
pixels, 12 x 12 of them in three colours.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from recipes.packages import package_folder

__all__ = ["FEATURES", "REGIONS", "Questions", "answers", "blind_answers", "questions", "regions"]

REGIONS, SIDE = 11, 12
FEATURES = SIDE * SIDE * 3
_CONTRAST = 24  # in grey levels; backgrounds are plain


@dataclass(frozen=True)
class Questions:
    """One split.

    Attributes:
        texts: The questions.
        answers: The right answer of each.
        images: Index into `paths` of each question's image.
        paths: The images.
    """

    texts: tuple[str, ...]
    answers: tuple[str, ...]
    images: np.ndarray
    paths: tuple[Path, ...]


def _folder() -> Path:
    return package_folder("easy_vqa", "the questions and their images") / "data"


def answers() -> list[str]:
    """The 13 answers, in alphabetical order."""
    return sorted((_folder() / "answers.txt").read_text("utf-8").split())


def questions(split: str, folder: Path | None = None) -> Questions:
    """Reads a split.

    Args:
        split: "train" or "test".
        folder: Folder of the data; the installed package's if None.

    Raises:
        ValueError: Another split.
        FileNotFoundError: The package is not installed.
    """
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', not {split!r}")
    folder = (_folder() if folder is None else folder) / split
    rows = json.loads((folder / "questions.json").read_text("utf-8"))
    numbers = sorted({row[2] for row in rows})
    texts, right, images = zip(*rows, strict=True)
    place = {number: index for index, number in enumerate(numbers)}
    return Questions(
        texts,
        right,
        np.array([place[number] for number in images]),
        tuple(folder / "images" / f"{number}.png" for number in numbers),
    )


def regions(image: Image.Image | Path) -> tuple[np.ndarray, np.ndarray]:
    """Features (11, 432) in 0..1 and boxes (11, 4), x0, y0, x1, y1 in 0..1, float32.

    Example:
        >>> features, boxes = regions(Image.new("RGB", (64, 64)))
        >>> features.shape, boxes[0].tolist()
        ((11, 432), [0.0, 0.0, 1.0, 1.0])
    """
    if isinstance(image, Path):
        with Image.open(image) as file:
            image = file.convert("RGB")
    width, height = image.size
    thirds = [(x / 4, y / 4, x / 4 + 0.5, y / 4 + 0.5) for y in range(3) for x in range(3)]
    boxes = np.array([(0, 0, 1, 1), _found(np.asarray(image)), *thirds], np.float32)
    scale = np.array([width, height, width, height])
    cut = [
        np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX, box=tuple(map(float, box))))
        for box in boxes * scale
    ]
    return np.stack(cut).reshape(REGIONS, FEATURES).astype(np.float32) / 255, boxes


def _found(pixels: np.ndarray) -> tuple[float, float, float, float]:
    """The box around what differs from the corner, the whole image where nothing does."""
    height, width = pixels.shape[:2]
    differs = np.abs(pixels.astype(int) - pixels[0, 0].astype(int)).max(axis=2) > _CONTRAST
    if not differs.any():
        return 0.0, 0.0, 1.0, 1.0
    rows, columns = (np.flatnonzero(differs.any(axis=axis)) for axis in (1, 0))
    x0, x1 = columns[0] / width, (columns[-1] + 1) / width
    return x0, rows[0] / height, x1, (rows[-1] + 1) / height


def blind_answers(training: Questions, texts: Sequence[str]) -> list[str | None]:
    """The answer to each question that is most frequent in training, without the image."""
    seen: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for text, answer in zip(training.texts, training.answers, strict=True):
        seen[text][answer] += 1
    best = {text: min(found, key=lambda a: (-found[a], a)) for text, found in seen.items()}
    return [best.get(text) for text in texts]
