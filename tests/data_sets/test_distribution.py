"""Two devices share the batches of a set, and learn as one would."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.io.synthetic import make_video
from tests.support.processes import run_python

_TRAIN = """
import sys, tensorflow as tf
(device,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras, tfzoo
from tests.families.timesformer_cases import CASES
from tfzoo.data import video_dataset_from_directory
kind, folder = sys.argv[1:]
strategy = tf.distribute.get_strategy()
if kind == "two":
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
processor = tfzoo.VideoMAEImageProcessor(size=12, crop_size=12)
dataset = video_dataset_from_directory(folder, processor, 4, batch_size=4, seed=0)
with strategy.scope():
    model = CASES[0].load()
    model.compile(keras.optimizers.SGD(0.01))
print(*model.fit(dataset, epochs=2, shuffle=False, verbose=0).history["loss"])
"""


def test_two_devices_learn_as_one(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for number in range(4):
            make_video(tmp_path / label / f"{number}.mp4", 10 + 4 * number)
    one, two = (
        [float(loss) for loss in run_python(_TRAIN, kind, tmp_path).split()[-2:]]
        for kind in ("one", "two")
    )
    assert one[0] != one[1]
    assert two == pytest.approx(one, rel=1e-4)
