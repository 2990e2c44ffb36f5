"""Inputs and arguments on which TVP's image processor must give the reference's bits; sentences."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.preprocessing.videomae_cases import PHOTOS, Case, cat, clip, cup, face
from tests.text.clip_files import write_json

RECORDED = PHOTOS.parent / "preprocessing" / "tvp.npz"

# The preprocessor file of the published checkpoints.
CHECKPOINT: dict[str, Any] = {
    "do_center_crop": False,
    "do_rescale": False,
    "image_mean": [8.2381, 7.3115, 6.6981],
    "image_std": [9.6335, 9.0659, 8.7213],
}
LEGACY: dict[str, Any] = {
    "do_padding": True,
    "padding_size": {"height": 448, "width": 448},
    "image_processor_type": "TvpImageProcessor",
    **CHECKPOINT,
}
SMALL = {
    "size": {"longest_edge": 48},
    "crop_size": {"height": 48, "width": 48},
    "pad_size": {"height": 48, "width": 48},
}
LIKE = {**CHECKPOINT, **SMALL}
WIDE = {"height": 70, "width": 130}


def first(frames: list[np.ndarray]) -> list[np.ndarray]:
    """The frames with their channels first."""
    return [frame.transpose(2, 0, 1) for frame in frames]


def four() -> list[np.ndarray]:
    """Frames of four channels."""
    return clip(np.concatenate([cat(), cat()[..., :1]], axis=-1))


def padded(mode: str, **more: Any) -> dict[str, Any]:
    """A call that pads by more than the frame's size."""
    return {"pad_mode": mode, "pad_size": WIDE, **more}


CASES = (
    Case("defaults", lambda: clip(cat())),
    Case("checkpoint", lambda: clip(cup()), CHECKPOINT),
    Case("landscape", lambda: clip(cat()), LIKE),
    Case("portrait", lambda: clip(cup()), LIKE),
    Case("square", lambda: clip(face()), LIKE),
    Case("cropped_landscape", lambda: clip(cat()), SMALL),
    Case("cropped_portrait", lambda: clip(cup()), SMALL),
    Case("one_image", cup, LIKE),
    Case("one_pillow_image", lambda: Image.fromarray(cat()), LIKE),
    Case("mixed_sizes", lambda: [cat(), cup(), face()], LIKE),
    Case("two_videos", lambda: [clip(cat(), 3), clip(cup(), 3)], LIKE),
    Case("tuples", lambda: (tuple(clip(cat())), tuple(clip(face()))), LIKE),
    Case("pillow", lambda: [Image.fromarray(f) for f in clip(cup())], LIKE),
    Case("channels_first", lambda: first(clip(cup())), LIKE),
    Case("channels_last", lambda: clip(cup()), LIKE, {"data_format": "channels_last"}),
    Case("first_to_last", lambda: first(clip(cup())), LIKE, {"data_format": "channels_last"}),
    Case(
        "upscaled",
        lambda: clip(cat()),
        LIKE,
        {"size": {"longest_edge": 160}, "pad_size": {"height": 160, "width": 161}},
    ),
    Case("truncated", lambda: clip(face()[:33, :100]), LIKE, {"size": {"longest_edge": 47}}),
    Case(
        "both_edges", lambda: clip(cat()), LIKE, {"size": {"shortest_edge": 9, "longest_edge": 40}}
    ),
    Case("exact_size", lambda: clip(cat()), LIKE, {"size": {"height": 30, "width": 41}}),
    Case("float01", lambda: clip((cat() / 255).astype(np.float32)), SMALL, {"do_rescale": False}),
    Case("float64_01", lambda: clip(cup() / 255), SMALL, {"do_rescale": False}),
    Case("float_integers", lambda: clip(cat().astype(np.float32)), LIKE),
    Case("int64", lambda: clip(cup().astype(np.int64)), LIKE),
    Case("float16", lambda: clip(cat().astype(np.float16)), CHECKPOINT, {"do_resize": False}),
    Case(
        "float64_unscaled",
        lambda: clip(cat().astype(np.float64) + 0.1),
        CHECKPOINT,
        {"do_resize": False, "do_normalize": False},
    ),
    Case("bicubic", lambda: clip(cat()), {**LIKE, "resample": 3}),
    Case("no_resize", lambda: clip(cat()), SMALL, {"do_resize": False}),
    Case(
        "crop_of_odd_size", lambda: clip(cup()), SMALL, {"crop_size": {"height": 33, "width": 47}}
    ),
    Case("no_crop", lambda: clip(cat()), SMALL, {"do_center_crop": False}),
    Case("no_pad", lambda: clip(cat()), LIKE, {"do_pad": False}),
    Case("no_normalize", lambda: clip(cat()), SMALL, {"do_normalize": False}),
    Case("no_flip", lambda: clip(cat()), LIKE, {"do_flip_channel_order": False}),
    Case("rescaled", lambda: clip(cat()), LIKE, {"do_rescale": True, "rescale_factor": 1 / 127.5}),
    Case("pixels", lambda: clip(cat()), SMALL, {"do_rescale": False, "do_normalize": False}),
    Case("bare", lambda: clip(cup()), LIKE, {"do_normalize": False, "do_pad": False}),
    Case("one_mean", lambda: clip(cup()), SMALL, {"image_mean": 0.45, "image_std": 0.225}),
    Case("fill", lambda: clip(cat()), LIKE, padded("constant", constant_values=-1.5)),
    Case("no_fill", lambda: clip(cat()), {**LIKE, "constant_values": 3}, {"constant_values": 0}),
    Case("fill_pair", lambda: clip(cat()), LIKE, padded("constant", constant_values=(1, 2))),
    Case(
        "fill_pairs",
        lambda: first(clip(cat())),
        LIKE,
        padded("constant", constant_values=((1, 2), (3, 4))),
    ),
    Case("reflect", lambda: clip(cat()), LIKE, padded("reflect")),
    Case("replicate", lambda: clip(cup()), LIKE, padded("replicate")),
    Case("symmetric", lambda: first(clip(cat())), LIKE, padded("symmetric")),
    Case("taller", lambda: clip(cat()), LIKE, {"pad_size": {"height": 60}}),
    Case("wider", lambda: clip(cat()), LIKE, {"pad_size": {"width": 60}}),
    Case(
        "four_channels",
        four,
        LIKE,
        {"image_mean": 0.5, "image_std": [1, 2, 3, 4], "input_data_format": "channels_last"},
    ),
)

SENTENCES = ["a person is sitting on a bed.", "The Dog runs"]
_WORDS = ["a", "person", "is", "sitting", "on", "bed", "the", "dog", "runs", ".", "##s"]


def write_vocabulary(folder: Path, **settings: Any) -> Path:
    """Write a `vocab.txt` of BERT with 68 tokens, and a tokenizer_config.json."""
    letters = [start + letter for start in ("", "##") for letter in string.ascii_lowercase]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters]
    tokens += [word for word in _WORDS if word not in tokens]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n")
    settings = {"tokenizer_class": "BertTokenizer", "model_max_length": 20, **settings}
    return write_json(folder, "tokenizer_config.json", settings)
