"""TimeSformer: the common checks, and what is its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import keras
import numpy as np
import pytest
import tensorflow as tf

import tfzoo
from tests.models.timesformer.cases import CASES, CLASSIFIER, TINY, clips
from tests.support.compare import assert_same, flatten
from tests.support.family_checks import FamilyChecks
from tests.support.paths import FIXTURES
from tests.support.shapes import shapes_only
from tfzoo.core.config import ConfigError
from tfzoo.core.variables import slots
from tfzoo.models.timesformer.layers import DividedTimesformerLayer
from weights_convert.errors import WeightMismatchError

VIDEO = FIXTURES / "videos" / "bigbuckbunny.mp4"
BY_NAME = {case.name.split("/")[1]: case for case in CASES}


class TestTimesformer(FamilyChecks):
    cases = CASES
    default_counts = {"TFTimesformerModel": (247, 121_258_752)}


def tiny(**config: Any) -> Any:
    return tfzoo.TFTimesformerForVideoClassification(tfzoo.TimesformerConfig(**{**TINY, **config}))


# ---- sizes
@pytest.mark.parametrize(
    ("config", "head", "tensors", "parameters"),
    [
        ({}, False, 247, 121_258_752),
        ({"num_labels": 400}, True, 249, 121_566_352),
        ({"attention_type": "space_only"}, False, 150, 85_798_656),
        ({"attention_type": "joint_space_time"}, False, 151, 85_804_800),
        ({"image_size": 448, "num_frames": 16}, False, 247, 121_716_480),
        ({"num_frames": 96}, False, 247, 121_326_336),
    ],
)
def test_published_sizes(config: dict, head: bool, tensors: int, parameters: int) -> None:
    name = CLASSIFIER if head else "TFTimesformerModel"
    with shapes_only():
        model = getattr(tfzoo, name)(tfzoo.TimesformerConfig(**config))
    shapes = [slot.shape for slot in slots(model).values()]
    assert (len(shapes), sum(int(np.prod(shape)) for shape in shapes)) == (tensors, parameters)


# ---- other numbers of frames and other sizes
@pytest.mark.parametrize("attention_type", ["divided_space_time", "joint_space_time"])
@pytest.mark.parametrize("frames", [1, 2, 3, 6, 8])
def test_any_number_of_frames(attention_type: str, frames: int) -> None:
    model = tiny(attention_type=attention_type)
    out = model(clips(np.random.default_rng(0), 2, frames, 3, 24, 24)).logits
    assert tuple(out.shape) == (2, 3)


def test_exported_axes_are_all_dynamic(tmp_path: Path) -> None:
    """Frames, height and width of the signature are free, interpolation included."""
    model = BY_NAME["divided"].load()
    model.export(tmp_path / "m", verbose=False)
    serve = tf.saved_model.load(str(tmp_path / "m")).signatures["serving_default"]
    shape = serve.structured_input_signature[1]["pixel_values"].shape
    assert shape.as_list() == [None, None, 3, None, None]
    for size in ((1, 4, 3, 12, 12), (2, 8, 3, 12, 12), (1, 4, 3, 24, 36), (3, 4, 3, 13, 14)):
        pixels = clips(np.random.default_rng(0), *size)
        expected = {"": model(pixels).logits.numpy()}
        assert_same(serve(pixel_values=tf.constant(**_as_value(pixels)))["logits"], expected)


def _as_value(pixels: dict[str, np.ndarray]) -> dict[str, Any]:
    return {"value": pixels["pixel_values"]}


def test_sizes_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match=r"multiple of .*4 x 3, got 16.*number of frames"):
        tiny()(clips(np.random.default_rng(0), 1, 4, 3, 8, 8))
    with pytest.raises(ValueError, match="at least one patch of 4 x 4"):
        tiny()(clips(np.random.default_rng(0), 1, 4, 3, 3, 8))


def test_same_count_is_not_interpolated() -> None:
    """A grid of 1 x 9 patches takes the table of the 3 x 3 grid as it is."""
    model = tiny(attention_type="joint_space_time")
    pixels = clips(np.random.default_rng(0), 1, 4, 3, 12, 12)["pixel_values"]
    blocks = pixels.reshape(1, 4, 3, 3, 4, 3, 4)
    row = blocks.transpose(0, 1, 2, 4, 3, 5, 6).reshape(1, 4, 3, 4, 36)
    assert_same(model(row).logits, {"": model(pixels).logits.numpy()})


def test_positions_of_a_wide_frame() -> None:
    """3 x 6 patches: each column of the 3 x 3 table stands for two of the frame's."""
    embeddings = tiny(attention_type="space_only").timesformer.embeddings
    black = np.zeros((1, 1, 3, 12, 24), "float32")  # what is left are the positions
    table = np.asarray(embeddings.position_embeddings)[0, 1:]
    rows = [[0, 0, 1, 1, 2, 2], [3, 3, 4, 4, 5, 5], [6, 6, 7, 7, 8, 8]]
    np.testing.assert_array_equal(embeddings(black)[0, 1:], table[np.concatenate(rows)])


# ---- configs
def test_invalid_configs_are_refused() -> None:
    config = tfzoo.TimesformerConfig(attention_type="nonsense")  # as documented: not here
    with pytest.raises(ConfigError, match="attention_type must be one of .*got 'nonsense'"):
        tfzoo.TFTimesformerModel(config)
    with pytest.raises(ConfigError, match="multiple of num_attention_heads 5"):
        tiny(num_attention_heads=5)
    with pytest.raises(ConfigError, match="Unknown activation 'gelo'; known are gelu"):
        tiny(hidden_act="gelo")
    with pytest.raises(ConfigError, match="patch_size must be a positive integer, got 0"):
        tiny(patch_size=0)
    with pytest.raises(ConfigError, match="patch_size must be at most image_size 12, got 13"):
        tiny(patch_size=13)
    with pytest.raises(ConfigError, match=r"image_size must be a positive integer, got \(8, 8\)"):
        tiny(image_size=(8, 8))
    with pytest.raises(TypeError, match="takes a TimesformerConfig, got dict"):
        tfzoo.TFTimesformerModel({})


@pytest.mark.parametrize("act", ["gelu", "relu", "selu", "gelu_new", tf.nn.silu])
def test_documented_activations(act: Any) -> None:
    assert tiny(hidden_act=act)(clips(np.random.default_rng(0), 1, 4, 3, 12, 12)).logits.shape[0]


def test_head_may_be_left_out() -> None:
    out = tiny(num_labels=0)(clips(np.random.default_rng(0), 2, 4, 3, 12, 12))
    assert tuple(out.logits.shape) == (2, 16)


def test_input_embeddings_are_the_patches() -> None:
    model = tiny()
    assert model.get_input_embeddings() is model.timesformer.embeddings.patch_embeddings
    assert model.timesformer.get_input_embeddings() is model.get_input_embeddings()


# ---- checkpoints across classes
def test_classifier_checkpoint_loads_into_the_bare_model() -> None:
    case = BY_NAME["divided"]
    bare = tfzoo.TFTimesformerModel.from_pretrained(case.folder)
    inputs = case.make_inputs(with_labels=False)
    states = bare(**inputs, output_hidden_states=True).hidden_states
    expected = case.recorded("outputs")
    for i, state in enumerate(states):
        assert_same(np.asarray(state), {"": expected[f"hidden_states.{i}"]})


def test_bare_checkpoint_loads_into_the_classifier() -> None:
    case = BY_NAME["bare"]
    with pytest.warns(UserWarning, match=r"no weights for classifier.kernel, classifier.bias"):
        model = tfzoo.TFTimesformerForVideoClassification.from_pretrained(case.folder)
    inputs = case.make_inputs()
    expected = {"": case.recorded("outputs")["last_hidden_state"]}
    assert_same(model.timesformer(**inputs).last_hidden_state, expected)


def test_another_number_of_labels_needs_a_word() -> None:
    case = BY_NAME["divided"]
    with pytest.raises(WeightMismatchError, match=r"(?s)classifier.weight.*ignore_mis"):
        case.load(num_labels=5)
    with pytest.warns(UserWarning, match="classifier"):
        model = case.load(num_labels=5, ignore_mismatched_sizes=True)
    assert tuple(model(**case.make_inputs(with_labels=False)).logits.shape) == (2, 5)
    assert model.config.id2label[4] == "LABEL_4"


def test_other_sizes_are_never_interpolated_at_load_time() -> None:
    for change in ({"num_frames": 8}, {"image_size": 24}):
        with pytest.raises(WeightMismatchError, match="embeddings"):
            BY_NAME["divided"].load(**change)


# ---- the documented example, in its TF form
def test_documented_example() -> None:
    np.random.seed(0)
    container = av.open(str(VIDEO))
    indices = tfzoo.sample_frame_indices(
        clip_len=8, frame_sample_rate=4, seg_len=container.streams.video[0].frames
    )
    video = tfzoo.read_video(VIDEO, indices=indices).frames
    image_processor = tfzoo.VideoMAEImageProcessor()
    configuration = tfzoo.TimesformerConfig(num_hidden_layers=1)
    model = tfzoo.TFTimesformerModel(configuration)
    assert model.config is configuration
    inputs = image_processor(list(video), return_tensors="tf")
    outputs = model(**inputs)
    assert list(outputs.last_hidden_state.shape) == [1, 1569, 768]
    classifier = tfzoo.TFTimesformerForVideoClassification(configuration)
    predicted_label = int(tf.argmax(classifier(**inputs).logits, -1)[0])
    assert classifier.config.id2label[predicted_label].startswith("LABEL_")


# ---- losses
def test_labels_out_of_range_are_refused() -> None:
    case = BY_NAME["divided"]
    model, inputs = case.load(), case.make_inputs()
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 3\).*got \[7\]"):
        model({**inputs, "labels": np.array([0, 7])})
    model.compile("sgd")
    with pytest.raises(tf.errors.InvalidArgumentError, match="outside the valid range"):
        model.fit({**inputs, "labels": np.array([0, 7])}, verbose=0)


def test_ignored_labels_do_not_count() -> None:
    case = BY_NAME["divided"]
    model, inputs = case.load(), case.make_inputs()
    both = model({**inputs, "labels": np.array([1, -100])}).loss
    one = model({"pixel_values": inputs["pixel_values"][:1], "labels": np.array([1])}).loss
    assert float(both) == pytest.approx(float(one), rel=1e-5)


def test_loss_follows_the_labels_of_each_call() -> None:
    """Nothing sticks: integers after floats give cross-entropy again."""
    case = BY_NAME["divided"]
    model, inputs = case.load(), case.make_inputs()
    first = float(model(inputs).loss)
    model({**inputs, "labels": np.eye(3, dtype="float32")[:2]})
    assert float(model(inputs).loss) == first
    assert model.config.problem_type is None


def test_problem_type_wins_over_the_labels() -> None:
    model, inputs = tiny(problem_type="regression"), BY_NAME["divided"].make_inputs(False)
    labels = np.array([[0.5, -1.0, 2.0], [3.0, 0.0, -0.5]], "float32")  # else: several labels
    outputs = model(**inputs, labels=labels)
    expected = np.mean((np.asarray(outputs.logits) - labels) ** 2)
    assert float(outputs.loss) == pytest.approx(expected, rel=1e-5)


def test_labels_of_another_shape_are_refused() -> None:
    inputs = BY_NAME["multi_label"].make_inputs()
    with pytest.raises(ValueError, match=r"must have shape \(2, 3\) here, got \(2, 2\)"):
        BY_NAME["multi_label"].load()({**inputs, "labels": np.zeros((2, 2), "float32")})
    inputs = BY_NAME["space_only"].make_inputs()  # a label per frame, as in the reference
    with pytest.raises(ValueError, match=r"must have shape \(8,\) here, got \(2,\)"):
        BY_NAME["space_only"].load()({**inputs, "labels": np.zeros(2, "int64")})
    with pytest.raises(ValueError, match="without a head"):
        tiny(num_labels=0)({**BY_NAME["divided"].make_inputs()})


# ---- labels of frames
def _frames(rng: np.random.Generator, problem: str, classes: int) -> np.ndarray:
    """Labels of 2 clips of 4 frames."""
    if problem == "single_label_classification":
        return rng.integers(0, classes, (2, 4))
    if problem == "multi_label_classification":
        return rng.integers(0, 2, (2, 4, classes)).astype("float32")
    return rng.normal(size=(2, 4, classes) if classes > 1 else (2, 4)).astype("float32")


@pytest.mark.parametrize(
    ("problem", "classes"),  # 4 is the number of frames as well
    [
        ("single_label_classification", 3),
        ("single_label_classification", 4),
        ("multi_label_classification", 4),
        ("regression", 1),
        ("regression", 4),
    ],
)
def test_labels_of_frames_come_by_clip(problem: str, classes: int) -> None:
    """With space-only attention: in calls and in `fit` as in the rows that the logits have."""
    model = tiny(attention_type="space_only", num_labels=classes, problem_type=problem)
    inputs = clips(np.random.default_rng(0), 2, 4, 3, 12, 12)
    labels = _frames(np.random.default_rng(1), problem, classes)
    rows = labels.reshape(8, *labels.shape[2:])
    expected = float(model(**inputs, labels=rows).loss)
    assert float(model(**inputs, labels=labels).loss) == pytest.approx(expected, rel=1e-6)
    model.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    for x, y in ((inputs, labels), ({**inputs, "labels": labels}, None)):
        assert model.fit(x, y, verbose=0).history["loss"][0] == pytest.approx(expected, rel=1e-5)
    weights, one = np.array([1.0, 0.0]), float(model(inputs["pixel_values"][:1], labels[:1]).loss)
    for weight in (weights, np.repeat(weights[:, None], 4, axis=1)):
        loss = model.evaluate(inputs, labels, sample_weight=weight, verbose=0)
        assert 2 * loss == pytest.approx(one, rel=1e-5)


@pytest.mark.parametrize("classes", [3, 4])
@pytest.mark.parametrize("inside", [False, True], ids=["y", "inside"])
def test_compiled_losses_of_frames(classes: int, inside: bool) -> None:
    """In a graph as well, where the number of clips is unknown."""
    model = tiny(attention_type="space_only", num_labels=classes)
    inputs = clips(np.random.default_rng(0), 2, 4, 3, 12, 12)
    labels = np.random.default_rng(1).integers(0, classes, (2, 4))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.0), loss, metrics=["accuracy"], jit_compile=False)
    batch = ({**inputs, "labels": labels}, None) if inside else (inputs, labels)
    history = model.fit(*batch, verbose=0).history
    outputs = model(**inputs, labels=labels)
    assert history["loss"][0] == pytest.approx(float(outputs.loss), rel=1e-5)
    accuracy = (np.argmax(outputs.logits, -1) == labels.reshape(-1)).mean()
    assert history["accuracy"][0] == pytest.approx(accuracy, rel=1e-5)


# ---- training
def test_compiled_loss_and_metrics() -> None:
    case = BY_NAME["divided"]
    x, y = case.make_inputs(with_labels=False), case.make_inputs()["labels"]
    own, compiled = case.load(), case.load()
    own.compile(keras.optimizers.SGD(0.05), run_eagerly=True)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    how = {"loss": loss, "metrics": ["accuracy"], "run_eagerly": True}
    compiled.compile(keras.optimizers.SGD(0.05), **how)
    mine, theirs = own.fit(x, y, verbose=0).history, compiled.fit(x, y, verbose=0).history
    assert mine["loss"] == pytest.approx(theirs["loss"], rel=1e-6)
    assert "accuracy" in theirs
    results = compiled.evaluate(x, y, verbose=0, return_dict=True)
    assert set(results) == {"loss", "accuracy"}
    assert compiled.train_on_batch({**x, "labels": y}) is not None
    how = {"loss": {"logits": loss}, "metrics": {"logits": ["accuracy"]}, "run_eagerly": True}
    compiled.compile("sgd", **how)
    assert np.isfinite(compiled.fit(x, y, verbose=0).history["loss"][0])


def test_sample_weights_and_tuples_in_training() -> None:
    case = BY_NAME["divided"]
    x, y = case.make_inputs(with_labels=False), case.make_inputs()["labels"]
    model = case.load(return_dict=False)
    model.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    weighted = model.evaluate(x, y, sample_weight=np.array([1.0, 0.0]), verbose=0)
    first = case.load()(x["pixel_values"][:1], labels=y[:1]).loss
    assert weighted * 2 == pytest.approx(float(first), rel=1e-5)
    assert type(model(x)) is tuple


def test_training_without_labels_says_so() -> None:
    case = BY_NAME["divided"]
    model = case.load()
    model.compile("sgd")
    with pytest.raises(ValueError, match="no labels. Pass y, put 'labels' into the inputs"):
        model.fit(case.make_inputs(with_labels=False), verbose=0)
    bare = BY_NAME["bare"].load()
    bare.compile("sgd")
    with pytest.raises(ValueError, match="has no loss of its own"):
        bare.fit(case.make_inputs(with_labels=False), np.zeros(2), verbose=0)


def test_stochastic_depth_and_dropout_act_in_training_only() -> None:
    model = tiny(drop_path_rate=0.5, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)
    inputs = clips(np.random.default_rng(0), 4, 4, 3, 12, 12)
    still = flatten(model(inputs))
    assert_same(model(inputs), still, bound=0)
    one, two = (np.asarray(model(inputs, training=True).logits) for _ in range(2))
    assert np.abs(one - two).max() > 0
    rates = [layer.drop_path.rate for layer in model.timesformer.encoder.layer]
    assert rates == [0.0, 0.5]


def test_stochastic_depth_drops_every_branch() -> None:
    """Also the one over time; without biases a block then returns its inputs."""
    keras.utils.set_random_seed(0)
    layer = DividedTimesformerLayer(tfzoo.TimesformerConfig(**TINY), drop_path_rate=1 - 1e-6)
    tokens = np.random.default_rng(0).normal(size=(2, 1 + 9 * 4, 16)).astype("float32")
    assert np.abs(layer(tokens)[0] - tokens).max() > 1e-3
    np.testing.assert_array_equal(layer(tokens, training=True)[0], tokens)
