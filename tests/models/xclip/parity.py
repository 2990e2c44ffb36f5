"""X-CLIP against the living reference."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfzoo
from tests.models.xclip.cases import CASES, clips, config, texts
from tests.support import reference
from tests.support.cases import FLAGS, Case
from tests.support.compare import assert_same, flatten
from tests.support.parity_checks import ParityChecks

transformers = reference.transformers


class TestXCLIP(ParityChecks):
    cases = CASES
    is_served = True  # texts and videos, and the quickest of all to export
    full_size = (
        Case(
            name="xclip/full",
            model="TFXCLIPModel",
            config={name: {"num_hidden_layers": 4} for name in ("text_config", "vision_config")},
            inputs=lambda rng: {
                "input_ids": rng.integers(0, 49407, (3, 77)),
                "attention_mask": (rng.random((3, 77)).cumsum(1) < 30).astype("int64"),
                **clips(rng, 1, 8, 3, 224, 224),
            },
        ),
    )


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """One checkpoint on both sides, with 3 x 3 patches, so that grids can grow and shrink."""
    folder = tmp_path_factory.mktemp("xclip")
    fields = config(vision={"image_size": 24, "num_frames": 2}, prompt_num_attention_heads=5)
    oracle = reference.random_model("XCLIPModel", fields)
    oracle.save_pretrained(folder)
    return oracle, tfzoo.TFXCLIPModel.from_pretrained(folder)


def compare(pair: tuple[Any, Any], inputs: dict[str, np.ndarray], **flags: Any) -> None:
    oracle, model = pair
    expected = reference.run(oracle, inputs, **FLAGS, **flags)
    assert_same(model(inputs, **FLAGS, **flags), expected)


@pytest.mark.parametrize(
    "size", [(24, 24), (40, 40), (8, 8), (16, 32), (72, 8), (26, 25), (48, 24), (33, 57)]
)
def test_interpolated_positions(pair: tuple[Any, Any], size: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    inputs = {**texts(rng, 3), **clips(rng, 2, 2, 3, *size)}
    compare(pair, inputs, interpolate_pos_encoding=True)


MASKS = {
    "right": [1, 1, 1, 1, 0, 0],
    "left": [0, 0, 1, 1, 1, 1],
    "middle": [1, 1, 0, 0, 1, 1],
    "nothing": [0, 0, 0, 0, 0, 0],
    "fractions": [1, 0.5, 1, 0, 1, 0.25],
    "booleans": [True, True, False, True, True, False],
}


@pytest.mark.parametrize("kind", MASKS)
def test_masks(pair: tuple[Any, Any], kind: str) -> None:
    rng = np.random.default_rng(4)
    inputs = {**texts(rng, 2, 6), **clips(rng, 1, 2, 3, 24, 24)}
    compare(pair, {**inputs, "attention_mask": np.array([MASKS[kind]] * 2)})


def test_position_ids_and_any_ids(pair: tuple[Any, Any]) -> None:
    rng = np.random.default_rng(5)
    pixels = clips(rng, 3, 2, 3, 24, 24)
    for ids in ([[5, 9, 3, 9, 1]], [[0, 0, 0, 0, 0]], [[48, 48, 48, 2, 48], [1, 2, 3, 4, 5]]):
        inputs = {"input_ids": np.array(ids), **pixels}
        compare(pair, inputs)
        compare(pair, {**inputs, "position_ids": np.array([[4, 2, 0, 11, 3]])})


def test_features(pair: tuple[Any, Any]) -> None:
    """4.57's own get_video_features fails, so its parts are put together here."""
    oracle, model = pair
    rng = np.random.default_rng(6)
    text, pixels = texts(rng, 4), clips(rng, 2, 2, 3, 24, 24)["pixel_values"]
    with reference.torch.no_grad():
        expected = oracle.get_text_features(**reference.torch_inputs(text)).numpy()
        frames = reference.torch.as_tensor(pixels).reshape(4, 3, 24, 24)
        pooled = oracle.visual_projection(oracle.vision_model(frames).pooler_output)
        videos = oracle.mit(pooled.reshape(2, 2, -1), return_dict=True).pooler_output.numpy()
    assert_same(model.get_text_features(**text), {"": expected})
    assert_same(model.get_video_features(pixels), {"": videos})


def test_tuples_agree(pair: tuple[Any, Any]) -> None:
    oracle, model = pair
    rng = np.random.default_rng(7)
    inputs = {**texts(rng, 2), **clips(rng, 2, 2, 3, 24, 24)}
    with reference.torch.no_grad():
        plain = oracle(**reference.torch_inputs(inputs), return_loss=True, return_dict=False)
    ours = model(inputs, return_loss=True, return_dict=False)
    assert_same(flatten(ours), flatten(plain, lambda tensor: tensor.numpy()))


@pytest.mark.parametrize("part", ["text", "vision"])
def test_towers_of_a_whole_checkpoint(pair: tuple[Any, Any], part: str, tmp_path: Path) -> None:
    """What a tower saves, the reference's tower loads, with no key missing or left over."""
    pair[0].save_pretrained(tmp_path / "whole")
    name = {"text": "XCLIPTextModel", "vision": "XCLIPVisionModel"}[part]
    tower = getattr(tfzoo, f"TF{name}").from_pretrained(tmp_path / "whole")
    tower.save_pretrained(tmp_path / "part")
    oracle = reference.load_strictly(name, tmp_path / "part")
    rng = np.random.default_rng(8)
    inputs = texts(rng, 3) if part == "text" else clips(rng, 4, 3, 24, 24)
    assert_same(tower(inputs, **FLAGS), reference.run(oracle, inputs, **FLAGS))


def _similarities(folder: Path, files: Mapping[str, Path]) -> Mapping[str, Any]:
    frames = list(np.load(files["spaghetti8"]))
    processor = transformers.VideoMAEImageProcessor.from_pretrained(folder)
    tokenizer = transformers.CLIPTokenizerFast.from_pretrained(folder)
    sentences = ["playing sports", "eating spaghetti", "go shopping"]
    encoded = tokenizer(sentences, padding=True, return_tensors="pt")
    pixels = processor(frames, return_tensors="pt")
    return reference.load_strictly("XCLIPModel", folder)(**encoded, **pixels)


def _small_frames(folder: Path, files: Mapping[str, Path]) -> dict[str, Any]:
    frames = list(np.load(files["spaghetti8"]))
    size = {"size": 180, "crop_size": {"height": 180, "width": 180}}
    processor = transformers.VideoMAEImageProcessor.from_pretrained(folder, **size)
    tokenizer = transformers.CLIPTokenizerFast.from_pretrained(folder)
    encoded = tokenizer("what's in the video", return_tensors="pt")
    pixels = processor(frames, return_tensors="pt")
    model = reference.load_strictly("XCLIPModel", folder)
    output = model(**encoded, **pixels, interpolate_pos_encoding=True)
    states = output.vision_model_output.last_hidden_state
    return {"vision_model_output.last_hidden_state": states}


#: What the reference's tests of published numbers do, in the order of `expected.py`'s rows.
PUBLISHED = (_similarities, _small_frames)
