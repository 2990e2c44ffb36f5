"""CLIP's layers and its two towers (Radford et al. 2021, arXiv:2103.00020)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from tfzoo.core.types import Shape, Tensor
from tfzoo.layers.attention import MultiHeadAttention
from tfzoo.layers.masks import causal_mask, padding_mask
from tfzoo.layers.mlp import MLP
from tfzoo.layers.norm import LayerNorm
from tfzoo.layers.patch_embedding import PatchEmbedding
from tfzoo.layers.positions import resize_grid_bicubic

__all__ = [
    "ClipBlock",
    "ClipEncoder",
    "ClipSizes",
    "ClipTextEmbeddings",
    "ClipTextTransformer",
    "ClipVisionEmbeddings",
    "ClipVisionTransformer",
    "Tower",
    "first_maximum",
    "normal",
    "unit",
]

# What a tower returns: the last hidden state, the pooled output, and the hidden states and the
# attention weights of all layers, each empty unless `output_hidden_states` or `output_attentions`.
Tower = tuple[Tensor, Tensor, tuple[Tensor, ...], tuple[Tensor, ...]]


def normal(std: float) -> keras.initializers.Initializer:
    """The normal distribution of fresh weights, with mean 0."""
    return keras.initializers.RandomNormal(stddev=std)


def first_maximum(ids: Tensor) -> Tensor:
    """Index of the first of the largest values of each row.

    `argmax` leaves ties to the backend, and CLIP's texts are padded with the end token itself.

    Args:
        ids: (B, N), integers.

    Returns:
        (B,), int32.

    Example:
        >>> import numpy as np
        >>> np.asarray(first_maximum(np.array([[0, 9, 9]]))).tolist()
        [1]
    """
    length = ops.shape(ids)[1]
    is_largest = ops.equal(ids, ops.max(ids, axis=1, keepdims=True))
    return ops.min(ops.where(is_largest, ops.arange(length, dtype="int32"), length), axis=1)


def unit(x: Tensor, epsilon: float = 0.0) -> Tensor:
    """Vectors divided by their length plus epsilon.

    Args:
        x: (..., D).
        epsilon: 0 between the towers, where as in the reference nothing guards against a length
            of 0; 1e-6 in OWLv2's class head.

    Returns:
        The same shape and dtype.
    """
    squares = ops.square(ops.cast(x, "float32"))  # their sum would overflow in float16
    length = ops.cast(ops.sqrt(ops.sum(squares, axis=-1, keepdims=True)), x.dtype)
    return x / (length + epsilon)


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
        attention_dropout: Dropout of the attention weights.
        factor: Factor of the std of all fresh weights.
    """

    width: int
    num_heads: int
    hidden: int
    num_layers: int
    activation: str | Callable[[Tensor], Tensor] = "quick_gelu"
    epsilon: float = 1e-5
    attention_dropout: float = 0.0
    factor: float = 1.0

    @classmethod
    def of(cls, config: Any, factor: float, prefix: str = "") -> ClipSizes:
        """Sizes of the encoder whose fields in `config` start with `prefix`.

        `factor` is that of the model that is made: of a whole model, its towers' own do not count.
        """
        return cls(
            width=getattr(config, f"{prefix}hidden_size"),
            num_heads=getattr(config, f"{prefix}num_attention_heads"),
            hidden=getattr(config, f"{prefix}intermediate_size"),
            num_layers=getattr(config, f"{prefix}num_hidden_layers"),
            activation=config.hidden_act,
            epsilon=config.layer_norm_eps,
            attention_dropout=config.attention_dropout,
            factor=factor,
        )

    def norm(self, name: str) -> LayerNorm:
        """A layer norm."""
        return LayerNorm(epsilon=self.epsilon, name=name)

    def attention(self, name: str) -> MultiHeadAttention:
        """Self-attention; the deeper the stack, the smaller the fresh weights."""
        return MultiHeadAttention(
            self.width,
            self.num_heads,
            attention_dropout=self.attention_dropout,
            in_initializer=normal(self.residual_std),
            out_initializer=normal(self.factor * self.width**-0.5),
            name=name,
        )

    def mlp(self, name: str) -> MLP:
        """The feed-forward half of a block."""
        initializers = normal(self.factor * (2 * self.width) ** -0.5), normal(self.residual_std)
        return MLP(
            self.hidden, self.width, self.activation, kernel_initializer=initializers, name=name
        )

    @property
    def residual_std(self) -> float:
        """Standard deviation of the fresh weights that feed the residual stream."""
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

    def build(self, input_shape: Shape) -> None:
        for layer in (self.norm1, self.self_attn, self.norm2, self.mlp):
            layer.build(input_shape)
        self.built = True

    def attend(
        self, x: Tensor, masked: Tensor | None, output_attentions: bool
    ) -> tuple[Tensor, Any]:
        """What attention adds to (B, N, D), and its weights."""
        return self.self_attn(self.norm1(x), masked=masked, output_attentions=output_attentions)

    def call(
        self,
        x: Tensor,
        masked: Tensor | None = None,
        output_attentions: bool = False,
        training: bool = False,
    ) -> tuple[Tensor, Any]:
        """Apply the block.

        Args:
            x: (B, N, D).
            masked: Mask in the form of `tfzoo.layers.masks`.
            output_attentions: Return the attention weights.

        Returns:
            (B, N, D) and the attention weights (B, H, N, N), or () where they are not asked for.
        """
        attended, weights = self.attend(x, masked, output_attentions)
        x = x + attended
        return x + self.mlp(self.norm2(x)), weights


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

    def build(self, input_shape: Shape) -> None:
        for layer in self.layers:
            layer.build(input_shape)
        self.built = True

    def call(
        self,
        x: Tensor,
        masked: Tensor | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
        training: bool = False,
    ) -> tuple[Tensor, tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Apply all blocks to (B, N, D).

        Returns:
            The last hidden state, L + 1 hidden states, and the attention weights of L layers; the
            last two are empty unless asked for.
        """
        states, all_weights = [x], []
        for layer in self.layers:
            x, weights = layer(x, masked=masked, output_attentions=output_attentions)
            if output_hidden_states:
                states.append(x)
            if output_attentions:
                all_weights.append(weights)
        return x, tuple(states) if output_hidden_states else (), tuple(all_weights)


class ClipTextEmbeddings(keras.layers.Layer):
    """Token ids to vectors, with positions; arguments as in `ClipTextTransformer`."""

    def __init__(
        self, vocab_size: int, max_positions: int, sizes: ClipSizes, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)

        def table(rows: int, name: str) -> keras.layers.Embedding:
            init = normal(0.02 * sizes.factor)
            return keras.layers.Embedding(rows, sizes.width, init, name=name)

        self.token_embedding = table(vocab_size, "token_embedding")
        self.position_embedding = table(max_positions, "position_embedding")

    def build(self, input_shape: Shape = None) -> None:
        self.token_embedding.build()
        self.position_embedding.build()
        self.built = True

    def call(self, input_ids: Tensor, position_ids: Tensor | None = None) -> Tensor:
        """Embed ids (B, N) at positions (B, N), (1, N) or, where None, 0, 1, 2, ..."""
        if position_ids is None:
            position_ids = ops.arange(ops.shape(input_ids)[1])[None]
        return self.token_embedding(input_ids) + self.position_embedding(position_ids)


class ClipTextTransformer(keras.layers.Layer):
    """CLIP's text tower: causal, pooled at the first of the largest ids, the end of the text.

    Args:
        vocab_size: Entries of the vocabulary.
        max_positions: Longest text.
        sizes: Sizes and settings.
    """

    def __init__(
        self, vocab_size: int, max_positions: int, sizes: ClipSizes, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.embeddings = ClipTextEmbeddings(vocab_size, max_positions, sizes, name="embeddings")
        self.encoder = ClipEncoder(sizes, name="encoder")
        self.final_layer_norm = sizes.norm("final_layer_norm")
        self.width = sizes.width

    def build(self, input_shape: Shape = None) -> None:
        self.embeddings.build()
        self.encoder.build((None, None, self.width))
        self.final_layer_norm.build((None, None, self.width))
        self.built = True

    def call(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
        training: bool = False,
    ) -> Tower:
        """Encode a batch of texts.

        Args:
            input_ids: (B, N).
            attention_mask: (B, N), 1 for tokens and 0 for padding; no padding where None.
            position_ids: (B, N) or (1, N); 0, 1, 2, ... where None.

        Returns:
            Last hidden state (B, N, D) after the final norm, pooled output (B, D), hidden states
            before it, attention weights (B, H, N, N).
        """
        x = self.embeddings(input_ids, position_ids)
        masked = causal_mask(ops.shape(input_ids)[1])
        if attention_mask is not None:
            masked = ops.add(masked, padding_mask(attention_mask))
        x, states, weights = self.encoder(
            x,
            masked=masked,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
        )
        x = self.final_layer_norm(x)
        pooled = ops.take_along_axis(x, first_maximum(input_ids)[:, None, None], axis=1)[:, 0]
        return x, pooled, states, weights


class ClipVisionEmbeddings(keras.layers.Layer):
    """Images to tokens: the class token and the patches, with positions.

    Args:
        image_size: Side of the images that the table of positions is for, in pixels.
        patch_size: Side of a patch, in pixels.
        num_channels: C.
        sizes: Sizes and settings.
        patch_std: Standard deviation of the fresh weights of patches and positions.
    """

    def __init__(
        self,
        image_size: int,
        patch_size: int,
        num_channels: int,
        sizes: ClipSizes,
        patch_std: float = 0.02,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sizes = sizes
        self.patch_embedding = PatchEmbedding(
            sizes.width,
            patch_size,
            num_channels,
            use_bias=False,
            kernel_initializer=normal(patch_std * sizes.factor),
            name="patch_embedding",
        )
        self.position_embedding = keras.layers.Embedding(
            (image_size // patch_size) ** 2 + 1,
            sizes.width,
            embeddings_initializer=normal(patch_std * sizes.factor),
            name="position_embedding",
        )

    def build(self, input_shape: Shape = None) -> None:
        width = self.sizes.width
        self.class_embedding = self.add_weight(
            shape=(width,),
            initializer=normal(self.sizes.factor * width**-0.5),
            name="class_embedding",
        )
        self.patch_embedding.build()
        self.position_embedding.build()
        self.built = True

    def call(self, images: Tensor, interpolate_pos_encoding: bool = False) -> Tensor:
        """(B, C, height, width) -> (B, 1 + N, D), the class token first, patches row by row."""
        patches = self.patch_embedding(images)
        table = ops.cast(self.position_embedding.embeddings, patches.dtype)
        first, positions = table[:1] + ops.cast(self.class_embedding, table.dtype), table[1:]
        if interpolate_pos_encoding:
            grid = self.patch_embedding.grid(*ops.shape(images)[2:])
            positions = resize_grid_bicubic(positions, *grid)
        shape = (ops.shape(images)[0], 1, self.sizes.width)
        return ops.concatenate([ops.broadcast_to(first, shape), patches + positions], axis=1)


class ClipVisionTransformer(keras.layers.Layer):
    """CLIP's vision tower, pooled at the class token.

    Args:
        embeddings: Makes the tokens.
        sizes: Sizes and settings.
        block: Makes one block of the encoder.
    """

    def __init__(
        self,
        embeddings: ClipVisionEmbeddings,
        sizes: ClipSizes,
        block: Callable[..., keras.layers.Layer] = ClipBlock,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.embeddings = embeddings
        self.pre_layernorm = sizes.norm("pre_layernorm")
        self.encoder = ClipEncoder(sizes, block, name="encoder")
        self.post_layernorm = sizes.norm("post_layernorm")
        self.width = sizes.width

    def build(self, input_shape: Shape = None) -> None:
        self.embeddings.build()
        for layer in (self.pre_layernorm, self.encoder, self.post_layernorm):
            layer.build((None, None, self.width))
        self.built = True

    def call(
        self,
        images: Tensor,
        interpolate_pos_encoding: bool = False,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
        training: bool = False,
    ) -> Tower:
        """Encode a batch of images.

        Args:
            images: (B, C, height, width).
            interpolate_pos_encoding: Resize the table of positions to the images' grid.

        Returns:
            Last hidden state (B, 1 + N, D) without a norm, pooled output (B, D), the normed class
            token; hidden states, attention weights.
        """
        x = self.embeddings(images, interpolate_pos_encoding=interpolate_pos_encoding)
        x = self.pre_layernorm(x)
        x, states, weights = self.encoder(
            x, output_attentions=output_attentions, output_hidden_states=output_hidden_states
        )
        return x, self.post_layernorm(x[:, 0]), states, weights
