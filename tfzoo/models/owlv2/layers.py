"""The heads of OWLv2 and OWL-ViT (Minderer et al. 2022 and 2023)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import keras
import numpy as np
from keras import ops

from tfzoo.core.types import Shape, Tensor
from tfzoo.layers.activations import Activation, gelu
from tfzoo.layers.clip import normal, unit
from tfzoo.layers.linear import Linear

__all__ = ["BoxHead", "ClassHead", "box_bias"]

# The smallest finite number of each dtype that logits can have.
_SMALLEST = {
    "float16": -65504.0,
    "bfloat16": -3.3895313892515355e38,
    "float32": float(np.finfo("float32").min),
    "float64": float(np.finfo("float64").min),
}


@lru_cache(maxsize=8)
def box_bias(rows: int, columns: int) -> np.ndarray:
    """What is added to each patch's box: its own far corner and its own size, as logits.

    Args:
        rows: Rows of the grid of patches.
        columns: Its columns.

    Returns:
        (rows * columns, 4), logits of centre x, centre y, width and height, float32. At the
        border float32 differs from float64 by 2e-4, and the weights were trained with it.

    Source: section 3.1 of the OWL-ViT paper, "box bias".

    Example:
        >>> box_bias(1, 2).astype(float).round(2).tolist()
        [[0.0, 9.21, 0.0, 9.21], [9.21, 9.21, 0.0, 9.21]]
    """
    one = np.float32(1)
    x = np.arange(1, columns + 1, dtype="float32") / np.float32(columns)
    y = np.arange(1, rows + 1, dtype="float32") / np.float32(rows)
    corners = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    sizes = np.broadcast_to(np.array([one / columns, one / rows], "float32"), corners.shape)
    boxes = np.concatenate([np.clip(corners, 0, 1), sizes], axis=-1)
    small = np.float32(1e-4)
    return np.log(boxes + small) - np.log1p(-boxes + small)


class BoxHead(keras.layers.Layer):
    """Three linear layers on each patch's features, for boxes or for objectness.

    Args:
        width: D.
        units: Width of the output.
        std: Of fresh weights.
    """

    def __init__(self, width: int, units: int, std: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = width

        def linear(units: int, name: str, activation: Activation | None = None) -> Linear:
            init = normal(std)
            return Linear(units, activation=activation, kernel_initializer=init, name=name)

        self.dense0 = linear(width, "dense0", gelu)
        self.dense1 = linear(width, "dense1", gelu)
        self.dense2 = linear(units, "dense2")

    def build(self, input_shape: Shape = None) -> None:
        for layer in (self.dense0, self.dense1, self.dense2):
            layer.build((None, None, self.width))
        self.built = True

    def call(self, features: Tensor) -> Tensor:
        """Map (B, N, D) to (B, N, units)."""
        return self.dense2(self.dense1(self.dense0(features)))


class ClassHead(keras.layers.Layer):
    """Similarity of each patch to each query, with a shift and a scale that the patch decides.

    Args:
        width: D of the vision tower.
        query_width: D of the text tower.
        std: Of fresh weights.
    """

    def __init__(self, width: int, query_width: int, std: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = width

        def linear(units: int, name: str) -> Linear:
            return Linear(units, kernel_initializer=normal(std), name=name)

        self.dense0 = linear(query_width, "dense0")
        self.logit_shift = linear(1, "logit_shift")
        self.logit_scale = linear(1, "logit_scale")

    def build(self, input_shape: Shape = None) -> None:
        for layer in (self.dense0, self.logit_shift, self.logit_scale):
            layer.build((None, None, self.width))
        self.built = True

    def embed(self, features: Tensor) -> Tensor:
        """The patches' own embeddings, (B, N, D) -> (B, N, D of the text tower), of any length."""
        return self.dense0(features)

    def call(
        self, features: Tensor, queries: Tensor, valid: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Compare patches and queries.

        Args:
            features: (B, N, D).
            queries: (B or 1, Q, D of the text tower).
            valid: (B or 1, Q), booleans; an invalid query gets the smallest logits. All are valid
                where None.

        Returns:
            Logits (B, N, Q), float32 where `valid` is given, and the patches' embeddings, of
            length 1.
        """
        embeds = unit(self.embed(features), 1e-6)
        logits = ops.matmul(embeds, ops.swapaxes(unit(queries, 1e-6), -1, -2))
        scale = ops.elu(self.logit_scale(features)) + 1
        logits = (logits + self.logit_shift(features)) * scale
        if valid is not None:
            dtype = keras.backend.standardize_dtype(logits.dtype)
            logits = ops.cast(logits, "float32")
            logits = ops.where(ops.expand_dims(valid, -2), logits, _SMALLEST[dtype])
        return logits, embeds
