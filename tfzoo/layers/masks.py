"""Attention masks, in the form that `tfzoo.layers.attention.attend` takes.

A mask counts how often each place is hidden, and masks add up. Once hidden, a place gets the
smallest float32, so that a row without any visible key has no NaN; twice hidden, minus infinity,
so that even such a row attends to nothing there, as in the reference. Counts are integers since
Keras casts floats to a layer's dtype on the way in, where the smallest float32 overflows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

__all__ = ["causal_mask", "padding_mask", "score_offsets"]


def causal_mask(length: Any) -> Any:
    """Mask that hides from each token those after it.

    Args:
        length: N; an int, or a scalar of a graph.

    Returns:
        (N, N), int8; a NumPy array where `length` is an int.

    Example:
        >>> causal_mask(3).tolist()
        [[0, 1, 1], [0, 0, 1], [0, 0, 0]]
    """
    is_known = isinstance(length, int)
    places = np.arange(length) if is_known else ops.arange(length)
    hidden = places[None, :] > places[:, None]
    return hidden.astype("int8") if is_known else ops.cast(hidden, "int8")


def padding_mask(attention_mask: Any) -> Any:
    """Mask that hides padding from all tokens.

    Args:
        attention_mask: (B, N), 1 for tokens and 0 for padding; numbers or booleans. Anything but
            exactly 1 counts as padding.

    Returns:
        (B, 1, 1, N), int8.

    Example:
        >>> import numpy as np
        >>> np.asarray(padding_mask(np.array([[1, 0]]))).tolist()
        [[[[0, 1]]]]
    """
    hidden = ops.not_equal(ops.cast(attention_mask, "float32"), 1.0)
    return ops.cast(hidden, "int8")[:, None, None, :]


def score_offsets(masked: Any) -> Any:
    """What a mask adds to attention scores, float32.

    Args:
        masked: Integers, how often each place is hidden.

    Returns:
        The same shape: 0, the smallest float32, or minus infinity.
    """
    return ops.cast(masked, "float32") * np.finfo(np.float32).min
