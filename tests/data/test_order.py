"""Training that is resumed goes on with the order and the draws that it would have had."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.data.test_pipeline import batches, broken, drawn, places
from tests.io.synthetic import make_video
from tests.support.processes import run_python
from tfzoo.data import SetEpoch, set_epoch
from tfzoo.data.order import Order
from tfzoo.data.pipeline import Reading, stream

EPOCHS, KILLED_IN = 4, 2
TRAINED = {"x": tf.TensorSpec((3,), tf.float32), "y": tf.TensorSpec((1,), tf.float32)}


def make(**options: Any) -> tf.data.Dataset:
    """Ten examples in batches of four, with draws that change in each epoch."""
    reading = Reading(**{"batch_size": 4, "seed": 5, "workers": 2, **options})
    return stream(
        "abcdefghij",
        lambda i, rng: {"x": rng.normal(size=3) + i, "y": [i / 10]},
        TRAINED,
        reading,
        lambda values: (values["x"], values["y"]),
    )


class Kill(keras.callbacks.Callback):
    """Ends a fit; nothing in Keras catches it."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == KILLED_IN:
            raise KeyboardInterrupt


def losses(dataset: tf.data.Dataset, *callbacks: Any, **how: Any) -> list[float]:
    """The loss of each epoch of a new model."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, kernel_initializer="ones")])
    model.compile(keras.optimizers.SGD(1e-3, momentum=0.5), "mse", run_eagerly=True)
    how = {"epochs": EPOCHS, "shuffle": False, "verbose": 0, **how}
    return model.fit(dataset, callbacks=list(callbacks), **how).history["loss"]


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # Keras, of a length unknown
@pytest.mark.parametrize(
    ("cut", "options", "how"),
    [
        (lambda d: d, {}, {}),
        pytest.param(lambda d: d, {"on_error": "skip"}, {}, marks=pytest.mark.slow),
        (lambda d: d.map(lambda x, y: (x + 1, y)).take(2), {}, {}),
        pytest.param(lambda d: d.repeat(2), {}, {}, marks=pytest.mark.slow),
        (lambda d: d.repeat(), {}, {"steps_per_epoch": 2}),  # of three: epochs begin within passes
        (lambda d: d.repeat().prefetch(2), {}, {"steps_per_epoch": 3}),
    ],
    ids=["whole", "skipping", "derived", "twice", "parts", "prefetched"],
)
def test_resumed_training_equals_undisturbed_training(
    cut: Any, options: dict[str, Any], how: dict[str, Any], tmp_path: Path
) -> None:
    def callbacks(dataset: tf.data.Dataset) -> list[Any]:
        return [keras.callbacks.BackupAndRestore(str(tmp_path / "backup")), SetEpoch(dataset)]

    dataset = cut(make(**options))
    with pytest.raises(KeyboardInterrupt):
        losses(dataset, *callbacks(dataset), Kill(), **how)
    dataset = cut(make(**options))
    whole = losses(dataset, SetEpoch(dataset), **how)
    assert len(set(whole)) == EPOCHS
    dataset = cut(make(**options))
    resumed = losses(dataset, *callbacks(dataset), **how)
    assert resumed == pytest.approx(whole[KILLED_IN:], rel=1e-6)
    assert losses(cut(make(**options)), **how) == pytest.approx(whole, rel=1e-6)


def test_dropout_goes_on_as_well(tmp_path: Path) -> None:
    def run(*callbacks: Any) -> list[float]:
        keras.utils.set_random_seed(1)
        dataset = make()
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dropout(0.5)])
        model.add(keras.layers.Dense(1))
        model.compile(keras.optimizers.SGD(1e-3), "mse", run_eagerly=True)
        callbacks = [*callbacks, SetEpoch(dataset)]
        fit = {"epochs": EPOCHS, "shuffle": False, "verbose": 0, "callbacks": callbacks}
        return model.fit(dataset, **fit).history["loss"]

    whole, folder = run(), str(tmp_path / "backup")
    with pytest.raises(KeyboardInterrupt):
        run(keras.callbacks.BackupAndRestore(folder), Kill())
    resumed = run(keras.callbacks.BackupAndRestore(folder))
    assert resumed == pytest.approx(whole[KILLED_IN:], rel=1e-6)


def test_initial_epoch() -> None:
    dataset = make()
    whole = losses(dataset, SetEpoch(dataset))
    again = make()
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, kernel_initializer="ones")])
    model.compile(keras.optimizers.SGD(1e-3, momentum=0.5), "mse", run_eagerly=True)
    fit = {"shuffle": False, "verbose": 0, "callbacks": [SetEpoch(again)]}
    first = model.fit(again, epochs=2, **fit).history["loss"]
    list(again)  # whoever looks at the set in between changes nothing
    rest = model.fit(again, epochs=EPOCHS, initial_epoch=2, **fit).history["loss"]
    assert first + rest == pytest.approx(whole, rel=1e-6)


def test_the_epoch_of_a_loop_of_ones_own() -> None:
    one, other = (batches(seed=2, shuffle=True) for _ in range(2))
    orders = [places(one) for _ in range(3)]
    set_epoch(other, 2)
    assert places(other) == orders[2]
    set_epoch(other.map(lambda *batch: batch), 1)
    assert [places(other), places(other)] == orders[1:]
    one, other = batches(seed=2, workers=1), batches(seed=2, workers=4)
    set_epoch(other, 1)
    assert not np.array_equal(drawn(one), drawn(other))
    np.testing.assert_array_equal(drawn(one), np.split(drawn(batches(seed=2).repeat(2)), 2)[1])
    for epoch in (-1, 1.5, True):
        with pytest.raises(ValueError, match="epoch must be a whole number from 0"):
            set_epoch(one, epoch)


def test_no_seed_is_the_global_one() -> None:
    found = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        found.append(places(batches(shuffle=True)))
    assert found[0] == found[1] != found[2]


def test_broken_examples_do_not_move_the_others() -> None:
    with pytest.warns(UserWarning, match="left out"):
        found = places(batches(broken, seed=3, shuffle=True, on_error="skip"))
    whole = places(batches(seed=3, shuffle=True))
    assert found == [place for place in whole if place not in (3, 7)]


def test_an_epoch_within_another_iteration() -> None:
    order = Order(5, batch_size=2, shuffle=True, seed=0)
    slots = [order.place(2, slot) for slot in range(6)]  # from the third batch of the first epoch
    assert [epoch for epoch, _ in slots] == [0, 0, 1, 1, 1, 1]
    assert slots[1] == (0, -1)
    whole = [order.place(0, slot)[1] for slot in range(6)]
    assert sorted(whole) == [-1, 0, 1, 2, 3, 4]
    assert slots[0] == (0, whole[4])
    assert slots[2:] == [order.place(3, slot) for slot in range(4)]


@pytest.mark.parametrize(
    ("cut", "options"),
    [
        (lambda d: d, {}),
        (lambda d: d.take(2).repeat(), {}),
        (lambda d: d.unbatch().batch(2).repeat(), {}),
        (lambda d: d.repeat(), {"on_error": "skip"}),
    ],
    ids=["finite", "cut", "in other batches", "skipping"],
)
def test_epochs_that_cannot_be_found_are_refused(cut: Any, options: dict[str, Any]) -> None:
    dataset = cut(make(**options))
    with pytest.raises(ValueError, match="An epoch of 1 steps is a part of this set"):
        losses(dataset, SetEpoch(dataset), steps_per_epoch=1)


@pytest.mark.parametrize("dataset", [tf.data.Dataset.range(3), "videos", None])
def test_other_sets_are_refused(dataset: Any) -> None:
    with pytest.raises(ValueError, match=r"expected a set of tfzoo\.data"):
        SetEpoch(dataset)


def test_every_derived_set_knows_what_it_is_made_of() -> None:
    """`_inputs` of `tf.data`, on which SetEpoch relies."""
    one, other = make(), make()
    for dataset, count in (
        (one.batch(2).unbatch().filter(lambda x, y: True).shuffle(2).cache().prefetch(1), 1),
        (tf.data.Dataset.zip((one, other)), 2),
        (one.concatenate(other), 2),
    ):
        SetEpoch(dataset).on_epoch_begin(3)
        assert [s.order.begin() for s in (one, other)][:count] == [9, 9][:count]


_TRAIN = """
import json, os, signal, sys
import keras, tfzoo
from tests.models.timesformer.cases import TINY
folder, kill = sys.argv[1:]
keras.utils.set_random_seed(1)
dataset = tfzoo.data.video_dataset_from_directory(
    folder + "/videos", tfzoo.VideoMAEImageProcessor(size=12, crop_size=12), 4, batch_size=3,
    seed=0, sampling="random_clip", augment=tfzoo.data.ClipAugmentation(flip=0.5, brightness=0.5))
config = tfzoo.TimesformerConfig(**{**TINY, "hidden_dropout_prob": 0.3, "drop_path_rate": 0.2})
model = tfzoo.TFTimesformerForVideoClassification(config)
model.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
class Kill(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if kill == "yes" and epoch == 2:
            os.kill(os.getpid(), signal.SIGKILL)
backup = [] if kill == "never" else [keras.callbacks.BackupAndRestore(folder + "/backup")]
run = model.fit(dataset, epochs=4, shuffle=False, verbose=0,
                callbacks=[*backup, tfzoo.data.SetEpoch(dataset), Kill()])
print(json.dumps([run.epoch, run.history["loss"]]))
"""


@pytest.mark.slow
def test_a_killed_process_goes_on(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / "videos" / label).mkdir(parents=True)
        for number in range(4):
            make_video(tmp_path / "videos" / label / f"{number}.mp4", 12 + 4 * number)
    whole = run_python(_TRAIN, tmp_path, "never")
    with pytest.raises(AssertionError, match="exit -9"):
        run_python(_TRAIN, tmp_path, "yes")
    resumed = run_python(_TRAIN, tmp_path, "no")
    _, expected = json.loads(whole.splitlines()[-1])
    epochs, found = json.loads(resumed.splitlines()[-1])
    assert epochs == [2, 3]
    assert found == pytest.approx(expected[2:], rel=1e-6)
