"""The parts of TVP: prompts and embeddings of frames, the encoder, the heads.

Visual prompts are learnt patterns at the borders of the frames, one pattern for each frame. What
`visual_prompter_apply` does is what the reference's code does, with which the checkpoints were
trained; its documentation says otherwise in one place:

============  =======================  ==================================================
              around (`framepad`)      at the bottom (`framedownpad`)
============  =======================  ==================================================
``add``       prompts are added        prompts are added
``replace``   **prompts are added**    prompts stand in place of the pixels
``remove``    frames stay as they are  the pixels where prompts would stand are zero
============  =======================  ==================================================
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from tfzoo.core.keras_compat import tensorflow
from tfzoo.core.types import Shape, Tensor
from tfzoo.layers.attention import attend
from tfzoo.layers.bert import BertSizes, PostNormAttention, PostNormMLP
from tfzoo.layers.drop_path import dropout
from tfzoo.layers.linear import Linear
from tfzoo.layers.positions import bicubic_weights
from tfzoo.layers.resnet import ResNet, conv_initializer
from tfzoo.models.tvp.config import TvpConfig

__all__ = [
    "Encoder",
    "FrameDownPadPrompter",
    "FramePadPrompter",
    "GroundingHead",
    "Pooler",
    "VisionModel",
    "VisualEmbeddings",
    "bert_sizes",
    "in_blocks",
    "make_prompter",
]

_CHANNELS = 3


def bert_sizes(config: TvpConfig) -> BertSizes:
    """The sizes and settings of what is made as in BERT."""
    return BertSizes(
        config.hidden_size,
        config.num_attention_heads,
        config.intermediate_size,
        config.hidden_act,
        epsilon=config.layer_norm_eps,
        dropout=config.hidden_dropout_prob,
        attention_dropout=config.attention_probs_dropout_prob,
        std=config.initializer_range,
    )


def _table(sizes: BertSizes, rows: int, name: str) -> keras.layers.Embedding:
    return keras.layers.Embedding(
        rows, sizes.width, embeddings_initializer=sizes.initializer(), name=name
    )


def _linear(
    sizes: BertSizes, units: int, activation: Callable[[Tensor], Tensor], name: str
) -> Linear:
    return Linear(units, activation=activation, kernel_initializer=sizes.initializer(), name=name)


def in_blocks(
    function: Callable[[Tensor], Tensor], count: int | Tensor, size: int, shape: Shape, dtype: str
) -> Tensor:
    """Apply a function to many rows, some at a time and one block after the other.

    Args:
        function: Indices (size,) -> (size, *shape).
        count: Number of rows; an int, or a scalar of a graph.
        size: Largest number of rows in a block.
        shape: Shape of the result of one row, None where unknown.
        dtype: Of the result.

    Returns:
        (count, *shape). The last block repeats the last row as often as it takes to be full.
    """
    blocks = -(-count // size)
    if isinstance(count, int):
        size = -(-count // blocks)  # blocks of equal size waste least

    def block(index: Tensor) -> Tensor:
        return function(ops.minimum(index * size + ops.arange(size, dtype="int32"), count - 1))

    indices = ops.arange(blocks, dtype="int32")
    if (tf := tensorflow()) is None:
        results = ops.map(block, indices)
    else:  # TensorFlow would begin ten blocks at once, which is what blocks are to avoid
        spec = tf.TensorSpec((size, *shape), dtype)
        results = tf.map_fn(block, indices, fn_output_signature=spec, parallel_iterations=1)
    return ops.reshape(results, (-1, *ops.shape(results)[2:]))[:count]


# ---- frames
class _Prompter(keras.layers.Layer):
    """What both kinds of prompts share."""

    def __init__(self, config: TvpConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_frames, self.mode = config.prompt_frames, config.visual_prompter_apply
        self.size, self.side = config.visual_prompt_size, config.max_img_size

    @property
    def is_used(self) -> bool:
        """Whether the prompts act on the frames; they are weights in any case."""
        return self.mode != "remove"

    def _pad(self, name: str, height: int, width: int) -> Tensor:
        shape = (1, self.num_frames, _CHANNELS, height, width)
        return self.add_weight(
            shape=shape, initializer=keras.initializers.RandomNormal(stddev=1.0), name=name
        )

    def _rows(self, pad: Tensor, places: Tensor | None) -> Tensor:
        """(1, F, C, height, width) -> the prompts of some frames, or of all."""
        pad = ops.cast(pad, self.compute_dtype)[0]
        return pad if places is None or self.num_frames == 1 else ops.take(pad, places, axis=0)


class FramePadPrompter(_Prompter):
    """Prompts on all four sides of each frame.

    Source: the reference's TvpFramePadPrompter; figure 3 of the paper.
    """

    def build(self, input_shape: Shape = None) -> None:  # in the checkpoint's order of axes
        inner = self.side - 2 * self.size
        self.pad_up = self._pad("pad_up", self.size, self.side)
        self.pad_down = self._pad("pad_down", self.size, self.side)
        self.pad_left = self._pad("pad_left", inner, self.size)
        self.pad_right = self._pad("pad_right", inner, self.size)
        self.built = True

    def prompts(self, places: Tensor | None = None) -> Tensor:
        """The prompts in a frame that is zero in its middle.

        Args:
            places: (T,), which frames of a video; all where None.

        Returns:
            (T, C, max_img_size, max_img_size).
        """
        pads = (self.pad_up, self.pad_down, self.pad_left, self.pad_right)
        up, down, left, right = (self._rows(pad, places) for pad in pads)
        inner = self.side - 2 * self.size
        middle = ops.zeros((*ops.shape(left)[:2], inner, inner), left.dtype)
        return ops.concatenate([up, ops.concatenate([left, middle, right], -1), down], -2)

    def call(
        self, frames: Tensor, places: Tensor | None = None, interpolate: bool = False
    ) -> Tensor:
        """Apply the prompts.

        Args:
            frames: (..., T, C, height, width).
            places: (T,), which frame of its video each one is; 0, 1, 2, ... where None.
            interpolate: Whether the prompts are resized to the frames.

        Returns:
            The same shape.
        """
        if not self.is_used:
            return frames
        prompts = self.prompts(places)
        if interpolate:
            prompts = _resize(prompts, *ops.shape(frames)[-2:])
        return frames + prompts


class FrameDownPadPrompter(_Prompter):
    """Prompts at the bottom of each frame.

    Source: the reference's TvpFrameDownPadPrompter.
    """

    def build(self, input_shape: Shape = None) -> None:  # in the checkpoint's order of axes
        self.pad_down = self._pad("pad_down", self.size, self.side)
        self.built = True

    def call(
        self, frames: Tensor, places: Tensor | None = None, interpolate: bool = False
    ) -> Tensor:
        """Apply the prompts, as above; frames always have the prompts' size."""
        upper, lower = frames[..., : -self.size, :], frames[..., -self.size :, :]
        if self.mode != "add":
            lower = ops.zeros_like(lower)
        if self.is_used:
            lower = lower + self._rows(self.pad_down, places)
        return ops.concatenate([upper, lower], axis=-2)


def make_prompter(config: TvpConfig, name: str) -> _Prompter:
    """The prompter that a configuration asks for."""
    is_around = config.visual_prompter_type == "framepad"
    return (FramePadPrompter if is_around else FrameDownPadPrompter)(config, name=name)


def _resize(images: Tensor, height: int | Tensor, width: int | Tensor) -> Tensor:
    """Bicubic resizing of (T, C, rows, columns), by `bicubic_weights`."""
    rows, columns = (
        ops.cast(bicubic_weights(size, wanted), images.dtype)
        for size, wanted in zip(images.shape[-2:], (height, width), strict=True)
    )
    return ops.matmul(ops.matmul(rows, images), ops.transpose(columns))


class VisionModel(keras.layers.Layer):
    """A ResNet, and a convolution that gives a grid of features for each frame.

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

    def build(self, input_shape: Shape = None) -> None:
        self.backbone.build()
        self.grid_encoder_conv.build((None, None, None, self.sizes.hidden_sizes[-1]))
        self.built = True

    def grid(self, size: int | None) -> int | None:
        """Rows or columns of the grid of frames with that height or width."""
        return None if size is None else self.sizes.grid(size, self.map) // 2

    def call(self, frames: Tensor, training: bool = False) -> Tensor:
        """The grid of each frame, (B, C, height, width) -> (B, rows, columns, D)."""
        images = ops.transpose(frames, (0, 2, 3, 1))
        x = self.grid_encoder_conv(self.backbone(images, training=training)[0])
        return ops.relu(ops.max_pool(x, 2, 2, padding="valid", data_format="channels_last"))


class VisualEmbeddings(keras.layers.Layer):
    """A grid of features with embeddings of its rows and columns, normed, as tokens.

    The reference fails on more than one video; here a batch is the same as one after the other.
    `position_embeddings` is in the checkpoints and not used.

    Args:
        sizes: Sizes and settings.
        rows: Largest number of rows of the grid.
        columns: Largest number of columns of the grid.
        unused: Rows of the table that is not used.

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

    def build(self, input_shape: Shape = None) -> None:
        for table in (
            self.position_embeddings,
            self.row_position_embeddings,
            self.col_position_embeddings,
            self.token_type_embeddings,
        ):
            table.build((None, None))
        self.norm.build((None, None, self.width))
        self.built = True

    def call(self, grid: Tensor, interpolate: bool = False, training: bool = False) -> Tensor:
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


def _places(table: keras.layers.Embedding, size: int | Tensor, interpolate: bool) -> Tensor:
    """(size, D), the first rows of a table, or all of them resized where these are too few."""
    limit, rows = table.input_dim, ops.cast(table.embeddings, table.compute_dtype)
    if not interpolate or (isinstance(size, int) and size <= limit):
        return rows[:size]
    weights = bicubic_weights(limit, size)
    if not isinstance(size, int):
        own = ops.equal(ops.arange(size)[:, None], ops.arange(limit)[None])
        weights = ops.where(size > limit, weights, ops.cast(own, weights.dtype))
    return ops.matmul(ops.cast(weights, rows.dtype), rows)


# ---- frames, text and prompts together
class Attention(PostNormAttention):
    """norm(x + attention(x)) whose heads can be weighted."""

    def call(
        self,
        x: Tensor,
        masked: Tensor | None = None,
        head_mask: Tensor | None = None,
        training: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Attend.

        Args:
            x: (B, N, D).
            masked: Mask, see `tfzoo.layers.masks`.
            head_mask: (H,), factors of the heads, pruned ones included; 1 where None.

        Returns:
            (B, N, D) and the attention weights (B, H, N, N), times the factors.
        """

        def scaled(weights: Tensor) -> Tensor:
            weights = self.attention_dropout(weights)
            if head_mask is None:
                return weights
            factors = ops.take(head_mask, self.heads)
            return weights * ops.cast(factors, weights.dtype)[:, None, None]

        parts = [self._heads(p) for p in (self.query(x), self.key(x), self.value(x))]
        context, weights = attend(*parts, masked, scaled)
        return self.norm(self.dropout(self.out(self._joined(context))) + x), weights


class EncoderLayer(keras.layers.Layer):
    """BERT's block, with factors for the heads.

    Source: the reference's TvpEncodeLayer.
    """

    def __init__(self, sizes: BertSizes, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.attention = Attention(sizes, name="attention")
        self.mlp = PostNormMLP(sizes, name="mlp")

    def build(self, input_shape: Shape) -> None:
        self.attention.build(input_shape)
        self.mlp.build(input_shape)
        self.built = True

    def call(
        self,
        x: Tensor,
        masked: Tensor | None = None,
        head_mask: Tensor | None = None,
        training: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Map (B, N, D) to (B, N, D) and attention weights (B, H, N, N), see `Attention`."""
        attended, weights = self.attention(x, masked, head_mask)
        return self.mlp(attended), weights


class Encoder(keras.layers.Layer):
    """A stack of blocks.

    Args:
        sizes: Sizes and settings of each block.
        num_layers: L.
    """

    def __init__(self, sizes: BertSizes, num_layers: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layer = [EncoderLayer(sizes, name=f"layer{i}") for i in range(num_layers)]

    def build(self, input_shape: Shape) -> None:
        for layer in self.layer:
            layer.build(input_shape)
        self.built = True

    def call(
        self,
        x: Tensor,
        masked: Tensor | None = None,
        head_mask: Tensor | None = None,
        training: bool = False,
    ) -> tuple[Tensor, tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Apply the blocks.

        Args:
            x: (B, N, D).
            masked: Mask, see `tfzoo.layers.masks`.
            head_mask: (H,) for all layers, or (L, H).

        Returns:
            (B, N, D); all L + 1 hidden states; all L attention weights (B, H, N, N).
        """
        states, attentions = [x], []
        for i, layer in enumerate(self.layer):
            is_own = head_mask is not None and len(head_mask.shape) == 2
            x, weights = layer(x, masked, head_mask[i] if is_own else head_mask)
            states.append(x)
            attentions.append(weights)
        return x, tuple(states), tuple(attentions)


class Pooler(keras.layers.Layer):
    """tanh of a projection of the first token, which is the first text prompt."""

    def __init__(self, sizes: BertSizes, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense = _linear(sizes, sizes.width, ops.tanh, "dense")

    def build(self, input_shape: Shape) -> None:
        self.dense.build((None, input_shape[-1]))
        self.built = True

    def call(self, x: Tensor) -> Tensor:
        """Map (B, N, D) to (B, D)."""
        return self.dense(x[:, 0])


class GroundingHead(keras.layers.Layer):
    """Two linear layers that end in start and end, each between 0 and 1.

    Source: the reference's TvpVideoGroundingHead.
    """

    def __init__(self, sizes: BertSizes, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = sizes.width
        self.layer_0 = _linear(sizes, 2 * self.width, ops.relu, "layer_0")
        self.layer_1 = _linear(sizes, 2, ops.sigmoid, "layer_1")

    def build(self, input_shape: Shape = None) -> None:
        self.layer_0.build((None, self.width))
        self.layer_1.build((None, 2 * self.width))
        self.built = True

    def call(self, x: Tensor) -> Tensor:
        """Map (B, D) to (B, 2)."""
        return self.layer_1(self.layer_0(x))
