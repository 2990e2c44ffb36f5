"""The example of each signature, read from an exported version."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from tfzoo.export.warmup import WARMUP_FILE

__all__ = ["read_examples"]


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


def _request(log: bytes) -> tuple[str, dict[str, np.ndarray]]:
    """Signature and inputs; see `tfzoo.export.warmup` for the messages around them."""
    request = dict(_fields(dict(_fields(log))[6]))[1]
    signature = dict(_fields(dict(_fields(request))[1]))[3].decode()
    inputs = {}
    for number, content in _fields(request):
        if number == 2:
            entry = dict(_fields(content))
            inputs[entry[1].decode()] = tf.make_ndarray(tensor_pb2.TensorProto.FromString(entry[2]))
    return signature, inputs


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and content of each field; all of them are texts or messages, which have a length."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        size, place = _varint(message, place)
        yield key >> 3, message[place : place + size]
        place += size


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while message[place] & 0x80:
        value |= (message[place] & 0x7F) << shift
        place, shift = place + 1, shift + 7
    return value | message[place] << shift, place + 1
