"""TVP: the common checks, and what is its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import tfzoo
from tests.models.tvp.cases import BARE, BY_NAME, CASES, GROUNDING, inputs, queries, tiny
from tests.support.cases import Case
from tests.support.compare import assert_same, flatten
from tests.support.family_checks import FamilyChecks
from tfzoo.models.tvp import model as tvp_model
from weights_convert.errors import WeightMismatchError


class TestTvp(FamilyChecks):
    cases = CASES
    # The reference's 168,351,298 and 167,167,040 parameters, with the statistics of 53 batch norms
    # of 26,560 channels in all, and their counters.
    default_counts = {
        "TFTvpForVideoGrounding": (533, 168_351_298 + 2 * 26_560 + 53),
        "TFTvpModel": (529, 167_167_040 + 2 * 26_560 + 53),
    }

    @pytest.fixture
    def model(self, case: Case) -> Any:
        """The recorded checkpoint, with statistics frozen as in the recorded step."""
        model = case.load()
        if case.has_loss:
            model.freeze(statistics=True)
        return model


def test_an_earlier_map_of_equal_width_is_used() -> None:
    """The reference takes the first of the maps; later stages have weights all the same."""
    model = tiny({"hidden_sizes": [20, 20], "depths": [1, 1], "out_features": ["stage1", "stage2"]})
    assert model.model.encode(inputs()["pixel_values"]).shape == (1, 16, 12)
    idle = {id(w) for w in model.model.vision_model.backbone.stages[1].weights}
    assert idle
    assert not idle & {id(w) for w in model.trainable_weights}


# ---- prompts
def test_replacing_around_is_adding() -> None:
    """As in the reference, whose mask hides nothing; the checkpoints were trained so."""
    given = inputs()
    results = {}
    for mode in ("add", "replace", "remove"):
        model = tfzoo.TFTvpForVideoGrounding.from_pretrained(
            GROUNDING.folder, visual_prompter_apply=mode
        )
        results[mode] = np.asarray(model(given).logits)
        prompter = model.model.visual_prompter
    np.testing.assert_array_equal(results["add"], results["replace"])
    assert np.abs(results["add"] - results["remove"]).max() > 1e-4
    assert not prompter.is_used
    assert prompter.pad_up.shape == (1, 3, 3, 5, 32)


def test_prompts_around_by_hand() -> None:
    prompter = GROUNDING.load().model.visual_prompter
    frames = inputs(2)["pixel_values"]
    up, down, left, right = (
        getattr(prompter, f"pad_{side}").numpy()[0] for side in ("up", "down", "left", "right")
    )
    expected = frames.copy()
    expected[..., :5, :] += up
    expected[..., -5:, :] += down
    expected[..., 5:-5, :5] += left
    expected[..., 5:-5, -5:] += right
    np.testing.assert_array_equal(prompter(frames), expected)
    places = np.array([2, 0])
    np.testing.assert_array_equal(prompter(frames[0, places], places), expected[0, places])


@pytest.mark.parametrize("mode", ["replace", "add", "remove"])
def test_prompts_at_the_bottom_by_hand(mode: str) -> None:
    prompter = BY_NAME[f"down_{mode}"].load().model.visual_prompter
    frames = inputs(2)["pixel_values"]
    before, expected = frames.copy(), frames.copy()
    if mode != "add":
        expected[..., -5:, :] = 0
    if mode != "remove":
        expected[..., -5:, :] += prompter.pad_down.numpy()
    np.testing.assert_array_equal(prompter(frames), expected)
    np.testing.assert_array_equal(frames, before)


def test_one_picture_gets_every_prompt() -> None:
    """Either number of frames may be 1, as in the reference."""
    model, given = GROUNDING.load(), inputs(2, frames=1)
    repeated = {**given, "pixel_values": np.repeat(given["pixel_values"], 3, axis=1)}
    assert_same(model(given), flatten(model(repeated)))
    single = BARE.load()  # has prompts for one frame, and takes any number
    for frames in (1, 2, 5):
        assert single(inputs(1, frames)).pooler_output.shape == (1, 12)


@pytest.mark.parametrize(
    ("name", "frames_at_once"), [("grounding", 2), ("remove", 1), ("bare", 4), ("down_replace", 2)]
)
def test_blocks_of_frames_change_nothing(
    name: str, frames_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = BY_NAME[name]
    model, given = case.load(), case.make_inputs()
    side = given["pixel_values"].shape[-1]
    monkeypatch.setattr(tvp_model, "_BLOCK_PIXELS", frames_at_once * side**2)
    expected = case.recorded("outputs")
    assert_same(model(given, **case.flags), expected)
    free = {name: tf.TensorSpec((None,) * value.ndim, value.dtype) for name, value in given.items()}
    pixels = given["pixel_values"]
    free["pixel_values"] = tf.TensorSpec((None, None, pixels.shape[2], None, None))
    call = tf.function(lambda x: model(x, **case.flags), [free])
    assert_same(call(given), expected)


# ---- batches, queries
def test_a_batch_is_its_samples() -> None:
    model, given = GROUNDING.load(), inputs(3)
    whole = model(given).logits
    for i in range(3):
        one = {name: value[i : i + 1] for name, value in given.items()}
        assert_same(model(one).logits, {"": np.asarray(whole[i : i + 1])})


def test_queries_on_a_video_that_is_encoded_once() -> None:
    model, given = GROUNDING.load(), inputs(1)
    texts = queries(np.random.default_rng(3), 4)
    video = model.encode_video(given["pixel_values"])
    found = model.ground(texts, video).logits
    for i in range(4):
        text = {name: value[i : i + 1] for name, value in texts.items()}
        separate = model(**text, pixel_values=given["pixel_values"]).logits
        assert_same(found[i : i + 1], {"": np.asarray(separate)})
    every = model.encode_video({"pixel_values": np.repeat(given["pixel_values"], 4, axis=0)})
    assert_same(model.ground(texts, every).logits, {"": np.asarray(found)})
    plain = np.asarray(model.ground(texts["input_ids"], video).logits)
    assert_same(model.ground(texts["input_ids"].tolist(), video).logits, {"": plain})


def test_queries_as_sentences() -> None:
    model, given = GROUNDING.load(), inputs(1)
    video = model.encode_video(given)

    def tokenizer(sentences: list[str], **settings: Any) -> dict[str, np.ndarray]:
        assert settings["return_tensors"] == "np"
        assert settings["padding"] is True
        rows = [[1 + ord(letter) % 39 for letter in sentence[:4]] for sentence in sentences]
        ids = np.array([row + [0] * (4 - len(row)) for row in rows])
        return {"input_ids": ids, "attention_mask": (ids > 0).astype("int64")}

    expected = model.ground(tokenizer(["sit", "walk"], padding=True, return_tensors="np"), video)
    assert_same(model.ground(["sit", "walk"], video, tokenizer), flatten(expected), bound=0)
    assert model.ground("sit", video, tokenizer).logits.shape == (1, 2)
    with pytest.raises(ValueError, match="ground: sentences need a tokenizer"):
        model.ground("sit", video)
    with pytest.raises(ValueError, match="ground: sentence 1 is empty"):
        model.ground(["sit", " "], video, tokenizer)


@pytest.mark.parametrize("dtype", ["int64", "float32", "bool"])
def test_masked_tokens_do_not_matter(dtype: str) -> None:
    model, given = GROUNDING.load(), inputs(2)
    mask = np.array([[1, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0]])
    given["attention_mask"] = mask.astype(dtype)
    others = {**given, "input_ids": np.where(mask, given["input_ids"], 17)}
    one, other = (np.asarray(model(x).logits) for x in (given, others))
    assert np.isfinite(one).all()  # prompts and frames are seen even by a text that is all padding
    np.testing.assert_array_equal(one, other)


def test_no_mask_is_a_mask_of_ones() -> None:
    model, given = GROUNDING.load(), inputs(2)
    given["attention_mask"] = np.ones_like(given["input_ids"])
    whole = flatten(model(given))
    del given["attention_mask"]
    assert_same(model(given), whole)


def test_weights_of_heads() -> None:
    model, given = GROUNDING.load(), inputs(1)
    plain = model(given, output_attentions=True)
    ones = model(given, head_mask=np.ones((2, 3), "float32"), output_attentions=True)
    assert_same(ones, flatten(plain))
    some = model(given, head_mask=np.array([[1, 0, 1], [1, 1, 0.5]]), output_attentions=True)
    assert not np.asarray(some.attentions[0])[:, 1].any()
    assert np.abs(np.asarray(some.attentions[1])[:, 2].sum(-1) - 0.5).max() < 1e-6
    every = model(given, head_mask=np.array([1, 0, 1]), output_attentions=True)
    assert not any(np.asarray(maps)[:, 1].any() for maps in every.attentions)


# ---- checkpoints across classes
def test_base_and_head_exchange_checkpoints(tmp_path: Any) -> None:
    given = inputs(2)
    whole = GROUNDING.load()
    base = tfzoo.TFTvpModel.from_pretrained(GROUNDING.folder)
    assert_same(base(given), flatten(whole.model(given)), bound=0)
    base.save_pretrained(tmp_path)
    assert type(tfzoo.TFAutoModel.from_pretrained(tmp_path)) is tfzoo.TFTvpModel
    with pytest.warns(UserWarning, match="no weights for video_grounding_head"):
        again = tfzoo.TFTvpForVideoGrounding.from_pretrained(tmp_path)
    assert_same(again.model(given), flatten(base(given)), bound=0)


@pytest.mark.parametrize("field", ["num_frames", "visual_prompt_size", "max_img_size"])
def test_prompts_of_another_size_are_refused(field: str) -> None:
    with pytest.raises(WeightMismatchError, match=r"(?s)visual_prompter.pad_up"):
        tfzoo.TFTvpForVideoGrounding.from_pretrained(
            GROUNDING.folder, **{field: getattr(GROUNDING.load().config, field) + 1}
        )
