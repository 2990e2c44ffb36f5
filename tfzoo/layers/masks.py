"""Attention masks, in the additive form that `tfzoo.layers.attention.attend` takes.

A masked place holds the smallest float32 rather than minus infinity, so that a row without any
visible key has no NaN. Masks add up: a place masked twice is minus infinity, and attends to
nothing even in a row without a visible key, as in the reference.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

__all__ = ["causal_mask", "padding_mask"]

_MASKED = np.finfo(np.float32).min


def causal_mask(length: Any) -> Any:
    """Mask that hides from each token those after it.

    Args:
        length: N; an int, or a scalar of a graph.

    Returns:
        (N, N), float32; a NumPy array where `length` is an int.

    Example:
        >>> (causal_mask(3) < 0).astype(int).tolist()
        [[0, 1, 1], [0, 0, 1], [0, 0, 0]]
    """
    xp = np if isinstance(length, int) else ops
    places = xp.arange(length)
    return xp.where(places[None, :] > places[:, None], _MASKED, np.float32(0))


def padding_mask(attention_mask: Any) -> Any:
    """Mask that hides padding from all tokens.

    Args:
        attention_mask: (B, N), 1 for tokens and 0 for padding; numbers or booleans. Anything but
            exactly 1 counts as padding.

    Returns:
        (B, 1, 1, N), float32.

    Example:
        >>> import numpy as np
        >>> (np.asarray(padding_mask(np.array([[1, 0]]))) < 0).tolist()
        [[[[False, True]]]]
    """
    visible = ops.equal(ops.cast(attention_mask, "float32"), 1.0)
    return ops.where(visible, np.float32(0), _MASKED)[:, None, None, :]
