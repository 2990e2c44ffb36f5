"""The parts of TVP: embeddings of texts and frames, the encoder, the heads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from tfzoo.core.keras_compat import tensorflow
from tfzoo.layers.attention import attend
from tfzoo.layers.bert import BertSizes, PostNormAttention, PostNormMLP
from tfzoo.layers.drop_path import dropout
from tfzoo.layers.linear import Linear
from tfzoo.layers.positions import bicubic_weights
from tfzoo.layers.resnet import ResNet, conv_initializer
from tfzoo.models.tvp.config import TvpConfig

__all__ = [
    "Encoder",
    "GroundingHead",
    "Pooler",
    "VisionModel",
    "VisualEmbeddings",
    "bert_sizes",
    "in_blocks",
]


def bert_sizes(config: TvpConfig) -> BertSizes:
    """Sizes and settings of all that is made as in BERT."""
    return BertSizes(
        config.hidden_size,
        config.num_attention_heads,
        config.intermediate_size,
        config.hidden_act,
        epsilon=config.layer_norm_eps,
        dropout=config.hidden_dropout_prob,
        attention_dropout=config.attention_probs_dropout_prob,
        spread=config.initializer_range,
    )


def _table(sizes: BertSizes, rows: int, name: str) -> keras.layers.Embedding:
    return keras.layers.Embedding(
        rows, sizes.width, embeddings_initializer=sizes.initializer(), name=name
    )


def _linear(sizes: BertSizes, units: int, activation: Callable[[Any], Any], name: str) -> Linear:
    return Linear(units, activation=activation, kernel_initializer=sizes.initializer(), name=name)


def in_blocks(function: Callable[[Any], Any], count: Any, size: int, shape: Any, dtype: str) -> Any:
    """Apply a function to many rows, some at a time and one block after the other.

    Args:
        function: Indices (size,) -> (size, *shape).
        count: Number of rows; an int, or a scalar of a graph.
        size: Most rows of a block.
        shape: Shape of the result of one row, None where unknown.
        dtype: Of the result.

    Returns:
        (count, *shape). The last block repeats the last row as often as it takes to be full.
    """
    blocks = -(-count // size)
    if isinstance(count, int):
        size = -(-count // blocks)  # blocks of equal size waste least

    def block(index: Any) -> Any:
        return function(ops.minimum(index * size + ops.arange(size, dtype="int32"), count - 1))

    indices = ops.arange(blocks, dtype="int32")
    if (tf := tensorflow()) is None:
        results = ops.map(block, indices)
    else:  # TensorFlow would begin ten blocks at once, which is what blocks are to avoid
        spec = tf.TensorSpec((size, *shape), dtype)
        results = tf.map_fn(block, indices, fn_output_signature=spec, parallel_iterations=1)
    return ops.reshape(results, (-1, *ops.shape(results)[2:]))[:count]


class VisionModel(keras.layers.Layer):
    """A ResNet, and a convolution that gives a grid of features for each frame.

    Args:
        config: The configuration.

    Source: the reference's TvpVisionModel.
    """

    def __init__(self, config: TvpConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        backbone = config.backbone_config
        self.sizes, self.map = backbone.sizes, backbone.out_indices[0]
        self.backbone = ResNet(self.sizes, (self.map,), name="backbone")
        self.grid_encoder_conv = keras.layers.Conv2D(
            config.hidden_size,
            3,
            padding="same",
            use_bias=False,
            kernel_initializer=conv_initializer(),
            data_format="channels_last",
            name="grid_encoder_conv",
        )

    def build(self, input_shape: Any = None) -> None:
        """Create the weights."""
        self.backbone.build()
        self.grid_encoder_conv.build((None, None, None, self.sizes.hidden_sizes[-1]))
        self.built = True

    def grid(self, size: int | None) -> int | None:
        """Rows or columns of the grid of frames with that height or width."""
        return None if size is None else self.sizes.grid(size, self.map) // 2

    def call(self, frames: Any, training: bool = False) -> Any:
        """The grid of each frame.

        Args:
            frames: (B, C, height, width).

        Returns:
            (B, rows, columns, D).
        """
        images = ops.transpose(frames, (0, 2, 3, 1))
        x = self.grid_encoder_conv(self.backbone(images, training=training)[0])
        return ops.relu(ops.max_pool(x, 2, 2, padding="valid", data_format="channels_last"))


class VisualEmbeddings(keras.layers.Layer):
    """A grid of features with embeddings of its rows and columns, normed, as tokens.

    The reference fails on more than one video; here a batch is the same as one after the other.
    `position_embeddings` stands in the checkpoints and is not used.

    Args:
        sizes: Sizes and settings.
        rows: Most rows of the grid.
        columns: Most columns of the grid.
        unused: Rows of the table without use.

    Source: the reference's TvpVisualInputEmbedding.
    """

    def __init__(
        self, sizes: BertSizes, rows: int, columns: int, unused: int, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.width = sizes.width
        self.position_embeddings = _table(sizes, unused, "position_embeddings")
        self.row_position_embeddings = _table(sizes, rows, "row_position_embeddings")
        self.col_position_embeddings = _table(sizes, columns, "col_position_embeddings")
        self.token_type_embeddings = _table(sizes, 1, "token_type_embeddings")
        self.norm = sizes.norm("norm")
        self.dropout = dropout(sizes.dropout)

    def build(self, input_shape: Any = None) -> None:
        """Create the weights."""
        for table in (
            self.position_embeddings,
            self.row_position_embeddings,
            self.col_position_embeddings,
            self.token_type_embeddings,
        ):
            table.build((None, None))
        self.norm.build((None, None, self.width))
        self.built = True

    def call(self, grid: Any, interpolate: bool = False, training: bool = False) -> Any:
        """Embed grids.

        Args:
            grid: (B, rows, columns, D).
            interpolate: Whether tables that are too short for the grid are resized to it.

        Returns:
            (B, rows columns, D), row by row.
        """
        batch, height, width, depth = ops.shape(grid)
        rows = _places(self.row_position_embeddings, height, interpolate)
        columns = _places(self.col_position_embeddings, width, interpolate)
        kind = self.token_type_embeddings(ops.zeros((1,), "int32"))
        # The sum of both tables resized is the sum of the resized tables.
        x = grid + (rows[:, None] + columns[None])
        x = ops.reshape(x, (batch, height * width, depth)) + kind
        return self.dropout(self.norm(x))


def _places(table: keras.layers.Embedding, size: Any, interpolate: bool) -> Any:
    """(size, D), the first rows of a table, or all of them resized where these are too few."""
    limit, rows = table.input_dim, ops.cast(table.embeddings, table.compute_dtype)
    if not interpolate or (isinstance(size, int) and size <= limit):
        return rows[:size]
    weights = bicubic_weights(limit, size)
    if not isinstance(size, int):
        own = ops.equal(ops.arange(size)[:, None], ops.arange(limit)[None])
        weights = ops.where(size > limit, weights, ops.cast(own, weights.dtype))
    return ops.matmul(ops.cast(weights, rows.dtype), rows)


class Attention(PostNormAttention):
    """norm(x + attention(x)) whose heads can be weighted."""

    def call(
        self, x: Any, masked: Any = None, head_mask: Any = None, training: bool = False
    ) -> tuple[Any, Any]:
        """Attend.

        Args:
            x: (B, N, D).
            masked: How often each place is hidden, see `tfzoo.layers.masks`.
            head_mask: (H,), weights of the heads; 1 where None.

        Returns:
            (B, N, D) and the attention maps (B, H, N, N), weighted.
        """

        def weighted(maps: Any) -> Any:
            maps = self.attention_dropout(maps)
            if head_mask is None:
                return maps
            return maps * ops.cast(head_mask, maps.dtype)[:, None, None]

        parts = [self._heads(p) for p in (self.query(x), self.key(x), self.value(x))]
        context, maps = attend(*parts, masked, weighted)
        context = ops.reshape(ops.transpose(context, (0, 2, 1, 3)), ops.shape(x))
        return self.norm(self.dropout(self.out(context)) + x), maps


class EncoderLayer(keras.layers.Layer):
    """BERT's block, with weights for the heads.

    Args:
        sizes: Sizes and settings.

    Source: the reference's TvpEncodeLayer.
    """

    def __init__(self, sizes: BertSizes, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.attention = Attention(sizes, name="attention")
        self.mlp = PostNormMLP(sizes, name="mlp")

    def build(self, input_shape: Any) -> None:
        """Create the weights for inputs (B, N, D)."""
        self.attention.build(input_shape)
        self.mlp.build(input_shape)
        self.built = True

    def call(
        self, x: Any, masked: Any = None, head_mask: Any = None, training: bool = False
    ) -> tuple[Any, Any]:
        """Map (B, N, D) to (B, N, D) and attention maps (B, H, N, N)."""
        attended, maps = self.attention(x, masked, head_mask)
        return self.mlp(attended), maps


class Encoder(keras.layers.Layer):
    """A stack of blocks.

    Args:
        sizes: Sizes and settings of each block.
        num_layers: L.
    """

    def __init__(self, sizes: BertSizes, num_layers: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layer = [EncoderLayer(sizes, name=f"layer{i}") for i in range(num_layers)]

    def build(self, input_shape: Any) -> None:
        """Create the weights for inputs (B, N, D)."""
        for layer in self.layer:
            layer.build(input_shape)
        self.built = True

    def call(
        self, x: Any, masked: Any = None, head_mask: Any = None, training: bool = False
    ) -> tuple[Any, tuple[Any, ...], tuple[Any, ...]]:
        """Apply the blocks.

        Args:
            x: (B, N, D).
            masked: How often each place is hidden.
            head_mask: (H,) for all layers, or (L, H).

        Returns:
            (B, N, D); all L + 1 hidden states; all L attention maps (B, H, N, N).
        """
        states, maps = [x], []
        for i, layer in enumerate(self.layer):
            is_own = head_mask is not None and len(head_mask.shape) == 2
            x, attention = layer(x, masked, head_mask[i] if is_own else head_mask)
            states.append(x)
            maps.append(attention)
        return x, tuple(states), tuple(maps)


class Pooler(keras.layers.Layer):
    """tanh of a projection of the first token, which is the first text prompt.

    Args:
        sizes: Sizes and settings.
    """

    def __init__(self, sizes: BertSizes, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense = _linear(sizes, sizes.width, ops.tanh, "dense")

    def build(self, input_shape: Any) -> None:
        """Create the weights for inputs (B, N, D)."""
        self.dense.build((None, input_shape[-1]))
        self.built = True

    def call(self, x: Any) -> Any:
        """Map (B, N, D) to (B, D)."""
        return self.dense(x[:, 0])


class GroundingHead(keras.layers.Layer):
    """Two linear layers that end in start and end, each between 0 and 1.

    Args:
        sizes: Sizes and settings.

    Source: the reference's TvpVideoGroundingHead.
    """

    def __init__(self, sizes: BertSizes, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = sizes.width
        self.layer_0 = _linear(sizes, 2 * self.width, ops.relu, "layer_0")
        self.layer_1 = _linear(sizes, 2, ops.sigmoid, "layer_1")

    def build(self, input_shape: Any = None) -> None:
        """Create the weights."""
        self.layer_0.build((None, self.width))
        self.layer_1.build((None, 2 * self.width))
        self.built = True

    def call(self, x: Any) -> Any:
        """Map (B, D) to (B, 2)."""
        return self.layer_1(self.layer_0(x))
