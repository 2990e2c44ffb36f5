"""BERT's embeddings and its post-norm transformer blocks (Devlin et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from tfzoo.core.types import Shape, Tensor
from tfzoo.layers.activations import Activation
from tfzoo.layers.attention import MultiHeadAttention
from tfzoo.layers.drop_path import dropout
from tfzoo.layers.mlp import MLP
from tfzoo.layers.norm import LayerNorm

__all__ = [
    "BertEmbeddings",
    "BertLayer",
    "BertSizes",
    "PaddedEmbedding",
    "PostNormAttention",
    "PostNormMLP",
]


@dataclass(frozen=True)
class BertSizes:
    """Sizes and settings of BERT's blocks.

    Attributes:
        width: D.
        num_heads: H, a divisor of the width.
        hidden: Width of the hidden layer of each MLP.
        activation: Of the MLPs, name or function.
        epsilon: Of the layer norms.
        dropout: Dropout of the embeddings and of each branch's result.
        attention_dropout: Dropout of the attention weights.
        std: Standard deviation of fresh weights.
    """

    width: int
    num_heads: int
    hidden: int
    activation: str | Activation = "gelu"
    epsilon: float = 1e-12
    dropout: float = 0.0
    attention_dropout: float = 0.0
    std: float = 0.02

    def norm(self, name: str) -> LayerNorm:
        """Make a layer norm."""
        return LayerNorm(epsilon=self.epsilon, name=name)

    def initializer(self) -> keras.initializers.Initializer:
        """Make the distribution of fresh weights; a shared one would draw equal weights."""
        return keras.initializers.RandomNormal(stddev=self.std)


class _RowOfZeros(keras.initializers.Initializer):
    """Another initialiser, with zeros in one row."""

    def __init__(self, initializer: str | keras.initializers.Initializer, row: int) -> None:
        self.initializer, self.row = keras.initializers.get(initializer), row

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> Tensor:
        values = self.initializer(shape, dtype)
        is_row = ops.equal(ops.arange(shape[0]), self.row)[:, None]
        return ops.where(is_row, ops.zeros_like(values), values)


class PaddedEmbedding(keras.layers.Embedding):
    """An embedding table with a row for padding: it starts at zero and lookups do not train it.

    Whatever else uses the table, such as a tied decoder, does train that row.

    Args:
        input_dim: Rows of the table.
        output_dim: D.
        padding_row: The row; None for a table without one.
        embeddings_initializer: Of the other rows.

    Source: `padding_idx` of PyTorch's Embedding.
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        padding_row: int | None = None,
        embeddings_initializer: str | keras.initializers.Initializer = "uniform",
        **kwargs: Any,
    ) -> None:
        if padding_row is not None:
            embeddings_initializer = _RowOfZeros(embeddings_initializer, padding_row)
        super().__init__(
            input_dim, output_dim, embeddings_initializer=embeddings_initializer, **kwargs
        )
        self.padding_row = padding_row

    def call(self, inputs: Tensor) -> Tensor:
        vectors = super().call(inputs)
        if self.padding_row is None:
            return vectors
        is_padding = ops.expand_dims(ops.equal(inputs, self.padding_row), -1)
        return ops.where(is_padding, ops.stop_gradient(vectors), vectors)


class BertEmbeddings(keras.layers.Layer):
    """The normalised sum of word, position and token type embeddings.

    Args:
        sizes: Sizes and settings.
        vocabulary: Entries of the vocabulary.
        positions: Tokens of the longest text.
        types: Number of token types.
        padding: The padding row of words, positions and types; None where a table has none.
    """

    def __init__(
        self,
        sizes: BertSizes,
        vocabulary: int,
        positions: int,
        types: int,
        padding: tuple[int | None, int | None, int | None] = (None, None, None),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sizes = sizes
        self.word_embeddings = self.table(vocabulary, padding[0], "word_embeddings")
        self.position_embeddings = self.table(positions, padding[1], "position_embeddings")
        self.token_type_embeddings = self.table(types, padding[2], "token_type_embeddings")
        self.norm = sizes.norm("norm")
        self.dropout = dropout(sizes.dropout)

    def table(self, rows: int, padding_row: int | None, name: str) -> PaddedEmbedding:
        """Make a table of vectors of this width, not built yet."""
        return PaddedEmbedding(
            rows,
            self.sizes.width,
            padding_row,
            embeddings_initializer=self.sizes.initializer(),
            name=name,
        )

    def build(self, input_shape: Shape = None) -> None:
        for layer in (self.word_embeddings, self.position_embeddings, self.token_type_embeddings):
            layer.build(None)
        self.norm.build((None, None, self.sizes.width))
        self.built = True

    def call(
        self,
        input_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        training: bool = False,
    ) -> Tensor:
        """Embed texts.

        Args:
            input_ids: (B, N), integers; or give `inputs_embeds`.
            token_type_ids: (B, N), the text of each token; 0 throughout where None.
            inputs_embeds: (B, N, D), vectors to use instead of those of `input_ids`.

        Returns:
            (B, N, D).
        """
        words = self.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        positions = self.position_embeddings(ops.arange(ops.shape(words)[1], dtype="int32"))
        if token_type_ids is None:
            token_type_ids = ops.zeros((1, 1), dtype="int32")
        types = self.token_type_embeddings(token_type_ids)
        return self.dropout(self.norm(words + types + positions))


class PostNormAttention(MultiHeadAttention):
    """norm(x + attention(x)).

    Args:
        sizes: Sizes and settings.

    Raises:
        ConfigError: The width is not a multiple of the number of heads.
    """

    def __init__(self, sizes: BertSizes, **kwargs: Any) -> None:
        super().__init__(
            sizes.width,
            sizes.num_heads,
            attention_dropout=sizes.attention_dropout,
            dropout=sizes.dropout,
            in_initializer=sizes.initializer(),
            out_initializer=sizes.initializer(),
            **kwargs,
        )
        self.norm = sizes.norm("norm")

    def build(self, input_shape: Shape) -> None:
        self.norm.build(input_shape)
        super().build(input_shape)

    def call(
        self,
        x: Tensor,
        source: Tensor | None = None,
        masked: Tensor | None = None,
        output_attentions: bool = False,
        training: bool = False,
    ) -> tuple[Tensor, Tensor]:
        attended, weights = super().call(x, source, masked, output_attentions, training)
        return self.norm(attended + x), weights


class PostNormMLP(MLP):
    """norm(x + mlp(x)), without dropout inside the MLP.

    Args:
        sizes: Sizes and settings.
    """

    def __init__(self, sizes: BertSizes, **kwargs: Any) -> None:
        super().__init__(
            sizes.hidden,
            sizes.width,
            sizes.activation,
            dropout=sizes.dropout,
            kernel_initializer=(sizes.initializer(), sizes.initializer()),
            hidden_dropout=0.0,
            **kwargs,
        )
        self.norm = sizes.norm("norm")

    def build(self, input_shape: Shape) -> None:
        self.norm.build(input_shape)
        super().build(input_shape)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return self.norm(super().call(x) + x)


class BertLayer(keras.layers.Layer):
    """One block: attention, then an MLP, each followed by its sum and norm.

    Args:
        sizes: Sizes and settings.

    Source: Devlin et al. 2018, arXiv:1810.04805.
    """

    def __init__(self, sizes: BertSizes, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.attention = PostNormAttention(sizes, name="attention")
        self.mlp = PostNormMLP(sizes, name="mlp")

    def build(self, input_shape: Shape) -> None:
        self.attention.build(input_shape)
        self.mlp.build(input_shape)
        self.built = True

    def call(
        self,
        x: Tensor,
        masked: Tensor | None = None,
        output_attentions: bool = False,
        training: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Apply the block.

        Args:
            x: (B, N, D).
            masked: Mask of hidden places, see `tfzoo.layers.masks`.
            output_attentions: Return the attention weights.

        Returns:
            (B, N, D) and the attention weights (B, H, N, N), or () where they are not asked for.
        """
        attended, weights = self.attention(x, masked=masked, output_attentions=output_attentions)
        return self.mlp(attended), weights
