"""Texts as token ids: what the signatures of models with CLIP's text tower share."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

__all__ = ["text_inputs"]


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
