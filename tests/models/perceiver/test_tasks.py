"""Perceiver's whole tasks: masked bytes, photos, motion between frames of any size."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

import tfzoo
from tests.support.paths import FIXTURES
from tfzoo.models.perceiver.flow import flow_patches

PHOTO = FIXTURES / "photos" / "coffee.jpg"
FRAMES = [FIXTURES / "flow" / f"sintel_{i}.png" for i in (16, 17)]
TINY: dict[str, Any] = {
    "num_latents": 4,
    "d_latents": 16,
    "d_model": 16,
    "num_self_attends_per_block": 2,
    "num_self_attention_heads": 2,
    "num_cross_attention_heads": 1,
}
TOKENIZER = tfzoo.PerceiverTokenizer()


def make(name: str, seed: int = 0, **fields: Any) -> Any:
    """A model whose every weight is random and large enough to matter."""
    keras.utils.set_random_seed(seed)
    model = getattr(tfzoo, f"TFPerceiverFor{name}")(tfzoo.PerceiverConfig(**{**TINY, **fields}))
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if "float" in weight.dtype:
            weight.assign(weight + 0.3 * rng.standard_normal(weight.shape))
    return model


# ---- masked bytes
@pytest.fixture(scope="module")
def language() -> Any:
    return make("MaskedLM", max_position_embeddings=40)


def scores(model: Any, text: str) -> np.ndarray:
    """The model's probabilities for each token of a text, alone and without padding."""
    ids = TOKENIZER(text, return_tensors="np").input_ids
    logits = keras.ops.convert_to_numpy(model(input_ids=ids).logits)[0, : ids.shape[1]]
    odds = np.exp(logits.astype("float64"))
    return odds / odds.sum(-1, keepdims=True)


def test_masked_bytes_are_filled(language: Any) -> None:
    text = "some w[MASK]rds m[MASK][MASK]sing"
    filled = tfzoo.fill_mask(language, TOKENIZER, text, top_k=3)
    ids = np.array(TOKENIZER(text).input_ids)
    places = np.flatnonzero(ids == 3)
    odds = scores(language, text)[places]
    best = odds[:, 6:].argmax(-1)
    ids[places] = best + 6
    assert filled.text == bytes((ids[1:-1] - 6).tolist()).decode("utf-8", errors="replace")
    assert [len(row) for row in filled.candidates] == [3, 3, 3]
    for row, one in zip(filled.candidates, odds, strict=True):
        assert row[0] == (chr(one[6:].argmax()), pytest.approx(one[6:].max()))
        assert [p for _, p in row] == sorted((p for _, p in row), reverse=True)
    assert np.ptp(odds, axis=0).max() > 1e-4, "equal places would prove nothing"


def test_texts_do_not_disturb_each_other(language: Any) -> None:
    texts = ["a[MASK]", "a longer one with [MASK][MASK] in it"]
    for found, text in zip(tfzoo.fill_mask(language, TOKENIZER, texts), texts, strict=True):
        alone = tfzoo.fill_mask(language, TOKENIZER, text)
        assert found.text == alone.text
        for row, other in zip(found.candidates, alone.candidates, strict=True):
            assert [token for token, _ in row] == [token for token, _ in other]
            np.testing.assert_allclose([p for _, p in row], [p for _, p in other], rtol=1e-4)


def test_special_tokens_are_no_guesses_and_stay() -> None:
    model = make("MaskedLM", max_position_embeddings=40)
    bias = np.zeros(262)
    bias[[0, 5, 106]] = 1e3, 999, 998  # [PAD], [SEP], "d"
    model.embedding_decoder.bias.assign(bias)
    filled = tfzoo.fill_mask(model, TOKENIZER, "[SEP]a[MASK]", top_k=1)
    assert filled.text == "[SEP]ad"
    assert filled.candidates[0][0][0] == "d"
    assert filled.candidates[0][0][1] < 0.2


def test_renamed_mask(language: Any) -> None:
    tokenizer = tfzoo.PerceiverTokenizer(mask_token="_")
    expected = tfzoo.fill_mask(language, TOKENIZER, "a [MASK]")
    assert tfzoo.fill_mask(language, tokenizer, "a _") == expected


def test_texts_that_cannot_be_filled(language: Any) -> None:
    with pytest.raises(ValueError, match=r"expected \[MASK\] in place of each byte"):
        tfzoo.fill_mask(language, TOKENIZER, "nothing [mask]")
    with pytest.raises(ValueError, match="at most 38 bytes, a .MASK. counted as one, got 51"):
        tfzoo.fill_mask(language, TOKENIZER, "[MASK]" + 50 * "a")
    with pytest.raises(ValueError, match="expected a text or a list of texts, got int"):
        tfzoo.fill_mask(language, TOKENIZER, [3])
    with pytest.raises(ValueError, match="top_k: expected a whole number above 0"):
        tfzoo.fill_mask(language, TOKENIZER, "[MASK]", top_k=0)
    with pytest.raises(TypeError, match="tokenizer: expected a PerceiverTokenizer, got a str"):
        tfzoo.fill_mask(language, "[MASK]", TOKENIZER)
    with pytest.raises(TypeError, match="expected a TFPerceiverForMaskedLM, got a str"):
        tfzoo.fill_mask("model", TOKENIZER, "[MASK]")


# ---- photos
@pytest.mark.parametrize("kind", ["Learned", "Fourier", "ConvProcessing"])
def test_photos_are_classified(kind: str) -> None:
    names = {0: "cup", 1: "cat", 2: "rocket", 3: "face"}
    model = make(f"ImageClassification{kind}", image_size=24, id2label=names)
    processor = tfzoo.PerceiverImageProcessor(size=24, crop_size=28)
    ranking = tfzoo.classify_image(model, PHOTO, processor, top_k=3)
    pixels = processor(PHOTO, return_tensors="np").pixel_values
    odds = np.exp(keras.ops.convert_to_numpy(model(pixel_values=pixels).logits)[0])
    odds = odds / odds.sum()
    assert [label for label, _ in ranking] == [names[i] for i in np.argsort(-odds)[:3]]
    np.testing.assert_allclose([p for _, p in ranking], np.sort(odds)[:0:-1], rtol=1e-5)
    several = tfzoo.classify_image(model, [PHOTO, FRAMES[0]], processor, top_k=3)
    assert [label for label, _ in several[0]] == [label for label, _ in ranking]
    assert len(several) == 2
    assert len(tfzoo.classify_image(model, np.zeros((3, 30, 30, 3), np.uint8), processor)) == 3


def test_independent_labels_have_their_own_probabilities() -> None:
    fields = {"num_labels": 4, "problem_type": "multi_label_classification"}
    model = make("ImageClassificationFourier", **fields)
    processor = tfzoo.PerceiverImageProcessor(size=12)
    ranking = tfzoo.classify_image(model, PHOTO, processor)
    pixels = processor(PHOTO, return_tensors="np").pixel_values
    logits = keras.ops.convert_to_numpy(model(pixel_values=pixels).logits)[0]
    expected = np.sort(1 / (1 + np.exp(-logits)))[::-1]
    np.testing.assert_allclose([p for _, p in ranking], expected, rtol=1e-5)


def test_the_processor_of_a_checkpoint(tmp_path: Path) -> None:
    model = make("ImageClassificationFourier", num_labels=3)
    with pytest.raises(ValueError, match="its processor is unknown"):
        tfzoo.classify_image(model, PHOTO)
    model.save_pretrained(tmp_path)
    processor = tfzoo.PerceiverImageProcessor(size=20)
    processor.save_pretrained(tmp_path)
    again = tfzoo.TFPerceiverForImageClassificationFourier.from_pretrained(tmp_path)
    assert tfzoo.classify_image(again, PHOTO) == tfzoo.classify_image(again, PHOTO, processor)
    with pytest.raises(TypeError, match="got a TFPerceiverForMaskedLM"):
        tfzoo.classify_image(make("MaskedLM", max_position_embeddings=4), PHOTO)


def test_damaged_weights_are_told() -> None:
    model = make("ImageClassificationFourier", num_labels=3)
    model.weights[0].assign(model.weights[0] * np.nan)
    with pytest.raises(ValueError, match="logits are not finite"):
        tfzoo.classify_image(model, PHOTO, tfzoo.PerceiverImageProcessor(size=8))
    flow = make("OpticalFlow", train_size=[16, 24])
    flow.weights[0].assign(flow.weights[0] * np.nan)
    with pytest.raises(ValueError, match="flow is not finite"):
        tfzoo.compute_flow(flow, *FRAMES)


# ---- motion
@pytest.fixture(scope="module")
def flow_model() -> Any:
    return make("OpticalFlow", train_size=[16, 24])


def frames(height: int, width: int) -> list[np.ndarray]:
    """The upper left corner of two real frames."""
    return [np.array(Image.open(path))[:height, :width] for path in FRAMES]


def one_tile(model: Any, pair: list[np.ndarray]) -> np.ndarray:
    """The model's own answer for frames of its size."""
    inputs = flow_patches(np.stack(pair))[None]
    return keras.ops.convert_to_numpy(model(inputs=inputs).logits)[0]


def naive_patches(frame: np.ndarray) -> np.ndarray:
    """Pixel by pixel."""
    height, width = frame.shape[:2]
    patches = np.zeros((height, width, 3, 3, 3), "float32")
    for y, x, dy, dx in itertools.product(range(height), range(width), (0, 1, 2), (0, 1, 2)):
        if 0 <= y + dy - 1 < height and 0 <= x + dx - 1 < width:
            patches[y, x, dy, dx] = frame[y + dy - 1, x + dx - 1] / np.float32(255) * 2 - 1
    return patches.reshape(height, width, 27).transpose(2, 0, 1)


def test_patches_are_the_surroundings_of_each_pixel() -> None:
    pair = frames(7, 9)
    patches = flow_patches(np.stack(pair))
    assert patches.dtype == np.float32
    for found, frame in zip(patches, pair, strict=True):
        np.testing.assert_allclose(found, naive_patches(frame), atol=1e-7)
    with pytest.raises(ValueError, match=r"expected \(T, height, width, 3\)"):
        flow_patches(np.zeros((2, 3, 7, 9)))


def test_frames_of_the_models_size_are_one_tile(flow_model: Any) -> None:
    pair = frames(16, 24)
    flow = tfzoo.compute_flow(flow_model, *pair)
    assert (flow.shape, flow.dtype) == ((16, 24, 2), np.float32)
    np.testing.assert_allclose(flow, one_tile(flow_model, pair), rtol=1e-5, atol=1e-8)
    assert flow.std() > 1e-4, "the same everywhere would prove nothing"


def slowly(model: Any, pair: list[np.ndarray], tile: tuple[int, int], overlap: int) -> np.ndarray:
    """Tiles put together pixel by pixel."""
    size = pair[0].shape[:2]
    places = []
    for whole, part in zip(size, tile, strict=True):
        starts = [0]
        while starts[-1] + part < whole:
            starts.append(min(starts[-1] + part - overlap, whole - part))
        places.append(starts)
    total, weights = np.zeros((*size, 2)), np.zeros((*size, 1))
    for top, left in itertools.product(*places):
        part = [f[top : top + tile[0], left : left + tile[1]] for f in pair]
        flow = one_tile(model, part)
        for y, x in itertools.product(range(tile[0]), range(tile[1])):
            weight = min(y + 1, x + 1, tile[0] - y, tile[1] - x)
            total[top + y, left + x] += weight * flow[y, x]
            weights[top + y, left + x] += weight
    return total / weights


@pytest.mark.parametrize(
    ("height", "width", "overlap"), [(16, 41, 5), (37, 24, 0), (31, 50, 8), (17, 25, 15)]
)
def test_larger_frames_are_tiled(flow_model: Any, height: int, width: int, overlap: int) -> None:
    pair = frames(height, width)
    expected = slowly(flow_model, pair, (16, 24), overlap)
    for batch_size in (1, 3):
        options = {"min_overlap": overlap, "batch_size": batch_size}
        flow = tfzoo.compute_flow(flow_model, *pair, **options)
        np.testing.assert_allclose(flow, expected, atol=1e-5 * np.abs(expected).max())


def test_a_uniform_answer_stays_uniform(flow_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the tiles, weights add up; and every tile lies in the frame, none twice."""
    seen = []

    def constant(model: Any, tiles: list[np.ndarray]) -> np.ndarray:
        seen.extend(tile.tobytes() for tile in tiles)
        assert all(tile.shape == (2, 16, 24, 3) for tile in tiles)
        return np.broadcast_to(np.float32([3, -4]), (len(tiles), 16, 24, 2))

    monkeypatch.setattr("tfzoo.models.perceiver.flow._flows", constant)
    rng = np.random.default_rng(0)
    for height, width in itertools.product((16, 17, 28, 60), (24, 44, 95)):
        seen.clear()
        pair = rng.integers(0, 256, (2, height, width, 3), np.uint8)
        flow = tfzoo.compute_flow(flow_model, *pair, min_overlap=4, batch_size=2)
        np.testing.assert_allclose(flow, np.broadcast_to([3, -4], flow.shape), rtol=1e-5)
        rows, columns = -(-(height - 4) // 12), -(-(width - 4) // 20)
        assert len(seen) == len(set(seen)) == rows * columns


def test_frames_come_in_many_forms(flow_model: Any) -> None:
    options = {"min_overlap": 4, "batch_size": 32}
    expected = tfzoo.compute_flow(flow_model, *frames(60, 96), **options)
    assert expected.shape == (60, 96, 2)
    pillow = [Image.open(path) for path in FRAMES]
    first = [np.array(image).transpose(2, 0, 1) for image in pillow]
    for pair in (FRAMES, pillow, first):
        np.testing.assert_array_equal(tfzoo.compute_flow(flow_model, *pair, **options), expected)


def test_a_bar_counts_the_tiles(
    flow_model: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import tqdm

    options = {"min_overlap": 4, "batch_size": 2}
    tfzoo.compute_flow(flow_model, *frames(16, 64), **options)
    assert capsys.readouterr().err == "", "stderr is no terminal"
    shown = lambda **kwargs: tqdm.tqdm(**{**kwargs, "disable": kwargs["disable"] or False})  # noqa: E731
    monkeypatch.setattr("tfzoo.models.perceiver.flow.tqdm", shown)
    tfzoo.compute_flow(flow_model, *frames(16, 64), **options)
    assert "3/3" in capsys.readouterr().err
    tfzoo.compute_flow(flow_model, *frames(16, 64), **options, progress=False)
    assert capsys.readouterr().err == ""


def test_frames_that_cannot_be(flow_model: Any) -> None:
    good = frames(20, 30)

    def refused(message: str, first: Any, second: Any, **options: Any) -> None:
        with pytest.raises(ValueError, match=message):
            tfzoo.compute_flow(flow_model, first, second, **options)

    upright = [frame.transpose(1, 0, 2)[:24, :16] for frame in good]
    refused(r"\(height, width\) = \(24, 16\), the model takes \(16, 24\) or more", *upright)
    refused("Both frames must have one size", good[0], good[1][:, :-1])
    refused("image2: expected pixels as uint8", good[0], good[1] / 255)
    refused("min_overlap: expected 0 to 15 pixels", *good, min_overlap=16)
    refused("batch_size: expected 1 or more", *good, batch_size=0)
    with pytest.raises(TypeError, match="expected a TFPerceiverForOpticalFlow, got a str"):
        tfzoo.compute_flow("model", *good)
