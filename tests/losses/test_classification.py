"""The classification loss by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tfzoo.losses.classification import classification_loss, problem_type_of

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(4, 3)).astype("float32")


def test_types_follow_width_and_dtype() -> None:
    whole, real = np.array([1]), np.array([1.0])
    assert problem_type_of(real, 1) == problem_type_of(whole, 1) == "regression"
    assert problem_type_of(whole, 3) == "single_label_classification"
    assert problem_type_of(whole.astype("int32"), 3) == "single_label_classification"
    assert problem_type_of(real, 3) == "multi_label_classification"
    assert problem_type_of(whole, 3, "regression") == "regression"


def test_cross_entropy_leaves_out_ignored_labels() -> None:
    labels = np.array([0, -100, 2, 1])
    log_p = LOGITS - np.log(np.exp(LOGITS).sum(-1, keepdims=True))
    expected = -np.mean([log_p[0, 0], log_p[2, 2], log_p[3, 1]])
    assert float(classification_loss(labels, LOGITS, 3)) == pytest.approx(expected, rel=1e-5)


def test_binary_cross_entropy() -> None:
    labels = np.eye(4, 3, dtype="float32")
    p = 1 / (1 + np.exp(-LOGITS))
    expected = -np.mean(labels * np.log(p) + (1 - labels) * np.log(1 - p))
    assert float(classification_loss(labels, LOGITS, 3)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_regression_squeezes_one_label(shape: tuple[int, ...]) -> None:
    labels = np.arange(4, dtype="float32").reshape(shape)
    expected = np.mean((LOGITS[:, 0] - np.arange(4)) ** 2)
    loss = classification_loss(labels, LOGITS[:, :1], 1)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_regression_of_several_values() -> None:
    labels = np.ones((4, 3), "float32")
    loss = classification_loss(labels, LOGITS, 3, "regression")
    assert float(loss) == pytest.approx(np.mean((LOGITS - 1) ** 2), rel=1e-5)


def test_sample_weights_scale_each_sample() -> None:
    labels = np.array([0, 1, 2, 1])
    only = float(classification_loss(labels[:1], LOGITS[:1], 3))
    weights = np.array([1.0, 0, 0, 0], "float32")
    weighted = classification_loss(labels, LOGITS, 3, None, weights)
    assert float(weighted) == pytest.approx(only / 4, rel=1e-5)


@pytest.mark.parametrize("bad", [[3], [-1], [0, 99]])
def test_indices_outside_the_range(bad: list[int]) -> None:
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 3\)"):
        classification_loss(np.array(bad), LOGITS[: len(bad)], 3)
