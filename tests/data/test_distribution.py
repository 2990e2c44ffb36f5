"""Two devices share the batches of a set, and learn as one would."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.data.test_detections import COCO, write_photos
from tests.io.synthetic import make_video
from tests.support.owlv2_checkpoint import write_owlv2_checkpoint
from tests.support.processes import run_python

pytestmark = pytest.mark.slow

# Shuffled: under a strategy Keras draws one batch beforehand, which SetEpoch makes up for.
_TRAIN = """
import sys, tensorflow as tf
(device,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras, pytest, tfzoo
folder = sys.argv[1]
clips = tfzoo.data.video_dataset_from_directory(
    folder + "/videos", tfzoo.VideoMAEImageProcessor(size=12, crop_size=12), 4, batch_size=4,
    label_mode="binary", seed=0)
photos = tfzoo.data.detection_dataset_from_coco(
    folder + "/boxes.json", folder, tfzoo.Owlv2Processor.from_pretrained(folder + "/owlv2"),
    batch_size=2, shuffle=False)
def classifier():  # quick to trace: tests/modeling/test_distribution.py has TimeSformer
    pixels = keras.Input((4, 3, 12, 12), name="pixel_values")
    score = keras.layers.Dense(1, kernel_initializer="zeros")(keras.layers.Flatten()(pixels))
    return keras.Model({"pixel_values": pixels}, score)
def losses(strategy, load, dataset, loss, **how):
    with strategy.scope():
        model = load()
        model.compile(keras.optimizers.SGD(0.01), loss=loss, **how)
    order = tfzoo.data.SetEpoch(dataset)
    return model.fit(dataset, epochs=2, shuffle=False, verbose=0, callbacks=[order]).history["loss"]
mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])  # one: see docs/distribution.md
detector = lambda: tfzoo.TFOwlv2ForObjectDetection.from_pretrained(folder + "/owlv2")
entropy = keras.losses.BinaryCrossentropy(from_logits=True)
for load, dataset, loss in ((classifier, clips, entropy), (detector, photos.take(1), None)):
    one = losses(tf.distribute.get_strategy(), load, dataset, loss, run_eagerly=True)
    two = losses(mirrored, load, dataset, loss, jit_compile=False)
    assert one[0] != one[1]
    assert two == pytest.approx(one, rel=1e-4), (one, two)
print("alike")
"""


def test_two_devices_learn_as_one(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / "videos" / label).mkdir(parents=True)
        for number in range(4):
            make_video(tmp_path / "videos" / label / f"{number}.mp4", 10 + 4 * number)
    (write_photos(tmp_path) / "boxes.json").write_text(json.dumps(COCO))
    write_owlv2_checkpoint(tmp_path / "owlv2")
    assert "alike" in run_python(_TRAIN, tmp_path)
