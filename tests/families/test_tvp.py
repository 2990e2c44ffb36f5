"""TVP: the common checks, and what is its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import tfzoo
from tests.families.tvp_cases import BACKBONE, CASES, config, queries, spans, videos
from tests.support.cases import Case
from tests.support.compare import assert_same, flatten
from tests.support.family_checks import FamilyChecks
from tfzoo.config import ConfigError
from tfzoo.models.tvp import model as tvp_model
from weights_convert.errors import WeightMismatchError

BY_NAME = {case.name.split("/")[1]: case for case in CASES}
GROUNDING, BARE = BY_NAME["grounding"], BY_NAME["bare"]


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


def tiny(backbone: Any = (), **fields: Any) -> Any:
    return tfzoo.TFTvpForVideoGrounding(tfzoo.TvpConfig(**config(dict(backbone), **fields)))


def inputs(batch: int = 1, frames: int = 3, side: int = 32, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {**queries(rng, batch), **videos(rng, batch, frames, 3, side, side)}


# ---- configurations
def test_backbone_as_dict_object_or_nothing() -> None:
    fields = {**BACKBONE, "out_features": ["stage2"]}
    one = tfzoo.TvpConfig(backbone_config=fields, num_frames=5)
    backbone = tfzoo.ResNetConfig.from_dict(fields)
    assert one == tfzoo.TvpConfig.from_backbone_config(backbone, num_frames=5)
    assert one == tfzoo.TvpConfig.from_dict(one.to_dict())
    plain = one.to_dict()
    assert plain["model_type"] == "tvp"
    assert plain["backbone_config"]["model_type"] == "resnet"
    plain["backbone_config"]["depths"].append(9)  # a copy
    assert one.backbone_config.depths == [2, 1]
    default = tfzoo.TvpConfig().backbone_config
    assert (default.out_features, default.out_indices) == (["stage4"], [4])
    assert tfzoo.TvpConfig().type_vocab_size == 2


def test_files_of_published_checkpoints_are_read() -> None:
    """Keys without a use, and backbones that do not name their output."""
    found = tfzoo.TvpConfig.from_dict(
        {
            "model_type": "tvp",
            "backbone_config": {"model_type": "resnet", "downsample_in_bottleneck": True},
            "alpha": 1.0,
            "vp_type": "framepad",
            "max_text_length": 100,
            "backbone": None,
            "use_timm_backbone": False,
            "pad_token_id": 0,
        }
    )
    assert found.backbone_config.out_features == ["stage4"]
    assert found.alpha == 1.0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"backbone_config": {"depths": [1]}}, "model_type 'resnet', got model_type 'none at all'"),
        ({"backbone_config": {"model_type": "swin"}}, "must be a ResNet's.*got model_type 'swin'"),
        ({"backbone_config": tfzoo.TimesformerConfig()}, "got model_type 'timesformer'"),
        ({"use_timm_backbone": True}, "use_timm_backbone is not supported"),
        ({"backbone": "resnet50"}, "backbone is not supported"),
        ({"visual_prompter_type": "corner"}, "visual_prompter_type must be one of 'framepad'"),
        ({"visual_prompter_apply": "mix"}, "visual_prompter_apply must be one of 'add'"),
        ({"visual_prompt_size": 225}, "visual_prompt_size must be at most 224"),
        ({"num_attention_heads": 7}, "num_attention_heads must be a divisor of hidden_size 768"),
        ({"pad_token_id": 30522}, "pad_token_id must be below vocab_size"),
        ({"backbone_config": {**BACKBONE, "num_channels": 1}}, "num_channels must be 3"),
        (
            {"backbone_config": {**BACKBONE, "out_features": ["stage1", "stage2"]}},
            r"out_features must begin with a map of as many channels .* 20, got \['stage1', 's",
        ),
    ],
)
def test_wrong_configs_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tfzoo.TvpConfig(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"layer_type": "wide"}, "layer_type must be one of 'basic', 'bottleneck', got 'wide'"),
        ({"depths": [1, 2]}, r"depths must be as long as hidden_sizes, 4 numbers, got \[1, 2\]"),
        ({"hidden_sizes": [0] * 4}, "hidden_sizes must be a list of positive integers"),
        ({"hidden_sizes": [2] * 4}, "at least 4 with layer_type='bottleneck'"),
        ({"out_features": ["stage5"]}, r"out_features must be some of \['stem', 'stage1'"),
        ({"out_features": ["stage2", "stage1"]}, "in the order of"),
        ({"out_indices": [7]}, "out_indices must be indices of"),
        ({"out_indices": [1], "out_features": ["stage2"]}, r"those of out_features, \[2\]"),
    ],
)
def test_wrong_backbones_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tfzoo.ResNetConfig(**fields)


def test_indices_and_names_of_outputs_agree() -> None:
    assert tfzoo.ResNetConfig(out_indices=[-1]).out_features == ["stage4"]
    both = tfzoo.ResNetConfig(out_indices=(0, 2), out_features=["stem", "stage2"])
    assert both.out_indices == [0, 2]


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


@pytest.mark.parametrize("name", ["grounding", "basic_add", "remove", "bare", "down_replace"])
@pytest.mark.parametrize("frames_at_once", [1, 2, 4])
def test_blocks_of_frames_change_nothing(
    name: str, frames_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = BY_NAME[name]
    model, given = case.load(), case.make_inputs()
    side = given["pixel_values"].shape[-1]
    monkeypatch.setattr(tvp_model, "_BLOCK_PIXELS", frames_at_once * side**2)
    expected = case.recorded("outputs")
    assert_same(model(given, **case.flags), expected)
    call = tf.function(lambda x: model(x, **case.flags))
    assert_same(call(given), expected)
    free = {name: tf.TensorSpec((None,) * value.ndim, value.dtype) for name, value in given.items()}
    pixels = given["pixel_values"]
    free["pixel_values"] = tf.TensorSpec((None, None, pixels.shape[2], None, None))
    assert_same(tf.function(call.python_function, [free])(given), expected)


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


# ---- refusals
def test_wrong_videos_are_refused() -> None:
    model, given = GROUNDING.load(), inputs(1)
    rng = np.random.default_rng(0)
    for frames in (2, 4, 6):
        pixels = videos(rng, 1, frames, 3, 32, 32)
        message = rf"prompts are for 3 frames \(num_frames\), pixel_values have {frames}"
        for call in (lambda p: model({**given, **p}), model.encode_video):
            with pytest.raises(ValueError, match=message):
                call(pixels)
    with pytest.raises(ValueError, match=r"for frames of 32 x 32 pixels .* have 32 x 40: .*interp"):
        model({**given, **videos(rng, 1, 3, 3, 32, 40)})
    with pytest.raises(ValueError, match=r"pixel_values must have shape .*num_channels=3"):
        model({**given, **videos(rng, 1, 3, 1, 32, 32)})
    with pytest.raises(ValueError, match="1 x 1 cells|too small.*0 x 0 cells"):
        model({**given, **videos(rng, 1, 3, 3, 8, 8)}, interpolate_pos_encoding=True)
    down = BY_NAME["down_add"].load()
    with pytest.raises(ValueError, match=r"32 x 32 pixels .* 40 x 40: set the processor's sizes\."):
        down({**given, **videos(rng, 1, 3, 3, 40, 40)}, interpolate_pos_encoding=True)
    small = BY_NAME["remove"].load()
    pixels = videos(rng, 1, 2, 2, 40, 40)
    with pytest.raises(ValueError, match="for frames of 32 x 32 pixels"):
        small({**given, **pixels})
    with pytest.raises(ValueError, match="1 texts for 2 videos; each video needs one text"):
        model({**given, **videos(rng, 2, 3, 3, 32, 32)})


def test_grids_beyond_the_tables_are_refused() -> None:
    model = tiny(max_grid_row_position_embeddings=1)
    with pytest.raises(ValueError, match=r"grid of 2 x 2 cells, .* positions for 1 x 8 .*interpol"):
        model(inputs(1))
    assert model(inputs(1), interpolate_pos_encoding=True).logits.shape == (1, 2)


def test_wrong_texts_are_refused() -> None:
    model, given = GROUNDING.load(), inputs(1)
    pixels = {"pixel_values": given["pixel_values"]}
    video = model.encode_video(pixels)
    for call in (lambda ids: model(input_ids=ids, **pixels), lambda ids: model.ground(ids, video)):
        with pytest.raises(ValueError, match="hold 10 tokens, the model has positions for 9"):
            call(np.ones((1, 10), int))
        with pytest.raises(ValueError, match=r"input_ids must lie in \[0, 40\) .* got 1 to 40"):
            call(np.array([[1, 40]]))
    with pytest.raises(ValueError, match=r"attention_mask must have the shape of .*\(1, 6\), got"):
        model({**given, "attention_mask": np.ones((1, 5), int)})
    with pytest.raises(
        ValueError, match=r"head_mask must have shape \(3,\) or \(2, 3\), got \(2,\)"
    ):
        model(given, head_mask=np.ones(2))
    with pytest.raises(ValueError, match="2 queries for 3 videos"):
        model.ground(np.ones((2, 3), int), model.encode_video(inputs(3)["pixel_values"]))
    with pytest.raises(ValueError, match="input_ids is required"):
        model(**pixels)


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


# ---- losses
def test_losses_by_hand() -> None:
    labels = np.array([[10.0, 2.0, 6.0], [20.0, 0.0, 20.0], [10.0, 4.0, 5.0]], "float32")
    logits = np.array([[0.1, 0.5], [0.9, 0.1], [0.9, 1.0]], "float32")
    parts = tfzoo.TvpLoss()(logits, labels)
    np.testing.assert_allclose(parts["iou"], [1 - 3 / 5, 1.0, 1.0], rtol=1e-6)
    np.testing.assert_allclose(parts["distance"], [0.2, 0.2, 0.5], rtol=1e-6)
    np.testing.assert_allclose(parts["duration"], [0.4, 1.8**2, 0.4], rtol=1e-6)
    assert set(tfzoo.TvpLoss(["iou"])(logits, labels)) == {"iou"}
    with pytest.raises(ValueError, match=r"Unknown losses \['area'\]; known are iou, distance, d"):
        tfzoo.TvpLoss(["iou", "area"])


def test_losses_are_weighted_and_one_for_each_sample() -> None:
    model, given = BY_NAME["basic_add"].load(), BY_NAME["basic_add"].make_inputs()
    outputs = model(given)
    parts = tfzoo.TvpLoss()(outputs.logits, given["labels"])
    expected = parts["iou"] + 0.5 * parts["distance"] + 2.0 * parts["duration"]
    np.testing.assert_allclose(outputs.loss, expected, rtol=1e-6)
    assert GROUNDING.load()(
        **inputs(3), labels=spans(np.random.default_rng(0), 3)["labels"]
    ).loss.shape == (3,)


def test_two_equal_points_are_no_nan() -> None:
    loss = tfzoo.TvpLoss(["iou"])
    x = tf.constant([[0.5, 0.5], [0.25, 0.5]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        iou = loss(x, np.array([[10.0, 5.0, 5.0], [10.0, 5.0, 5.0]]))["iou"]
    np.testing.assert_array_equal(iou, [0.0, 1.0])
    assert np.isfinite(tape.gradient(iou, x)).all()


def test_all_forms_of_labels_agree() -> None:
    model = GROUNDING.load()
    for batch in (1, 2, 3):
        given, rows = inputs(batch), spans(np.random.default_rng(1), batch)["labels"]
        expected = np.asarray(model(**given, labels=rows).loss)
        forms = [rows.tolist(), list(map(tf.constant, rows)), tf.constant(rows)]
        if batch != 3:  # three rows of three numbers are the documented form
            forms += [rows.T, tuple(rows.T), [tf.constant(column) for column in rows.T]]
        if batch == 1:
            forms += [rows[0], tuple(map(float, rows[0]))]
        for form in forms:
            np.testing.assert_array_equal(model(**given, labels=form).loss, expected)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([[10.0, 5.0, 4.0]], r"0 <= start <= end <= duration.*got .*\[10.0, 5.0, 4.0\]"),
        ([[10.0, 5.0, 10.5]], "0 <= start <= end <= duration"),
        ([[10.0, -1.0, 5.0]], "0 <= start <= end <= duration"),
        ([[0.0, 0.0, 0.0]], "0 <= start <= end <= duration"),
        ([[float("nan"), 0.0, 0.0]], "0 <= start <= end <= duration"),
        ([[1.0, 2.0]], r"labels must have shape \(1, 3\).*got \(1, 2\)"),
        ([], r"labels must have shape \(1, 3\)"),
        (np.ones((2, 3)), r"labels must have shape \(1, 3\).*got \(2, 3\)"),
        (np.ones((1, 3, 1)), r"labels must have shape \(1, 3\)"),
    ],
)
def test_wrong_labels_are_refused(labels: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GROUNDING.load()(**inputs(1), labels=labels)


def test_wrong_labels_are_refused_inside_a_graph() -> None:
    model, given = GROUNDING.load(), inputs(1)
    call = tf.function(lambda labels: model(**given, labels=labels).loss)
    assert np.isfinite(call(tf.constant([[10.0, 4.0, 5.0]]))).all()
    with pytest.raises(tf.errors.InvalidArgumentError, match="0 <= start <= end <= duration"):
        call(tf.constant([[10.0, 5.0, 4.0]]))
