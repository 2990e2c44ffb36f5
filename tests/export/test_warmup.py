"""The warm-up file, read with TensorFlow Serving's own messages and replayed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis import prediction_log_pb2

from tests.support.served import HEADS
from tfzoo.export.graph.answers import example_ids
from tfzoo.export.saved_model import BATCHING_FILE, WARMUP_FILE, prediction_log, read_signatures


def requests(folder: Path) -> dict[str, prediction_log_pb2.PredictionLog]:
    """The warm-up requests of a version by signature."""
    records = tf.data.TFRecordDataset(str(folder / WARMUP_FILE))
    logs = [prediction_log_pb2.PredictionLog.FromString(r) for r in records.as_numpy_iterator()]
    by_name = {log.predict_log.request.model_spec.signature_name: log for log in logs}
    assert len(by_name) == len(logs)
    return by_name


@pytest.mark.parametrize("name", HEADS)
def test_requests_are_answered(name: str, saved: Callable[[str], Path]) -> None:
    folder = saved(name)
    logs, offered = requests(folder), read_signatures(folder)
    assert set(logs) == set(offered)
    assert len(logs) > 1
    signatures = tf.saved_model.load(str(folder)).signatures
    for signature, log in logs.items():
        assert log.WhichOneof("log_type") == "predict_log"
        request = log.predict_log.request
        assert request.model_spec.name == folder.parent.name
        inputs = {k: tf.constant(tf.make_ndarray(v)) for k, v in request.inputs.items()}
        assert set(inputs) == set(offered[signature][0])
        assert {value.dtype for value in inputs.values()} <= {tf.int64, tf.float32, tf.string}
        outputs = signatures[signature](**inputs)
        assert set(outputs) == set(offered[signature][1])
        for key, value in outputs.items():
            assert offered[signature][1][key].shape.is_compatible_with(value.shape), key
            assert value.dtype == tf.string or np.isfinite(np.asarray(value, "float64")).all()


@pytest.mark.parametrize("name", HEADS)
def test_a_server_that_batches_could_run_them(name: str, saved: Callable[[str], Path]) -> None:
    is_batched = (saved(name) / BATCHING_FILE).exists()
    assert is_batched == (name != "xclip"), "its own call compares all texts with all videos"
    for log in requests(saved(name)).values():
        inputs = log.predict_log.request.inputs.values()
        assert {tensor.tensor_shape.dim[0].size for tensor in inputs} == {1}


@pytest.mark.parametrize(("length", "ids"), [(77, [48, 1, 49]), (2, [1, 49])])
def test_ids_of_an_example(length: int, ids: list[int]) -> None:
    found = example_ids(SimpleNamespace(vocab_size=50, max_position_embeddings=length))
    assert found.dtype == np.int64
    assert found.tolist() == [ids]


def test_messages_equal_those_of_the_package() -> None:
    long = b"\x00\xff" * 40_000  # lengths of one, two and three bytes
    inputs = {"text": np.array([long, b""], object), "ids": np.arange(200), "": np.float32(3)}
    log = prediction_log_pb2.PredictionLog.FromString(prediction_log("a model", "ü", inputs))
    expected = prediction_log_pb2.PredictionLog()
    request = expected.predict_log.request
    request.model_spec.name, request.model_spec.signature_name = "a model", "ü"
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    assert text_format.MessageToString(log) == text_format.MessageToString(expected)
