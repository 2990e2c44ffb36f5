"""The feed-forward half of a transformer block."""

from __future__ import annotations

from typing import Any

import keras

from tfzoo.core.types import Shape, Tensor
from tfzoo.layers.activations import Activation, get_activation
from tfzoo.layers.drop_path import dropout as make_dropout
from tfzoo.layers.linear import Linear

__all__ = ["MLP"]

Initializer = str | keras.initializers.Initializer


class MLP(keras.layers.Layer):
    """Two linear layers with an activation in between, each followed by dropout.

    Args:
        hidden: Width of the hidden layer.
        width: D, width of the output.
        activation: Name or function.
        dropout: Dropout of the result.
        kernel_initializer: Of both layers, or a pair with one of each.
        hidden_dropout: Dropout between the layers; that of the result where None.
    """

    def __init__(
        self,
        hidden: int,
        width: int,
        activation: str | Activation = "gelu",
        dropout: float = 0.0,
        kernel_initializer: Initializer | tuple[Initializer, Initializer] = "glorot_uniform",
        hidden_dropout: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        is_pair = isinstance(kernel_initializer, tuple)
        first, second = kernel_initializer if is_pair else (kernel_initializer,) * 2
        self.fc1 = Linear(
            hidden,
            activation=get_activation(activation),
            kernel_initializer=first,
            name="fc1",
        )
        self.fc2 = Linear(width, kernel_initializer=second, name="fc2")
        self.hidden_dropout = make_dropout(dropout if hidden_dropout is None else hidden_dropout)
        self.dropout = make_dropout(dropout)

    def build(self, input_shape: Shape) -> None:
        self.fc1.build(input_shape)
        self.fc2.build((*input_shape[:-1], self.fc1.units))
        self.built = True

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return self.dropout(self.fc2(self.hidden_dropout(self.fc1(x))))
