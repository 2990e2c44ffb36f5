"""CLIP's text and vision towers (Radford et al. 2021, arXiv:2103.00020).

X-CLIP and OWLv2 are built on them. A tower returns a plain tuple: the last hidden state, the
pooled output, and the hidden states and attention maps of all layers, empty unless asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from tfzoo.layers.clip import ClipBlock, ClipEncoder, ClipSizes, spread
from tfzoo.layers.masks import causal_mask, padding_mask
from tfzoo.layers.patch_embedding import PatchEmbedding
from tfzoo.layers.positions import resize_grid_bicubic

__all__ = [
    "ClipTextEmbeddings",
    "ClipTextTransformer",
    "ClipVisionEmbeddings",
    "ClipVisionTransformer",
    "Tower",
    "first_maximum",
]

Tower = tuple[Any, Any, tuple[Any, ...], tuple[Any, ...]]


class ClipTextEmbeddings(keras.layers.Layer):
    """Token ids to vectors, with positions.

    Args:
        vocab_size: Entries of the vocabulary.
        max_positions: Longest text.
        sizes: Sizes and settings.
    """

    def __init__(
        self, vocab_size: int, max_positions: int, sizes: ClipSizes, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)

        def table(rows: int, name: str) -> keras.layers.Embedding:
            init = spread(0.02 * sizes.factor)
            return keras.layers.Embedding(rows, sizes.width, init, name=name)

        self.token_embedding = table(vocab_size, "token_embedding")
        self.position_embedding = table(max_positions, "position_embedding")

    def build(self, input_shape: Any = None) -> None:
        """Create the weights."""
        self.token_embedding.build()
        self.position_embedding.build()
        self.built = True

    def call(self, input_ids: Any, position_ids: Any = None) -> Any:
        """Embed a batch of texts.

        Args:
            input_ids: (B, N).
            position_ids: (B, N) or (1, N); 0, 1, 2, ... where None.

        Returns:
            (B, N, D).
        """
        if position_ids is None:
            position_ids = ops.arange(ops.shape(input_ids)[1])[None]
        return self.token_embedding(input_ids) + self.position_embedding(position_ids)


def first_maximum(ids: Any) -> Any:
    """Place of the first of the largest values of each row.

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

    def build(self, input_shape: Any = None) -> None:
        """Create the weights."""
        self.embeddings.build()
        self.encoder.build((None, None, self.width))
        self.final_layer_norm.build((None, None, self.width))
        self.built = True

    def call(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        position_ids: Any = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
        training: bool = False,
    ) -> Tower:
        """Encode a batch of texts.

        Args:
            input_ids: (B, N).
            attention_mask: (B, N), 1 for tokens and 0 for padding; no padding where None.
            position_ids: (B, N) or (1, N).
            output_attentions: Keep the attention maps.
            output_hidden_states: Keep the hidden states.

        Returns:
            Last hidden state (B, N, D) after the final norm, pooled output (B, D), hidden states
            before it, attention maps (B, H, N, N).
        """
        x = self.embeddings(input_ids, position_ids)
        masked = causal_mask(ops.shape(input_ids)[1])
        if attention_mask is not None:
            masked = ops.add(masked, padding_mask(attention_mask))
        x, states, maps = self.encoder(
            x,
            masked=masked,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
        )
        x = self.final_layer_norm(x)
        pooled = ops.take_along_axis(x, first_maximum(input_ids)[:, None, None], axis=1)[:, 0]
        return x, pooled, states, maps


class ClipVisionEmbeddings(keras.layers.Layer):
    """Images to tokens: the class token and the patches, with positions.

    Args:
        image_size: Side of the images that the table of positions is for, in pixels.
        patch_size: Side of a patch, in pixels.
        num_channels: C.
        sizes: Sizes and settings.
        patch_spread: Spread of the fresh weights of patches and positions.
    """

    def __init__(
        self,
        image_size: int,
        patch_size: int,
        num_channels: int,
        sizes: ClipSizes,
        patch_spread: float = 0.02,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sizes = sizes
        self.patch_embedding = PatchEmbedding(
            sizes.width,
            patch_size,
            num_channels,
            use_bias=False,
            kernel_initializer=spread(patch_spread * sizes.factor),
            name="patch_embedding",
        )
        self.position_embedding = keras.layers.Embedding(
            (image_size // patch_size) ** 2 + 1,
            sizes.width,
            embeddings_initializer=spread(patch_spread * sizes.factor),
            name="position_embedding",
        )

    def build(self, input_shape: Any = None) -> None:
        """Create the weights."""
        width = self.sizes.width
        self.class_embedding = self.add_weight(
            shape=(width,),
            initializer=spread(self.sizes.factor * width**-0.5),
            name="class_embedding",
        )
        self.patch_embedding.build()
        self.position_embedding.build()
        self.built = True

    def call(self, images: Any, interpolate_pos_encoding: bool = False) -> Any:
        """Embed a batch of images.

        Args:
            images: (B, C, height, width).
            interpolate_pos_encoding: Resize the table of positions to the images' grid.

        Returns:
            (B, 1 + N, D), the class token first, patches row by row.
        """
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

    def build(self, input_shape: Any = None) -> None:
        """Create the weights."""
        self.embeddings.build()
        for layer in (self.pre_layernorm, self.encoder, self.post_layernorm):
            layer.build((None, None, self.width))
        self.built = True

    def call(
        self,
        images: Any,
        interpolate_pos_encoding: bool = False,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
        training: bool = False,
    ) -> Tower:
        """Encode a batch of images.

        Args:
            images: (B, C, height, width).
            interpolate_pos_encoding: Resize the table of positions to the images' grid.
            output_attentions: Keep the attention maps.
            output_hidden_states: Keep the hidden states.

        Returns:
            Last hidden state (B, 1 + N, D) without a norm, pooled output (B, D), the normed class
            token; hidden states, attention maps.
        """
        x = self.embeddings(images, interpolate_pos_encoding=interpolate_pos_encoding)
        x = self.pre_layernorm(x)
        x, states, maps = self.encoder(
            x, output_attentions=output_attentions, output_hidden_states=output_hidden_states
        )
        return x, self.post_layernorm(x[:, 0]), states, maps
