"""Parts of signatures that several families share: checks of requests, and names with scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfzoo.export.endpoint import ServingError
from tfzoo.export.options import ServingOptions

__all__ = ["checked", "checked_ids", "checked_sizes", "class_names", "probabilities", "ranked"]


def checked(value: tf.Tensor, condition: tf.Tensor, message: str, *data: Any) -> tf.Tensor:
    """A tensor of a request that is used only if a condition holds.

    Args:
        value: Tensor of any shape.
        condition: Scalar; where it is false, the request fails with `InvalidArgumentError`.
        message: What was expected, for the client.
        *data: Tensors to name after it, e.g. what came instead.

    Returns:
        `value`.

    Example:
        >>> import tensorflow as tf
        >>> x = tf.constant([1, 2])
        >>> checked(x, tf.size(x) > 1, "expected two numbers, got", tf.size(x)).numpy().tolist()
        [1, 2]
    """
    with tf.control_dependencies([tf.debugging.Assert(condition, [message, *data])]):
        return tf.identity(value)


def checked_ids(ids: tf.Tensor, vocab_size: int, limit: int) -> tf.Tensor:
    """Ids of a request that is refused unless a model can take them.

    Args:
        ids: (B, N) integers.
        vocab_size: Number of ids that there are.
        limit: Most tokens of a text.

    Example:
        >>> import tensorflow as tf
        >>> checked_ids(tf.constant([[101, 7, 102]]), 200, 16).shape
        TensorShape([1, 3])
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
    """Tensors of a request that is refused unless their first two axes are equally long.

    Args:
        inputs: Name -> (B, N, ...).
        like: Name of the one that the others must equal.

    Example:
        >>> import tensorflow as tf
        >>> sorted(checked_sizes({"ids": tf.ones((1, 3)), "mask": tf.ones((1, 3))}, "ids"))
        ['ids', 'mask']
    """
    size = tf.shape(inputs[like])[:2]

    def check(name: str, value: tf.Tensor) -> tf.Tensor:
        own = tf.shape(value)[:2]
        message = f"{name} and {like} must be equally many and equally long, got"
        return checked(value, tf.reduce_all(own == size), message, own, size)

    return {name: check(name, value) for name, value in inputs.items()}


def class_names(
    options: ServingOptions, count: int, own: Mapping[int, str], owner: str
) -> tuple[str, ...]:
    """The name of each class, in the order of the model's outputs.

    Args:
        options: Its `labels` win.
        count: Number of classes.
        own: Index -> name, the config's.
        owner: Name of the model, for the error.

    Raises:
        ServingError: There are more or fewer names than classes.

    Example:
        >>> class_names(ServingOptions(), 2, {1: "dog", 0: "cat"}, "TFModel")
        ('cat', 'dog')
    """
    if options.labels is None:
        names = tuple(own[index] for index in sorted(own))
        if len(names) == count:
            return names
        raise ServingError(
            f"{owner} tells {count} classes apart, and its config names {len(names)}: pass labels= "
            "with a name for each, in the order of the model's outputs."
        )
    if len(options.labels) != count:
        raise ServingError(
            f"labels must name each of the {count} classes of {owner}, got {len(options.labels)}."
        )
    return tuple(options.labels)


def probabilities(logits: tf.Tensor, independent: bool = False) -> tf.Tensor:
    """Probabilities of the classes along the last axis, float32.

    Args:
        logits: (..., classes) of any float dtype.
        independent: Whether several classes can be true at once.
    """
    logits = tf.cast(logits, tf.float32)
    return tf.sigmoid(logits) if independent else tf.nn.softmax(logits)


def ranked(scores: tf.Tensor, names: Sequence[str], top_k: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The best classes with their scores.

    Args:
        scores: (..., classes) float32.
        names: Of the classes.
        top_k: How many; all where there are fewer.

    Returns:
        Names, string (..., k), and scores, float32 (..., k), the best first and of equals the one
        that stands first.

    Example:
        >>> import tensorflow as tf
        >>> labels, scores = ranked(tf.constant([[0.2, 0.7, 0.1]]), ["cat", "dog", "cow"], 2)
        >>> labels.numpy().tolist()
        [[b'dog', b'cat']]
    """
    best, places = tf.math.top_k(scores, min(top_k, len(names)))
    return tf.gather(tf.constant(list(names)), places), best
