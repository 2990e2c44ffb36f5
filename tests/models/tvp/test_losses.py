"""TVP's losses of spans, and the labels that they take."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import tfzoo
from tests.models.tvp.cases import BY_NAME, GROUNDING, inputs, spans


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
