"""The layers of TimeSformer (Bertasius et al. 2021, arXiv:2102.05095)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfzoo.core.config import ConfigError
from tfzoo.core.types import Shape, Tensor
from tfzoo.layers.attention import SelfAttention
from tfzoo.layers.drop_path import DropPath, drop_path_rates, dropout
from tfzoo.layers.linear import Linear, chain
from tfzoo.layers.mlp import MLP
from tfzoo.layers.norm import LayerNorm
from tfzoo.layers.patch_embedding import PatchEmbedding
from tfzoo.layers.positions import resize_grid_nearest, resize_rows_nearest
from tfzoo.models.timesformer.config import ATTENTION_TYPES, TimesformerConfig

__all__ = ["TimesformerEmbeddings", "TimesformerEncoder", "TimesformerLayer", "initializer", "norm"]


def initializer(config: TimesformerConfig) -> keras.initializers.Initializer:
    """The initialiser of all weight matrices."""
    return keras.initializers.RandomNormal(stddev=config.initializer_range)


def norm(config: TimesformerConfig, name: str) -> LayerNorm:
    """A layer norm with the config's epsilon."""
    return LayerNorm(epsilon=config.layer_norm_eps, name=name)


class TimesformerEmbeddings(keras.layers.Layer):
    """Frames to tokens: patches, the class token, positions in space and in time."""

    def __init__(self, config: TimesformerConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config
        self.has_time = config.attention_type != "space_only"
        self.patch_embeddings = PatchEmbedding(
            config.hidden_size,
            config.patch_size,
            config.num_channels,
            kernel_initializer=initializer(config),
            name="patch_embeddings",
        )
        self.pos_drop = dropout(config.hidden_dropout_prob)
        self.time_drop = dropout(config.hidden_dropout_prob)

    def build(self, input_shape: Shape = None) -> None:
        config, init = self.config, initializer(self.config)
        tokens = (config.image_size // config.patch_size) ** 2 + 1
        width = config.hidden_size
        self.patch_embeddings.build()
        self.cls_token = self.add_weight(shape=(1, 1, width), initializer=init, name="cls_token")
        self.position_embeddings = self.add_weight(
            shape=(1, tokens, width), initializer=init, name="position_embeddings"
        )
        if self.has_time:
            self.time_embeddings = self.add_weight(
                shape=(1, config.num_frames, width), initializer="zeros", name="time_embeddings"
            )
        self.built = True

    def call(self, pixel_values: Tensor, training: bool = False) -> Tensor:
        """Embed a batch of clips.

        Args:
            pixel_values: (B, T, C, height, width).

        Returns:
            (B, 1 + N T, D), patches outer and frames inner; with space-only attention
            (B T, 1 + N, D), a row per frame.
        """
        batch, frames, channels, height, width = ops.shape(pixel_values)
        images = ops.reshape(pixel_values, (-1, channels, height, width))
        patches = self.patch_embeddings(images)
        grid = self.patch_embeddings.grid(height, width)
        positions = resize_grid_nearest(self.position_embeddings[0, 1:], *grid)
        patches = self.pos_drop(patches + positions[None])
        cls = self.cls_token + self.position_embeddings[:, :1]
        if self.has_time:
            patches, rows = self._add_time(patches, batch, frames), batch
        else:
            rows = ops.shape(patches)[0]
        cls = self.pos_drop(ops.broadcast_to(cls, (rows, 1, self.config.hidden_size)))
        return ops.concatenate([cls, patches], axis=1)

    def _add_time(self, patches: Tensor, batch: int | Tensor, frames: int | Tensor) -> Tensor:
        """(B T, N, D) -> (B, N T, D) with the embedding of each frame's time added."""
        width, count = self.config.hidden_size, ops.shape(patches)[1]
        times = resize_rows_nearest(self.time_embeddings[0], frames)
        patches = ops.reshape(patches, (batch, frames, count, width))
        patches = ops.transpose(patches, (0, 2, 1, 3)) + times[None, None]
        return self.time_drop(ops.reshape(patches, (batch, count * frames, width)))


def _attention(config: TimesformerConfig, name: str) -> SelfAttention:
    return SelfAttention(
        config.hidden_size,
        config.num_attention_heads,
        qkv_bias=config.qkv_bias,
        attention_dropout=config.attention_probs_dropout_prob,
        dropout=config.hidden_dropout_prob,
        kernel_initializer=initializer(config),
        name=name,
    )


class TimesformerLayer(keras.layers.Layer):
    """One block of the encoder, with joint or space-only attention over its tokens.

    Args:
        config: The model's configuration.
        drop_path_rate: Stochastic depth rate of this layer.
    """

    def __init__(self, config: TimesformerConfig, drop_path_rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config
        self.layernorm_before = norm(config, "layernorm_before")
        self.attention = _attention(config, "attention")
        self.layernorm_after = norm(config, "layernorm_after")
        self.mlp = MLP(
            config.intermediate_size,
            config.hidden_size,
            config.hidden_act,
            config.hidden_dropout_prob,
            initializer(config),
            name="mlp",
        )
        self.drop_path = DropPath(drop_path_rate)

    def build(self, input_shape: Shape) -> None:
        for layer in (self.layernorm_before, self.attention, self.layernorm_after, self.mlp):
            layer.build(input_shape)
        self.built = True

    def call(self, hidden: Tensor, training: bool = False) -> tuple[Tensor, Tensor]:
        """Map (B, N, D) to (B, N, D) and the attention weights (B, H, N, N)."""
        attended, weights = self.attention(self.layernorm_before(hidden))
        return self.feed_forward(hidden + self.drop_path(attended)), weights

    def feed_forward(self, hidden: Tensor) -> Tensor:
        """The second half of the block, (B, N, D) -> (B, N, D)."""
        return hidden + self.drop_path(self.mlp(self.layernorm_after(hidden)))


class DividedTimesformerLayer(TimesformerLayer):
    """A block with divided space-time attention: first over time, then over space.

    Tokens are grouped by the *config's* number of frames, whatever the input's, as in the
    reference: with another number of frames neighbouring tokens are grouped again.
    """

    def __init__(self, config: TimesformerConfig, drop_path_rate: float, **kwargs: Any) -> None:
        super().__init__(config, drop_path_rate, **kwargs)
        self.temporal_layernorm = norm(config, "temporal_layernorm")
        self.temporal_attention = _attention(config, "temporal_attention")
        self.temporal_dense = Linear(
            config.hidden_size, kernel_initializer=initializer(config), name="temporal_dense"
        )

    def build(self, input_shape: Shape) -> None:
        for layer in (self.temporal_layernorm, self.temporal_attention, self.temporal_dense):
            layer.build(input_shape)
        super().build(input_shape)

    def call(self, hidden: Tensor, training: bool = False) -> tuple[Tensor, Tensor]:
        """Apply the block.

        Args:
            hidden: (B, 1 + M, D), M patch tokens, patches outer and frames inner.

        Returns:
            (B, 1 + M, D) and the spatial attention weights (B Tc, H, 1 + M / Tc, 1 + M / Tc).
        """
        cls, patches = hidden[:, :1], hidden[:, 1:]
        patches = patches + self._attend_in_time(patches, training)
        cls_change, patch_change, weights = self._attend_in_space(cls, patches)
        hidden = ops.concatenate([cls + cls_change, patches + patch_change], axis=1)
        return self.feed_forward(hidden), weights

    def _places(self, tokens: int | Tensor) -> int | Tensor:
        """Number S of places in space that M tokens make with the config's frames.

        Rounded down to whole rows, so that a reshape fails where M does not divide.
        """
        columns = self.config.image_size // self.config.patch_size
        return tokens // self.config.num_frames // columns * columns

    def _attend_in_time(self, patches: Tensor, training: bool) -> Tensor:
        """(B, M, D) -> (B, M, D), each place in space on its own, without the class token."""
        (batch, tokens), frames = ops.shape(patches)[:2], self.config.num_frames
        width, places = self.config.hidden_size, self._places(tokens)
        x = ops.reshape(patches, (batch, places, frames, width))
        x = ops.reshape(x, (-1, frames, width))
        x = self.temporal_layernorm(x)
        if training:  # dropout and stochastic depth stand between the two linear layers
            attended = self.drop_path(self.temporal_attention(x)[0])
            return self.temporal_dense(ops.reshape(attended, (batch, tokens, width)))
        context = ops.reshape(self.temporal_attention.context(x)[0], (batch, tokens, width))
        return chain(context, self.temporal_attention.out, self.temporal_dense)

    def _attend_in_space(self, cls: Tensor, patches: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Each frame on its own, with the class token; its changes are averaged over frames."""
        (batch, tokens), frames = ops.shape(patches)[:2], self.config.num_frames
        width, places = self.config.hidden_size, self._places(tokens)
        x = ops.reshape(patches, (batch, places, frames, width))
        x = ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (-1, places, width))
        x = ops.concatenate([ops.repeat(cls, frames, axis=0), x], axis=1)
        attended, weights = self.attention(self.layernorm_before(x))
        attended = ops.reshape(self.drop_path(attended), (batch, frames, places + 1, width))
        changes = ops.transpose(attended[:, :, 1:], (0, 2, 1, 3))
        changes = ops.reshape(changes, (batch, tokens, width))
        return ops.mean(attended[:, :, 0], axis=1, keepdims=True), changes, weights


class TimesformerEncoder(keras.layers.Layer):
    """The stack of blocks."""

    def __init__(self, config: TimesformerConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if config.attention_type not in ATTENTION_TYPES:
            raise ConfigError(
                f"TimesformerConfig.attention_type must be one of {', '.join(ATTENTION_TYPES)}, "
                f"got {config.attention_type!r}."
            )
        divided = config.attention_type == "divided_space_time"
        block = DividedTimesformerLayer if divided else TimesformerLayer
        rates = drop_path_rates(config.drop_path_rate, config.num_hidden_layers)
        self.layer = [block(config, rate, name=f"layer_{i}") for i, rate in enumerate(rates)]

    def build(self, input_shape: Shape) -> None:
        for layer in self.layer:
            layer.build(input_shape)
        self.built = True

    def call(
        self, hidden: Tensor, training: bool = False
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Apply all blocks.

        Args:
            hidden: (B, N, D).

        Returns:
            The last hidden state, the L + 1 hidden states, and the L attention weights.
        """
        states, attentions = [hidden], []
        for layer in self.layer:
            hidden, weights = layer(hidden)
            states.append(hidden)
            attentions.append(weights)
        return hidden, states, attentions
