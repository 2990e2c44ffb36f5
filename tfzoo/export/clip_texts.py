"""Texts as token ids: what the signatures of models with CLIP's text tower share."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfzoo.export.answers import checked

__all__ = ["checked_ids", "text_inputs"]


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


def checked_ids(input_ids: tf.Tensor, config: Any) -> tf.Tensor:
    """The ids of a request, which the text tower can take.

    Args:
        input_ids: (Q, N) int64; none at all, longer ones than the tower's positions, and ids
            outside its vocabulary fail with `InvalidArgumentError`.
        config: Configuration of the text tower.

    Returns:
        The ids.

    Example:
        >>> import tfzoo
        >>> ids = tf.constant([[49406, 320, 49407]], tf.int64)
        >>> checked_ids(ids, tfzoo.XCLIPTextConfig()).shape
        TensorShape([1, 3])
    """
    limit, size, shape = config.max_position_embeddings, config.vocab_size, tf.shape(input_ids)
    message = f"input_ids: expected texts of 1 to {limit} tokens, got the shape"
    ids = checked(input_ids, tf.reduce_all(shape > 0) & (shape[1] <= limit), message, shape)
    message = f"input_ids: expected ids in [0, {size}); does the tokenizer belong to this model?"
    return checked(ids, tf.reduce_all((ids >= 0) & (ids < size)), message)
