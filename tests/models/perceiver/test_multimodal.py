"""Perceiver's multimodal autoencoder: the common checks in its terms, and what is its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfzoo
from tests.models.perceiver.cases import CASES, VIDEO, videos
from tests.support.compare import assert_same, flatten
from tfzoo.core.variables import slots
from weights_convert.checkpoint import open_checkpoint
from weights_convert.rules import checkpoint_names, family_map

CASE = next(case for case in CASES if "Multimodal" in case.model)
MODALITIES = ("image", "audio", "label")


@pytest.fixture
def model() -> Any:
    return CASE.load()


def nested() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The case's modalities and points as dicts."""
    flat = CASE.make_inputs()
    points = {name: flat[f"{name}_points"] for name in ("image", "audio")}
    return {name: flat[name] for name in MODALITIES}, points


def logits() -> dict[str, np.ndarray]:
    """The recorded logits."""
    recorded = CASE.recorded("outputs").items()
    return {k.removeprefix("logits."): v for k, v in recorded if k.startswith("logits.")}


def test_every_output_equals_the_reference(model: Any) -> None:
    inputs, points = nested()
    expected = CASE.recorded("outputs")
    assert_same(model(**CASE.make_inputs(), **CASE.flags), expected)
    both = {"inputs": inputs, "subsampled_output_points": {**points, "label": None}}
    assert_same(model(both, **CASE.flags), expected)
    assert_same(model(inputs, None, points, **CASE.flags), expected)


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_graph_equals_the_reference(model: Any, jit_compile: bool) -> None:
    inputs = {k: tf.constant(v) for k, v in CASE.make_inputs().items()}
    call = tf.function(lambda x: model(x, **CASE.flags), jit_compile=jit_compile)
    assert_same(call(inputs), CASE.recorded("outputs"))


def test_checkpoint_returns_bit_equal(model: Any, tmp_path: Path) -> None:
    names = checkpoint_names(slots(model), family_map("perceiver"))
    model.save_pretrained(tmp_path)
    with open_checkpoint(CASE.folder) as before, open_checkpoint(tmp_path) as after:
        assert sorted(before) == sorted(after) == sorted(names.values())
        for name in before:
            assert before.read(name).tobytes() == after.read(name).tobytes(), name
    assert tfzoo.PerceiverConfig.from_pretrained(tmp_path)._label_trainable_num_channels == 20


def test_files_and_exports_keep_it(model: Any, tmp_path: Path) -> None:
    inputs = CASE.make_inputs()
    model.save(tmp_path / "m.keras")
    assert_same(dict(tfzoo.load_model(tmp_path / "m.keras")(inputs).logits), logits())
    model.export(tmp_path / "saved", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"]
    outputs = served(**{k: tf.constant(v) for k, v in inputs.items()})
    for name, expected in logits().items():
        assert_same(outputs[f"logits_{name}"], {"": expected})


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_reduced_precision_stays_near(policy: str) -> None:
    outputs = CASE.load(dtype=policy)(**CASE.make_inputs()).logits
    got = flatten(outputs, lambda tensor: np.asarray(tensor, "float32"))
    assert_same(got, logits(), bound=0.03 if policy == "mixed_float16" else 0.2)


# ---- its own
def test_all_points_are_those_of_chunks(model: Any) -> None:
    """Without points all outputs are decoded, where the reference fails."""
    inputs, _ = nested()
    whole = model(inputs=inputs).logits
    assert {k: tuple(v.shape) for k, v in whole.items()} == {
        "audio": (2, 48),
        "image": (2, 128, 3),
        "label": (2, 5),
    }
    for start in (0, 64):
        points = {"image": np.arange(start, start + 64), "audio": np.arange(12)}
        chunk = model(inputs=inputs, subsampled_output_points=points).logits
        assert_same(chunk["image"], {"": whole["image"][:, start : start + 64].numpy()})
        assert_same(chunk["audio"], {"": whole["audio"].numpy()})
    only = model(inputs=inputs, subsampled_output_points={"audio": np.array([2])}).logits
    assert only["image"].shape == (2, 128, 3)
    assert_same(only["audio"], {"": whole["audio"][:, 8:12].numpy()})


def test_the_label_is_hidden(model: Any) -> None:
    inputs = CASE.make_inputs()
    other = {**inputs, "label": inputs["label"] + 100}
    assert_same(model(other), flatten(model(inputs)), bound=0)


def test_latents_are_decoded_in_parts(model: Any) -> None:
    """What decodes a long video: one encoding, any number of decodings."""
    inputs, points = nested()
    engine = model.perceiver
    data = engine.preprocess({k: tf.constant(v) for k, v in inputs.items()})
    latents = engine.encode(data).last_hidden_state
    assert_same(dict(engine.decode(latents, data, points).logits), logits())


# ---- training
def targets() -> dict[str, np.ndarray]:
    inputs, points = nested()
    made = tfzoo.autoencoding_labels(
        {"image": inputs["image"], "audio": inputs["audio"]}, points, samples_per_patch=4
    )
    return {**{k: np.asarray(v) for k, v in made.items()}, "label": np.array([3, 1])}


def test_loss_is_the_weighted_sum_of_the_terms(model: Any) -> None:
    labels, outputs = targets(), logits()
    image = np.abs(labels["image"] - outputs["image"]).mean()
    audio = np.abs(labels["audio"] - outputs["audio"]).mean()
    scores = outputs["label"].astype("float64")
    label = (np.log(np.exp(scores).sum(1)) - scores[[0, 1], labels["label"]]).mean()
    loss = float(model(**CASE.make_inputs(), labels=labels).loss)
    assert loss == pytest.approx(audio + 0.03 * image + 0.0001 * label, rel=1e-5)
    one_hot = {**labels, "label": np.eye(5, dtype="float32")[labels["label"]]}
    assert float(model(**CASE.make_inputs(), labels=one_hot).loss) == pytest.approx(loss, rel=1e-6)
    alone = {"audio": labels["audio"]}
    assert float(model(**CASE.make_inputs(), labels=alone).loss) == pytest.approx(audio, rel=1e-5)


@pytest.mark.parametrize("inside", [True, False])
def test_fit_logs_each_term(model: Any, inside: bool) -> None:
    inputs, labels = CASE.make_inputs(), targets()
    expected = float(model(**inputs, labels=labels).loss)
    batch = {**inputs, "labels": labels} if inside else (inputs, labels)
    model.compile(keras.optimizers.SGD(1e-4), run_eagerly=True)
    data = tf.data.Dataset.from_tensors(batch)
    history = model.fit(data, shuffle=False, epochs=3, verbose=0).history
    assert history["loss"][0] == pytest.approx(expected, rel=1e-5)
    assert history["loss"][-1] < history["loss"][0]
    weights = {"audio_loss": 1.0, "image_loss": 0.03, "label_loss": 0.0001}
    total = sum(weight * history[name][0] for name, weight in weights.items())
    assert total == pytest.approx(expected, rel=1e-5)


# ---- refusals
def test_wrong_inputs_are_refused(model: Any) -> None:
    inputs, points = nested()
    for name in MODALITIES:
        missing = {k: v for k, v in inputs.items() if k != name}
        with pytest.raises(ValueError, match=r"must be a dict with \['audio', 'image', 'label'"):
            model(inputs=missing)
        with pytest.raises(ValueError, match="must be a dict with"):
            model(inputs={**inputs, name: None})
    with pytest.raises(ValueError, match="modality 'image': inputs must have in_channels=3, got 2"):
        model(inputs={**inputs, "image": inputs["image"][:, :, :2]})
    with pytest.raises(ValueError, match="modality 'audio'.* takes floats of shape"):
        model(inputs={**inputs, "audio": inputs["audio"][..., 0]})
    with pytest.raises(ValueError, match="do not divide into patches of 4"):
        model(inputs={**inputs, "audio": inputs["audio"][:, :-1]})
    with pytest.raises(ValueError, match="num_labels=5 numbers"):
        model(inputs={**inputs, "label": inputs["label"][:, :4]})
    with pytest.raises(ValueError, match="pass either inputs or image"):
        model(inputs=inputs, image=inputs["image"])
    with pytest.raises(ValueError, match="pass either subsampled_output_points or"):
        model(inputs=inputs, subsampled_output_points=points, audio_points=points["audio"])
    with pytest.raises(ValueError, match="inputs is required, a dict"):
        model()
    with pytest.raises(ValueError, match="inputs must be a dict"):
        model(inputs=inputs["image"])


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ({"image": np.array([128])}, r"modality 'image'.*\[0, 128\).*from 128 to 128"),
        ({"audio": np.array([0, -1])}, r"modality 'audio'.*\[0, 12\).*from -1 to 0"),
        ({"image": np.array([0.0])}, "must be integers"),
        ({"image": np.array([[0]])}, r"indices of shape \(points,\)"),
        ({"text": np.array([0])}, r"some of \['audio', 'image', 'label'\], got \['text'\]"),
        (np.array([0]), "must be a dict with some of"),
    ],
)
def test_unknown_points_are_refused(model: Any, points: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model(inputs=nested()[0], subsampled_output_points=points)


def test_labels_of_another_length_are_refused(model: Any) -> None:
    inputs, labels = CASE.make_inputs(), targets()
    with pytest.raises(ValueError, match=r"labels\['image'\] must have the shape \(2, 7, 3\)"):
        model(**inputs, labels={**labels, "image": labels["image"][:, :6]})
    with pytest.raises(ValueError, match="some of image, audio, label, got ndarray"):
        model(**inputs, labels=labels["audio"])
    with pytest.raises(ValueError, match="got \\['text'\\]"):
        model(**inputs, labels={"text": labels["audio"]})


def test_other_batches_share_the_weights(model: Any) -> None:
    assert VIDEO["output_shape"][0] == 1  # has no effect
    inputs = videos(np.random.default_rng(0), 3)
    three = model(**inputs).logits
    for i in range(3):
        one = {k: v if "points" in k else v[i : i + 1] for k, v in inputs.items()}
        alone = model(**one).logits
        assert_same(dict(alone), {k: v[i : i + 1].numpy() for k, v in three.items()})
