"""Coloured shapes on photos: scenes whose boxes and names are exact.

A shape is drawn large, turned by up to 12 degrees and reduced, so that its edges are soft; its box
is that of the pixels that it covers at least by half. `HELD_OUT` are the eight pairs of colour and
shape, one of each colour, that are never drawn, and never named, in training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

__all__ = [
    "COLOURS",
    "HELD_OUT",
    "PAIRS",
    "SHAPES",
    "TRAINING",
    "Scene",
    "background",
    "draw_scene",
    "shape_mask",
]

Pair = tuple[str, str]

COLOURS = {
    "red": (215, 30, 35),
    "green": (30, 150, 50),
    "blue": (35, 60, 215),
    "yellow": (240, 220, 30),
    "purple": (135, 35, 160),
    "cyan": (50, 210, 225),
    "white": (245, 245, 245),
    "black": (15, 15, 15),
}
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")
PAIRS: tuple[Pair, ...] = tuple((colour, shape) for colour in COLOURS for shape in SHAPES)
HELD_OUT: tuple[Pair, ...] = tuple(
    (colour, SHAPES[number % len(SHAPES)]) for number, colour in enumerate(COLOURS)
)
TRAINING: tuple[Pair, ...] = tuple(pair for pair in PAIRS if pair not in HELD_OUT)

SMALLEST, LARGEST = 0.24, 0.5  # sides of a shape, in parts of the scene's
_TURN, _FINE, _JITTER = 12.0, 4, 14
_TRIES = 30


@dataclass(frozen=True)
class Scene:
    """An image and what is in it.

    Attributes:
        image: (S, S, 3) uint8.
        boxes: (M, 4), corners x0, y0, x1, y1 in pixels.
        pairs: M pairs of colour and shape, all different.
    """

    image: np.ndarray
    boxes: np.ndarray
    pairs: tuple[Pair, ...]


def background(photo: Image.Image, size: int, rng: np.random.Generator) -> np.ndarray:
    """(size, size, 3) uint8: a part of a photo, turned, in other colours in half of all cases."""
    side = rng.uniform(0.4, 1.0) * min(photo.size)
    left, top = rng.uniform(0, 1, 2) * (np.array(photo.size) - side)
    box = (left, top, min(left + side, photo.width), min(top + side, photo.height))
    part = np.asarray(photo.resize((size, size), Image.Resampling.BILINEAR, box=box))
    part = np.rot90(part, rng.integers(4))
    if rng.random() < 0.5:
        part = part[..., rng.permutation(3)]
    light = rng.uniform(0.5, 1.2) * part.astype(np.float32) + rng.uniform(-20, 40)
    return np.clip(light, 0, 255).astype(np.uint8)


def shape_mask(shape: str, side: int, degrees: float) -> np.ndarray:
    """(height, width) in 0..1: how far the shape covers each pixel, cut to where it is not 0.

    Args:
        shape: One of `SHAPES`.
        side: Side of the shape before it is turned, in pixels.
        degrees: Turn, counterclockwise.

    Raises:
        ValueError: Another shape.

    Example:
        >>> shape_mask("square", 10, 0.0).shape
        (10, 10)
    """
    canvas = Image.new("L", (2 * side * _FINE,) * 2)
    draw, middle, reach = ImageDraw.Draw(canvas), side * _FINE, side * _FINE / 2
    if shape in ("circle", "ring"):
        for radius, value in ((reach, 255), (0.55 * reach, 0))[: 1 + (shape == "ring")]:
            corner = middle - radius, middle + radius - 1
            draw.ellipse((corner[0], corner[0], corner[1], corner[1]), fill=value)
    else:
        sine, cosine = np.sin(np.deg2rad(degrees)), np.cos(np.deg2rad(degrees))
        points = middle - 0.5 + reach * _outline(shape) @ [[cosine, -sine], [sine, cosine]]
        draw.polygon([tuple(point) for point in points], fill=255)
    small = np.asarray(canvas.resize((2 * side,) * 2, Image.Resampling.BOX), np.float32) / 255
    rows, columns = (np.flatnonzero(small.max(axis=axis) >= 0.5) for axis in (1, 0))
    return small[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _outline(shape: str) -> np.ndarray:
    """(corners, 2) x, y in -1..1."""
    if shape == "square":
        return np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    if shape == "triangle":
        return np.array([(0, -1), (1, 1), (-1, 1)])
    if shape == "star":
        angle = np.pi * np.arange(10) / 5
        radius = np.where(np.arange(10) % 2, 0.42, 1.0)[:, None]
        return radius * np.stack([np.sin(angle), -np.cos(angle)], axis=1)
    if shape == "cross":
        a, b = 1.0, 0.36
        quarter = np.array([(-b, -a), (b, -a), (b, -b)])
        turn = np.array([[0, 1], [-1, 0]])
        return np.concatenate([quarter @ np.linalg.matrix_power(turn, n) for n in range(4)])
    raise ValueError(f"shape must be one of {', '.join(SHAPES)}; got {shape!r}")


def draw_scene(
    photo: Image.Image,
    size: int,
    pairs: Sequence[Pair],
    rng: np.random.Generator,
) -> Scene:
    """Draws the shapes, side by side, on a part of the photo.

    Args:
        photo: RGB.
        size: S, the side of the scene in pixels.
        pairs: What to draw; those that find no room in 30 tries are left out, never the first.
        rng: The only source of randomness.

    Example:
        >>> photo = Image.new("RGB", (200, 100))
        >>> scene = draw_scene(photo, 96, [("red", "ring")], np.random.default_rng(0))
        >>> scene.image.shape, scene.boxes.shape, scene.pairs
        ((96, 96, 3), (1, 4), (('red', 'ring'),))
    """
    image = background(photo, size, rng).astype(np.float32)
    boxes: list[tuple[int, int, int, int]] = []
    drawn: list[Pair] = []
    for colour, shape in pairs:
        side = int(size * rng.uniform(SMALLEST, LARGEST))
        mask = shape_mask(shape, side, rng.uniform(-_TURN, _TURN))[:size, :size]
        place = _free_place(mask.shape, size, boxes, rng)
        if place is None:
            continue
        left, top, right, bottom = place
        paint = np.array(COLOURS[colour]) + rng.uniform(-_JITTER, _JITTER, 3)
        spot = image[top:bottom, left:right]
        spot += mask[..., None] * (paint - spot)
        boxes.append(place)
        drawn.append((colour, shape))
    noisy = image + rng.normal(0, rng.uniform(0, 5), image.shape)
    pixels = np.clip(noisy + 0.5, 0, 255).astype(np.uint8)
    return Scene(pixels, np.array(boxes, np.float32).reshape(-1, 4), tuple(drawn))


def _free_place(
    shape: tuple[int, int],
    size: int,
    taken: Sequence[tuple[int, int, int, int]],
    rng: np.random.Generator,
) -> tuple[int, int, int, int] | None:
    height, width = shape
    for _ in range(_TRIES):
        left, top = (int(rng.integers(0, size - length + 1)) for length in (width, height))
        right, bottom = left + width, top + height
        if all(left >= x1 or right <= x0 or top >= y1 or bottom <= y0 for x0, y0, x1, y1 in taken):
            return left, top, right, bottom
    return None
