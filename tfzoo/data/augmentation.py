"""Random changes of clips, the same for all frames of a clip.

Letters: T frames, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

__all__ = ["ClipAugmentation"]

_TRIALS = 10


@dataclass(frozen=True)
class ClipAugmentation:
    """Crop, mirror, brighten and recolour a clip, all of its frames alike.

    So motion stays as it was: a crop that differed from frame to frame would look like a shaking
    camera, and a mirror like a cut.

    Args:
        flip: Probability of mirroring left to right. Leave it at 0 where the label tells left from
            right ("pan left").
        scale: Least and largest share of the frame's area that a crop keeps.
        ratio: Least and largest width / height of a crop, relative to the frame's own.
        brightness: Largest change, as a share of 255.
        contrast: Largest change of the distance from the clip's mean, as a share of it.
        saturation: Largest change of the distance from grey, as a share of it.

    Raises:
        ValueError: A probability or share outside [0, 1], or an invalid range.

    Source: crops as in Szegedy et al. 2014, arXiv:1409.4842, section 6.

    Example:
        >>> frames = np.zeros((8, 90, 160, 3), np.uint8)
        >>> augment = ClipAugmentation(flip=0.5, scale=(0.5, 1.0), brightness=0.2)
        >>> augment(frames, np.random.default_rng(0)).shape
        (8, 90, 160, 3)
    """

    flip: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0

    def __post_init__(self) -> None:
        for name in ("flip", "brightness", "contrast", "saturation"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {getattr(self, name)!r}.")
        for name, most in (("scale", 1.0), ("ratio", float("inf"))):
            low, high = _pair(name, getattr(self, name))
            if not 0 < low <= high <= most:
                raise ValueError(
                    f"{name} must be (least, largest) with 0 < least <= largest"
                    f"{' <= 1' if most == 1 else ''}, got {getattr(self, name)!r}."
                )

    def __call__(self, frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Change a clip.

        Args:
            frames: (T, height, width, 3) uint8.
            rng: Source of the random numbers.

        Returns:
            The same shape, uint8.
        """
        frames = self._cropped(np.asarray(frames), rng)
        if rng.random() < self.flip:
            frames = frames[:, :, ::-1]
        return self._coloured(frames, rng)

    def _cropped(self, frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Cut the same window out of every frame, and bring it back to the frame's size."""
        if tuple(self.scale) == (1.0, 1.0):
            return frames
        height, width = frames.shape[1:3]
        rows, columns = self._window(height, width, rng)
        top = int(rng.integers(0, height - rows + 1))
        left = int(rng.integers(0, width - columns + 1))
        box = (left, top, left + columns, top + rows)
        bilinear = Image.Resampling.BILINEAR
        return np.stack(
            [np.asarray(Image.fromarray(f).resize((width, height), bilinear, box)) for f in frames]
        )

    def _window(self, height: int, width: int, rng: np.random.Generator) -> tuple[int, int]:
        """Rows and columns of a crop; those of the frame where no drawn one fits."""
        for _ in range(_TRIALS):
            area = rng.uniform(*self.scale)
            ratio = np.exp(rng.uniform(*np.log(self.ratio)))
            rows = round(height * (area / ratio) ** 0.5)
            columns = round(width * (area * ratio) ** 0.5)
            if 0 < rows <= height and 0 < columns <= width:
                return rows, columns
        return height, width

    def _coloured(self, frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if not (self.brightness or self.contrast or self.saturation):
            return frames
        strengths = (self.brightness, self.contrast, self.saturation)
        light, contrast, saturation = (rng.uniform(-x, x) for x in strengths)
        pixels = frames.astype(np.float32) + 255 * light
        grey = pixels.mean(-1, keepdims=True)
        pixels = grey + (pixels - grey) * (1 + saturation)
        mean = pixels.mean()
        pixels = mean + (pixels - mean) * (1 + contrast)
        return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def _pair(name: str, value: Sequence[float]) -> tuple[float, float]:
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ValueError(f"{name} must be two numbers, (least, largest), got {value!r}.")
    return value[0], value[1]
