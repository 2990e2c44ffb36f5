"""What a SavedModel offers, read from its file without loading it."""

from __future__ import annotations

import os
from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

__all__ = ["read_graph", "read_signatures"]

Tensors = dict[str, tf.TensorSpec]


def read_graph(folder: str | Path) -> saved_model_pb2.SavedModel:
    """The message in a SavedModel's `saved_model.pb`.

    Args:
        folder: Of any file system that TensorFlow reads.

    Raises:
        tf.errors.NotFoundError: The folder is no SavedModel.
    """
    with tf.io.gfile.GFile(os.path.join(folder, "saved_model.pb"), "rb") as file:
        return saved_model_pb2.SavedModel.FromString(file.read())


def read_signatures(folder: str | Path) -> dict[str, tuple[Tensors, Tensors]]:
    """Inputs and outputs of each signature, in alphabetical order.

    Args:
        folder: A SavedModel, e.g. a version that `tfzoo.export_serving` wrote.

    Raises:
        tf.errors.NotFoundError: The folder is no SavedModel.

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
        if not name.startswith("__")  # what the loader runs for itself
    }


def _specs(tensors: dict) -> Tensors:
    return {
        name: tf.TensorSpec(tf.TensorShape(info.tensor_shape), tf.as_dtype(info.dtype), name)
        for name, info in sorted(tensors.items())
    }
