"""Dropout and stochastic depth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from tfzoo.core.types import Tensor

__all__ = ["DropPath", "drop_path_rates", "dropout"]


def dropout(rate: float) -> Callable[[Tensor], Tensor]:
    """Make a dropout layer; none where the rate is 0, since it would cost time in every call."""
    return keras.layers.Dropout(rate) if rate else _unchanged


def _unchanged(x: Tensor) -> Tensor:
    return x


def drop_path_rates(last: float, num_layers: int) -> list[float]:
    """Rates that grow linearly from 0 in the first layer to `last` in the last."""
    return [last * i / max(num_layers - 1, 1) for i in range(num_layers)]


class DropPath(keras.layers.Layer):
    """Stochastic depth: drops a residual branch for whole samples during training.

    Samples are rows of the first axis. Those that stay are divided by the probability of staying.

    Args:
        rate: Probability of dropping a row.

    Source: Huang et al. 2016, arXiv:1603.09382.
    """

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = float(rate)
        if self.rate > 0:
            self.seed_generator = keras.random.SeedGenerator()
        self.built = True

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        if not training or self.rate == 0:
            return x
        rows = (ops.shape(x)[0],) + (1,) * (len(x.shape) - 1)
        keep = 1.0 - self.rate
        noise = keras.random.uniform(rows, dtype="float32", seed=self.seed_generator)
        return x / keep * ops.cast(noise < keep, x.dtype)
