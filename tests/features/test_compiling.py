"""The arguments of `compile` and `fit`. Each docstring begins with the feature's name."""

from __future__ import annotations

from functools import cache
from operator import attrgetter

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.features.families import (
    FAMILIES,
    SLOW,
    Tiny,
    assert_close,
    main_shape,
    on_one_family,
    trainable,
    trained,
    weights,
)


@on_one_family
def test_own_loss(tiny: Tiny) -> None:
    """`compile(optimizer)`: the model's own loss falls."""
    losses, _ = trained(tiny, 3, SLOW)
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


NAMES = attrgetter("name")
# A loss of the class scores alone teaches OWLv2's boxes nothing, and Keras says so.
_PARTIAL = pytest.mark.filterwarnings("ignore:Gradients do not exist for variables .*(box|object)")


@_PARTIAL
@on_one_family
def test_loss_and_metrics(tiny: Tiny) -> None:
    """`compile(optimizer, loss, metrics)`: they see `y` and the main output."""
    model = tiny.compiled(loss="mean_squared_error", metrics=["mean_absolute_error"])
    found = model.evaluate(tiny.zeros(), verbose=0, return_dict=True)
    output = tiny.output(model)
    assert found["loss"] == pytest.approx(float(np.mean(output**2)), rel=1e-5)
    assert found["mean_absolute_error"] == pytest.approx(float(np.abs(output).mean()), rel=1e-5)
    history = model.fit(tiny.zeros(), epochs=2, shuffle=False, verbose=0).history
    assert {"loss", "mean_absolute_error"} <= set(history)
    assert history["loss"][1] != history["loss"][0]


@_PARTIAL
@pytest.mark.parametrize("loss", [None, "mean_squared_error"], ids=["own", "compiled"])
@on_one_family
def test_sample_weights(tiny: Tiny, loss: str | None) -> None:
    """`sample_weight`: weights of 2 and of 0 double the loss and silence it."""
    model = tiny.compiled(loss=loss)
    shape = (main_shape(tiny)[0],) if loss is None else main_shape(tiny)[:-1]
    x, y = tiny.inputs(), tiny.labels() if loss is None else np.zeros(main_shape(tiny), "float32")
    found = []
    for weight in (1, 2):
        model.reset_metrics()  # Keras 3.10 goes on with the mean of earlier batches
        weights_of = np.full(shape, weight, "float32")
        found.append(model.test_on_batch(x, y, weights_of, return_dict=True)["loss"])
    once, twice = found
    assert once > 0
    assert twice == pytest.approx(2 * once, rel=1e-5)
    before = trainable(model)
    model.train_on_batch(x, y, np.zeros(shape, "float32"))
    assert_close(trainable(model), before, 0)


def test_sample_weights_beside_labels_in_the_inputs() -> None:
    head = FAMILIES[0]
    model, weights = head.compiled(), np.array([2.0, 0.0], "float32")
    batch = tf.data.Dataset.from_tensors((head.case.make_inputs(), None, weights))
    logits = head.output(model).astype("float64")
    each = np.log(np.exp(logits).sum(-1)) - logits[[0, 1], head.labels()]
    assert model.evaluate(batch, verbose=0) == pytest.approx((weights * each).mean(), rel=1e-5)


def test_losses_of_layers_come_on_top() -> None:
    head = FAMILIES[0]
    plain, punished = head.compiled(), head.compiled()
    bias = punished.classifier.bias
    bias.regularizer = keras.regularizers.L2(0.5)
    own, both = (model.evaluate(head.batches(), verbose=0) for model in (plain, punished))
    extra = 0.5 * float(np.square(bias).sum())
    assert extra > 0
    assert both == pytest.approx(own + extra, rel=1e-5)


@_PARTIAL
@pytest.mark.parametrize("head", [tiny for tiny in FAMILIES if tiny.tells_classes], ids=NAMES)
def test_class_weights(head: Tiny) -> None:
    """`class_weight`: it is the weight of each sample, by its class."""
    *shape, count = main_shape(head)
    labels = np.arange(np.prod(shape)).reshape(shape) % count
    one_hot, per_sample = np.eye(count, dtype="float32")[labels], labels.astype("float32")
    per_class = {number: float(number) for number in range(count)}  # the first teaches nothing
    found = []
    for y, how in (((one_hot,), {"class_weight": per_class}), ((one_hot, per_sample), {})):
        model = head.compiled(loss=keras.losses.CategoricalCrossentropy(from_logits=True))
        data = tf.data.Dataset.from_tensors((head.inputs(), *y))
        history = model.fit(data, shuffle=False, verbose=0, **how).history
        found.append((history["loss"], weights(model)))
    assert 0 < found[0][0][0] < np.inf
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-6)
    assert_close(found[0][1], found[1][1])


@cache
def _in_graph(tiny: Tiny) -> tuple[float, int, list[np.ndarray]]:
    """Three steps, two in a call: their mean loss, their number, and the weights after them."""
    model = tiny.compiled(eager=False, steps_per_execution=2)
    losses = model.fit(tiny.batches(3), shuffle=False, verbose=0).history["loss"]
    return losses[0], int(model.optimizer.iterations), weights(model)


@on_one_family
def test_run_eagerly(tiny: Tiny) -> None:
    """`run_eagerly=True`: the same steps as in a graph."""
    loss, _, after = _in_graph(tiny)
    eager_losses, eager_after = trained(tiny, 3)
    assert np.mean(eager_losses) == pytest.approx(loss, rel=1e-4)
    assert_close(eager_after, after, 1e-3)


@on_one_family
def test_steps_per_execution(tiny: Tiny) -> None:
    """`steps_per_execution`: three steps, two at a time, are three steps."""
    _, steps, after = _in_graph(tiny)
    assert steps == 3
    assert_close(after, trained(tiny, 3)[1], 1e-3)


@pytest.mark.slow
@on_one_family
def test_jit_compile(tiny: Tiny) -> None:
    """`jit_compile=True`: the same steps as without."""
    model = tiny.compiled(eager=False, jit_compile=True)
    losses = model.fit(tiny.batches(), epochs=3, shuffle=False, verbose=0).history["loss"]
    plain_losses, plain_after = trained(tiny, 3)
    assert losses == pytest.approx(plain_losses, rel=1e-4)
    assert_close(weights(model), plain_after, 1e-3)


def test_wrong_labels_are_refused() -> None:
    head = FAMILIES[0]
    batch = tf.data.Dataset.from_tensors((head.inputs(), np.zeros((5,), "int64")))
    with pytest.raises(ValueError, match=r"must have shape \(2,\) here, got \(5,\)"):
        head.compiled().fit(batch, shuffle=False, verbose=0)
