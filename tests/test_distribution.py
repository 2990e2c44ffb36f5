"""More than one device: the losses are those of one device on the same global batch."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import pytest

from tests.families.timesformer_cases import CASES
from tests.support.processes import ROOT

# Trains two steps on four clips and prints the loss of each epoch and an evaluation.
_TRAIN = """
import json, sys, numpy as np, tensorflow as tf
kind, folder = sys.argv[1:]
devices = tf.config.list_physical_devices("CPU")
if kind == "mirrored":
    halves = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(devices[0], halves)
if kind == "mirrored":
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
elif kind == "workers":
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
else:
    strategy = tf.distribute.get_strategy()
import keras, tfzoo
rng = np.random.default_rng(0)
x = {"pixel_values": rng.normal(size=(4, 4, 3, 12, 12)).astype("float32")}
data = tf.data.Dataset.from_tensor_slices((x, np.array([0, 1, 2, 1]))).batch(4).repeat(2)
options = tf.data.Options()
options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
data = data.with_options(options)
with strategy.scope():
    model = tfzoo.TFTimesformerForVideoClassification.from_pretrained(folder)
    model.compile(keras.optimizers.SGD(0.002))
losses = model.fit(data, epochs=2, steps_per_epoch=1, shuffle=False, verbose=0).history["loss"]
losses.append(model.evaluate(data, steps=1, verbose=0))
print("LOSSES", json.dumps([float(np.mean(loss)) for loss in losses]))
"""


def start(kind: str, **environment: str) -> subprocess.Popen:
    """Start one process of a training."""
    return subprocess.Popen(
        [sys.executable, "-c", _TRAIN, kind, str(CASES[0].folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def losses_of(*processes: subprocess.Popen) -> list[list[float]]:
    """Wait for all processes, then read the losses of each."""
    said = [process.communicate(timeout=240) for process in processes]
    losses = []
    for process, (out, err) in zip(processes, said, strict=True):
        assert process.returncode == 0, err[-3000:]
        line = next(line for line in out.splitlines() if line.startswith("LOSSES "))
        losses.append(json.loads(line.removeprefix("LOSSES ")))
    return losses


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nobody uses."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture(scope="module")
def single() -> list[float]:
    """Losses of one device."""
    return losses_of(start("single"))[0]


def test_two_devices_of_one_process(single: list[float]) -> None:
    assert single[0] > single[1] > single[2]
    assert losses_of(start("mirrored"))[0] == pytest.approx(single, rel=1e-4)


def test_two_workers(single: list[float]) -> None:
    """Keras's own `fit` fails here (its issue 20585): this is the test of our repairs."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    workers = [
        start(
            "workers",
            TF_CONFIG=json.dumps(
                {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": i}}
            ),
        )
        for i in range(2)
    ]
    for losses in losses_of(*workers):
        assert losses == pytest.approx(single, rel=1e-4)
