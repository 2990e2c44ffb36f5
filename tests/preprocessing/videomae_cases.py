"""Inputs and arguments on which the video processor must give the reference's bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from tests.support.paths import FIXTURES

PHOTOS = FIXTURES / "photos"
RECORDED = FIXTURES / "preprocessing" / "videomae.npz"


@dataclass(frozen=True)
class Case:
    """One call: `VideoMAEImageProcessor(**init)(videos(), **call)`."""

    name: str
    videos: Callable[[], Any]
    init: dict[str, Any] = field(default_factory=dict)
    call: dict[str, Any] = field(default_factory=dict)


def photo(name: str) -> np.ndarray:
    return np.array(Image.open(PHOTOS / f"{name}.png"))


def cat() -> np.ndarray:
    """Landscape, (93, 141, 3)."""
    return photo("chelsea_141x93")


def cup() -> np.ndarray:
    """Portrait, (129, 77, 3)."""
    return photo("coffee_77x129")


def face() -> np.ndarray:
    """Square, (110, 110, 3)."""
    return photo("astronaut_110")


def clip(image: np.ndarray, frames: int = 2) -> list[np.ndarray]:
    """A video: the image, mirrored in every second frame."""
    return [image[:, ::-1] if i % 2 else image for i in range(frames)]


def mixed(dtype: Any) -> np.ndarray:
    """Floats near and on integers, at the edge of what counts as an integer."""
    image = cat().astype(dtype)
    image[::2] += dtype(4e-6) * image[::2]
    return image


SMALL = {"size": {"shortest_edge": 48}, "crop_size": {"height": 48, "width": 48}}
TALL = {"height": 57, "width": 41}

CASES = (
    Case("defaults", lambda: clip(cat())),
    Case("landscape", lambda: clip(cat()), SMALL),
    Case("portrait", lambda: clip(cup()), SMALL),
    Case("square", lambda: clip(face()), SMALL),
    Case("one_frame", cup, SMALL),
    Case("mixed_sizes", lambda: [cat(), cup(), face()], SMALL),
    Case("two_videos", lambda: [clip(cat(), 3), clip(cup(), 3)], SMALL),
    Case("pillow", lambda: [Image.fromarray(f) for f in clip(cup())], SMALL),
    Case("tuples", lambda: (tuple(clip(cat())), tuple(clip(face()))), SMALL),
    Case("channels_first", lambda: [f.transpose(2, 0, 1) for f in clip(cup())], SMALL),
    Case("smaller_than_crop", lambda: clip(cat()), {"crop_size": 160}, {"do_resize": False}),
    Case("narrower_than_crop", lambda: clip(cup()), {"crop_size": 100}, {"do_resize": False}),
    Case("flatter_than_crop", lambda: clip(cat()), {"crop_size": (100, 91)}, {"do_resize": False}),
    Case("float01", lambda: clip((cat() / 255).astype(np.float32)), SMALL, {"do_rescale": False}),
    Case("float64_01", lambda: clip(cup() / 255), SMALL, {"do_rescale": False}),
    Case("float_integers", lambda: clip(cat().astype(np.float32)), SMALL),
    Case("float_nearly_integers", lambda: clip(mixed(np.float64)), SMALL),
    Case("int64", lambda: clip(cup().astype(np.int64)), SMALL),
    Case("float16", lambda: clip(cat().astype(np.float16)), {"do_resize": False}),
    Case(
        "float16_unscaled",
        lambda: clip((cat() / 255).astype(np.float16)),
        {"do_resize": False, "do_rescale": False},
    ),
    Case("upscaled", lambda: clip(cup()), {"size": 150, "crop_size": 150}),
    Case("exact_size", lambda: clip(cat()), {"size": TALL, "crop_size": TALL}),
    Case("legacy_sizes", lambda: clip(cat()), {"size": 60, "crop_size": 50}),
    Case("crop_as_pair", lambda: clip(cup()), {"size": 60, "crop_size": (40, 52)}),
    Case("only_size", lambda: clip(face()), {"size": 96}),
    Case("bicubic", lambda: clip(cat()), {**SMALL, "resample": 3}),
    Case("nearest", lambda: clip(cup()), {**SMALL, "resample": 0}),
    Case("no_resize", lambda: clip(cat()), SMALL, {"do_resize": False}),
    Case("no_crop", lambda: clip(cat()), SMALL, {"do_center_crop": False}),
    Case("no_rescale", lambda: clip(cat()), SMALL, {"do_rescale": False}),
    Case("no_normalize", lambda: clip(cat()), SMALL, {"do_normalize": False}),
    Case("pixels", lambda: clip(cat()), SMALL, {"do_rescale": False, "do_normalize": False}),
    Case(
        "own_statistics",
        lambda: clip(cup()),
        {**SMALL, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]},
    ),
    Case("one_mean", lambda: clip(cup()), SMALL, {"image_mean": 0.45, "image_std": 0.225}),
    Case("own_factor", lambda: clip(cup()), SMALL, {"rescale_factor": 1 / 127.5}),
    Case(
        "overrides",
        lambda: clip(cat()),
        {},
        {"size": 40, "resample": 1, "crop_size": 32, "image_mean": [0.1, 0.2, 0.3]},
    ),
    Case("channels_last", lambda: clip(cup()), SMALL, {"data_format": "channels_last"}),
    Case(
        "four_channels",
        lambda: clip(np.concatenate([cat(), cat()[..., :1]], axis=-1)),
        SMALL,
        {"image_mean": 0.5, "image_std": 0.5, "input_data_format": "channels_last"},
    ),
    Case(
        "one_channel",
        lambda: [f[..., 0][None] for f in clip(cat())],
        SMALL,
        {"image_mean": 0.5, "image_std": 0.5, "input_data_format": "channels_first"},
    ),
)
