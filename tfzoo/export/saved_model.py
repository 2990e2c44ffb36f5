"""What lies in an exported version beside its weights: signatures, example requests, batching.

The example requests are the file that TensorFlow Serving runs before it offers a version, a
TFRecord file of `PredictionLog` messages. Their definitions come with the package
tensorflow-serving-api, which exporting should not need: the four messages around TensorFlow's own
`TensorProto` are encoded and decoded here, and the tests compare them with that package.

Source: https://www.tensorflow.org/tfx/serving/saved_model_warmup
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import saved_model_pb2

from tfzoo.export.endpoint import Endpoint

__all__ = [
    "BATCHING_FILE",
    "WARMUP_FILE",
    "prediction_log",
    "read_examples",
    "read_graph",
    "read_signatures",
    "write_batching",
    "write_warmup",
]

#: Where a SavedModel holds the example requests.
WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"

#: Where the server looks for the batching parameters of a version.
BATCHING_FILE = Path("batching_params.pbtxt")

_BATCHING = """\
# Requests of one signature whose inputs differ in their first axis alone are run together.
# Lengths are never padded by the server: it would pad masks with ones.
max_batch_size { value: 8 }
batch_timeout_micros { value: 2000 }
max_enqueued_batches { value: 64 }
"""

Tensors = dict[str, tf.TensorSpec]


# ---- signatures
def read_graph(folder: str | os.PathLike[str]) -> saved_model_pb2.SavedModel:
    """The message in a SavedModel's `saved_model.pb`, read without loading the model."""
    with tf.io.gfile.GFile(os.path.join(folder, "saved_model.pb"), "rb") as file:
        return saved_model_pb2.SavedModel.FromString(file.read())


def read_signatures(folder: str | os.PathLike[str]) -> dict[str, tuple[Tensors, Tensors]]:
    """Inputs and outputs of each signature, in alphabetical order.

    Args:
        folder: A SavedModel, e.g. a version that `tfzoo.export_serving` wrote.

    Raises:
        tf.errors.NotFoundError: The folder is not a SavedModel.

    Example:
        >>> import tempfile, tfzoo
        >>> model = tfzoo.TFTimesformerForVideoClassification.from_pretrained("checkpoint")
        >>> model.export(folder := tempfile.mkdtemp(), verbose=False)
        >>> inputs, outputs = read_signatures(folder)["serving_default"]
        >>> inputs["pixel_values"].shape.rank, outputs["logits"].dtype.name
        (5, 'float32')
    """
    found = read_graph(folder).meta_graphs[0].signature_def
    return {
        name: (_specs(found[name].inputs), _specs(found[name].outputs))
        for name in sorted(found)
        if not name.startswith("__")  # the loader's own
    }


def _specs(tensors: dict) -> Tensors:
    return {
        name: tf.TensorSpec(tf.TensorShape(info.tensor_shape), tf.as_dtype(info.dtype), name)
        for name, info in sorted(tensors.items())
    }


# ---- batching
def write_batching(folder: Path) -> None:
    """Write how TensorFlow Serving may put requests together, for a model that keeps rows apart.

    A server started with `--enable_batching --enable_per_model_batching_parameters` reads the file
    of each version; it does not batch models without one.
    """
    (folder / BATCHING_FILE).write_text(_BATCHING, encoding="utf-8")


# ---- example requests
def write_warmup(folder: Path, name: str, endpoints: Iterable[Endpoint]) -> None:
    """Write the example of each endpoint as a request to a model served under `name`."""
    path = folder / WARMUP_FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as file:
        for endpoint in endpoints:
            file.write(prediction_log(name, endpoint.name, endpoint.example))


def read_examples(folder: str | os.PathLike[str]) -> dict[str, dict[str, np.ndarray]]:
    """The requests in a version's warm-up file: signature -> input -> array.

    Args:
        folder: A version that `tfzoo.export_serving` wrote, in any file system that TensorFlow
            reads.

    Returns:
        Empty for a version without warm-up.

    Example:
        >>> import tempfile
        >>> read_examples(tempfile.mkdtemp())
        {}
    """
    path = os.path.join(folder, *WARMUP_FILE.parts)
    if not tf.io.gfile.exists(path):
        return {}
    records = tf.data.TFRecordDataset(path).as_numpy_iterator()
    return dict(_request(record) for record in records)


def prediction_log(name: str, signature: str, inputs: Mapping[str, np.ndarray]) -> bytes:
    """Encode a request to a model's signature as the `PredictionLog` of TensorFlow Serving."""
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


def _request(log: bytes) -> tuple[str, dict[str, np.ndarray]]:
    """Signature and inputs of what `prediction_log` wrote."""
    request = dict(_fields(dict(_fields(log))[6]))[1]
    signature = dict(_fields(dict(_fields(request))[1]))[3].decode()
    inputs = {}
    for number, content in _fields(request):
        if number == 2:
            entry = dict(_fields(content))
            inputs[entry[1].decode()] = tf.make_ndarray(tensor_pb2.TensorProto.FromString(entry[2]))
    return signature, inputs


def _field(number: int, content: bytes) -> bytes:
    """Encode a field of a protocol buffer whose content has a length: a text or a message."""
    return _encoded(number << 3 | 2) + _encoded(len(content)) + content


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and content of each field, all of which have a length."""
    place = 0
    while place < len(message):
        key, place = _decoded(message, place)
        size, place = _decoded(message, place)
        yield key >> 3, message[place : place + size]
        place += size


def _encoded(value: int) -> bytes:
    """A number in groups of seven bits, the lowest first; all but the last have the top bit."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def _decoded(message: bytes, place: int) -> tuple[int, int]:
    """The number at a place, and the place behind it."""
    value = shift = 0
    while message[place] & 0x80:
        value |= (message[place] & 0x7F) << shift
        place, shift = place + 1, shift + 7
    return value | message[place] << shift, place + 1
