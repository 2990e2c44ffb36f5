"""The file of requests that TensorFlow Serving runs before it offers a version.

It is a TFRecord file of `PredictionLog` messages. Their definitions come with the package
tensorflow-serving-api, which nobody needs for exporting: the four messages around TensorFlow's own
`TensorProto` are encoded here, and the tests read them back with that package.

Source: https://www.tensorflow.org/tfx/serving/saved_model_warmup
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfzoo.export.endpoint import Endpoint

__all__ = ["WARMUP_FILE", "prediction_log", "write_warmup"]

#: Where a SavedModel holds the requests.
WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"


def write_warmup(folder: Path, name: str, endpoints: Iterable[Endpoint]) -> None:
    """Write one request for each endpoint, its example, into a SavedModel.

    Args:
        folder: Of the SavedModel.
        name: Under which the model is to be served.
        endpoints: Signatures of the SavedModel.
    """
    path = folder / WARMUP_FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as file:
        for endpoint in endpoints:
            file.write(prediction_log(name, endpoint.name, endpoint.example))


def prediction_log(name: str, signature: str, inputs: Mapping[str, np.ndarray]) -> bytes:
    """One request as TensorFlow Serving logs it.

    Args:
        name: Of the model.
        signature: Of its signature.
        inputs: Name -> value of each input.

    Returns:
        The encoded `PredictionLog`.

    Example:
        >>> prediction_log("m", "s", {})
        b'2\\n\\n\\x08\\n\\x06\\n\\x01m\\x1a\\x01s'
    """
    # message ModelSpec {string name = 1; string signature_name = 3;}
    spec = _field(1, name.encode()) + _field(3, signature.encode())
    # message PredictRequest {ModelSpec model_spec = 1; map<string, TensorProto> inputs = 2;}
    request = _field(1, spec)
    for key, value in inputs.items():
        tensor = tf.make_tensor_proto(value).SerializeToString()
        request += _field(2, _field(1, key.encode()) + _field(2, tensor))
    # message PredictLog {PredictRequest request = 1;}
    # message PredictionLog {oneof log_type {PredictLog predict_log = 6;}}
    return _field(6, _field(1, request))


def _field(number: int, content: bytes) -> bytes:
    """A field of a protocol buffer whose content has a length: a text or a message."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """A number in groups of seven bits, the lowest first; all but the last have the top bit."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
