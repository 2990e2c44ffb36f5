"""OWLv2's and OWL-ViT's processors against the living reference: pixels, boxes, texts, files."""

from __future__ import annotations

import copy
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tfzoo
from tests.models.owlv2.image_cases import CASES, SMALL, Case, outputs_of, random_outputs
from tests.preprocessing.videomae_cases import PHOTOS, cat, cup
from tests.support.reference import torch, transformers
from tests.text.clip_files import read_json, write_vocabulary

NAMES = ("Owlv2", "OwlViT")
FILES = sorted(PHOTOS.glob("*.jpg"))
# (width, height): portrait, landscape and square, smaller and larger than the model's input.
SHAPES = [(320, 213), (213, 320), (960, 960), (640, 480), (1280, 720), (900, 1600), (1999, 1333)]
SIZES = [(480, 640), (640, 480)]


def processors(name: str, **init: Any) -> tuple[Any, Any]:
    """(theirs, ours)."""
    name += "ImageProcessor"
    return getattr(transformers, name)(**init), getattr(tfzoo, name)(**init)


def assert_close(expected: np.ndarray, computed: np.ndarray, exact: bool) -> None:
    assert computed.dtype == expected.dtype
    np.testing.assert_allclose(computed, expected, rtol=0, atol=0 if exact else 1e-5)


# ---- pixels
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_case(case: Case) -> None:
    name = case.processor.removesuffix("ImageProcessor")
    theirs, ours = processors(name, **case.init)
    expected = theirs(case.images(), return_tensors="np", **case.call).pixel_values
    computed = ours(case.images(), return_tensors="np", **case.call).pixel_values
    assert_close(expected, computed, exact=name == "OwlViT")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_photos_of_every_shape(name: str, shape: tuple[int, int]) -> None:
    theirs, ours = processors(name)
    for file in FILES[:: len(FILES) - 1]:
        photo = Image.open(file).convert("RGB").resize(shape)
        expected = theirs(photo, return_tensors="np").pixel_values
        computed = ours(photo, return_tensors="np").pixel_values
        assert_close(expected, computed, exact=name == "OwlViT")


@pytest.mark.parametrize("seed", range(20))
def test_random_sizes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width, new_height, new_width = rng.integers(4, 90, 4).tolist()
    image = rng.random((height, width, 3), np.float32)
    theirs, ours = processors("Owlv2")
    size = {"height": new_height, "width": new_width}
    call = {"image": image, "size": size, "input_data_format": "channels_last"}
    sigma = 0.3 * seed if min(height, width) > max(new_height, new_width) else None
    for options in ({}, {"anti_aliasing": False}, {"anti_aliasing_sigma": sigma}):
        if sigma is not None and "anti_aliasing_sigma" in options:  # theirs would blur colours
            theirs_options = {"anti_aliasing_sigma": np.array([sigma, sigma, 0.0])}
        else:
            theirs_options = options
        expected = theirs.resize(**call, **theirs_options)
        assert_close(expected, ours.resize(**call, **options), exact=False)


@pytest.mark.parametrize("name", NAMES)
def test_single_steps(name: str) -> None:
    theirs, ours = processors(name)
    first = cat().transpose(2, 0, 1)
    steps = [("rescale", (first, 1 / 255)), ("normalize", (first / 255, [0.1] * 3, [0.3] * 3))]
    steps += [("pad", (first / 255,))] if name == "Owlv2" else []
    steps += [("center_crop", (first, {"height": 20, "width": 200}))] if name == "OwlViT" else []
    for step, arguments in steps:
        for layout in (None, "channels_last"):
            expected = getattr(theirs, step)(*arguments, data_format=layout)
            computed = getattr(ours, step)(*arguments, data_format=layout)
            np.testing.assert_allclose(computed, expected, rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(640, 480), (480, 640), (1280, 720), (3000, 2000)], ids=str)
def test_it_is_as_fast_as_the_reference(name: str, shape: tuple[int, int]) -> None:
    photo = np.asarray(Image.open(FILES[0]).convert("RGB").resize(shape))
    best = [np.inf, np.inf]
    for _ in range(3):
        for i, processor in enumerate(processors(name)):
            start = time.process_time()
            processor(photo, return_tensors="np")
            best[i] = min(best[i], time.process_time() - start)
    assert best[1] <= (1.0 if name == "Owlv2" else 1.3) * best[0]


# ---- boxes
def as_torch(outputs: Any) -> Any:
    return SimpleNamespace(**{k: torch.tensor(v) for k, v in vars(outputs).items()})


def assert_same_detections(expected: list[dict], computed: list[dict]) -> None:
    assert len(computed) == len(expected)
    for theirs, ours in zip(expected, computed, strict=True):
        assert list(ours) == list(theirs)
        for key, value in theirs.items():
            if value is None:
                assert ours[key] is None
            else:
                assert ours[key].dtype == value.numpy().dtype
                np.testing.assert_allclose(ours[key], value.numpy(), rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ties", [False, True], ids=["", "ties"])
@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.5, 0.99, 1.0])
def test_object_detection(name: str, ties: bool, threshold: float) -> None:
    theirs, ours = processors(name)
    for sizes in (None, SIZES):
        outputs = random_outputs(seed=3, boxes=200, queries=7, ties=ties)
        expected = theirs.post_process_object_detection(as_torch(outputs), threshold, sizes)
        computed = ours.post_process_object_detection(outputs, threshold, sizes)
        assert_same_detections(expected, computed)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("nms", [0.0, 0.1, 0.3, 0.7, 0.99, 1.0])
@pytest.mark.parametrize("threshold", [0.0, 0.3])
def test_image_guided_detection(name: str, nms: float, threshold: float) -> None:
    theirs, ours = processors(name)
    for seed, queries in ((0, 1), (1, 4)):
        outputs = random_outputs(seed, boxes=120, queries=queries)
        for sizes in (None, SIZES):
            tensor = None if sizes is None else torch.tensor(sizes)
            expected = theirs.post_process_image_guided_detection(
                as_torch(outputs), threshold, nms, tensor
            )
            computed = ours.post_process_image_guided_detection(outputs, threshold, nms, sizes)
            assert_same_detections(expected, computed)


def test_image_guided_ties(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference's sort leaves the order of equal scores to chance; ours keeps it."""
    sort = torch.argsort
    monkeypatch.setattr(torch, "argsort", lambda values: sort(values, stable=True))
    theirs, ours = processors("Owlv2")
    outputs = random_outputs(boxes=120, ties=True)
    for nms in (0.0, 0.3, 0.9, 1.0):
        expected = theirs.post_process_image_guided_detection(as_torch(outputs), 0.0, nms)
        assert_same_detections(
            expected, ours.post_process_image_guided_detection(outputs, 0.0, nms)
        )


def test_images_with_nothing_in_a_batch() -> None:
    """The reference drops an image whose scores are 0; here it keeps its place."""
    theirs, ours = processors("Owlv2")
    outputs = random_outputs(images=3, boxes=30)
    outputs.logits[1] = -200
    expected = theirs.post_process_image_guided_detection(as_torch(outputs))
    computed = ours.post_process_image_guided_detection(outputs)
    assert (len(expected), len(computed)) == (2, 3)
    assert_same_detections(expected, [computed[0], computed[2]])
    assert computed[1]["scores"].shape == (0,)
    for threshold in (0.99999, 0.9):  # above all scores: theirs has empty dicts, too
        assert_same_detections(
            theirs.post_process_image_guided_detection(as_torch(random_outputs()), threshold),
            ours.post_process_image_guided_detection(random_outputs(), threshold),
        )


def test_boxes_without_area() -> None:
    theirs, ours = processors("Owlv2")
    boxes = np.full((1, 4, 4), 0.5, np.float32)
    boxes[0, :3, 2:] = 0
    outputs = outputs_of(np.array([[[1.0], [2.0], [0.5], [0.7]]], np.float32), boxes)
    for nms in (0.0, 0.3):
        assert_same_detections(
            theirs.post_process_image_guided_detection(as_torch(outputs), 0.0, nms),
            ours.post_process_image_guided_detection(outputs, 0.0, nms),
        )


@pytest.mark.filterwarnings("ignore:`post_process` is deprecated", "ignore:post_process is the")
def test_the_old_post_process_of_owlvit() -> None:
    theirs, ours = processors("OwlViT")
    outputs = random_outputs(ties=True)
    expected = theirs.post_process(as_torch(outputs), torch.tensor(SIZES))
    assert_same_detections(expected, ours.post_process(outputs, SIZES))


# ---- texts and files
CALLS: dict[str, dict[str, Any]] = {
    "a text": {"text": "a cat"},
    "texts": {"text": ["a cat", "a dog!", " "]},
    "a list for one image": {"text": [["a cat", "a dog"]], "images": cat()},
    "lists": {"text": [["a cat"], ["a dog", "a"]], "images": [cat(), cup()]},
    "an empty list": {"text": [["a cat"], []]},
    "longest": {"text": ["a cat", "dog"], "padding": True},
    "cut": {"text": ["a " * 30, "a cat's dog"], "truncation": True},
    "images": {"images": [cat(), cup()]},
    "query images": {"images": cat(), "query_images": cup()},
    "query images alone": {"query_images": [cup(), cat()]},
    "dicts": {
        "text": ["a cat", "dog"],
        "images": cat(),
        "text_kwargs": {"padding": "max_length", "max_length": 9, "truncation": True},
        "images_kwargs": {"do_normalize": False},
        "common_kwargs": {"return_tensors": "np"},
    },
    "other pixels": {"images": cat(), "size": {"height": 30, "width": 40}, "do_normalize": False},
}


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vocabulary")
    return write_vocabulary(folder, pad_token="!", model_max_length=16)


def make(package: Any, name: str, vocabulary: Path) -> Any:
    tokenizer = package.CLIPTokenizerFast.from_pretrained(vocabulary)
    images = getattr(package, name + "ImageProcessor")(**SMALL)
    return getattr(package, name + "Processor")(images, tokenizer)


def assert_same_calls(theirs: Any, ours: Any) -> None:
    for call in CALLS.values():
        computed = ours(**call)
        expected = theirs(**copy.deepcopy(call))  # it empties the dicts
        assert list(computed) == list(expected)
        for key, value in expected.items():
            assert_close(value, computed[key], exact=key in ("input_ids", "attention_mask"))


@pytest.mark.parametrize("name", NAMES)
def test_calls(name: str, vocabulary: Path) -> None:
    theirs, ours = (make(package, name, vocabulary) for package in (transformers, tfzoo))
    assert_same_calls(theirs, ours)
    assert ours.model_input_names == theirs.model_input_names
    ids = theirs(text=["a cat!", " ", "dog"]).input_ids
    for skip in (True, False):
        expected = theirs.batch_decode(ids, skip_special_tokens=skip)
        assert ours.batch_decode(ids, skip_special_tokens=skip) == expected


def test_grounded_detection(vocabulary: Path) -> None:
    theirs, ours = (make(package, "Owlv2", vocabulary) for package in (transformers, tfzoo))
    outputs, labels = random_outputs(), [["a", "b", "c"], ["d", "e", "f"]]
    for texts in (labels, None):
        options = {"threshold": 0.4, "target_sizes": SIZES, "text_labels": texts}
        expected = theirs.post_process_grounded_object_detection(as_torch(outputs), **options)
        computed = ours.post_process_grounded_object_detection(outputs, **options)
        for left, right in zip(expected, computed, strict=True):
            assert left.pop("text_labels") == right.pop("text_labels")
        assert_same_detections(expected, computed)


@pytest.mark.parametrize("name", NAMES)
def test_the_reference_reads_what_is_written(name: str, vocabulary: Path, tmp_path: Path) -> None:
    theirs, ours = (make(package, name, vocabulary) for package in (transformers, tfzoo))
    ours.save_pretrained(tmp_path / "ours")
    theirs.save_pretrained(tmp_path / "theirs")
    for auto in (type(theirs), transformers.AutoProcessor):
        read = auto.from_pretrained(tmp_path / "ours", use_fast=False)
        assert type(read) is type(theirs)
        assert_same_calls(read, ours)
    files = [read_json(tmp_path / f / "preprocessor_config.json") for f in ("ours", "theirs")]
    assert files[0].pop("pad_value", 0.5) == 0.5  # the one field that is ours
    assert files[0] == files[1]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("legacy", [True, False], ids=["two files", "one file"])
def test_what_the_reference_writes_is_read(
    name: str, legacy: bool, vocabulary: Path, tmp_path: Path
) -> None:
    theirs = make(transformers, name, vocabulary)
    theirs.save_pretrained(tmp_path, legacy_serialization=legacy)
    for auto in (getattr(tfzoo, name + "Processor"), tfzoo.AutoProcessor):
        read = auto.from_pretrained(tmp_path)
        assert type(read) is getattr(tfzoo, name + "Processor")
        assert_same_calls(theirs, read)
