"""Clips of a camera that pans along a coloured panorama: left in one span, right in another.

The panorama is a part of a real photo in grey, a strip four frames wide, printed over a rainbow
that runs from red at the left end to violet at the right: colours tell where the camera looks, so
that a span can be found from single frames. In each clip the camera rests in the middle, pans to
one side, cuts back to the middle, rests, pans to the other side, cuts back and rests. When, how far
and in which order is random. Rests may be short, pans never.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

__all__ = ["DIRECTIONS", "QUERIES", "Clip", "best_constant", "make_clip", "mean_iou", "panorama"]

DIRECTIONS = ("left", "right")
QUERIES = {
    "train": (
        "when does the camera pan {}?",
        "the camera pans {}",
        "a pan to the {}",
        "when does it turn {}?",
        "the camera turns to the {}",
        "find the pan to the {}",
    ),
    "test": (
        "when does the camera turn {}?",
        "the camera pans to the {}",
        "find when the camera turns {}",
    ),
}

STRIP = 4  # frames side by side in the panorama
SHORTEST, LONGEST = 0.2, 0.4  # of a pan, in parts of the clip
LEAST_TRAVEL, MOST_TRAVEL = 1.0, 1.45  # in frames; the middle is 1.5 from either end
_RAINBOW = 0.75  # of the colour wheel: red, yellow, green, cyan, blue, violet


@dataclass(frozen=True)
class Clip:
    """A clip and its spans.

    Attributes:
        frames: (T, S, S, 3) uint8, the first at the time 0, the last at the time 1.
        spans: For "left" and "right" the start and the end of the pan, in parts of the clip.
    """

    frames: np.ndarray
    spans: dict[str, tuple[float, float]]


def panorama(photo: Image.Image, size: int, rng: np.random.Generator) -> np.ndarray:
    """(size, 4 size, 3) float32 in 0..1: a part of the photo over a rainbow."""
    width, height = photo.size
    share = rng.uniform(0.5, 1.0)
    box_width = share * width
    box_height = min(box_width * rng.uniform(0.3, 0.6), height)
    left, top = rng.uniform(0, width - box_width), rng.uniform(0, height - box_height)
    box = (left, top, min(left + box_width, width), min(top + box_height, height))
    grey = photo.convert("L").resize((STRIP * size, size), Image.Resampling.BILINEAR, box=box)
    luma = np.asarray(grey, np.float32) / 255
    if rng.random() < 0.5:
        luma = luma[:, ::-1]
    low, high = np.quantile(luma, (0.02, 0.98))
    luma = 0.35 + 0.65 * np.clip((luma - low) / max(high - low, 0.05), 0, 1)
    strength = rng.uniform(0.65, 0.95)
    colours = 1 - strength + strength * _rainbow(STRIP * size)
    return (luma[..., None] * colours[None]).astype(np.float32)


def _rainbow(count: int) -> np.ndarray:
    """(count, 3) full colours along the wheel."""
    hue = np.linspace(0, _RAINBOW, count)[:, None] * 6 - np.array([0, 2, 4])
    distance = np.abs((hue + 3) % 6 - 3)
    return np.clip(2 - distance, 0, 1)


def make_clip(
    photo: Image.Image, rng: np.random.Generator, frames: int = 12, size: int = 64
) -> Clip:
    """Makes a clip.

    Args:
        photo: RGB.
        rng: The only source of randomness.
        frames: T, at least 2.
        size: S, the side of the frames in pixels.

    Raises:
        ValueError: Fewer than 2 frames.

    Example:
        >>> clip = make_clip(Image.new("RGB", (80, 60)), np.random.default_rng(0))
        >>> clip.frames.shape, sorted(clip.spans)
        ((12, 64, 64, 3), ['left', 'right'])
    """
    if frames < 2:
        raise ValueError(f"a pan needs at least 2 frames, got {frames}")
    strip = panorama(photo, size, rng)
    spans = _spans(rng)
    order = DIRECTIONS if rng.random() < 0.5 else DIRECTIONS[::-1]
    where = np.full(frames, (STRIP - 1) / 2)
    for (start, end), side in zip(spans, order, strict=True):
        way = rng.uniform(LEAST_TRAVEL, MOST_TRAVEL) * (-1 if side == "left" else 1)
        progress = (np.linspace(0, 1, frames) - start) / (end - start)
        where += way * np.where((progress >= 0) & (progress <= 1), progress, 0)
    shown = np.stack([_view(strip, x * size, size) for x in where])
    light = rng.uniform(0.75, 1.15)
    noisy = shown * light + rng.normal(0, rng.uniform(0, 0.02), shown.shape)
    pixels = np.clip(255 * noisy + 0.5, 0, 255).astype(np.uint8)
    return Clip(pixels, dict(zip(order, spans, strict=True)))


def _spans(rng: np.random.Generator) -> list[tuple[float, float]]:
    """Two spans, one after the other, in parts of the clip."""
    lengths = rng.uniform(SHORTEST, LONGEST, 2)
    rests = rng.dirichlet(np.ones(3)) * (1 - lengths.sum())
    first = (rests[0], rests[0] + lengths[0])
    second = (first[1] + rests[1], first[1] + rests[1] + lengths[1])
    return [first, second]


def _view(strip: np.ndarray, left: float, size: int) -> np.ndarray:
    """(size, size, 3): the strip from a fractional column on."""
    whole = min(int(left), strip.shape[1] - size - 1)
    part = left - whole
    return (1 - part) * strip[:, whole : whole + size] + part * strip[:, whole + 1 :][:, :size]


def mean_iou(found: np.ndarray, truth: np.ndarray) -> float:
    """Mean overlap of spans (n, 2) and (n, 2), start and end."""
    shared = np.minimum(found[:, 1], truth[:, 1]) - np.maximum(found[:, 0], truth[:, 0])
    hull = np.maximum(found[:, 1], truth[:, 1]) - np.minimum(found[:, 0], truth[:, 0])
    return float(np.mean(np.maximum(shared, 0) / np.maximum(hull, 1e-9)))


def best_constant(truth: np.ndarray | Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """The constant answer (start, end) of the best mean IoU, in steps of 0.02, and that IoU."""
    truth = np.asarray(truth, float)
    grid = np.linspace(0, 1, 51)
    answers = [(a, b) for a in grid for b in grid if b > a]
    scores = [mean_iou(np.tile(answer, (len(truth), 1)), truth) for answer in answers]
    best = int(np.argmax(scores))
    return (*map(float, answers[best]), scores[best])
