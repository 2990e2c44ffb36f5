"""What processors and tokenizers write beside a checkpoint, for every class of the registry."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfzoo
from tests.support.published_checkpoints import PHOTO, write_stand_ins
from tfzoo.registry import families

AUTOS = ("AutoProcessor", "AutoImageProcessor", "AutoTokenizer")
TOKENIZER_FILES = {"tokenizer_config.json", "special_tokens_map.json"}
VOCABULARIES = {
    "Bert": {"vocab.txt", "tokenizer.json"},
    "Lxmert": {"vocab.txt", "tokenizer.json"},
    "CLIP": {"vocab.json", "merges.txt", "tokenizer.json"},
    "Perceiver": set(),
}
# Of each class, a published checkpoint that has its files.
HOMES = {
    "VideoMAEImageProcessor": "facebook/timesformer-base-finetuned-k400",
    "XCLIPProcessor": "microsoft/xclip-base-patch32",
    "CLIPTokenizer": "microsoft/xclip-base-patch32",
    "CLIPTokenizerFast": "microsoft/xclip-base-patch32",
    "Owlv2Processor": "google/owlv2-base-patch16",
    "Owlv2ImageProcessor": "google/owlv2-base-patch16",
    "OwlViTProcessor": "google/owlvit-base-patch32",
    "OwlViTImageProcessor": "google/owlvit-base-patch32",
    "LxmertTokenizer": "unc-nlp/lxmert-base-uncased",
    "LxmertTokenizerFast": "unc-nlp/lxmert-base-uncased",
    "PerceiverTokenizer": "deepmind/language-perceiver",
    "PerceiverImageProcessor": "deepmind/vision-perceiver-conv",
    "TvpProcessor": "Jiqing/tiny-random-tvp",
    "TvpImageProcessor": "Jiqing/tiny-random-tvp",
    "BertTokenizer": "Jiqing/tiny-random-tvp",
    "BertTokenizerFast": "Jiqing/tiny-random-tvp",
}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_stand_ins(tmp_path_factory.mktemp("published"))


def expected_files(name: str) -> set[str]:
    """The files that an object of a class leaves behind."""
    kind = next((kind for kind in VOCABULARIES if name.startswith(kind)), "")
    if "Tokenizer" in name:
        return TOKENIZER_FILES | VOCABULARIES[kind]
    images = {"preprocessor_config.json"}
    if "Image" in name:
        return images
    of_text = {"TvpProcessor": "Bert"}.get(name, "CLIP")
    return images | TOKENIZER_FILES | VOCABULARIES[of_text]


def results(part: Any) -> dict[str, np.ndarray]:
    """What it makes of an image or a sentence."""
    name = type(part).__name__
    if "Tokenizer" in name:
        return {"ids": np.array(part("a photo of a cat").input_ids)}
    prepared = {}
    images = part if "Image" in name else part.image_processor
    is_video = name.startswith(("Tvp", "VideoMAE", "XCLIP"))
    inputs = [np.asarray(tfzoo.read_image(PHOTO))] if is_video else tfzoo.read_image(PHOTO)
    prepared["pixels"] = np.asarray(images(inputs, return_tensors="np").pixel_values)
    if images is not part:
        prepared.update(results(part.tokenizer))
    return prepared


def test_every_class_is_here() -> None:
    """All that the auto classes lead to, and the slow tokenizers beside the fast ones."""
    named = {name for family in families() for auto in AUTOS for name in _led_to(family, auto)}
    slow = {name.removesuffix("Fast") for name in named if name.endswith("TokenizerFast")}
    assert set(HOMES) == named | slow


def _led_to(family: Any, auto: str) -> tuple[str, ...]:
    return tuple(family.auto.get(auto, {}).values())


@pytest.mark.parametrize("name", HOMES)
def test_files_lead_back(name: str, places: dict[str, Path], tmp_path: Path) -> None:
    part = getattr(tfzoo, name).from_pretrained(places[HOMES[name]])
    part.save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == expected_files(name)
    again = getattr(tfzoo, name).from_pretrained(tmp_path)
    expected = results(part)
    for what, value in results(again).items():
        np.testing.assert_array_equal(value, expected[what])
    shutil.copy(places[HOMES[name]] / "config.json", tmp_path)
    auto = next(auto for auto in AUTOS[::-1] if auto.removeprefix("Auto") in f"{name}Fast")
    found = getattr(tfzoo, auto).from_pretrained(tmp_path)
    for what, value in results(found).items():
        np.testing.assert_array_equal(value, expected[what])


@pytest.mark.parametrize("name", HOMES)
def test_broken_writes_leave_whole_files(
    name: str, places: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = getattr(tfzoo, name).from_pretrained(places[HOMES[name]])
    part.save_pretrained(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        part.save_pretrained(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    for content in (tmp_path / n for n in before if n.endswith(".json")):
        json.loads(content.read_text())
