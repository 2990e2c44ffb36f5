"""OWLv2 and OWL-ViT: the common checks, and what is their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

import tfzoo
from tests.models.owlv2.cases import BEGIN, CASES, END, VISION, config, images, queries
from tests.support.cases import Case
from tests.support.compare import assert_same, flatten
from tests.support.family_checks import FamilyChecks
from tests.support.owlv2_checkpoint import write_owlv2_checkpoint
from tests.support.shapes import shapes_only
from tfzoo.core.config import ConfigError
from tfzoo.core.variables import slots
from tfzoo.models.owlv2.guided import choose_queries
from tfzoo.models.owlv2.layers import box_bias
from weights_convert.errors import WeightMismatchError

BY_NAME = {case.name.split("/")[1]: case for case in CASES}
DETECTOR, PAIRS, OWLVIT = BY_NAME["detector"], BY_NAME["pairs"], BY_NAME["owlvit"]
SMALLEST = np.finfo("float32").min


class TestOwlv2(FamilyChecks):
    cases = CASES
    default_counts = {
        "TFOwlv2ForObjectDetection": (418, 153_971_464),
        "TFOwlv2Model": (398, 151_208_449),
    }

    test_labels_inside_or_as_y_agree = None  # of boxes: tests/models/owlv2/test_training.py

    @staticmethod
    def repeated(case: Case, main_output: np.ndarray, copies: int) -> np.ndarray:
        """Repeated texts and images repeat the logits in both directions."""
        both = copies if case.model in ("TFOwlv2Model", "TFOwlViTModel") else 1
        if main_output.ndim == 2:
            return np.tile(main_output, (copies, both))
        return np.concatenate([main_output] * copies)


def tiny(text: Any = (), vision: Any = (), **joint: Any) -> Any:
    fields = config(dict(text), dict(vision), **joint)
    return tfzoo.TFOwlv2ForObjectDetection(tfzoo.Owlv2Config(**fields))


LARGE = {
    "text_config": {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12},
    "vision_config": {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "patch_size": 14,
        "image_size": 1008,
    },
    "projection_dim": 768,
}


@pytest.mark.parametrize(
    ("name", "fields", "tensors", "parameters"),
    [
        ("Owlv2", {"vision_config": {"image_size": 960}}, 418, 154_966_792),
        ("Owlv2", LARGE, 610, 437_610_760),
    ],
    ids=["base-patch16", "large-patch14"],
)
def test_published_sizes(name: str, fields: dict, tensors: int, parameters: int) -> None:
    with shapes_only():
        cls = getattr(tfzoo, f"TF{name}ForObjectDetection")
        model = cls(getattr(tfzoo, f"{name}Config")(**fields))
    shapes = [slot.shape for slot in slots(model).values()]
    assert (len(shapes), sum(int(np.prod(shape)) for shape in shapes)) == (tensors, parameters)


def test_owlvit_has_no_objectness() -> None:
    model = OWLVIT.load()
    outputs = model(**OWLVIT.make_inputs())
    assert "objectness_logits" not in outputs
    assert outputs.objectness_logits is None
    with shapes_only():
        whole = tfzoo.TFOwlViTForObjectDetection(tfzoo.OwlViTConfig())
    assert len(slots(whole)) == 412
    assert whole.config.vision_config.patch_size == 32


# ---- boxes
def test_box_bias_is_that_of_float32() -> None:
    bias = box_bias(3, 2)
    assert bias.dtype == np.float32
    assert bias.shape == (6, 4)
    assert bias[1, 0] == pytest.approx(9.210275, abs=1e-6)  # float64 gives 9.210440
    boxes = 1 / (1 + np.exp(-bias.astype("float64")))
    assert boxes[0] == pytest.approx([1 / 2, 1 / 3, 1 / 2, 1 / 3], abs=2e-4)
    assert boxes[5] == pytest.approx([1, 1, 1 / 2, 1 / 3], abs=2e-4)


@pytest.mark.parametrize("size", [(24, 32), (8, 8), (17, 30)])
def test_other_sizes_need_interpolation(size: tuple[int, int]) -> None:
    model, text = DETECTOR.load(), queries(np.random.default_rng(0), 2)
    pixels = images(np.random.default_rng(1), 1, 3, *size)
    with pytest.raises(ValueError, match=r"16 x 16 pixels, got .*interpolate_pos_encoding=True"):
        model(**text, **pixels)
    outputs = model(**text, **pixels, interpolate_pos_encoding=True)
    grid = (size[0] // 4, size[1] // 4)
    assert outputs.image_embeds.shape == (1, *grid, 12)
    assert outputs.pred_boxes.shape == (1, grid[0] * grid[1], 4)


def test_pixels_that_fill_no_patch_are_dropped() -> None:
    model, inputs = DETECTOR.load(), DETECTOR.make_inputs()
    wide = np.pad(inputs["pixel_values"], ((0, 0), (0, 0), (0, 3), (0, 2)), constant_values=9.0)
    same = model({**inputs, "pixel_values": wide})
    assert_same(same.logits, {"": model(inputs).logits.numpy()}, bound=0)


# ---- queries
def test_dropout_acts_in_training_only() -> None:
    dropout = {"attention_dropout": 0.5}
    model, inputs = tiny(dropout, dropout), DETECTOR.make_inputs()
    assert_same(model(inputs), flatten(model(inputs)), bound=0)
    one, two = (model(inputs, training=True) for _ in range(2))
    for name in ("text_embeds", "image_embeds"):
        assert np.abs(one[name] - two[name]).max() > 0, name


def test_ids_of_special_tokens_are_placeholders() -> None:
    """Padding and end are found by the ids themselves: 0, and the largest."""
    model = DETECTOR.load()
    for name in ("pad", "bos", "eos"):
        setattr(model.config.text_config, f"{name}_token_id", 7)
    assert_same(model(DETECTOR.make_inputs()).logits, {"": DETECTOR.recorded("outputs")["logits"]})


def test_only_padding_is_hidden() -> None:
    """A query that starts with id 0 scores nowhere; one that is empty but for its ends does."""
    model, inputs = DETECTOR.load(), DETECTOR.make_inputs()
    inputs["input_ids"][1] = [BEGIN, END, 0, 0, 0, 0, 0]
    logits = np.asarray(model(inputs).logits)
    assert np.all(logits[1, :, 1] == SMALLEST)
    assert np.all(logits[0] > -1e6)
    assert np.isfinite(logits).all()


@pytest.mark.parametrize("policy", ["float16", "bfloat16", "mixed_float16"])
def test_logits_are_float32(policy: str) -> None:
    outputs = DETECTOR.load(dtype=policy)(**DETECTOR.make_inputs())
    half = policy.removeprefix("mixed_")
    assert outputs.logits.dtype == "float32"
    assert outputs.pred_boxes.dtype == outputs.objectness_logits.dtype == half
    assert outputs.logits[1, 0, 1] == float(tf.constant(0, half).dtype.min)


def test_bank_of_queries_gives_the_same_numbers() -> None:
    model, inputs = DETECTOR.load(), DETECTOR.make_inputs()
    text = {k: v[3:] for k, v in inputs.items() if k != "pixel_values"}  # the second is padding
    bank = model.encode_queries(text)
    assert bank.embeds.shape == (3, 8)
    assert np.asarray(bank.valid).tolist() == [True, False, True]
    found = model.detect(inputs["pixel_values"], bank)
    twice = {k: np.concatenate([v, v]) for k, v in text.items()}
    whole = model(**twice, pixel_values=inputs["pixel_values"])
    for name in ("logits", "objectness_logits", "pred_boxes", "class_embeds", "image_embeds"):
        assert_same(np.asarray(found[name]), {"": np.asarray(whole[name])})
    assert "text_model_output" not in found
    compiled = tf.function(lambda pixels: model.detect(pixels, bank))
    assert_same(compiled(inputs["pixel_values"]).logits, {"": found.logits.numpy()})


# ---- image-guided detection
def test_query_boxes_and_strategies() -> None:
    model, pixels = DETECTOR.load(), DETECTOR.make_inputs()["pixel_values"]
    query = pixels[:1]
    whole = model.image_guided_detection(pixels, query)
    explicit = model.image_guided_detection(pixels, query, query_boxes=[[0.0, 0.0, 1.0, 1.0]])
    assert_same(explicit, flatten(whole), bound=0)
    assert whole.logits.shape == (2, 16, 1)
    boxes = np.asarray(whole.query_pred_boxes)[0]
    for target in (3, 12):  # a query box that is one of the predicted boxes chooses among its like
        half = boxes[target, 2:] / 2
        corners = np.r_[boxes[target, :2] - half, boxes[target, :2] + half]
        box = np.clip(corners, 0, 1)
        guided = model.image_guided_detection(pixels, query, query_boxes=box[None])
        chosen = boxes[int(guided.query_indices[0])]
        assert np.abs(chosen - boxes[target]).max() < 0.3
    objectness = model.objectness_predictor(tf.reshape(whole.query_image_embeds, (1, 16, 12)))
    by_objectness = model.image_guided_detection(pixels, query, strategy="objectness")
    assert int(by_objectness.query_indices[0]) == int(np.argmax(objectness[0]))
    again = model.image_guided_detection({"pixel_values": pixels, "query_pixel_values": query})
    assert_same(again, flatten(whole), bound=0)
    plain = model.image_guided_detection(pixels, query, return_dict=False)
    names = "image_embeds query_image_embeds target_pred_boxes query_pred_boxes logits class_embeds"
    for name, value in zip(names.split(), plain[:-1], strict=True):  # the reference's order
        assert_same(value, {"": whole[name].numpy()}, bound=0)
    assert type(plain[-1]) is tuple
    states = model.image_guided_detection(pixels, query, output_hidden_states=True)
    assert len(states.vision_model_output.hidden_states) == 3
    model.config.return_dict = False
    assert type(model.image_guided_detection(pixels, query)) is tuple


def test_query_is_the_rarest_of_the_boxes_that_overlap_most() -> None:
    embeds = np.array([[[2, 0], [0, 1], [-1, 0], [2, 0]]], "float32")  # their mean: 3/4, 1/4
    sides = np.array([0.5, 0.45, 0.3, 0.5])  # the third overlaps too little, 0.3 / 0.5 < 0.8
    corners = np.stack([0 * sides, 0 * sides, 0 * sides + 0.5, sides], axis=-1)[None]
    query_boxes = np.array([[0.0, 0.0, 0.5, 0.5]], "float32")
    assert np.asarray(choose_queries(embeds, corners, query_boxes)).tolist() == [1]


def test_a_query_box_where_the_model_sees_nothing_is_refused() -> None:
    embeds = np.array([[[2, 0], [0, 1], [-1, 0]]] * 2, "float32")
    corners = np.array([[[0.0, 0.0, 0.1, 0.1], [0.4, 0.4, 0.5, 0.5], [0.2, 0.0, 0.3, 0.1]]] * 2)
    query_boxes = np.array([[0.4, 0.4, 0.5, 0.5], [0.8, 0.8, 1.0, 1.0]], "float32")
    with pytest.raises(ValueError, match=r"query_boxes: .* those at \[1\] overlap nothing"):
        choose_queries(embeds, corners, query_boxes)
    in_graph = tf.function(lambda boxes: choose_queries(embeds, corners, boxes))
    assert in_graph(tf.constant(query_boxes)).numpy().tolist() == [1, 1]  # the nearest


def test_guided_detection_refuses_what_does_not_fit() -> None:
    model, pixels = DETECTOR.load(), DETECTOR.make_inputs()["pixel_values"]
    for boxes in ([[0.0, 0.0, 1.2, 1.0]], [[0.5, 0.5, 0.5, 0.8]], [[0.7, 0.1, 0.2, 0.9]]):
        with pytest.raises(ValueError, match="query_boxes must be x0 < x1, y0 < y1 within"):
            model.image_guided_detection(pixels, pixels, query_boxes=boxes)
    with pytest.raises(ValueError, match=r"must have shape \(B, 4\), got \(4,\)"):
        model.image_guided_detection(pixels, pixels, query_boxes=[0.0, 0.0, 1.0, 1.0])
    three = np.repeat(pixels[:1], 3, axis=0)
    message = "expected one image in query_pixel_values, or one for each of the 2 in .* got 3"
    with pytest.raises(ValueError, match=message):
        model.image_guided_detection(pixels, three)
    with pytest.raises(ValueError, match="one box in query_boxes, or one for each of the 2 query"):
        model.image_guided_detection(pixels, pixels, query_boxes=[[0.0, 0.0, 1.0, 1.0]] * 3)
    with pytest.raises(ValueError, match="strategy must be one of"):
        model.image_guided_detection(pixels, pixels, strategy="best")
    with pytest.raises(ValueError, match="query_pixel_values is required"):
        model.image_guided_detection(pixels)
    owlvit = OWLVIT.load()
    with pytest.raises(ValueError, match="has no objectness; use strategy='iou'"):
        owlvit.image_guided_detection(pixels, pixels, strategy="objectness")


def test_queries_may_stand_in_rows_of_their_images() -> None:
    model, inputs = DETECTOR.load(), DETECTOR.make_inputs()
    texts = {name: inputs[name].reshape(2, 3, -1) for name in ("input_ids", "attention_mask")}
    expected, found = model(**inputs), model(**{**inputs, **texts})
    np.testing.assert_array_equal(found.logits, expected.logits)
    predicted = model.predict({**inputs, **texts}, batch_size=1, verbose=0)  # divides all inputs
    np.testing.assert_allclose(predicted.logits, expected.logits, rtol=1e-4, atol=1e-5)


# ---- refusals
def test_queries_must_divide_among_the_images() -> None:
    model, pixels = DETECTOR.load(), images(np.random.default_rng(1), 2, 3, 16, 16)
    for count in (1, 3, 5):
        with pytest.raises(ValueError, match=rf"hold {count} queries for 2 images; each image"):
            model(**queries(np.random.default_rng(0), count), **pixels)
    with pytest.raises(ValueError, match="hold 8 tokens, the model has positions for 7"):
        model(input_ids=np.ones((2, 8), int), **pixels)
    with pytest.raises(ValueError, match=r"one row for each image, got \(1, 2, 7\) and pixel_val"):
        model(input_ids=np.ones((1, 2, 7), int), **pixels)
    with pytest.raises(ValueError, match=r"input_ids must have shape \(texts, sequence\)"):
        model(input_ids=np.ones((2, 1, 2, 7), int), **pixels)
    with pytest.raises(ValueError, match="expected a list of one or more texts"):
        model.encode_queries([])
    with pytest.raises(ValueError, match="its tokenizer is unknown: pass tokenizer="):
        tiny().encode_queries(["cat"])


def test_empty_batches_are_refused() -> None:
    model = tiny()
    pixels = np.zeros((0, 3, *[model.config.vision_config.image_size] * 2), "float32")
    ids = np.ones((2, 7), "int64")
    with pytest.raises(ValueError, match="pixel_values is empty: its shape is"):
        model(input_ids=ids, pixel_values=pixels)
    with pytest.raises(ValueError, match=r"input_ids is empty: its shape is \(0, 7\)"):
        model(input_ids=ids[:0], pixel_values=np.zeros((1, *pixels.shape[1:]), "float32"))
    with pytest.raises(ValueError, match="pixel_values is empty"):
        model.image_guided_detection(pixels, query_pixel_values=pixels)


def test_wrong_configs_are_refused() -> None:
    with pytest.raises(ConfigError, match="projection_dim must equal text_config.hidden_size for"):
        tiny(projection_dim=10)
    with pytest.raises(TypeError, match="takes a Owlv2Config, got OwlViTConfig"):
        tfzoo.TFOwlv2Model(tfzoo.OwlViTConfig())
    with pytest.raises(ConfigError, match="must be a dict, a Owlv2TextConfig or None, got OwlViT"):
        tfzoo.Owlv2Config(text_config=tfzoo.OwlViTTextConfig())


# ---- checkpoints across classes
@pytest.mark.parametrize("kind", ["Owlv2", "OwlViT"])
@pytest.mark.parametrize("part", ["Text", "Vision", ""])
def test_detector_checkpoint_loads_into_its_parts(kind: str, part: str, tmp_path: Path) -> None:
    case = {"Owlv2": DETECTOR, "OwlViT": OWLVIT}[kind]
    cls = getattr(tfzoo, f"TF{kind}{part}Model")
    model, detector = cls.from_pretrained(case.folder), case.load()
    inside = {path: slot.variable for path, slot in slots(detector).items()}
    for path, slot in slots(model).items():
        name = f"{detector.base_model_prefix}.{path}"
        assert np.array_equal(slot.variable, inside[name]), path
    model.save_pretrained(tmp_path)
    again = cls.from_pretrained(tmp_path)
    assert slots(again).keys() == slots(model).keys()


def test_bare_checkpoint_leaves_the_heads_fresh(tmp_path: Path) -> None:
    bare = tfzoo.TFOwlv2Model.from_pretrained(DETECTOR.folder)
    bare.save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="no weights for class_head.dense0.kernel"):
        detector = tfzoo.TFOwlv2ForObjectDetection.from_pretrained(tmp_path)
    assert np.array_equal(detector.base.logit_scale, bare.logit_scale)


def test_files_of_keras_hold_the_towers_under_their_old_name(tmp_path: Path) -> None:
    DETECTOR.load().save_weights(tmp_path / "m.weights.h5")
    with h5py.File(tmp_path / "m.weights.h5") as file:
        assert "base" in file
        assert "base_model" not in file


def test_families_do_not_mix() -> None:
    with pytest.raises(ConfigError, match="needs model_type 'owlvit', got 'owlv2'"):
        tfzoo.TFOwlViTForObjectDetection.from_pretrained(DETECTOR.folder)
    other = tfzoo.OwlViTConfig(**config(vision={"patch_size": 4}))
    with pytest.raises(WeightMismatchError):
        tfzoo.TFOwlViTForObjectDetection.from_pretrained(DETECTOR.folder, config=other)


def test_auto_classes() -> None:
    assert type(tfzoo.TFAutoModel.from_pretrained(PAIRS.folder)) is tfzoo.TFOwlv2Model
    assert type(tfzoo.TFAutoModel.from_pretrained(OWLVIT.folder)) is tfzoo.TFOwlViTModel
    auto = tfzoo.TFAutoModelForZeroShotObjectDetection
    assert type(auto.from_pretrained(DETECTOR.folder)) is tfzoo.TFOwlv2ForObjectDetection
    assert type(auto.from_pretrained(OWLVIT.folder)) is tfzoo.TFOwlViTForObjectDetection


# ---- training
def test_objectness_does_not_train_the_features() -> None:
    model, inputs = DETECTOR.load(), DETECTOR.make_inputs()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(inputs).objectness_logits)
    gradients = tape.gradient(loss, model.trainable_variables)
    moved = {
        path.split(".")[0]
        for path, slot in slots(model).items()
        for v, g in zip(model.trainable_variables, gradients, strict=True)
        if v is slot.variable and g is not None and np.abs(g).max() > 0
    }
    assert moved == {"objectness_head"}


def test_fit_on_pairs() -> None:
    model, inputs = PAIRS.load(), PAIRS.make_inputs()
    model.compile(keras.optimizers.SGD(0.3), run_eagerly=True)
    history = model.fit(inputs, batch_size=3, epochs=10, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]


def test_vision_tower_in_blocks_gives_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long sequences are attended to in blocks of queries, unless attention weights are wanted."""
    from tfzoo.layers import attention

    case = BY_NAME["vision"]
    model, inputs = case.load(), case.make_inputs()
    expected = model(**inputs).last_hidden_state.numpy()
    monkeypatch.setattr(attention, "SCORES_AT_ONCE", 300)
    assert_same(model(**inputs).last_hidden_state, {"": expected}, bound=1e-6)
    text = BY_NAME["text"]
    monkeypatch.setattr(attention, "SCORES_AT_ONCE", 60)
    assert_same(text.load()(**text.make_inputs()).pooler_output, _pooled(text))


def _pooled(case: Case) -> dict[str, np.ndarray]:
    return {"": case.recorded("outputs")["pooler_output"]}


def test_configs_keep_their_image_size() -> None:
    assert tfzoo.Owlv2Config().vision_config.image_size == 768
    both = tfzoo.Owlv2Config.from_text_vision_configs({}, VISION, projection_dim=9)
    assert (both.vision_config.patch_size, both.projection_dim) == (4, 9)
    plain = tfzoo.Owlv2Config(return_dict=False)
    assert not plain.return_dict


def test_too_long_queries_are_named(tmp_path: Path) -> None:
    folder = write_owlv2_checkpoint(tmp_path)
    model = tfzoo.TFOwlv2ForObjectDetection.from_pretrained(folder)
    too_long = pytest.raises(ValueError, match="'extraordinarily long' has 20 tokens, .* takes 16")
    with pytest.warns(UserWarning, match="tokens"), too_long:
        model.encode_queries(["cat", "extraordinarily long"])
    bank = model.encode_queries(["cat", "dog"])
    processor = tfzoo.AutoProcessor.from_pretrained(folder)
    text = processor(text=[["cat", "dog"]], return_tensors="tf")
    assert_same(model.encode_queries(text).embeds, {"": bank.embeds.numpy()}, bound=0)
