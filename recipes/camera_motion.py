"""Camera-motion clips: a window that moves over a real photo, with a label that says how.

Every clip is made from one photo, so its label is exact and nothing has to be downloaded. The label
names what the *camera* does, as a film maker would: in "pan left" the window travels to the left
over the photo, so that the content of the frames moves to the right; in "zoom in" it shrinks, so
that the content grows.

Motion that decides the label is large, other motion is small (fractions of the frame's side):

- a pan travels at least `MIN_TRAVEL` (0.12), a zoom grows or shrinks the content at least
  1 + `ZOOM_PER_TRAVEL` * `MIN_TRAVEL` (1.19) times, over the whole clip;
- "still" drifts by at most `MAX_DRIFT` (0.02) and shakes as every other class does.

Exposure, flicker, noise, blur, colour, the photo's orientation and a small object that moves by
itself are drawn in the same way for all classes, so they reveal nothing about the label.

Needs numpy and Pillow only; the training photos are files inside two installed packages (extra
``train``: scikit-image, scikit-learn), neither of which is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from recipes.packages import package_folder

__all__ = [
    "LABELS",
    "MAX_DRIFT",
    "MIN_TRAVEL",
    "MIRRORED",
    "REVERSED",
    "TURNED",
    "ZOOM_PER_TRAVEL",
    "balanced_clips",
    "make_clip",
    "photos",
]

LABELS = ("pan left", "pan right", "pan up", "pan down", "zoom in", "zoom out", "still")
# What a label becomes in a clip whose frames are mirrored left to right, ...
MIRRORED = {label: label for label in LABELS} | {"pan left": "pan right", "pan right": "pan left"}
# ... that runs backwards, ...
REVERSED = MIRRORED | {
    "pan up": "pan down",
    "pan down": "pan up",
    "zoom in": "zoom out",
    "zoom out": "zoom in",
}
# ... or whose frames are turned by 90 degrees counterclockwise (np.rot90).
TURNED = {label: label for label in LABELS} | {
    "pan left": "pan down",
    "pan down": "pan right",
    "pan right": "pan up",
    "pan up": "pan left",
}

MIN_TRAVEL, MAX_TRAVEL = 0.12, 0.6  # of a pan, in frames
ZOOM_PER_TRAVEL = 1.6  # a zoom of the same strength moves the frame's border about as far
MAX_DRIFT = 0.02
MIN_WINDOW = 0.3  # of the photo's short side
MIN_TEXTURE = 4.0  # mean absolute step between neighbouring pixels, in grey levels
SHUTTER = 3  # exposures averaged into one motion-blurred frame

_DIRECTIONS = {
    "pan left": (-1.0, 0.0, 0.0),
    "pan right": (1.0, 0.0, 0.0),
    "pan up": (0.0, -1.0, 0.0),
    "pan down": (0.0, 1.0, 0.0),
    "zoom in": (0.0, 0.0, -1.0),
    "zoom out": (0.0, 0.0, 1.0),
    "still": (0.0, 0.0, 0.0),
}
_EASINGS: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
    lambda t: t,
    lambda t: t**2,
    lambda t: 1 - (1 - t) ** 2,
    lambda t: t * t * (3 - 2 * t),
)
_SKIMAGE = (
    *("brick.png", "camera.png", "coins.png", "grass.png", "gravel.png", "hubble_deep_field.jpg"),
    *("ihc.png", "moon.png", "motorcycle_left.png", "motorcycle_right.png", "page.png"),
    *("retina.jpg", "text.png"),
)
_SKLEARN = ("china.jpg", "flower.jpg")
_HELD_OUT = ("astronaut.jpg", "chelsea.jpg", "coffee.jpg", "rocket.jpg")
_TEST_FOLDER = Path(__file__).resolve().parents[1] / "tests" / "fixtures" / "photos"


def photos(split: str) -> list[Image.Image]:
    """Reads the photos of one split, in a fixed order, as RGB of at most 400 pixels a side.

    Args:
        split: "train" (15 photos of scikit-image and scikit-learn) or "test" (four
            held-out photos in tests/fixtures/photos, which training does not use under any name).

    Raises:
        ValueError: another split.
        FileNotFoundError: a photo is missing; for "train", the two packages are not installed.
    """
    if split == "test":
        return [_read(_TEST_FOLDER / name) for name in _HELD_OUT]
    if split != "train":
        raise ValueError(f"split must be 'train' or 'test', not {split!r}")
    paths = [package_folder("skimage", "photos") / "data" / name for name in _SKIMAGE]
    images = package_folder("sklearn", "photos") / "datasets" / "images"
    paths += [images / name for name in _SKLEARN]
    return [_read(path) for path in paths]


def _read(path: Path) -> Image.Image:
    with Image.open(path) as file:
        photo = file.convert("RGB")
    photo.thumbnail((400, 400), Image.Resampling.LANCZOS)
    return photo


def balanced_clips(
    sources: Sequence[Image.Image],
    count: int,
    rng: np.random.Generator,
    frames: int = 8,
    size: int = 64,
    least: float = MIN_TRAVEL,
    lit: bool = False,
) -> Iterator[tuple[np.ndarray, int]]:
    """Yields `count` clips of `make_clip` with their class numbers; labels and photos take turns.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> [LABELS[y] for _, y in balanced_clips(photos("test"), 3, rng)]
        ['pan left', 'pan right', 'pan up']
    """
    for i in range(count):
        label = i % len(LABELS)
        photo = sources[(i // len(LABELS)) % len(sources)]
        yield make_clip(photo, LABELS[label], rng, frames, size, least, lit), label


def make_clip(
    photo: Image.Image,
    label: str,
    rng: np.random.Generator,
    frames: int = 8,
    size: int = 64,
    least: float = MIN_TRAVEL,
    lit: bool = False,
) -> np.ndarray:
    """Makes one clip by moving a square window over `photo`.

    Args:
        photo: RGB, its short side at least 32 pixels; about twice `size` or more looks best.
        label: one of `LABELS`.
        rng: the only source of randomness: the same state gives the same clip.
        frames: T, at least 2.
        size: S, the side of the frames in pixels.
        least: how far a pan travels at least, in frames; more than 0, at most `MAX_TRAVEL`.
        lit: whether a red lamp shines on the scene from the right and a green one from below, so
            that single frames tell where the camera looks.

    Returns:
        (T, S, S, 3) uint8.

    Raises:
        ValueError: an unknown label, fewer than 2 frames or a photo that is too small.

    Example:
        >>> clip = make_clip(photos("test")[0], "zoom in", np.random.default_rng(0))
        >>> clip.shape, clip.dtype.name
        ((8, 64, 64, 3), 'uint8')
    """
    if label not in _DIRECTIONS:
        raise ValueError(f"label must be one of {', '.join(LABELS)}; got {label!r}")
    if frames < 2:
        raise ValueError(f"a motion needs at least 2 frames, got {frames}")
    if min(photo.size) < 32:
        raise ValueError(f"photo must be at least 32 pixels a side, got {photo.size}")
    photo = _lit(_turned(photo, rng)) if lit else _turned(photo, rng)
    path = _textured_path(photo, label, rng, least)
    clip = _filmed(photo, path, rng, frames, size)
    _paste_object(clip, photo, rng)
    return _developed(clip, rng, recolour=not lit)


@dataclass(frozen=True)
class _Path:
    """How the window moves: start and way (centre x, centre y, log side) in pixels of the photo."""

    start: np.ndarray
    way: np.ndarray
    side: float
    shake: float
    hold: tuple[float, float]
    easing: int

    def windows(self, times: np.ndarray) -> np.ndarray:
        """(n,) times in 0..1 -> (n, 3) centre x, centre y, side."""
        before, after = self.hold
        progress = np.clip((times - before) / (1 - before - after), 0, 1)
        points = self.start + _EASINGS[self.easing](progress)[:, None] * self.way
        return np.stack([points[:, 0], points[:, 1], np.exp(points[:, 2])], axis=1)


def _turned(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Flips and turns the photo before the camera moves, so that the label stays true."""
    turn = rng.integers(8)
    return photo if turn == 7 else photo.transpose(Image.Transpose(turn))


def _lit(photo: Image.Image) -> Image.Image:
    """The photo in grey, under lamps: more red to the right, more green to the bottom."""
    luma = 0.5 + 0.5 * np.asarray(photo.convert("L"), np.float32) / 255
    right, down = (np.linspace(0.1, 1, length) for length in photo.size)
    light = np.stack(np.broadcast_arrays(right, down[:, None], 0.55), axis=-1)
    return Image.fromarray((255 * luma[..., None] * light + 0.5).astype(np.uint8))


def _textured_path(photo: Image.Image, label: str, rng: np.random.Generator, least: float) -> _Path:
    """Draws paths until the frame halfway has enough detail to show a motion.

    Half of the clips of "still" need none: where nothing seems to move, "still" is the answer.
    """
    best, most = None, -1.0
    for _ in range(1 if label == "still" and rng.random() < 0.5 else 12):
        path = _random_path(photo, label, rng, least)
        texture = _texture(_view(photo, path.windows(np.array([0.5]))[0], 32))
        if texture > most:
            best, most = path, texture
        if most >= MIN_TEXTURE:
            break
    return best


def _texture(view: np.ndarray) -> float:
    """The weaker axis's mean step, in the second poorest quarter of the view."""
    grey = view.astype(np.float32).mean(axis=2)
    steps = np.stack([np.abs(np.diff(grey, axis=a))[:31, :31] for a in (0, 1)])
    quarters = steps[:, :30, :30].reshape(2, 2, 15, 2, 15).mean(axis=(2, 4)).min(axis=0)
    return float(np.sort(quarters, axis=None)[1])


def _random_path(photo: Image.Image, label: str, rng: np.random.Generator, least: float) -> _Path:
    travel = least * (MAX_TRAVEL / least) ** rng.random()
    drift = rng.uniform(-1, 1, 3) * max(MAX_DRIFT, 0.15 * travel * (label != "still"))
    direction = np.array(_DIRECTIONS[label])
    way = direction * [travel, travel, np.log1p(ZOOM_PER_TRAVEL * travel)]
    way = np.where(direction == 0, drift, way)
    way[2] = np.clip(way[2], *((-MAX_DRIFT, MAX_DRIFT) if direction[2] == 0 else (-np.inf, np.inf)))
    short = min(photo.size)
    largest = short / 1.04 / (1 + travel) ** 1.2  # leaves room for the way, whatever the label
    side = rng.uniform(MIN_WINDOW * short, max(largest, MIN_WINDOW * short))
    way[:2] *= side
    room = (np.array(photo.size) - side * np.exp(np.abs(way[2]) / 2) * 1.03 - np.abs(way[:2])) / 2
    middle = np.array(photo.size) / 2 + rng.uniform(-1, 1, 2) * np.maximum(room, 0)
    return _Path(
        start=np.append(middle, np.log(side)) - way / 2,
        way=way,
        side=side,
        shake=rng.uniform(0, 0.006),
        hold=(rng.uniform(0, 0.15), rng.uniform(0, 0.15)),
        easing=int(rng.integers(len(_EASINGS))),
    )


def _filmed(
    photo: Image.Image, path: _Path, rng: np.random.Generator, frames: int, size: int
) -> np.ndarray:
    """Renders the frames, shaken, and in a quarter of the clips with the shutter kept open."""
    exposures = SHUTTER if rng.random() < 0.25 else 1
    open_for = np.arange(exposures) / exposures / (frames - 1)
    times = np.linspace(0, 1, frames)[:, None] + open_for
    windows = path.windows(times.ravel()).reshape(frames, exposures, 3)
    windows[..., :2] += rng.normal(0, path.shake * path.side, (frames, 1, 2))
    views = [[_view(photo, window, size) for window in frame] for frame in windows]
    if exposures == 1:
        clip = np.stack([frame[0] for frame in views])
    else:
        clip = np.mean(views, axis=1).astype(np.uint8)
    return _soft(clip, rng.uniform(0.3, 1.0)) if rng.random() < 0.25 else clip


def _view(photo: Image.Image, window: np.ndarray, size: int) -> np.ndarray:
    """(size, size, 3): the window (centre x, centre y, side), with subpixel accuracy."""
    side = min(window[2], *photo.size)
    left, top = np.clip(window[:2] - side / 2, 0, np.array(photo.size) - side)
    box = (left, top, min(left + side, photo.width), min(top + side, photo.height))
    return np.asarray(photo.resize((size, size), Image.Resampling.BILINEAR, box=box))


def _soft(clip: np.ndarray, radius: float) -> np.ndarray:
    blur = ImageFilter.GaussianBlur(radius * clip.shape[1] / 64)
    return np.stack([np.asarray(Image.fromarray(frame).filter(blur)) for frame in clip])


def _paste_object(clip: np.ndarray, photo: Image.Image, rng: np.random.Generator) -> None:
    """Moves a small piece of the photo across a third of the clips, so not all motion is camera."""
    if rng.random() > 0.35:
        return
    frames, size = clip.shape[:2]
    width, height = rng.integers(size // 8, size // 3, 2)
    window = [rng.uniform(0, photo.width), rng.uniform(0, photo.height), min(photo.size) / 3]
    piece = _view(photo, np.array(window), size)[:height, :width]
    start, way = rng.uniform(0, 1, 2), rng.uniform(-0.6, 0.6, 2)
    for frame, t in zip(clip, np.linspace(0, 1, frames), strict=True):
        x, y = np.round((start + way * t) * size).astype(int) - [width // 2, height // 2]
        spot = frame[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)]
        rows, columns = max(-y, 0), max(-x, 0)
        spot[:] = piece[rows : rows + spot.shape[0], columns : columns + spot.shape[1]]


def _developed(clip: np.ndarray, rng: np.random.Generator, recolour: bool) -> np.ndarray:
    """Colour, exposure (with flicker and a slow change), contrast and noise, alike for all."""
    frames = len(clip)
    if recolour and rng.random() < 0.5:
        clip = clip[..., rng.permutation(3)]
    light = np.linspace(0, 1, frames)[:, None]
    grey = np.arange(256, dtype=np.float32) / 255
    gain = rng.uniform(0.6, 1.25) * np.exp(rng.uniform(-0.2, 0.2) * (light - 0.5))
    gain = gain * np.exp(rng.normal(0, rng.uniform(0, 0.02), (frames, 1)))
    curve = 255 * (gain * grey ** rng.uniform(0.7, 1.4) + rng.uniform(-0.05, 0.1))
    curve = np.clip(curve, 0, 255).astype(np.float32)
    clip = np.stack([levels[frame] for levels, frame in zip(curve, clip, strict=True)])
    if rng.random() < 0.5:
        clip += rng.uniform(0, 6) * rng.standard_normal(clip.shape, dtype=np.float32)
    return np.clip(clip + 0.5, 0, 255).astype(np.uint8)
