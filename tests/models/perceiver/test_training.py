"""How the Perceiver models learn."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfzoo
from tests.models.perceiver.cases import CASES, TEXT, texts
from tests.support.compare import assert_same, flatten
from tfzoo.core.variables import slots

BY_NAME = {case.name.split("/")[1]: case for case in CASES}


def test_end_point_error() -> None:
    case = BY_NAME["flow"]
    model, inputs = case.load(), case.make_inputs()
    flow = case.recorded("outputs")["logits"]
    truth = flow + np.random.default_rng(0).normal(size=flow.shape).astype("float32")
    error = np.sqrt(((flow - truth) ** 2).sum(-1)).mean()
    assert float(model(**inputs, labels=truth).loss) == pytest.approx(error, rel=1e-5)
    model.compile(keras.optimizers.SGD(1e-3), run_eagerly=True)
    data = tf.data.Dataset.from_tensors((inputs, truth))
    history = model.fit(data, shuffle=False, epochs=3, verbose=0).history
    assert history["loss"][0] == pytest.approx(error, rel=1e-5)
    assert history["loss"][-1] < history["loss"][0]
    exact = float(model(**inputs, labels=np.asarray(model(**inputs).logits)).loss)
    assert exact == 0.0


def test_dropout_acts_in_training_only() -> None:
    fields = {**TEXT, "attention_probs_dropout_prob": 0.5}
    model = tfzoo.TFPerceiverForMaskedLM(tfzoo.PerceiverConfig(**fields))
    ids = texts(np.random.default_rng(0), 2, 6)["input_ids"]
    assert_same(model(ids), flatten(model(ids)), bound=0)
    one, two = (np.asarray(model(ids, training=True).logits) for _ in range(2))
    assert np.abs(one - two).max() > 0


def test_batch_norm_learns_its_statistics() -> None:
    model = BY_NAME["conv"].load()
    norm = model.perceiver.input_preprocessor.convnet.batchnorm
    before, steps = np.asarray(norm.moving_mean), int(norm.num_batches_tracked)
    model.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    data = tf.data.Dataset.from_tensors(BY_NAME["conv"].make_inputs())
    model.fit(data, shuffle=False, epochs=2, verbose=0)
    assert int(norm.num_batches_tracked) == steps + 2
    assert np.abs(norm.moving_mean - before).max() > 0


@pytest.mark.slow
def test_masked_bytes_are_learnt() -> None:
    model, inputs = BY_NAME["masked_lm"].load(), BY_NAME["masked_lm"].make_inputs()
    model.compile(keras.optimizers.Adam(3e-3))
    data = tf.data.Dataset.from_tensors(inputs)
    history = model.fit(data, shuffle=False, epochs=15, verbose=0).history
    assert history["loss"][-1] < 0.7 * history["loss"][0]


def test_sample_weights_count_texts() -> None:
    model, inputs = BY_NAME["masked_lm"].load(), BY_NAME["masked_lm"].make_inputs()
    model.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    labels = inputs.pop("labels")
    one = {name: value[:1] for name, value in inputs.items()}
    expected = float(model(**one, labels=labels[:1]).loss) * (labels[:1] != -100).sum()
    weights = np.array([1.0, 0.0, 0.0], "float32")
    batch = tf.data.Dataset.from_tensors((inputs, labels, weights))
    loss = model.evaluate(batch, verbose=0)
    assert loss == pytest.approx(expected / (labels != -100).sum(), rel=1e-4)


def test_a_frozen_encoder_stays() -> None:
    model = BY_NAME["widths"].load()
    model.perceiver.encoder.trainable = False
    before = {path: slot.variable.numpy() for path, slot in slots(model).items()}
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    data = tf.data.Dataset.from_tensors(BY_NAME["widths"].make_inputs())
    model.fit(data, shuffle=False, verbose=0)
    moved = {p for p, s in slots(model).items() if not np.array_equal(s.variable, before[p])}
    assert moved
    assert not any(path.startswith("perceiver.encoder.") for path in moved)


@pytest.mark.parametrize(
    ("problem", "labels"),
    [
        ("regression", np.array([[0.5, 1.0, -1.0]] * 4, "float32")),
        ("multi_label_classification", np.array([[0.0, 1.0, 1.0]] * 4, "float32")),
        ("single_label_classification", np.array([0, 1, 2, -100])),
    ],
)
def test_problem_types(problem: str, labels: Any) -> None:
    model, inputs = BY_NAME["widths"].load(), BY_NAME["widths"].make_inputs(with_labels=False)
    model.config.problem_type = problem
    outputs = model(**inputs, labels=labels)
    scores = np.asarray(outputs.logits, "float64")
    if problem == "regression":
        expected = ((scores - labels) ** 2).mean()
    elif problem.startswith("multi"):
        expected = (np.logaddexp(0, scores) - labels * scores).mean()
    else:
        each = np.log(np.exp(scores).sum(1)) - scores[np.arange(4), np.maximum(labels, 0)]
        expected = each[:3].mean()
    assert float(outputs.loss) == pytest.approx(expected, rel=1e-5)
