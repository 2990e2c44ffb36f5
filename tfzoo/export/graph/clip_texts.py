"""Texts as token ids: what the signatures of models with CLIP's text tower share."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfzoo.export.answers import checked

__all__ = ["bank_inputs", "checked_bank", "text_inputs"]


def text_inputs(config: Any) -> tuple[dict[str, tf.TensorSpec], dict[str, np.ndarray]]:
    """The spec of `input_ids`, and an example.

    There is no mask: the tower looks at earlier tokens only, so that padding, which comes after a
    text's end, changes nothing.

    Args:
        config: Configuration of the text tower.

    Example:
        >>> import tfzoo
        >>> specs, example = text_inputs(tfzoo.XCLIPTextConfig())
        >>> example["input_ids"].tolist()
        [[49406, 1, 49407]]
    """
    last = config.vocab_size - 1
    ids = np.array([[last - 1, 1, last]], "int64")[:, -config.max_position_embeddings :]
    return {"input_ids": tf.TensorSpec([None, None], tf.int64, "input_ids")}, {"input_ids": ids}


def bank_inputs(
    vectors: str, names: str, width: int
) -> tuple[dict[str, tf.TensorSpec], dict[str, np.ndarray]]:
    """The specs of encoded texts that come with each item of a request, and an example of two.

    Args:
        vectors: Name of the input with the texts' vectors, (B, Q, P) float32.
        names: Name of the input with what the texts are called in the answer, (B, Q) strings.
        width: P.

    Example:
        >>> specs, example = bank_inputs("text_features", "labels", 8)
        >>> example["text_features"].shape, specs["labels"].shape
        ((1, 2, 8), TensorShape([None, None]))
    """
    specs = {
        vectors: tf.TensorSpec([None, None, width], tf.float32, vectors),
        names: tf.TensorSpec([None, None], tf.string, names),
    }
    example = {
        vectors: np.eye(2, width, dtype="float32")[None],
        names: np.array([[b"one", b"another"]], object),
    }
    return specs, example


def checked_bank(vectors: tf.Tensor, names: tf.Tensor, count: tf.Tensor, message: str) -> tf.Tensor:
    """The vectors of texts, of a request that is refused unless each item has its own.

    Args:
        vectors: (B, Q, P).
        names: (B, Q).
        count: B, the number of items that the request has otherwise.
        message: What was expected, for the client.

    Example:
        >>> checked_bank(tf.zeros((1, 2, 8)), tf.constant([["a", "b"]]), 1, "...").shape
        TensorShape([1, 2, 8])
    """
    shape = tf.shape(vectors)[:2]
    fits = tf.reduce_all(shape == tf.shape(names)) & (shape[0] == count) & (shape[1] > 0)
    return checked(vectors, fits, message, shape)
