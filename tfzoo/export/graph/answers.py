"""Checks of requests, and ranked answers, which several families' signatures share."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfzoo.export.endpoint import Endpoint, ServingError

__all__ = [
    "answered",
    "checked",
    "checked_bank",
    "checked_ids",
    "checked_sizes",
    "example_ids",
    "probabilities",
    "ranked",
    "stored_texts",
]


def answered(endpoint: Endpoint, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The answer of a signature to a request, which is refused where a number is not finite.

    A model would answer NaN with NaN, and a mask does not take it out.

    Args:
        endpoint: The signature.
        inputs: Name -> tensor of each of its inputs.

    Example:
        >>> endpoint = Endpoint.of("twice", lambda x: {"y": 2.0 * x}, x=np.ones(1, "float32"))
        >>> float(answered(endpoint, {"x": tf.constant([3.0])})["y"][0])
        6.0
    """

    def check(name: str, value: tf.Tensor) -> tf.Tensor:
        if not value.dtype.is_floating:
            return value
        wrong = tf.math.count_nonzero(~tf.math.is_finite(value))
        message = f"{name}: expected finite numbers, got NaN or infinity, so many times:"
        return checked(value, wrong == 0, message, wrong)

    return endpoint.function(**{name: check(name, value) for name, value in inputs.items()})


def checked(value: tf.Tensor, condition: tf.Tensor, message: str, *data: Any) -> tf.Tensor:
    """Refuse a request unless a condition holds.

    Args:
        value: Tensor of any shape, which must not be used otherwise.
        condition: Scalar; where it is false, the request fails with `InvalidArgumentError`.
        message: What was expected, for the client.
        *data: Tensors to show after the message, e.g. what came instead.

    Returns:
        `value`, behind the check.
    """
    with tf.control_dependencies([tf.debugging.Assert(condition, [message, *data])]):
        return tf.identity(value)


def checked_ids(ids: tf.Tensor, vocab_size: int, limit: int) -> tf.Tensor:
    """Refuse a request unless the model can take its ids.

    Args:
        ids: (B, N) integers.
        vocab_size: Number of the model's ids.
        limit: Most tokens of a text.
    """
    shape = tf.shape(ids)
    message = "input_ids: expected at least one text of at least one token, got shape"
    ids = checked(ids, tf.size(ids) > 0, message, shape)
    message = f"input_ids: expected at most {limit} tokens, got"
    ids = checked(ids, shape[1] <= limit, message, shape[1])
    least, most = tf.reduce_min(ids), tf.reduce_max(ids)
    message = f"input_ids: expected ids from 0 to {vocab_size - 1}, got from and to"
    return checked(ids, (least >= 0) & (most < vocab_size), message, least, most)


def checked_sizes(inputs: Mapping[str, tf.Tensor], like: str) -> dict[str, tf.Tensor]:
    """Refuse a request unless the first two axes of its tensors are equally long.

    Args:
        inputs: Name -> (B, N, ...).
        like: Name of the one that the others must equal.
    """
    size = tf.shape(inputs[like])[:2]

    def check(name: str, value: tf.Tensor) -> tf.Tensor:
        own = tf.shape(value)[:2]
        message = f"{name} and {like} must be equally many and equally long, got"
        return checked(value, tf.reduce_all(own == size), message, own, size)

    return {name: check(name, value) for name, value in inputs.items()}


def checked_bank(vectors: tf.Tensor, names: tf.Tensor, count: tf.Tensor, message: str) -> tf.Tensor:
    """Refuse a request unless each of its `count` items has encoded texts (B, Q, P) and names."""
    shape = tf.shape(vectors)[:2]
    fits = tf.reduce_all(shape == tf.shape(names)) & (shape[0] == count) & (shape[1] > 0)
    return checked(vectors, fits, message, shape)


def example_ids(config: Any) -> np.ndarray:
    """Ids of a text for CLIP's text tower.

    Its signatures take no mask: the tower attends to earlier tokens only, so that the padding after
    a text's end changes nothing.
    """
    last = config.vocab_size - 1
    return np.array([[last - 1, 1, last]], "int64")[:, -config.max_position_embeddings :]


def stored_texts(option: str, processor: Any, encode: Callable[[Any], Any]) -> Any:
    """Encode the texts of an option with the processor's tokenizer, to be stored in the model."""
    tokenizer = getattr(processor, "tokenizer", None)
    if tokenizer is None:
        raise ServingError(
            f"{option} are texts, which a tokenizer must read: pass the model's whole processor, "
            f"got a {type(processor).__name__}."
        )
    with warnings.catch_warnings():  # of what the model then refuses
        warnings.filterwarnings("ignore", "A text has .* tokens, the model takes")
        try:
            return encode(tokenizer)
        except ValueError as error:
            raise ServingError(f"{option}: {error}") from error


def probabilities(logits: tf.Tensor, independent: bool = False) -> tf.Tensor:
    """Probabilities of the classes along the last axis, float32.

    Args:
        logits: (..., classes) of any float dtype.
        independent: Whether several classes can be true at once.
    """
    logits = tf.cast(logits, tf.float32)
    return tf.sigmoid(logits) if independent else tf.nn.softmax(logits)


def ranked(scores: tf.Tensor, names: Sequence[str], top_k: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Rank the best classes.

    Args:
        scores: (..., classes) float32.
        names: Of the classes.
        top_k: How many; all where there are fewer.

    Returns:
        Names, string (..., k), and scores, float32 (..., k), the best first; equal scores in the
        order of the classes.

    Example:
        >>> import tensorflow as tf
        >>> labels, scores = ranked(tf.constant([[0.2, 0.7, 0.1]]), ["cat", "dog", "cow"], 2)
        >>> labels.numpy().tolist()
        [[b'dog', b'cat']]
    """
    best, places = tf.math.top_k(scores, min(top_k, len(names)))
    return tf.gather(tf.constant(list(names)), places), best
