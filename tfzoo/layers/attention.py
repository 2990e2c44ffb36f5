"""Multi-head attention."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from tfzoo.core.keras_compat import after
from tfzoo.layers.drop_path import dropout as make_dropout
from tfzoo.layers.linear import Linear
from tfzoo.layers.masks import score_offsets

__all__ = ["MultiHeadAttention", "SelfAttention", "attend", "attend_in_blocks"]

_BLOCK = 12_000_000  # scores held at once where the maps are not asked for


def attend(
    query: Any,
    key: Any,
    value: Any,
    masked: Any = None,
    dropout: Callable[[Any], Any] | None = None,
) -> Any:
    """Scaled dot-product attention, softmax(q k^T / sqrt(K)) v.

    The softmax runs in float32 whatever the compute dtype.

    Args:
        query: (B, H, N, K); a batch of 1 serves all keys.
        key: (B, H, M, K).
        value: (B, H, M, K).
        masked: How often each place is hidden, integers that broadcast to (B, H, N, M), see
            `tfzoo.layers.masks`.
        dropout: Applied to the attention maps.

    Returns:
        Context (B, H, N, K) and attention maps (B, H, N, M).

    Source: Vaswani et al. 2017, arXiv:1706.03762, equation 1.
    """
    width, count = query.shape[-1], key.shape[-2]
    few = count is not None and count < width  # then scaling the scores is less work
    scaled = query if few else query * width**-0.5
    scores = ops.cast(ops.matmul(scaled, ops.swapaxes(key, -1, -2)), "float32")
    if few:
        scores = scores * width**-0.5
    return _read(scores, value, masked, dropout)


def _read(
    scores: Any, value: Any, masked: Any = None, dropout: Callable[[Any], Any] | None = None
) -> tuple[Any, Any]:
    """Context and attention maps for scores in float32, see `attend`."""
    if masked is not None:
        scores = scores + score_offsets(masked)
    alone = scores.shape[-1] == 1  # Keras takes such a softmax for a mistake, and warns
    maps = ops.ones_like(scores) if alone else ops.softmax(scores, axis=-1)
    maps = ops.cast(maps, value.dtype)
    if dropout is not None:
        maps = dropout(maps)
    return ops.matmul(maps, value), maps


def attend_in_blocks(query: Any, key: Any, value: Any, masked: Any = None) -> Any:
    """The context of `attend`, some queries at a time, so that long sequences fit into memory.

    Args:
        query: (B, H, N, K).
        key: (B, H, M, K).
        value: (B, H, M, K).
        masked: See `attend`.

    Returns:
        Context (B, H, N, K).
    """
    count = query.shape[2]
    size = max(_BLOCK * count // _count(query, key), 1)
    query, key = query * query.shape[-1] ** -0.5, ops.swapaxes(key, -1, -2)
    blocks: list[Any] = []
    for start in range(0, count, size):
        rows = slice(start, start + size)
        own = masked is not None and masked.shape[-2] != 1  # a row for each query
        hidden = masked[..., rows, :] if own else masked
        queries = after(blocks[-1:], query[:, :, rows])
        scores = ops.cast(ops.matmul(queries, key), "float32")
        blocks.append(_read(scores, value, hidden)[0])
    return ops.concatenate(blocks, axis=2)


def _count(query: Any, key: Any) -> int:
    """Number of attention scores; 0 where a length is unknown, one sample where the batch is."""
    _, heads, rows, _ = query.shape
    columns = key.shape[2]
    if None in (rows, columns):
        return 0
    return (key.shape[0] or 1) * heads * rows * columns


class SelfAttention(keras.layers.Layer):
    """Self-attention with one joint projection to queries, keys and values.

    The projection's 3 D outputs are ordered query, key, value, each head after head.

    Args:
        width: D, a multiple of `num_heads`.
        num_heads: H.
        qkv_bias: Whether the joint projection has a bias.
        attention_dropout: Dropout of the attention maps.
        dropout: Dropout of the result.
        kernel_initializer: Of both projections.

    Raises:
        ValueError: `width` is no multiple of `num_heads`.
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        qkv_bias: bool = True,
        attention_dropout: float = 0.0,
        dropout: float = 0.0,
        kernel_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if width % num_heads:
            raise ValueError(f"The width {width} is no multiple of the {num_heads} heads.")
        self.width, self.num_heads = width, num_heads
        self.qkv = Linear(
            3 * width, use_bias=qkv_bias, kernel_initializer=kernel_initializer, name="qkv"
        )
        self.out = Linear(width, kernel_initializer=kernel_initializer, name="out")
        self.attention_dropout = make_dropout(attention_dropout)
        self.dropout = make_dropout(dropout)

    def build(self, input_shape: Any) -> None:
        """Create the weights for inputs (B, N, D)."""
        self.qkv.build(input_shape)
        self.out.build(input_shape)
        self.built = True

    def context(self, x: Any) -> tuple[Any, Any]:
        """What is attended to, before the output projection.

        Args:
            x: (B, N, D).

        Returns:
            Context (B, N, D) and attention maps (B, H, N, N).
        """
        batch, tokens = ops.shape(x)[:2]
        heads = (batch, tokens, 3, self.num_heads, self.width // self.num_heads)
        qkv = ops.transpose(ops.reshape(self.qkv(x), heads), (2, 0, 3, 1, 4))
        context, maps = attend(qkv[0], qkv[1], qkv[2], dropout=self.attention_dropout)
        context = ops.transpose(context, (0, 2, 1, 3))
        return ops.reshape(context, (batch, tokens, self.width)), maps

    def call(self, x: Any, training: bool = False) -> tuple[Any, Any]:
        """Apply attention and the output projection.

        Args:
            x: (B, N, D).

        Returns:
            Output (B, N, D) and attention maps (B, H, N, N).
        """
        context, maps = self.context(x)
        return self.dropout(self.out(context)), maps


class MultiHeadAttention(keras.layers.Layer):
    """Attention with separate projections, of a sequence to itself or to another one.

    Args:
        width: D, a multiple of `num_heads`.
        num_heads: H.
        qkv_bias: Whether the projections to queries, keys and values have a bias.
        attention_dropout: Dropout of the attention maps.
        dropout: Dropout of the result.
        in_initializer: Of the projections to queries, keys and values.
        out_initializer: Of the output projection.

    Raises:
        ValueError: `width` is no multiple of `num_heads`.
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        qkv_bias: bool = True,
        attention_dropout: float = 0.0,
        dropout: float = 0.0,
        in_initializer: Any = "glorot_uniform",
        out_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if width % num_heads:
            raise ValueError(f"The width {width} is no multiple of the {num_heads} heads.")
        self.width, self.num_heads = width, num_heads

        def projection(name: str) -> Linear:
            init = keras.initializers.get(in_initializer)  # a shared one would draw equal weights
            return Linear(width, use_bias=qkv_bias, kernel_initializer=init.clone(), name=name)

        self.query, self.key, self.value = map(projection, ("query", "key", "value"))
        self.out = Linear(width, kernel_initializer=out_initializer, name="out")
        self.attention_dropout = make_dropout(attention_dropout)
        self.dropout = make_dropout(dropout)

    def build(self, input_shape: Any) -> None:
        """Create the weights for inputs (B, N, D)."""
        for layer in (self.query, self.key, self.value, self.out):
            layer.build((None, None, self.width))
        self.built = True

    def _heads(self, x: Any) -> Any:
        """(B, N, D) -> (B, H, N, K)."""
        batch, tokens = ops.shape(x)[:2]
        x = ops.reshape(x, (batch, tokens, self.num_heads, self.width // self.num_heads))
        return ops.transpose(x, (0, 2, 1, 3))

    def call(
        self,
        x: Any,
        source: Any = None,
        masked: Any = None,
        output_attentions: bool = True,
        training: bool = False,
    ) -> tuple[Any, Any]:
        """Attend to `source`, or to `x` itself.

        Args:
            x: (B, N, D); a batch of 1 serves every batch of `source`.
            source: (B, M, D), what is attended to; `x` where None.
            masked: How often each place is hidden, see `attend`.
            output_attentions: Return the attention maps. Without them, long sequences are attended
                to in blocks.

        Returns:
            Output (B, N, D) and attention maps (B, H, N, M), or () where they are not asked for.
        """
        source = x if source is None else source
        parts = [self._heads(p) for p in (self.query(x), self.key(source), self.value(source))]
        if output_attentions or training or _count(parts[0], parts[1]) <= _BLOCK:
            context, maps = attend(*parts, masked, self.attention_dropout)
        else:
            context, maps = attend_in_blocks(*parts, masked), ()
        batch, _, tokens, _ = ops.shape(context)
        context = ops.reshape(ops.transpose(context, (0, 2, 1, 3)), (batch, tokens, self.width))
        return self.dropout(self.out(context)), maps if output_attentions else ()
