"""One process of a training on several devices: `python -m tests.support.distributed ...`.

`devices`: each family on one device and on two logical ones; the longer run on one.
`worker FOLDER kill`: each family as one of the workers that `TF_CONFIG` names; then the longer run
with a backup in the folder, in mid-epoch of which the last worker is killed as by `kill -9`.
`worker FOLDER`: goes on with the longer run.

Each prints a line of json, what -> the loss of each epoch, as soon as it has it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfzoo.losses.classification import IGNORE_INDEX
from tfzoo.registry import families

EPOCHS, STEPS = 4, 3  # of the longer run
WORKERS = ("timesformer",)  # what our repairs do is the same for all
COMPARER = "xclip"  # of texts with videos, in any number of either
#: On two devices; boxes and running statistics have tests of their own there.
DEVICES = (COMPARER,)
if os.environ.get("TFZOO_EVERY_FAMILY"):
    DEVICES = tuple(family.name for family in families())
KILLED_IN, KILLED_AT = 2, 1  # epoch and step, from 0


def rows_of(tiny: Any, rng: np.random.Generator) -> dict[str, Any]:
    """Some rows of every input, with labels that all count where the loss needs some."""
    drawn = tiny.case.inputs(rng)
    if tiny.case.labels:
        drawn.update(tiny.case.labels(rng))
    rows = min(len(value) for value in keras.tree.flatten(drawn))

    def divided(value: np.ndarray) -> np.ndarray:
        value = np.where(value == IGNORE_INDEX, 1, value)
        return value.reshape(rows, -1, *value.shape[1:]) if len(value) > rows else value

    return keras.tree.map_structure(divided, drawn)


def batches(tiny: Any, count: int) -> tf.data.Dataset:
    """So many different batches of four rows, to be shared among replicas."""
    rng = np.random.default_rng(3)
    drawn = [rows_of(tiny, rng) for _ in range(2 * count)]
    joined = keras.tree.map_structure(lambda *values: np.concatenate(values)[: 4 * count], *drawn)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return tf.data.Dataset.from_tensor_slices(joined).batch(4).with_options(options)


def compiled(tiny: Any, strategy: Any) -> Any:
    """A model and its optimizer, both made under the strategy.

    Several replicas learn in graphs, which is the only way they can (docs/distribution.md); one
    goes step by step, which spares the tracing.
    """
    in_graph = strategy is not tf.distribute.get_strategy()
    with strategy.scope():
        model = tiny.load()
        tiny.compile(model, keras.optimizers.SGD(0.01, momentum=0.5), eager=not in_graph)
    return model


def are_workers(strategy: Any) -> bool:
    """Whether this process is one of several."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def say(what: str, losses: list[Any]) -> None:
    """Print what a run has come to."""
    print(json.dumps({what: [float(np.mean(loss)) for loss in losses]}), flush=True)


def short_runs(strategy: Any, name: str) -> None:
    """Two epochs of one step of some families; the first evaluates."""
    from tests.features.families import FAMILIES

    names = {"worker": WORKERS, "two": DEVICES, "one": (*WORKERS, *DEVICES)}[name]
    for tiny in FAMILIES:
        if tiny.name not in names:
            continue
        model, data = compiled(tiny, strategy), batches(tiny, 1)
        losses = model.fit(data, epochs=2, shuffle=False, verbose=0).history["loss"]
        say(f"{name} {tiny.name}", losses)
        if tiny is FAMILIES[0]:
            found = model.evaluate(data, verbose=0, return_dict=True)
            say(f"{name} {tiny.name} evaluated", [found["loss"]])
        if tiny.name == COMPARER and not are_workers(strategy):  # of three, one gets no last row
            with strategy.scope():
                fresh = tiny.load()
            logits = fresh.predict(tiny.inputs(), batch_size=2, verbose=0)[fresh.main_output]
            say(f"{name} {tiny.name} predicted", list(logits.ravel()))


class _Kill(keras.callbacks.Callback):
    """Ends the process in mid-epoch, without warning."""

    def __init__(self) -> None:
        super().__init__()
        self.epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if (self.epoch, batch) == (KILLED_IN, KILLED_AT):
            os.kill(os.getpid(), signal.SIGKILL)


def longer_run(strategy: Any, *callbacks: keras.callbacks.Callback) -> None:
    """Some epochs of different steps, of the first family."""
    from tests.features.families import FAMILIES

    run = compiled(FAMILIES[0], strategy).fit(
        batches(FAMILIES[0], STEPS), epochs=EPOCHS, shuffle=False, verbose=0, callbacks=callbacks
    )
    say(f"longer {run.epoch}", run.history["loss"])


def backup_of_all(folder: Path, task: int) -> keras.callbacks.BackupAndRestore:
    """Each worker writes a backup of its own, and all go on with the first worker's."""
    first, own = folder / "worker-0", folder / f"worker-{task}"
    if task and first.exists():
        shutil.copytree(first, own, dirs_exist_ok=True)
    return keras.callbacks.BackupAndRestore(str(own), double_checkpoint=True)


def as_devices() -> None:
    """What one process does."""
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], two)
    one, both = tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    short_runs(one, "one")
    short_runs(both, "two")
    longer_run(one)


def as_worker(folder: Path, *, kill: bool) -> None:
    """What each of several workers does."""
    strategy = tf.distribute.MultiWorkerMirroredStrategy()  # before anything else of TensorFlow
    resolver = strategy.cluster_resolver
    task, count = resolver.task_id, len(resolver.cluster_spec().as_dict()["worker"])
    if kill:
        short_runs(strategy, "worker")
    killers = [_Kill()] if kill and task == count - 1 else []
    longer_run(strategy, backup_of_all(folder, task), *killers)


if __name__ == "__main__":
    if sys.argv[1] == "devices":
        as_devices()
    else:
        as_worker(Path(sys.argv[2]), kill="kill" in sys.argv)
