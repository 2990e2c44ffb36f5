"""OWLv2 and OWL-ViT against the living reference."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tfzoo
from tests.models.owlv2.cases import BEGIN, CASES, END, config, images, queries
from tests.support import reference
from tests.support.cases import FLAGS, Case
from tests.support.compare import assert_same
from tests.support.parity_checks import ParityChecks

transformers = reference.transformers


def _named(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Two queries as the tokenizer gives them."""
    ids = np.zeros((2, 16), "int64")
    ids[:, :4] = [[49406, 320, 2368, 49407], [49406, 518, 1929, 49407]]
    return {"input_ids": ids, "attention_mask": (ids > 0).astype("int64")}


class TestOwlv2(ParityChecks):
    cases = CASES
    full_size = (
        Case(
            name="owlv2/full",
            model="TFOwlv2ForObjectDetection",
            # Half as wide and high as published: every patch goes the same way.
            config={"vision_config": {"image_size": 480}},
            inputs=lambda rng: {**_named(rng), **images(rng, 1, 3, 480, 480)},
            flags={},  # the attention weights of one layer alone are 39 MB
        ),
    )


@pytest.fixture(scope="module", params=["Owlv2", "OwlViT"])
def pair(request: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """One detector's checkpoint on both sides."""
    folder = tmp_path_factory.mktemp("owl")
    oracle = reference.random_model(f"{request.param}ForObjectDetection", config())
    oracle.save_pretrained(folder)
    return oracle, getattr(tfzoo, f"TF{request.param}ForObjectDetection").from_pretrained(folder)


@pytest.mark.parametrize("size", [(16, 16), (24, 32), (8, 8), (40, 12), (17, 30)])
def test_interpolated_positions(pair: tuple[Any, Any], size: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    inputs = {**queries(rng, 4, padded=(1,)), **images(rng, 2, 3, *size)}
    expected = reference.run(pair[0], inputs, interpolate_pos_encoding=True)
    assert_same(pair[1](inputs, interpolate_pos_encoding=True), expected)


def test_trailing_pixels(pair: tuple[Any, Any]) -> None:
    rng = np.random.default_rng(4)
    inputs = {**queries(rng, 1), **images(rng, 1, 3, 18, 18)}
    assert_same(pair[1](inputs, **FLAGS), reference.run(pair[0], inputs, **FLAGS))


@pytest.mark.parametrize("row", [[1] * 7, [0] * 7, [0, 0, 1, 1, 1, 1, 1], [1, 1, 0, 1, 0, 1, 1]])
def test_masks(pair: tuple[Any, Any], row: list[int]) -> None:
    rng = np.random.default_rng(5)
    inputs = {**queries(rng, 2), **images(rng, 1, 3, 16, 16), "attention_mask": np.array([row] * 2)}
    inputs["input_ids"][1] = [BEGIN, END, 0, 0, 0, 0, 0]
    assert_same(pair[1](inputs), reference.run(pair[0], inputs))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("sizes", [(1, 1), (2, 2), (3, 1), (1, 2)])
def test_image_guided_detection(pair: tuple[Any, Any], seed: int, sizes: tuple[int, int]) -> None:
    oracle, model = pair
    rng = np.random.default_rng(seed)
    targets, query = (images(rng, n, 3, 16, 16)["pixel_values"] for n in sizes)
    inputs = {"pixel_values": targets, "query_pixel_values": query}
    tensors = reference.torch_inputs(inputs)
    with reference.torch.no_grad():
        outputs = oracle.image_guided_detection(**tensors)
    expected = reference.flatten(outputs, lambda tensor: tensor.detach().numpy())
    have = model.image_guided_detection(**inputs)
    index = have.pop("query_indices")
    assert index.shape == (sizes[1],)
    assert_same(have, expected)


@pytest.mark.parametrize("bias", [-300.0, 5.0])
def test_boxes_without_area_fall_back(pair: tuple[Any, Any], bias: float) -> None:
    """No overlap at all: the generalised one decides, as in the reference."""
    oracle, model = pair
    rng = np.random.default_rng(9)
    inputs = {
        "pixel_values": images(rng, 1, 3, 16, 16)["pixel_values"],
        "query_pixel_values": images(rng, 2, 3, 16, 16)["pixel_values"],
    }
    with reference.torch.no_grad():
        before = oracle.box_head.dense2.bias.clone()
        oracle.box_head.dense2.bias.copy_(reference.torch.tensor([0.0, 0.0, bias, bias]))
        outputs = oracle.image_guided_detection(**reference.torch_inputs(inputs))
        oracle.box_head.dense2.bias.copy_(before)
    kept = model.box_head.dense2.bias.numpy()
    model.box_head.dense2.bias.assign([0.0, 0.0, bias, bias])
    have = model.image_guided_detection(**inputs)
    model.box_head.dense2.bias.assign(kept)
    assert_same(np.asarray(have.logits), {"": outputs.logits.numpy()})


def test_features_and_parts(pair: tuple[Any, Any]) -> None:
    oracle, model = pair
    rng = np.random.default_rng(6)
    text, pixels = queries(rng, 4), images(rng, 2, 3, 16, 16)["pixel_values"]
    base = getattr(oracle, model.base_model_prefix)
    with reference.torch.no_grad():
        texts = base.get_text_features(**reference.torch_inputs(text)).numpy()
        features_of_images = base.get_image_features(reference.torch.as_tensor(pixels)).numpy()
        features = reference.torch.as_tensor(rng.normal(size=(1, 16, 12)).astype("float32"))
        logits, embeds = oracle.class_predictor(features)
    assert_same(model.base.get_text_features(**text), {"": texts})
    assert_same(model.base.get_image_features(pixels), {"": features_of_images})
    ours = model.class_predictor(features.numpy())
    assert_same(np.asarray(ours[0]), {"": logits.numpy()})
    assert_same(np.asarray(ours[1]), {"": embeds.numpy()})


@pytest.mark.parametrize("part", ["Text", "Vision", ""])
def test_parts_go_to_pytorch(pair: tuple[Any, Any], part: str, tmp_path: Path) -> None:
    """What a part of a detector's checkpoint saves, the reference loads with no key missing."""
    oracle, model = pair
    kind = {"owlv2": "Owlv2", "owlvit": "OwlViT"}[model.base_model_prefix]
    oracle.save_pretrained(tmp_path / "whole")
    name = f"{kind}{part}Model"
    ours = getattr(tfzoo, f"TF{name}").from_pretrained(tmp_path / "whole")
    ours.save_pretrained(tmp_path / "part")
    again = reference.load_strictly(name, tmp_path / "part")
    rng = np.random.default_rng(8)
    inputs = {**queries(rng, 2), **images(rng, 2, 3, 16, 16)}
    if part:
        inputs = {k: v for k, v in inputs.items() if (k == "pixel_values") == (part == "Vision")}
    assert_same(ours(inputs, **FLAGS), reference.run(again, inputs, **FLAGS))


def _photo(files: Mapping[str, Path]) -> Image.Image:
    return Image.open(files["cats"]).convert("RGB")


def _cats_or_dogs(
    name: str, size: tuple[int, int] | None, folder: Path, files: Mapping[str, Path]
) -> Mapping[str, Any]:
    processor = transformers.OwlViTProcessor.from_pretrained(folder, use_fast=False)
    if size:
        processor.image_processor.size = {"height": size[0], "width": size[1]}
    sentences = [["a photo of a cat", "a photo of a dog"]]
    padding = {"max_length": 16, "padding": "max_length"}
    encoded = processor(text=sentences, images=_photo(files), return_tensors="pt", **padding)
    model = reference.load_part(name, folder)
    return model(**encoded, interpolate_pos_encoding=size is not None)


def _guided(folder: Path, files: Mapping[str, Path]) -> Mapping[str, Any]:
    processor = transformers.OwlViTProcessor.from_pretrained(folder, use_fast=False)
    both = {"images": _photo(files), "query_images": _photo(files)}
    encoded = processor(**both, return_tensors="pt")
    return reference.load_part(OWLV2, folder).image_guided_detection(**encoded)


def _boxes_in_pixels(folder: Path, files: Mapping[str, Path]) -> dict[str, Any]:
    processor = transformers.Owlv2Processor.from_pretrained(folder, use_fast=False)
    image = _photo(files)
    encoded = processor(text=[["cat"]], images=[image], return_tensors="pt")
    outputs = reference.load_part(OWLV2, folder)(**encoded)
    found = processor.image_processor.post_process_object_detection(
        outputs, threshold=0.2, target_sizes=[image.size[::-1]]
    )
    return {"boxes": found[0]["boxes"]}


class _BlackPadding(transformers.Owlv2ImageProcessor):
    """As transformers 5: black instead of grey below and beside the image."""

    def pad(self, image: np.ndarray, *_: Any, **__: Any) -> np.ndarray:
        height, width = image.shape[:2]
        side = max(height, width)
        return np.pad(image, ((0, side - height), (0, side - width), (0, 0)))


def _means(folder: Path, files: Mapping[str, Path]) -> dict[str, Any]:
    grey, black = (
        processor()(_photo(files), return_tensors="np").pixel_values.mean()
        for processor in (transformers.Owlv2ImageProcessor, _BlackPadding)
    )
    return {"mean with grey padding": grey, "mean with black padding": black}


OWLV2, OWLVIT = "Owlv2ForObjectDetection", "OwlViTForObjectDetection"
#: What the reference's tests of published numbers do, in the order of `expected.py`'s rows.
PUBLISHED = (
    _means,
    partial(_cats_or_dogs, "Owlv2Model", None),
    partial(_cats_or_dogs, "Owlv2Model", (1024, 1024)),
    partial(_cats_or_dogs, OWLV2, None),
    partial(_cats_or_dogs, OWLV2, (1024, 1024)),
    partial(_cats_or_dogs, OWLV2, (1264, 1024)),
    _guided,
    _boxes_in_pixels,
    partial(_cats_or_dogs, "OwlViTModel", None),
    partial(_cats_or_dogs, "OwlViTModel", (800, 800)),
    partial(_cats_or_dogs, OWLVIT, None),
    partial(_cats_or_dogs, OWLVIT, (800, 800)),
)
