"""CLIP's transformer blocks (Radford et al. 2021, arXiv:2103.00020)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from tfzoo.layers.attention import MultiHeadAttention
from tfzoo.layers.mlp import MLP
from tfzoo.layers.norm import LayerNorm

__all__ = ["ClipBlock", "ClipEncoder", "ClipSizes", "spread"]


def spread(stddev: float) -> keras.initializers.Initializer:
    """The normal distribution of fresh weights around 0."""
    return keras.initializers.RandomNormal(stddev=stddev)


@dataclass(frozen=True)
class ClipSizes:
    """Sizes and settings of an encoder.

    Attributes:
        width: D.
        num_heads: H, a divisor of the width.
        hidden: Width of the hidden layer of each MLP.
        num_layers: L.
        activation: Of the MLPs, name or function.
        epsilon: Of the layer norms.
        attention_dropout: Dropout of attention maps.
        factor: Factor of the spread of all fresh weights.
    """

    width: int
    num_heads: int
    hidden: int
    num_layers: int
    activation: str | Callable[[Any], Any] = "quick_gelu"
    epsilon: float = 1e-5
    attention_dropout: float = 0.0
    factor: float = 1.0

    def norm(self, name: str) -> LayerNorm:
        """A layer norm."""
        return LayerNorm(epsilon=self.epsilon, name=name)

    def attention(self, name: str) -> MultiHeadAttention:
        """Self-attention; fresh weights are the smaller the deeper the stack."""
        return MultiHeadAttention(
            self.width,
            self.num_heads,
            attention_dropout=self.attention_dropout,
            in_initializer=spread(self.residual_spread),
            out_initializer=spread(self.factor * self.width**-0.5),
            name=name,
        )

    def mlp(self, name: str) -> MLP:
        """The feed-forward half of a block."""
        initializers = spread(self.factor * (2 * self.width) ** -0.5), spread(self.residual_spread)
        return MLP(
            self.hidden, self.width, self.activation, kernel_initializer=initializers, name=name
        )

    @property
    def residual_spread(self) -> float:
        """Spread of the weights that grow with the residual stream."""
        return self.factor * (self.width * 2 * max(self.num_layers, 1)) ** -0.5


class ClipBlock(keras.layers.Layer):
    """One block: x + attention(norm(x)), then x + mlp(norm(x)).

    Args:
        sizes: Sizes and settings.
    """

    def __init__(self, sizes: ClipSizes, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.norm1 = sizes.norm("norm1")
        self.self_attn = sizes.attention("self_attn")
        self.norm2 = sizes.norm("norm2")
        self.mlp = sizes.mlp("mlp")

    def build(self, input_shape: Any) -> None:
        """Create the weights for inputs (B, N, D)."""
        for layer in (self.norm1, self.self_attn, self.norm2, self.mlp):
            layer.build(input_shape)
        self.built = True

    def call(
        self,
        x: Any,
        masked: Any = None,
        output_attentions: bool = False,
        training: bool = False,
    ) -> tuple[Any, Any]:
        """Apply the block.

        Args:
            x: (B, N, D).
            masked: How often each place is hidden, see `tfzoo.layers.masks`.
            output_attentions: Return the attention maps.

        Returns:
            (B, N, D) and the attention maps (B, H, N, N), or () where they are not asked for.
        """
        attended, maps = self.self_attn(
            self.norm1(x), masked=masked, output_attentions=output_attentions
        )
        x = x + attended
        return x + self.mlp(self.norm2(x)), maps


class ClipEncoder(keras.layers.Layer):
    """A stack of blocks.

    Args:
        sizes: Sizes and settings.
        block: Makes one block of them; called with `sizes` and a `name`.
    """

    def __init__(
        self,
        sizes: ClipSizes,
        block: Callable[..., keras.layers.Layer] = ClipBlock,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.layers = [block(sizes, name=f"layer_{i}") for i in range(sizes.num_layers)]

    def build(self, input_shape: Any) -> None:
        """Create the weights for inputs (B, N, D)."""
        for layer in self.layers:
            layer.build(input_shape)
        self.built = True

    def call(
        self,
        x: Any,
        masked: Any = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
        training: bool = False,
    ) -> tuple[Any, tuple[Any, ...], tuple[Any, ...]]:
        """Apply all blocks.

        Args:
            x: (B, N, D).
            masked: How often each place is hidden, see `tfzoo.layers.masks`.
            output_attentions: Keep the attention maps.
            output_hidden_states: Keep the hidden states.

        Returns:
            The last hidden state, L + 1 hidden states or none, L attention maps or none.
        """
        states, all_maps = [x], []
        for layer in self.layers:
            x, maps = layer(x, masked=masked, output_attentions=output_attentions)
            if output_hidden_states:
                states.append(x)
            if output_attentions:
                all_maps.append(maps)
        return x, tuple(states) if output_hidden_states else (), tuple(all_maps)
