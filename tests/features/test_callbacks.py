"""Keras's callbacks. Each docstring begins with the feature's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfzoo
from tests.features.families import (
    RATE,
    Tiny,
    assert_close,
    on_one_family,
    trainable,
    trained,
    weights,
)


def adam() -> keras.optimizers.Optimizer:
    """An optimizer with a state of its own."""
    return keras.optimizers.Adam(1e-3)


def fit(tiny: Tiny, model: Any, epochs: int, *callbacks: Any, **how: Any) -> Any:
    """Some epochs of one step."""
    how = {"shuffle": False, "verbose": 0, "callbacks": list(callbacks), **how}
    return model.fit(tiny.batches(), epochs=epochs, **how)


@on_one_family
def test_checkpoints_of_whole_models(tiny: Tiny, tmp_path: Path) -> None:
    """`ModelCheckpoint` (`.keras`): training goes on from it as if it had never ended."""
    model, path = tiny.compiled(adam()), tmp_path / "{epoch}.keras"
    fit(tiny, model, 2, keras.callbacks.ModelCheckpoint(str(path)))
    again = tfzoo.load_model(tmp_path / "1.keras")
    assert int(again.optimizer.iterations) == 1
    again.run_eagerly = True
    fit(tiny, again, 1)
    assert_close(weights(again), weights(model))


@on_one_family
def test_checkpoints_of_weights(tiny: Tiny, tmp_path: Path) -> None:
    """`ModelCheckpoint` (`.weights.h5`): a fresh model takes the best weights."""
    model, path = tiny.compiled(), tmp_path / "best.weights.h5"
    best = keras.callbacks.ModelCheckpoint(
        str(path), monitor="loss", save_best_only=True, save_weights_only=True
    )
    fit(tiny, model, 1, best)
    expected = weights(model)
    best.best = -np.inf  # nothing is better: the file stays
    fit(tiny, model, 1, best)
    fresh = tiny.load()
    fresh.load_weights(path)
    assert_close(weights(fresh), expected, 0)
    assert any((one != other).any() for one, other in zip(weights(model), expected, strict=True))


class _Killed(BaseException):
    """Nothing in Keras catches it."""


class _Kill(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 2:
            raise _Killed


@pytest.mark.slow
@on_one_family
def test_backup_and_restore(tiny: Tiny, tmp_path: Path) -> None:
    """`BackupAndRestore`: a run that ended in its third epoch goes on with it.

    Processes that are killed, and go on in new ones, are in tests/modeling/test_distribution.py.
    """

    def backup() -> keras.callbacks.Callback:
        return keras.callbacks.BackupAndRestore(str(tmp_path / "backup"))

    with pytest.raises(_Killed):
        fit(tiny, tiny.compiled(adam()), 4, backup(), _Kill())
    resumed, whole = tiny.compiled(adam()), tiny.compiled(adam())
    history = fit(tiny, resumed, 4, backup())
    assert history.epoch == [2, 3]
    assert int(resumed.optimizer.iterations) == 4
    fit(tiny, whole, 4)
    assert_close(weights(resumed), weights(whole))


@on_one_family
def test_early_stopping(tiny: Tiny) -> None:
    """`EarlyStopping`: it stops, and brings the best weights back."""
    model = tiny.compiled()
    stop = keras.callbacks.EarlyStopping(
        monitor="loss", patience=1, min_delta=1e9, restore_best_weights=True
    )
    history = fit(tiny, model, 5, stop)
    assert history.epoch == [0, 1]
    assert_close(weights(model), trained(tiny, 1)[1])


@on_one_family
def test_tensorboard(tiny: Tiny, tmp_path: Path) -> None:
    """`TensorBoard`: the losses of the epochs stand in its file."""
    model = tiny.compiled()
    losses = fit(tiny, model, 2, keras.callbacks.TensorBoard(str(tmp_path))).history["loss"]
    (file,) = tmp_path.glob("train/events*")
    found = []
    for record in tf.data.TFRecordDataset(str(file)):
        for value in tf.compat.v1.Event.FromString(record.numpy()).summary.value:
            if value.tag == "epoch_loss":
                found.append(float(tf.make_ndarray(value.tensor)))
    assert found == pytest.approx(losses, rel=1e-6)


@on_one_family
def test_learning_rates(tiny: Tiny) -> None:
    """`LearningRateScheduler`: an epoch at rate 0 changes nothing, the next one is a step."""
    model = tiny.compiled()
    rates = keras.callbacks.LearningRateScheduler(lambda epoch, rate: RATE * epoch)
    history = fit(tiny, model, 2, rates).history
    assert history["learning_rate"] == pytest.approx([0.0, RATE])
    once = tiny.compiled()
    fit(tiny, once, 1)
    assert_close(trainable(model), trainable(once))  # running statistics moved twice


def test_a_loss_that_is_no_number(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    """`TerminateOnNaN`: training ends with a sentence."""
    model = tiny.compiled()
    for variable in model.trainable_weights:
        variable.assign(np.full(variable.shape, np.nan, "float32"))
    if tiny.name == "owlv2":  # no boxes can be matched, which it says even unasked
        with pytest.raises(ValueError, match="The cost of matching is not finite: the model's"):
            fit(tiny, model, 1)
        return
    history = fit(tiny, model, 3, keras.callbacks.TerminateOnNaN())
    assert history.epoch == [0]
    assert "Invalid loss, terminating training" in capsys.readouterr().out
