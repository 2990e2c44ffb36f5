"""Attention masks, in the form that `tfzoo.layers.attention.attend` takes.

A mask has 0 for a visible place and 1 for a hidden one, and masks are added up. A 1 becomes the
smallest float32, so that a row without any visible key has no NaN; a 2 minus infinity, so that even
such a row attends to nothing there, as in the reference. Masks are integers because Keras casts
floats to a layer's dtype on the way in, where the smallest float32 overflows.
"""

from __future__ import annotations

import numpy as np
from keras import ops

from tfzoo.core.types import Tensor

__all__ = ["causal_mask", "padding_mask", "score_offsets"]


def causal_mask(length: int | Tensor) -> Tensor:
    """Hide from each token those after it.

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


def padding_mask(attention_mask: Tensor) -> Tensor:
    """Hide padding from all tokens.

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


def score_offsets(masked: Tensor) -> Tensor:
    """What a mask adds to attention scores: 0, the smallest float32 or minus infinity."""
    return ops.cast(masked, "float32") * np.finfo(np.float32).min
