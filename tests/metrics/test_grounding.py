"""Overlaps of moments that can be counted by hand, alone, in `compile`, on two devices."""

from __future__ import annotations

import itertools
import json

import keras
import numpy as np
import pytest

from tests.support.processes import run_python
from tfzoo.metrics import MeanTemporalIoU, TemporalRecall, grounding_metrics, temporal_iou

# duration, start and end in seconds; predicted parts of the duration; overlap
CASES = {
    "the same": ([20, 5, 10], [0.25, 0.5], 1.0),
    "half": ([20, 5, 10], [0.25, 0.375], 0.5),
    "shifted": ([10, 2, 6], [0.4, 0.8], 2 / 6),
    "inside": ([100, 20, 60], [0.3, 0.4], 0.25),
    "around": ([8, 4, 5], [0.0, 1.0], 0.125),
    "touching": ([10, 2, 5], [0.5, 0.9], 0.0),
    "apart": ([10, 0, 1], [0.8, 0.9], 0.0),
    "reversed": ([10, 2, 6], [0.6, 0.2], 0.0),
    "no length": ([10, 2, 6], [0.4, 0.4], 0.0),
    "neither has length": ([10, 4, 4], [0.4, 0.4], 0.0),
}
TRUE = np.array([case[0] for case in CASES.values()], "float32")
PREDICTED = np.array([case[1] for case in CASES.values()], "float32")
OVERLAPS = np.array([case[2] for case in CASES.values()])


def by_hand(thresholds: tuple[float, ...] = (0.3, 0.5, 0.7)) -> list[float]:
    """The four metrics of all cases."""
    return [*((threshold <= OVERLAPS).mean() for threshold in thresholds), OVERLAPS.mean()]


def results(metrics: list[keras.metrics.Metric]) -> list[float]:
    return [float(metric.result()) for metric in metrics]


@pytest.mark.parametrize("name", CASES)
def test_overlap(name: str) -> None:
    true, predicted, expected = CASES[name]
    iou = temporal_iou(np.array([true]), np.array([predicted]))
    assert float(iou[0]) == pytest.approx(expected, abs=1e-6)
    seconds = np.array([predicted]) * true[0]
    iou = temporal_iou(np.array([true[1:]]), seconds)
    assert float(iou[0]) == pytest.approx(expected, abs=1e-6)


def test_the_four_metrics() -> None:
    metrics = grounding_metrics()
    assert [metric.name for metric in metrics] == ["r1_iou30", "r1_iou50", "r1_iou70", "mean_iou"]
    for metric in metrics:
        metric.update_state(TRUE, PREDICTED)
    assert results(metrics) == pytest.approx(by_hand(), abs=1e-6)
    assert by_hand()[:3] == [0.3, 0.2, 0.1]


def test_batches_add_up_and_are_forgotten() -> None:
    metrics = grounding_metrics()
    for metric, part in itertools.product(metrics, (slice(0, 3), slice(3, 4), slice(4, None))):
        metric.update_state(TRUE[part], PREDICTED[part])
    assert results(metrics) == pytest.approx(by_hand(), abs=1e-6)
    for metric in metrics:
        metric.reset_state()
    assert results(metrics) == [0.0] * 4


def test_a_threshold_that_is_just_reached() -> None:
    true, predicted = [[20, 5, 10]], [[0.25, 0.375]]
    for threshold, expected in ((0.5, 1.0), (0.5001, 0.0), (1, 0.0)):
        metric = TemporalRecall(threshold)
        metric.update_state(true, predicted)
        assert float(metric.result()) == expected
    exact = TemporalRecall(1)
    exact.update_state(true, [[0.25, 0.5]])
    assert (exact.name, float(exact.result())) == ("r1_iou100", 1.0)


def test_weights_of_samples() -> None:
    weights = np.arange(len(CASES), dtype="float32")
    metric = MeanTemporalIoU()
    metric.update_state(TRUE, PREDICTED, sample_weight=weights)
    assert float(metric.result()) == pytest.approx(np.average(OVERLAPS, weights=weights), abs=1e-6)


@pytest.mark.parametrize(
    ("true", "predicted", "message"),
    [
        ((2, 4), (2, 2), r"y_true as \(B, 3\).*got shape \(2, 4\)"),
        ((3,), (1, 2), r"y_true as .*got shape \(3,\)"),
        ((2, 3), (2, 3), r"y_pred as \(B, 2\), start and end, for y_true of shape \(2, 3\), got"),
        ((2, 3), (2,), r"y_pred as .*got shape \(2,\)"),
        ((2, 3), (1, 2), r"y_pred as .*got shape \(1, 2\)"),
    ],
)
def test_other_shapes(true: tuple, predicted: tuple, message: str) -> None:
    for metric in (TemporalRecall(), MeanTemporalIoU()):
        with pytest.raises(ValueError, match=message):
            metric.update_state(np.zeros(true), np.zeros(predicted))


@pytest.mark.parametrize("threshold", [0, -0.5, 1.01, float("nan")])
def test_thresholds_that_are_none(threshold: float) -> None:
    with pytest.raises(ValueError, match=r"threshold must lie in \(0, 1\]"):
        TemporalRecall(threshold)


def test_metrics_are_serialised() -> None:
    for metric in (TemporalRecall(0.7, name="recall"), TemporalRecall(0.3), MeanTemporalIoU()):
        again = keras.metrics.deserialize(keras.metrics.serialize(metric))
        assert type(again) is type(metric)
        assert again.get_config() == metric.get_config()


def test_in_compile() -> None:
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Lambda(lambda x: x + 0.0)(inputs))
    model.compile("sgd", loss="mse", metrics=grounding_metrics())
    # The loss does not know of durations: it needs targets of two numbers.
    true = TRUE[:, 1:] / TRUE[:, :1]
    logs = model.evaluate(PREDICTED, true, batch_size=4, verbose=0, return_dict=True)
    assert [logs[m.name] for m in grounding_metrics()] == pytest.approx(by_hand(), abs=1e-6)


def test_with_the_models_own_labels() -> None:
    import tfzoo

    config = tfzoo.TvpConfig(
        backbone_config={"model_type": "resnet", "depths": [1], "hidden_sizes": [8]},
        num_frames=2,
        max_img_size=32,
        visual_prompt_size=4,
        vocab_size=30,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        initializer_range=0.5,
    )
    model = tfzoo.TFTvpForVideoGrounding(config)
    model.video_grounding_head.layer_1.bias.assign([-2.0, 2.0])  # starts come before ends
    rng = np.random.default_rng(0)
    inputs = {
        "input_ids": rng.integers(0, 30, (6, 5)),
        "pixel_values": rng.normal(size=(6, 2, 3, 32, 32)).astype("float32"),
    }
    model.compile("sgd", metrics=grounding_metrics(), run_eagerly=True)
    logs = model.evaluate({**inputs, "labels": TRUE[:6]}, batch_size=4, verbose=0, return_dict=True)
    overlaps = np.asarray(temporal_iou(TRUE[:6], model(**inputs).logits))
    expected = [*((overlaps >= t).mean() for t in (0.3, 0.5, 0.7)), overlaps.mean()]
    assert overlaps.max() > 0
    assert [logs[m.name] for m in grounding_metrics()] == pytest.approx(expected, abs=1e-6)


def test_half_precision_is_computed_in_full() -> None:
    metric = MeanTemporalIoU()
    true = np.array([[1000, 500, 501]], "float32")
    metric.update_state(true, keras.ops.cast([[0.5, 0.75]], "bfloat16"))
    assert float(metric.result()) == pytest.approx(1 / 250)


_DISTRIBUTED = """
import json, numpy as np, tensorflow as tf
(device,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
import keras
from tests.metrics.test_grounding import PREDICTED, TRUE
from tfzoo.metrics import grounding_metrics
with strategy.scope():
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Lambda(lambda x: x + 0.0)(inputs))
    model.compile("sgd", loss="mse", metrics=grounding_metrics())
data = tf.data.Dataset.from_tensor_slices((PREDICTED, TRUE[:, 1:] / TRUE[:, :1])).batch(4)
logs = model.evaluate(data, verbose=0, return_dict=True)
print(json.dumps([float(logs[metric.name]) for metric in grounding_metrics()]))
"""


@pytest.mark.slow
def test_on_two_devices() -> None:
    """Batches of 4, 4 and 2 on two devices: a mean of means would differ."""
    said = run_python(_DISTRIBUTED).strip().splitlines()[-1]
    assert json.loads(said) == pytest.approx(by_hand(), abs=1e-6)


def test_importing_them_is_light() -> None:
    code = "import sys, tfzoo; tfzoo.metrics.average_precision; print('keras' in sys.modules)"
    assert run_python(code).strip() == "False"
