"""X-CLIP: the common checks, and what is its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfzoo
from tests.models.xclip.cases import CASES, END, VISION, clips, config, texts
from tests.support.cases import Case
from tests.support.compare import assert_same, flatten
from tests.support.family_checks import FamilyChecks
from tests.support.shapes import shapes_only
from tfzoo.core.config import ConfigError
from tfzoo.core.variables import slots
from weights_convert.errors import WeightMismatchError

BY_NAME = {case.name.split("/")[1]: case for case in CASES}
PAIRS, UNEQUAL = BY_NAME["pairs"], BY_NAME["unequal"]


class TestXCLIP(FamilyChecks):
    cases = CASES
    default_counts = {
        "TFXCLIPModel": (591, 196_585_729),
        "TFXCLIPTextModel": (196, 63_165_952),
        "TFXCLIPVisionModel": (343, 122_909_952),
    }

    test_labels_inside_or_as_y_agree = None  # no labels: the pairs are the loss

    @staticmethod
    def repeated(case: Case, main_output: np.ndarray, copies: int) -> np.ndarray:
        """Repeated texts and videos repeat the logits in both directions."""
        both = copies if case.model == "TFXCLIPModel" else 1
        return np.tile(main_output, (copies, both))


def tiny(text: Any = (), vision: Any = (), **joint: Any) -> Any:
    return tfzoo.TFXCLIPModel(tfzoo.XCLIPConfig(**config(dict(text), dict(vision), **joint)))


LARGE_TEXT = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12}
LARGE_VISION = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "mit_hidden_size": 768,
    "mit_intermediate_size": 3072,
    "patch_size": 14,
}


@pytest.mark.parametrize(
    ("fields", "tensors", "parameters"),
    [
        ({"vision_config": {"patch_size": 16}}, 591, 194_929_153),
        (
            {"text_config": LARGE_TEXT, "vision_config": LARGE_VISION, "projection_dim": 768},
            927,
            575_673_601,
        ),
    ],
    ids=["base-patch16", "large-patch14"],
)
def test_published_sizes(fields: dict[str, Any], tensors: int, parameters: int) -> None:
    with shapes_only():
        model = tfzoo.TFXCLIPModel(tfzoo.XCLIPConfig(**fields))
    shapes = [slot.shape for slot in slots(model).values()]
    assert (len(shapes), sum(int(np.prod(shape)) for shape in shapes)) == (tensors, parameters)


def test_fresh_projections_differ() -> None:
    """An initialiser that several layers share draws the same numbers for each of them."""
    block = tiny().vision_model.encoder.layers[0]
    kernels = [getattr(block.self_attn, name).kernel for name in ("query", "key", "value", "out")]
    kernels.append(block.message_attn.query.kernel)
    for i, one in enumerate(kernels):
        assert all(np.abs(one - other).max() > 1e-3 for other in kernels[:i])


def test_fresh_prompts_count_as_the_config_says() -> None:
    alpha = np.asarray(tiny(prompt_alpha=0.25).prompts_generator.alpha)
    np.testing.assert_array_equal(alpha, np.full(10, 0.25, "float32"))


# ---- texts
def test_text_is_pooled_at_the_first_of_the_largest_ids() -> None:
    model = BY_NAME["text"].load()
    ids = np.array([[1, END, END, END], [1, 40, 2, 40], [7, 3, 2, 1]])
    for mask in (None, np.array([[1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1]])):
        out = model(input_ids=ids, attention_mask=mask)
        rows = np.asarray(out.last_hidden_state)[[0, 1, 2], [1, 1, 0]]
        assert_same(np.asarray(out.pooler_output), {"": rows}, bound=0)


def test_padding_does_not_change_a_text() -> None:
    model = BY_NAME["text"].load()
    short = model(input_ids=np.array([[1, 2, END]])).pooler_output
    padded = {
        "input_ids": np.array([[1, 2, END, END, END]]),
        "attention_mask": np.array([[1, 1, 1, 0, 0]]),
    }
    assert_same(np.asarray(model(padded).pooler_output), {"": np.asarray(short)})


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "float16"])
def test_no_mask_gives_nan(policy: str) -> None:
    """Neither left padding nor a text that is all padding, whose rows see no token at all."""
    model = BY_NAME["text"].load(dtype=policy)
    ids = texts(np.random.default_rng(0), 3, 6)["input_ids"]
    mask = np.array([[0, 0, 1, 1, 1, 1], [0] * 6, [1, 1, 0, 1, 1, 1]])
    for value in flatten(model(ids, mask, output_attentions=True)).values():
        assert np.isfinite(value).all()


def test_masks_of_any_kind_agree() -> None:
    """Booleans and numbers are masks alike; what is not exactly 1 is padding."""
    model, inputs = BY_NAME["text"].load(), BY_NAME["text"].make_inputs()
    expected = flatten(model(inputs))
    mask = inputs["attention_mask"]
    for other in (mask.astype(bool), mask.astype("float32"), mask.astype("int32"), mask.tolist()):
        assert_same(model({**inputs, "attention_mask": other}), expected, bound=0)
    partly = np.where(mask == 1, 1.0, 0.5).astype("float32")
    assert_same(model({**inputs, "attention_mask": partly}), expected, bound=0)


def test_position_ids_broadcast() -> None:
    model, ids = BY_NAME["text"].load(), texts(np.random.default_rng(0), 3, 6)["input_ids"]
    plain = flatten(model(ids))
    assert_same(model(ids, position_ids=np.arange(6)[None]), plain, bound=0)
    permuted = np.array([[5, 4, 3, 2, 1, 0]])
    one = flatten(model(ids, position_ids=permuted))
    assert_same(model(ids, position_ids=np.repeat(permuted, 3, 0)), one, bound=0)
    assert np.abs(one["pooler_output"] - plain["pooler_output"]).max() > 0.01


# ---- videos
def test_videos_do_not_mix() -> None:
    """Each video of a batch gives what it gives alone, in the tower as in the whole model."""
    case = UNEQUAL
    model, inputs = case.load(), case.make_inputs()
    both = model(inputs)
    for i in range(2):
        alone = model({**inputs, "pixel_values": inputs["pixel_values"][i : i + 1]})
        assert_same(alone.logits_per_video, {"": both.logits_per_video[i : i + 1].numpy()})
        assert_same(alone.text_embeds, {"": both.text_embeds[i : i + 1].numpy()})
    frames = BY_NAME["vision"].make_inputs()["pixel_values"]
    tower = BY_NAME["vision"].load()
    first = tower(frames[:4]).pooler_output
    assert_same(first, {"": tower(frames).pooler_output[:4].numpy()})
    moved = frames.copy()
    moved[3] += 1.0
    assert np.abs(tower(moved[:4]).pooler_output[0] - first[0]).max() > 1e-3  # messages arrive


@pytest.mark.parametrize("size", [(8, 8), (19, 33)])
def test_interpolated_positions(size: tuple[int, int]) -> None:
    model, inputs = PAIRS.load(), texts(np.random.default_rng(0), 2)
    pixels = clips(np.random.default_rng(1), 1, 8, 3, *size)["pixel_values"]
    with pytest.raises(ValueError, match=r"must have 16 x 16 pixels, got .*interpolate_pos"):
        model(**inputs, pixel_values=pixels)
    out = model(**inputs, pixel_values=pixels, interpolate_pos_encoding=True)
    tokens = 1 + (size[0] // 8) * (size[1] // 8)
    assert out.vision_model_output.last_hidden_state.shape == (8, tokens, 12)
    free = tf.TensorSpec((None, 8, 3, None, None))
    call = tf.function(
        lambda x: model(**inputs, pixel_values=x, interpolate_pos_encoding=True), [free]
    )
    assert_same(call(pixels), flatten(out))


def test_interpolation_at_the_same_size_changes_nothing() -> None:
    model, inputs = PAIRS.load(), PAIRS.make_inputs()
    assert_same(model(**inputs, interpolate_pos_encoding=True), flatten(model(inputs)), bound=0)


# ---- features and the classifier of labels
def test_features_are_the_halves_of_the_model() -> None:
    case = UNEQUAL
    model, inputs = case.load(), case.make_inputs()
    whole = case.recorded("outputs")
    text = {k: v for k, v in inputs.items() if k != "pixel_values"}
    features = model.get_text_features(**text)
    assert_same(features, {"": (whole["text_model_output.pooler_output"] @ _kernel(model))})
    for form in (text, list(text.values())):
        assert_same(model.get_text_features(form), {"": features.numpy()}, bound=0)
    video = model.get_video_features(inputs["pixel_values"])
    assert_same(video, {"": whole["mit_output.pooler_output"]})
    assert_same(model.get_video_features({"pixel_values": inputs["pixel_values"]}), {"": video})
    unit = video / np.linalg.norm(video, axis=-1, keepdims=True)
    assert_same(np.asarray(unit), {"": whole["video_embeds"]})
    halves = model.compare(features, *model.encode_videos(inputs["pixel_values"]))
    assert_same(halves, {name: whole[name] for name in halves})


def _kernel(model: Any) -> np.ndarray:
    return model.text_projection.kernel.numpy()


# ---- refusals
def test_wrong_numbers_of_frames_are_refused() -> None:
    model, inputs = PAIRS.load(), texts(np.random.default_rng(0), 2)
    for frames in (1, 4, 7, 16):  # 16 = 2 x 8 would mix two videos into one without a word
        pixels = clips(np.random.default_rng(1), 8, frames, 3, 16, 16)
        with pytest.raises(ValueError, match=rf"num_frames=8, .*got \(8, {frames}, 3, 16, 16\)"):
            model({**inputs, **pixels})
        with pytest.raises(ValueError, match="get_video_features: pixel_values must have shape"):
            model.get_video_features(pixels)
    call = tf.function(
        lambda x: model(**inputs, pixel_values=x), [tf.TensorSpec((None, None, 3, 16, 16))]
    )
    with pytest.raises(tf.errors.InvalidArgumentError):  # the axis is known when it runs
        call(clips(np.random.default_rng(1), 2, 4, 3, 16, 16)["pixel_values"])
    with pytest.raises(tf.errors.InvalidArgumentError):
        call(clips(np.random.default_rng(1), 8, 1, 3, 16, 16)["pixel_values"])
    with pytest.raises(ValueError, match=r"whole clips of 4 frames \(num_frames\), got 6 frames"):
        BY_NAME["vision"].load()(clips(np.random.default_rng(1), 6, 3, 16, 16))


def test_bad_texts_are_refused() -> None:
    model, pixels = PAIRS.load(), clips(np.random.default_rng(1), 1, 8, 3, 16, 16)
    with pytest.raises(ValueError, match="hold 13 tokens, the model has positions for 12"):
        model(input_ids=np.ones((1, 13), int), **pixels)
    with pytest.raises(ValueError, match=r"input_ids must lie in \[0, 49\) .* got 1 to 49"):
        model(input_ids=np.array([[1, 49]]), **pixels)
    with pytest.raises(ValueError, match="got -1 to 2"):
        model.get_text_features(np.array([[-1, 2]]))
    with pytest.raises(ValueError, match=r"position_ids must lie in \[0, 12\)"):
        model(input_ids=np.array([[1]]), position_ids=np.array([[12]]), **pixels)
    with pytest.raises(ValueError, match=r"attention_mask must have shape .*got \(1, 3\)"):
        model(input_ids=np.array([[1, 2]]), attention_mask=np.ones((1, 3), int), **pixels)
    with pytest.raises(ValueError, match="input_ids is required"):
        model(**pixels)
    with pytest.raises(ValueError, match="pixel_values is required"):
        model(input_ids=np.array([[1, 2]]))
    with pytest.raises(ValueError, match="get_text_features: input_ids is required"):
        model.get_text_features()
    with pytest.raises(ValueError, match=r"input_ids must have shape \(texts, sequence\)"):
        model.get_text_features(np.array([1, 2]))


def test_a_loss_needs_pairs() -> None:
    with pytest.raises(ValueError, match="as many texts as videos or images, got 5 and 2"):
        UNEQUAL.load()(**UNEQUAL.make_inputs(), return_loss=True)


def test_wrong_configs_are_refused() -> None:
    for joint in ({"projection_dim": 12}, {"vision": {"mit_hidden_size": 15}}):
        with pytest.raises(ConfigError, match="must equal vision_config.mit_hidden_size"):
            tiny(**joint)
    with pytest.raises(ValueError, match="not a multiple of the 3 heads"):
        tiny(prompt_num_attention_heads=3)
    with pytest.raises(TypeError, match="takes a XCLIPTextConfig, got XCLIPConfig"):
        tfzoo.TFXCLIPTextModel(tfzoo.XCLIPConfig())
    with pytest.raises(ConfigError, match="must be a dict, a XCLIPTextConfig or None, got str"):
        tfzoo.XCLIPConfig(text_config="base")
    with pytest.raises(ConfigError, match="got XCLIPVisionConfig"):
        tfzoo.XCLIPConfig(text_config=tfzoo.XCLIPVisionConfig())
    with pytest.raises(ConfigError, match="XCLIPTextConfig.vocab_size must be a positive"):
        tfzoo.XCLIPConfig(text_config={"vocab_size": 0})
    changed = tfzoo.XCLIPConfig(**config())
    changed.vision_config.num_frames = -1
    with pytest.raises(ConfigError, match="XCLIPVisionConfig.num_frames must be a positive"):
        tfzoo.TFXCLIPModel(changed)


# ---- checkpoints across classes
@pytest.mark.parametrize("part", ["text", "vision"])
def test_whole_checkpoint_loads_into_a_tower(part: str, tmp_path: Path) -> None:
    cls = {"text": tfzoo.TFXCLIPTextModel, "vision": tfzoo.TFXCLIPVisionModel}[part]
    tower, inputs = cls.from_pretrained(PAIRS.folder), PAIRS.make_inputs()
    if part == "vision":
        inputs = {"pixel_values": inputs["pixel_values"].reshape(24, 3, 16, 16)}
    else:
        inputs.pop("pixel_values")
    prefix = f"{part}_model_output."
    recorded = PAIRS.recorded("outputs").items()
    expected = {k.removeprefix(prefix): v for k, v in recorded if k.startswith(prefix)}
    assert_same(tower(**inputs, **PAIRS.flags), expected)
    tower.save_pretrained(tmp_path)
    again = tfzoo.TFAutoModel.from_pretrained(tmp_path)
    assert type(again) is cls
    assert_same(again(**inputs, **PAIRS.flags), expected)


@pytest.mark.parametrize("name", ["text", "vision"])
def test_names_without_the_tower_and_old_buffers_load(name: str, tmp_path: Path) -> None:
    """As transformers 5 writes a tower: `embeddings...` rather than `text_model.embeddings...`."""
    from safetensors.numpy import load_file, save_file

    case = BY_NAME[name]
    tensors = load_file(case.folder / "model.safetensors")
    bare = {key.removeprefix(f"{name}_model."): value for key, value in tensors.items()}
    bare["embeddings.position_ids"] = np.arange(12)[None]
    save_file(bare, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text((case.folder / "config.json").read_text())
    model = case.tf_class.from_pretrained(tmp_path)
    assert_same(model(**case.make_inputs(), **case.flags), case.recorded("outputs"))


def test_a_tower_alone_is_not_a_whole_model() -> None:
    folder = BY_NAME["text"].folder
    with pytest.raises(ConfigError, match="XCLIPConfig needs model_type 'xclip', got 'xclip_text_"):
        tfzoo.TFXCLIPModel.from_pretrained(folder)
    whole = tfzoo.XCLIPConfig(**config())
    with pytest.raises(WeightMismatchError, match="holds the text_model alone: load it"):
        tfzoo.TFXCLIPModel.from_pretrained(folder, config=whole)
    with pytest.raises(WeightMismatchError, match="holds the text_model alone"):
        tfzoo.TFXCLIPVisionModel.from_pretrained(
            folder, config=tfzoo.XCLIPVisionConfig(**VISION, num_frames=8)
        )


def test_another_vocabulary_is_refused() -> None:
    other = tfzoo.XCLIPConfig(**config({"vocab_size": 60}))
    with pytest.raises(WeightMismatchError, match=r"(?s)token_embedding.*\(60, 8\).*\(49, 8\)"):
        tfzoo.TFXCLIPModel.from_pretrained(PAIRS.folder, config=other)
    frames = tfzoo.XCLIPConfig(**config(vision={"num_frames": 4}))
    with pytest.raises(WeightMismatchError, match="mit.position_embedding"):
        tfzoo.TFXCLIPModel.from_pretrained(PAIRS.folder, config=frames)


# ---- training
def test_dropout_and_stochastic_depth_act_in_training_only() -> None:
    dropout = {"attention_dropout": 0.2}
    model = tiny(
        dropout,
        {**dropout, "drop_path_rate": 0.5},
        prompt_attention_dropout=0.2,
        prompt_projection_dropout=0.2,
    )
    inputs = PAIRS.make_inputs()
    assert_same(model(inputs), flatten(model(inputs)), bound=0)
    one, two = (model(inputs, training=True).logits_per_video for _ in range(2))
    assert np.abs(one - two).max() > 0
    rates = {layer.drop_path.rate for layer in model.vision_model.encoder.layers}
    assert rates == {0.5}  # the same in every layer, as in the reference


@pytest.mark.parametrize("kind", ["attention", "projection"])
def test_each_dropout_of_the_prompts_has_its_place(kind: str) -> None:
    """One is of the attention weights and inside the MLP, the other behind the attention."""
    layer = tiny(**{f"prompt_{kind}_dropout": 0.5}).prompts_generator.decoder[0]
    text, video = np.random.default_rng(0).normal(size=(2, 1, 8, 10)).astype("float32")
    inside = kind == "attention"
    still, moved = layer.mlp(text), layer.mlp(text, training=True)
    assert np.array_equal(still, moved) != inside
    attended, weights = layer.cross_attn(text, video, training=True)
    assert (np.asarray(weights) == 0).any() == inside
    assert (np.asarray(attended) == 0).any() != inside


def test_fit_needs_no_labels() -> None:
    model, inputs = PAIRS.load(), PAIRS.make_inputs()
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    history = model.fit(inputs, batch_size=3, epochs=2, verbose=0).history
    assert history["loss"][1] < history["loss"][0]
    results = model.evaluate(inputs, batch_size=3, verbose=0, return_dict=True)
    assert results["loss"] == pytest.approx(float(model(inputs, return_loss=True).loss), rel=1e-5)
    with pytest.raises(ValueError, match="trains on pairs of its inputs and takes no y"):
        model.fit(inputs, np.zeros(3), verbose=0)


@pytest.mark.slow
def test_pairs_are_learnt() -> None:
    model, inputs = PAIRS.load(), PAIRS.make_inputs()
    accuracy = keras.metrics.SparseCategoricalAccuracy(name="found")
    model.compile(keras.optimizers.SGD(0.1), metrics=[accuracy], run_eagerly=True)
    history = model.fit(inputs, batch_size=3, epochs=8, verbose=0).history
    assert history["found"][-1] == 1.0


def test_sample_weights_count_pairs() -> None:
    model, inputs = PAIRS.load(), PAIRS.make_inputs()
    model.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    weights = np.array([1.0, 0.0, 2.0], "float32")
    batch = tf.data.Dataset.from_tensors((inputs, None, weights))
    loss = model.evaluate(batch, verbose=0)
    logits = np.asarray(model(inputs).logits_per_text, "float64")
    each = [np.log(np.exp(s).sum(1)) - np.diag(s) for s in (logits, logits.T)]
    assert loss == pytest.approx(float((weights * (each[0] + each[1]) / 2).sum() / 3), rel=1e-5)


def test_a_frozen_text_tower_stays() -> None:
    model, inputs = PAIRS.load(), PAIRS.make_inputs()
    model.text_model.trainable = model.text_projection.trainable = False
    before = {path: slot.variable.numpy() for path, slot in slots(model).items()}
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    model.fit(inputs, batch_size=3, verbose=0)
    for path, slot in slots(model).items():
        is_text = path.startswith(("text_model.", "text_projection."))
        moved = not np.array_equal(slot.variable.numpy(), before[path])
        assert not (is_text and moved), path
    assert not np.array_equal(model.visual_projection.kernel, before["visual_projection.kernel"])
