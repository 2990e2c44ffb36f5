"""A clone without Git LFS holds pointers in place of files: every reader says so."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tfzoo
from tests.core.test_untrusted import POINTER
from tfzoo import data
from tfzoo.assets import shipped_checkpoints
from tfzoo.core.config import ConfigError
from tfzoo.data.errors import DataError
from tfzoo.data.regions import RegionFeatureError, open_region_features
from tfzoo.io import read_image, read_video
from tfzoo.io.errors import ImageError, VideoError
from tfzoo.text.files import TokenizerError
from weights_convert.checkpoint import open_checkpoint, read_config
from weights_convert.errors import CheckpointError


def coco(path: Path) -> None:
    processor = tfzoo.AutoProcessor.from_pretrained(shipped_checkpoints()["owlv2-shapes"])
    data.detection_dataset_from_coco(path, path.parent, processor)


def charades(path: Path) -> None:
    processor = tfzoo.AutoProcessor.from_pretrained(shipped_checkpoints()["tvp-pans"])
    data.grounding_dataset_from_charades(path, path.parent, processor, 4, progress=False)


def one_region_file(path: Path) -> None:
    with open_region_features(path.parent) as images:
        images[path.stem]


FILES: dict[str, tuple[Callable[[Path], Any], type[Exception]]] = {
    "config.json": (tfzoo.AutoConfig.from_pretrained, ConfigError),
    "weights/config.json": (read_config, CheckpointError),
    "model.safetensors": (open_checkpoint, CheckpointError),
    "model.safetensors.index.json": (open_checkpoint, CheckpointError),
    "model.keras": (tfzoo.load_model, ConfigError),
    "photo.jpg": (read_image, ImageError),
    "clip.mp4": (read_video, VideoError),
    "clip.webp": (read_video, VideoError),
    "regions.tsv": (open_region_features, RegionFeatureError),
    "regions.h5": (open_region_features, RegionFeatureError),
    "regions/a.npz": (one_region_file, RegionFeatureError),
    "instances.json": (coco, DataError),
    "train.txt": (charades, DataError),
}


@pytest.mark.parametrize("name", FILES)
def test_a_pointer_is_named_as_such(name: str, tmp_path: Path) -> None:
    read, error = FILES[name]
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(POINTER)
    with pytest.raises(error, match="is a Git LFS pointer, .*git lfs pull"):
        read(path)


BESIDE = [
    *(("xclip-camera-motion", name) for name in ("preprocessor_config.json", "vocab.json")),
    *(("lxmert-easy-vqa", name) for name in ("tokenizer.json", "tokenizer_config.json")),
    ("lxmert-easy-vqa", "vocab.txt"),
]


@pytest.mark.parametrize(("checkpoint", "name"), BESIDE)
def test_a_pointer_beside_a_checkpoint_is_named(checkpoint: str, name: str, tmp_path: Path) -> None:
    folder = tmp_path / checkpoint
    shutil.copytree(shipped_checkpoints()[checkpoint], folder)
    (folder / name).write_bytes(POINTER)
    if name in ("vocab.json", "vocab.txt"):  # which are only read where this is not there
        (folder / "tokenizer.json").unlink()
    is_processor = name.startswith("pre")
    auto = tfzoo.AutoImageProcessor if is_processor else tfzoo.AutoTokenizer
    error = ValueError if is_processor else (ConfigError, TokenizerError)
    with pytest.raises(error, match="is a Git LFS pointer"):
        auto.from_pretrained(folder)
