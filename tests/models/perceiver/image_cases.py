"""Inputs and arguments on which Perceiver's image processor must give the reference's bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from tests.preprocessing.videomae_cases import cat, cup, face, mixed
from tests.support.paths import FIXTURES

RECORDED = FIXTURES / "preprocessing" / "perceiver.npz"
RECORDED_TEXTS = FIXTURES / "tokenizers" / "perceiver_recorded.json.gz"


@dataclass(frozen=True)
class Case:
    """One call: `PerceiverImageProcessor(**init)(images(), **call)`."""

    name: str
    images: Callable[[], Any]
    init: dict[str, Any] = field(default_factory=dict)
    call: dict[str, Any] = field(default_factory=dict)


SMALL = {"size": 48, "crop_size": 56}
WIDE = {"size": {"height": 31, "width": 57}, "crop_size": {"height": 40, "width": 60}}

CASES = (
    Case("defaults", cat),
    Case("landscape", cat, SMALL),
    Case("portrait", cup, SMALL),
    Case("square", face, SMALL),
    Case("several_sizes", lambda: [cat(), cup(), face()], SMALL),
    Case("pillow", lambda: [Image.fromarray(cat()), Image.fromarray(cup())], SMALL),
    Case("channels_first", lambda: cup().transpose(2, 0, 1), SMALL),
    Case("batch", lambda: np.stack([face(), face()[::-1]]), SMALL),
    Case("two_rows", lambda: cat()[:2], {"size": 4, "crop_size": 4}),
    Case("tiny", lambda: cup()[:7, :9], SMALL),
    Case("not_square", cat, WIDE),
    Case("not_square_portrait", cup, WIDE),
    Case("crop_beyond_the_image", cat, {"size": 60, "crop_size": 40}),
    Case("crop_beyond_one_edge", cup, {"size": (30, 60), "crop_size": (40, 40)}),
    Case("no_crop", cat, SMALL, {"do_center_crop": False}),
    Case("no_resize", cat, SMALL, {"do_resize": False}),
    Case("no_rescale", cat, SMALL, {"do_rescale": False}),
    Case("no_normalize", cup, SMALL, {"do_normalize": False}),
    Case("pixels", cat, SMALL, {"do_rescale": False, "do_normalize": False}),
    Case("float01", lambda: (cat() / 255).astype(np.float32), SMALL, {"do_rescale": False}),
    Case("float64_01", lambda: cup() / 255, SMALL, {"do_rescale": False}),
    Case("float_nearly_integers", lambda: mixed(np.float64), SMALL),
    Case("int64", lambda: cup().astype(np.int64), SMALL),
    Case("bilinear", face, {**SMALL, "resample": 2}),
    Case("statistics", cup, SMALL, {"image_mean": 0.5, "image_std": [0.1, 0.2, 0.3]}),
    Case("factor", cup, SMALL, {"rescale_factor": 1 / 127.5}),
    Case("overrides", cat, {}, {"size": {"height": 40, "width": 36}, "crop_size": 64}),
    Case("channels_last", cup, SMALL, {"data_format": "channels_last"}),
    Case(
        "four_channels",
        lambda: np.concatenate([cat(), cat()[..., :1]], axis=-1),
        SMALL,
        {"image_mean": 0.5, "image_std": 0.5, "input_data_format": "channels_last"},
    ),
)
