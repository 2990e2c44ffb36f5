"""Inputs and arguments on which OWLv2's and OWL-ViT's image processors must equal the reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from tests.preprocessing.videomae_cases import PHOTOS, cat, cup, face

RECORDED = PHOTOS.parent / "preprocessing" / "owl.npz"


@dataclass(frozen=True)
class Case:
    """One call: `<processor>(**init)(images(), **call)`."""

    name: str
    images: Callable[[], Any]
    init: dict[str, Any] = field(default_factory=dict)
    call: dict[str, Any] = field(default_factory=dict)
    processor: str = "Owlv2ImageProcessor"


def unit(image: np.ndarray, dtype: Any = np.float32) -> np.ndarray:
    """Fractions instead of 0..255."""
    return (image / 255).astype(dtype)


SMALL = {"size": {"height": 48, "width": 48}}
LARGE = {"size": {"height": 150, "width": 150}}
OBLONG = {"size": {"height": 40, "width": 57}}
CROP = {"do_center_crop": True, "crop_size": {"height": 30, "width": 60}}
VIT = {"processor": "OwlViTImageProcessor"}

CASES = (
    Case("landscape", cat, SMALL),
    Case("portrait", cup, SMALL),
    Case("square", face, SMALL),
    Case("same_size", face, {"size": {"height": 110, "width": 110}}),
    Case("upscaled_landscape", cat, LARGE),
    Case("upscaled_portrait", cup, LARGE),
    Case("oblong", cat, OBLONG),
    Case("up_and_down", face, {"size": {"height": 30, "width": 160}}),
    Case("to_a_few_pixels", cup, {"size": {"height": 3, "width": 1}}),
    Case("batch", lambda: [cat(), cup(), face()], SMALL),
    Case("nested", lambda: [[cat()], [cup()]], SMALL),
    Case("array_of_images", lambda: np.stack([face(), face()[::-1]]), SMALL),
    Case("pillow", lambda: Image.fromarray(cup()), SMALL),
    Case("channels_first", lambda: cat().transpose(2, 0, 1), SMALL),
    Case("channels_last", cat, SMALL, {"data_format": "channels_last"}),
    Case("float01", lambda: unit(cat()), SMALL, {"do_rescale": False}),
    Case("float64_01", lambda: unit(cup(), np.float64), SMALL, {"do_rescale": False}),
    Case("float_integers", lambda: cat().astype(np.float32), SMALL),
    Case("no_pad", cat, SMALL, {"do_pad": False}),
    Case("no_resize", cat, SMALL, {"do_resize": False}),
    Case("no_resize_no_pad", cup, SMALL, {"do_resize": False, "do_pad": False}),
    Case("no_normalize", cat, SMALL, {"do_normalize": False}),
    Case("padded_integers", cup, SMALL, {"do_rescale": False, "do_resize": False}),
    Case("integers", cat, SMALL, {"do_rescale": False, "do_normalize": False}),
    Case("large_integers", lambda: cup().astype(np.int64) * 9, SMALL, {"do_rescale": False}),
    Case("own_statistics", cup, {**SMALL, "image_mean": [0.1, 0.2, 0.3], "image_std": [0.4] * 3}),
    Case("own_factor", cup, SMALL, {"rescale_factor": 1 / 127.5}),
    Case("overrides", cat, {}, {"size": {"height": 33, "width": 33}, "image_mean": [0.5] * 3}),
    Case("vit_landscape", cat, SMALL, **VIT),
    Case("vit_portrait", cup, SMALL, **VIT),
    Case("vit_upscaled", face, LARGE, **VIT),
    Case("vit_oblong", cat, OBLONG, **VIT),
    Case("vit_bilinear", cat, {**SMALL, "resample": 2}, **VIT),
    Case("vit_crop", cat, SMALL, CROP, **VIT),
    Case("vit_batch", lambda: [cat(), cup(), face()], SMALL, **VIT),
    Case("vit_legacy", cup, {"size": [30, 40], "rescale": True}, **VIT),
    Case("vit_float01", lambda: unit(cat()), SMALL, {"do_rescale": False}, **VIT),
    Case("vit_no_resize", cup, SMALL, {"do_resize": False}, **VIT),
    Case("vit_pixels", cup, SMALL, {"do_rescale": False, "do_normalize": False}, **VIT),
)


def random_outputs(
    seed: int = 0, images: int = 2, boxes: int = 40, queries: int = 3, ties: bool = False
) -> Any:
    """Detections of random boxes, of which many overlap; with `ties`, many scores are equal."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-1, 2, (images, boxes, queries))
    logits = np.round(logits * 2) / 2 if ties else logits
    centers = rng.random((images, boxes, 2))
    sizes = rng.random((images, boxes, 2)) * rng.choice([0.1, 0.9], (images, boxes, 1))
    boxes = np.concatenate([centers, sizes], -1).astype(np.float32)
    boxes[:, 1] = boxes[:, 0]  # one box twice
    return outputs_of(logits.astype(np.float32), boxes)


def outputs_of(logits: Any, boxes: Any) -> Any:
    """What a detector returns, as far as post-processing goes."""
    return SimpleNamespace(logits=logits, pred_boxes=boxes, target_pred_boxes=boxes)
