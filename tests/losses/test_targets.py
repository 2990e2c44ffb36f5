"""Targets of detectors: their forms, what is refused, and the matching against a full search."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tfzoo.losses.detection.targets import match_targets, prepare_targets

RNG = np.random.default_rng(0)
BOX = [0.5, 0.5, 0.2, 0.2]


def match(cost: np.ndarray) -> np.ndarray:
    """Match targets of one class; columns that are infinite throughout are padding."""
    cost = ops.cast(cost, "float32")
    real = ops.any(cost != np.inf, axis=1)
    classes = ops.cast(real, "int32") - 1
    boxes = ops.broadcast_to(ops.convert_to_tensor(BOX), (*ops.shape(classes), 4))
    usable = ops.ones((ops.shape(cost)[0], 1), "bool")
    return match_targets(cost, {"boxes": boxes, "class_labels": classes}, usable)


def test_matching_equals_a_search_of_all() -> None:
    for boxes, targets in [(4, 3), (5, 2), (3, 3), (2, 0), (6, 1)]:
        cost = RNG.normal(size=(2, boxes, targets))
        found = np.asarray(match(cost))
        assert found.shape == (2, targets)
        assert found.dtype == np.int32
        for one, row in zip(cost, found, strict=True):
            choices = itertools.permutations(range(boxes), targets)
            least = min(sum(one[b, t] for t, b in enumerate(choice)) for choice in choices)
            assert len(set(row.tolist())) == targets
            assert sum(one[b, t] for t, b in enumerate(row)) == pytest.approx(least)


def test_padding_is_never_matched_and_changes_nothing() -> None:
    cost = RNG.normal(size=(1, 3, 2))
    padded = np.full((1, 3, 6), np.inf)  # more columns than boxes: only real ones count
    padded[:, :, [1, 4]] = cost
    expected = np.full(6, -1)
    expected[[1, 4]] = np.asarray(match(cost))[0]
    assert np.asarray(match(padded))[0].tolist() == expected.tolist()


def test_matching_inside_a_graph() -> None:
    cost = RNG.normal(size=(2, 4, 3)).astype("float32")
    traced = tf.function(match, input_signature=[tf.TensorSpec((None, None, 3), tf.float32)])
    found = traced(cost)
    assert found.shape == (2, 3)
    assert np.array_equal(found, match(cost))
    assert traced.get_concrete_function().output_shapes.as_list() == [None, 3]
    with pytest.raises(tf.errors.InvalidArgumentError, match="An image has 3 targets, but the"):
        traced(cost[:, :2])


def test_matching_refuses() -> None:
    with pytest.raises(ValueError, match="An image has 3 targets, but the model predicts 2"):
        match(np.zeros((1, 2, 3)))
    for bad in (np.nan, -np.inf):
        with pytest.raises(ValueError, match="cost of matching is not finite"):
            match(np.array([[[bad], [0.0]]]))
    with pytest.raises(ValueError, match="not finite"):  # infinite in places is not padding
        match(np.array([[[np.inf], [0.0]]]))


def test_scipy_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(ImportError, match=r"needs SciPy to match boxes: pip install 'tfzoo\[train"):
        match(np.zeros((1, 1, 1)))


# ---- forms of targets
@pytest.mark.parametrize(
    ("boxes", "classes", "message"),
    [
        ([BOX], [3], r"class_labels must lie in \[0, 3\).*got \[3\]"),
        ([[0.5, 0.5, 0.2, -0.2]], [0], r"a width and a height above 0, got \[\[0.5, 0.5, 0.2, -0"),
        ([[0.5, 0.5, 0.0, 0.2]], [0], "a width and a height above 0"),
        ([[0.5, 0.5, np.nan, 0.2]], [0], "a width and a height above 0"),
        ([[np.nan, 0.5, 0.2, 0.2]], [0], r"must not leave \[0, 1\]"),
        ([[0.95, 0.5, 0.2, 0.2]], [0], r"must not leave \[0, 1\], got \[\[0.95, 0.5, 0.2, 0.2\]\]"),
        ([[0.5, 0.01, 0.2, 0.2]], [0], r"must not leave \[0, 1\]"),
        ([[320, 240, 64, 48]], [0], "Divide pixels by the size of the image"),
        ([BOX], [0.0], "class_labels must be integers, the indices of queries, got float64"),
        ([BOX, BOX], [0], r"labels\[0\] must hold .* got \(2, 4\) and \(1,\)"),
        ([BOX[:3]], [0], r"got \(1, 3\) and \(1,\)"),
        (BOX, [0], r"got \(4,\) and \(1,\)"),
        ([], [0], r"got \(0,\) and \(1,\)"),
    ],
)
def test_targets_that_are_refused(boxes: list, classes: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prepare_targets([{"boxes": boxes, "class_labels": classes}], 3)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "must be a dict of padded 'boxes'"),
        (3, "got int 3"),
        ([BOX], r"labels\[0\] must be a dict with the keys \['boxes', 'class_labels'\], got list"),
        ([{"boxes": [BOX]}], r"got \['boxes'\]"),
        ({"boxes": [BOX], "labels": [0]}, r"labels must be a dict .* got \['boxes', 'labels'\]"),
        ({"boxes": np.zeros((2, 4)), "class_labels": np.zeros(2, int)}, r"got \(2, 4\) and \(2,\)"),
        ({"boxes": np.zeros((1, 2, 4)), "class_labels": np.zeros((1, 3), int)}, "Padded labels"),
        ({"boxes": np.zeros((1, 2, 4)), "class_labels": np.zeros((1, 2))}, "must be integers"),
        ({"boxes": np.zeros((1, 1, 4)), "class_labels": np.zeros((1, 1), int)}, "height above 0"),
    ],
)
def test_labels_of_another_form(labels: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prepare_targets(labels, 3)


def test_a_pixel_beyond_the_border_is_forgiven() -> None:
    box = [[0.9, 0.5, 0.205, 0.2]]
    kept = prepare_targets([{"boxes": box, "class_labels": [0]}], 1)
    assert np.allclose(kept["boxes"], [box])
