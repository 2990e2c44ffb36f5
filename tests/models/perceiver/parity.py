"""Perceiver's models against the living reference."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.models.perceiver.cases import CASES, ONE_HEAD, TEXT, TINY, VIDEO, images, texts, videos
from tests.support import reference
from tests.support.cases import FLAGS
from tests.support.compare import assert_same, flatten
from tests.support.parity_checks import RECORDED, ParityChecks
from tests.support.reference import both

torch, transformers = reference.torch, reference.transformers
KV = {"qk_channels": None, "v_channels": None}  # keys as wide as the inputs, as published


class TestPerceiver(ParityChecks):
    cases = CASES
    test_full_size_agrees_everywhere = None  # six of them, in parity_published.py


def compare(pair: tuple[Any, Any], inputs: dict[str, Any], **flags: Any) -> None:
    """All outputs, and those without attention weights, which are computed in another way."""
    oracle, model = pair
    expected = reference.run(oracle, inputs, **FLAGS, **flags)
    assert_same(model(**inputs, **FLAGS, **flags), expected)
    short = flatten(model(**inputs, **flags))
    assert_same(short, {k: v for k, v in expected.items() if k in short})


WIDTHS = {
    "kv": {},
    "q": {"cross_attention_shape_for_attention": "q"},
    "explicit": {"qk_channels": 24, "v_channels": 12},
    "wide": {"self_attention_widening_factor": 3, "cross_attention_widening_factor": 2},
    "no residual": {"use_query_residual": False},
    "three blocks": {"num_blocks": 3, "num_self_attends_per_block": 1},
    "silu": {"hidden_act": "silu"},
}


@pytest.mark.parametrize("kind", WIDTHS)
def test_widths_and_blocks(kind: str, tmp_path: Path) -> None:
    pair = both("PerceiverForMaskedLM", {**TEXT, **WIDTHS[kind]}, tmp_path)
    inputs = texts(np.random.default_rng(3), 3, 9)
    compare(pair, inputs)
    mask = np.ones((3, 5, 9), "float32")
    mask[:, 2, 4:] = 0
    compare(pair, {**inputs, "attention_mask": mask})  # a row for each latent


MASKS = {
    "left": [0, 0, 1, 1, 1, 1],
    "nothing": [0, 0, 0, 0, 0, 0],
    "fractions": [1, 0.5, 1, 0, 1, 0.25],
    "booleans": [True, True, False, True, True, False],
}


@pytest.mark.parametrize("kind", MASKS)
def test_masks(kind: str, tmp_path: Path) -> None:
    pair = both("PerceiverForSequenceClassification", TEXT, tmp_path)
    ids = texts(np.random.default_rng(4), 2, 6)["input_ids"]
    compare(pair, {"input_ids": ids, "attention_mask": np.array([MASKS[kind]] * 2)})


def test_head_masks(tmp_path: Path) -> None:
    """Only the first rows count: each block starts with them anew."""
    pair = both("PerceiverForMaskedLM", TEXT, tmp_path)
    ids = {"input_ids": np.random.default_rng(5).integers(0, 30, (2, 7))}
    compare(pair, {**ids, "head_mask": np.array([1.0, 0.0, 1.0], "float32")})
    rows = np.random.default_rng(5).integers(0, 2, (4, 3)).astype("float32")
    compare(pair, {**ids, "head_mask": rows})


@pytest.mark.parametrize("size", [(32, 32), (33, 9), (9, 40), (57, 64)])
@pytest.mark.parametrize("way", ["Fourier", "ConvProcessing"])
def test_images_of_any_size(way: str, size: tuple[int, int], tmp_path: Path) -> None:
    pair = both(f"PerceiverForImageClassification{way}", {**ONE_HEAD, **KV}, tmp_path)
    compare(pair, images(np.random.default_rng(6), 2, 3, *size))


def test_image_masks(tmp_path: Path) -> None:
    name = "PerceiverForImageClassificationLearned"
    pair = both(name, {**TINY, "image_size": 5}, tmp_path)
    mask = np.random.default_rng(7).integers(0, 2, (2, 25))
    compare(pair, {**images(np.random.default_rng(7), 2, 3, 5, 5), "attention_mask": mask})


def test_batch_norm_in_training(tmp_path: Path) -> None:
    """The statistics of one step: PyTorch stores the unbiased variance."""
    config = {**ONE_HEAD, "attention_probs_dropout_prob": 0.0}
    oracle, model = both("PerceiverForImageClassificationConvProcessing", config, tmp_path)
    inputs = images(np.random.default_rng(8), 3, 3, 20, 17)
    with torch.no_grad():
        expected = oracle.train()(**reference.torch_inputs(inputs)).logits.numpy()
    assert_same(model(inputs, training=True).logits, {"": expected})
    stored, ours = (
        oracle.perceiver.input_preprocessor.convnet.batchnorm,
        model.perceiver.input_preprocessor.convnet.batchnorm,
    )
    assert_same(np.asarray(ours.moving_mean), {"": stored.running_mean.numpy()})
    assert_same(np.asarray(ours.moving_variance), {"": stored.running_var.numpy()})


@pytest.mark.parametrize("seed", range(2))
def test_flow_with_published_widths(seed: int, tmp_path: Path) -> None:
    pair = both("PerceiverForOpticalFlow", {**ONE_HEAD, **KV, "train_size": [6, 5]}, tmp_path, seed)
    rng = np.random.default_rng(seed)
    compare(pair, {"inputs": rng.normal(size=(2, 2, 27, 6, 5)).astype("float32")})


POINTS = {
    "some": lambda rng: {"image": rng.permutation(128)[:9], "audio": np.array([3, 1])},
    "one": lambda rng: {"image": np.array([0]), "audio": np.array([0])},
    "last": lambda rng: {"image": np.array([127]), "audio": np.array([11])},
    "all": lambda rng: {"image": np.arange(128), "audio": np.arange(12)},
}


@pytest.mark.parametrize("kind", POINTS)
def test_subsampled_video(kind: str, tmp_path: Path) -> None:
    config = {**VIDEO, **KV, "num_labels": 5}
    oracle, model = both("PerceiverForMultimodalAutoencoding", config, tmp_path)
    rng = np.random.default_rng(9)
    flat, points = videos(rng, 2), POINTS[kind](rng)
    inputs = {name: flat[name] for name in ("image", "audio", "label")}
    tensors = {name: torch.as_tensor(value) for name, value in inputs.items()}
    chosen = {**{name: torch.as_tensor(value) for name, value in points.items()}, "label": None}
    with torch.no_grad():
        outputs = oracle(inputs=tensors, subsampled_output_points=chosen, **FLAGS)
    expected = flatten(outputs, lambda tensor: tensor.numpy())
    ours = model(inputs=inputs, subsampled_output_points={**points, "label": None}, **FLAGS)
    assert_same(ours, expected)
    assert list(ours.logits) == list(outputs.logits)
    if kind == "all":  # without points, all are decoded, where the reference fails
        assert_same(model(inputs=inputs, **FLAGS), expected)


def test_multimodal_checkpoint_goes_back(tmp_path: Path) -> None:
    case = next(case for case in CASES if "Multimodal" in case.model)
    case.load().save_pretrained(tmp_path)
    oracle = reference.load_strictly(case.torch_class, tmp_path)
    outputs = reference.run(oracle, case.make_inputs(), **FLAGS)
    assert_same(outputs, case.recorded("outputs"), bound=RECORDED)


def _photo(files: Mapping[str, Path], name: str) -> Image.Image:
    return Image.open(files[name]).convert("RGB")


def _masked_bytes(folder: Path, files: Mapping[str, Path]) -> dict[str, Any]:
    tokenizer = transformers.PerceiverTokenizer.from_pretrained(folder)
    text = "This is an incomplete sentence where some words are missing."
    encoded = tokenizer(text, padding="max_length", return_tensors="pt")
    encoded.input_ids[0, 52:61] = tokenizer.mask_token_id
    logits = reference.load_strictly("PerceiverForMaskedLM", folder)(
        inputs=encoded.input_ids, attention_mask=encoded.attention_mask
    ).logits
    return {"logits": logits, "ids of the masked bytes": logits[0, 52:61].argmax(dim=-1)}


def _image_class(kind: str, folder: Path, files: Mapping[str, Path]) -> Mapping[str, Any]:
    image, processor = _photo(files, "cats"), transformers.PerceiverImageProcessor()
    pixels = processor(image, return_tensors="pt").pixel_values
    model = reference.load_strictly(f"PerceiverForImageClassification{kind}", folder)
    return model(inputs=pixels)


def _flow(folder: Path, files: Mapping[str, Path]) -> Mapping[str, Any]:
    oracle = reference.load_strictly("PerceiverForOpticalFlow", folder)
    image = torch.tensor(np.moveaxis(np.array(_photo(files, "sintel")) / 255.0 * 2 - 1, -1, 0))
    height, width = oracle.config.train_size
    both_frames = torch.stack([image, image])[..., :height, :width]
    shifted = torch.nn.functional.unfold(both_frames, kernel_size=3, padding=1)
    patches = shifted.reshape(2, 3, 9, height, width).transpose(1, 2)
    return oracle(inputs=patches.reshape(1, 2, 27, height, width).float())


#: What the reference's tests of published numbers do, in the order of `expected.py`'s rows.
PUBLISHED = (
    _masked_bytes,
    partial(_image_class, "Learned"),
    partial(_image_class, "Fourier"),
    partial(_image_class, "ConvProcessing"),
    _flow,
)
