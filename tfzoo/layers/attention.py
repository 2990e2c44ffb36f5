"""Multi-head attention: with all its weights at once, or in blocks where there are many scores.

A Perceiver attends from 2,048 latents to 182,528 pixels: 374 million scores, 1.5 GB. Where the
weights are not asked for and there are more than `SCORES_AT_ONCE`, the longer side is taken in
blocks, one after the other. Long queries are independent of each other; over long keys the softmax
is carried along with its running maximum and sum.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import keras
import numpy as np
from keras import ops

from tfzoo.core.config import ConfigError
from tfzoo.core.keras_compat import after, replace_tracked
from tfzoo.core.types import Shape, Tensor
from tfzoo.layers.drop_path import dropout as make_dropout
from tfzoo.layers.linear import Linear, leading_sizes
from tfzoo.layers.masks import score_offsets

__all__ = [
    "SCORES_AT_ONCE",
    "MultiHeadAttention",
    "SelfAttention",
    "attend",
    "attention_context",
    "in_blocks",
    "needs_blocks",
]

SCORES_AT_ONCE = 12_000_000  # 48 MB; up to here one matrix is faster, beyond it blocks are as large

Initializer = str | keras.initializers.Initializer


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    masked: Tensor | None = None,
    dropout: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Scaled dot-product attention, softmax(q k^T / sqrt(K)) v.

    The queries are scaled rather than the scores, which might overflow in float16. The softmax runs
    in float32 whatever the compute dtype.

    Args:
        query: (B, H, N, K); a batch of 1 serves all keys.
        key: (B, H, M, K).
        value: (B, H, M, K).
        masked: Mask of hidden places, see `tfzoo.layers.masks`; integers that broadcast to
            (B, H, N, M).
        dropout: Applied to the attention weights.

    Returns:
        Context (B, H, N, K) and attention weights (B, H, N, M).

    Source: Vaswani et al. 2017, arXiv:1706.03762, equation 1.
    """
    scaled = query * query.shape[-1] ** -0.5
    offsets = None if masked is None else score_offsets(masked)
    weights = _weights(scaled, key, value, offsets)
    if dropout is not None:
        weights = dropout(weights)
    return ops.matmul(weights, value), weights


def attention_context(
    query: Tensor, key: Tensor, value: Tensor, offsets: Tensor | None = None
) -> Tensor:
    """softmax(q k^T + offsets) v, in blocks where there are many scores.

    Args:
        query: (B, H, N, K), scaled already; a batch of 1 serves all keys.
        key: (B, H, M, K).
        value: (B, H, M, V).
        offsets: Added to the scores, float32, broadcast to (B, H, N, M); None adds nothing.

    Returns:
        (B, H, N, V).
    """
    heads, rows, columns = query.shape[1], query.shape[2], key.shape[2]
    if not needs_blocks(query, key, heads):
        return _context(query, key, value, offsets)
    if columns > rows:
        return _over_keys(query, key, value, offsets)
    cost = (key.shape[0] or 1) * heads * columns
    if offsets is not None and offsets.shape[-2] != 1:  # a row for each query
        return in_blocks(lambda q, own: _context(q, key, value, own), cost, query, offsets)
    return in_blocks(lambda q: _context(q, key, value, offsets), cost, query)


def needs_blocks(query: Tensor, key: Tensor, heads: int) -> bool:
    """Whether queries (..., N, K) and keys (B, ..., M, K) have too many scores for one matrix.

    Sizes that are not known before the call count as small.
    """
    rows, columns = query.shape[-2], key.shape[-2]
    known = None not in (rows, columns)
    return known and (key.shape[0] or 1) * heads * rows * columns > SCORES_AT_ONCE


def in_blocks(function: Callable[..., Tensor], scores_per_row: int, *tensors: Tensor) -> Tensor:
    """Apply a function to some rows at a time, one block after the other.

    Args:
        function: (..., n, C), ... -> (..., n, E), each row by itself.
        scores_per_row: What one row costs; decides how many are taken at once.
        *tensors: (..., N, C) each, of one known N.

    Returns:
        (..., N, E).

    Example:
        >>> x = np.arange(6.0, dtype="float32").reshape(3, 2)
        >>> np.asarray(in_blocks(lambda rows: rows + 1, SCORES_AT_ONCE, x)).tolist()
        [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    """
    count = tensors[0].shape[-2]
    size = max(SCORES_AT_ONCE // scores_per_row, 1)
    size = -(-count // -(-count // size))  # blocks of about equal size
    blocks: list[Tensor] = []
    for start in range(0, count, size):
        rows = [x[..., start : start + size, :] for x in tensors]
        blocks.append(function(*(after(blocks[-1:], x) for x in rows)))
    return ops.concatenate(blocks, axis=-2)


def _weights(query: Tensor, key: Tensor, value: Tensor, offsets: Tensor | None) -> Tensor:
    """Softmax of the scores of scaled queries, in the values' dtype."""
    scores = _scores(query, key, offsets)
    alone = scores.shape[-1] == 1  # Keras takes such a softmax for a mistake, and warns
    weights = ops.ones_like(scores) if alone else ops.softmax(scores, axis=-1)
    return ops.cast(weights, value.dtype)


def _scores(query: Tensor, key: Tensor, offsets: Tensor | None) -> Tensor:
    scores = ops.cast(ops.matmul(query, ops.swapaxes(key, -1, -2)), "float32")
    return scores if offsets is None else scores + offsets


def _context(query: Tensor, key: Tensor, value: Tensor, offsets: Tensor | None) -> Tensor:
    return ops.matmul(_weights(query, key, value, offsets), value)


def _over_keys(query: Tensor, key: Tensor, value: Tensor, offsets: Tensor | None) -> Tensor:
    """Attend to some keys at a time, and keep the softmax's maximum and sum up to date.

    Source: Milakov and Gimelshein 2018, "Online normalizer calculation for softmax",
    arXiv:1805.02867.
    """
    heads, rows, columns = query.shape[1], query.shape[2], key.shape[2]
    size = min(max(SCORES_AT_ONCE // ((key.shape[0] or 1) * heads * rows), 1), columns)
    whole = columns // size

    def step(
        start: Tensor | int, count: int, top: Tensor, total: Tensor, context: Tensor
    ) -> tuple[Tensor, ...]:
        keys, values = _columns(key, -2, start, count), _columns(value, -2, start, count)
        hidden = None if offsets is None else _columns(offsets, -1, start, count)
        # A graph would begin the next blocks, and hold their scores, before this one is done.
        scores = _scores(after([context], query), keys, hidden)
        new_top = ops.maximum(top, ops.max(scores, axis=-1, keepdims=True))
        kept, weights = ops.exp(top - new_top), ops.exp(scores - new_top)
        total = total * kept + ops.sum(weights, axis=-1, keepdims=True)
        part = ops.matmul(ops.cast(weights, values.dtype), values)
        return new_top, total, context * kept + ops.cast(part, "float32")

    def body(i: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        return (i + 1, *step(i * size, size, *state))

    start = (ops.shape(key)[0], heads, rows)
    state = (
        ops.full((*start, 1), np.finfo("float32").min, dtype="float32"),
        ops.zeros((*start, 1), dtype="float32"),
        ops.zeros((*start, value.shape[-1]), dtype="float32"),
    )
    first = ops.convert_to_tensor(0, dtype="int32")
    loop = ops.while_loop(
        lambda i, *state: i < whole, body, (first, *state), maximum_iterations=whole
    )
    state = loop[1:]
    if whole * size < columns:
        state = step(whole * size, columns - whole * size, *state)
    _, total, context = state
    return ops.cast(context / total, value.dtype)


def _columns(x: Tensor, axis: int, start: Tensor | int, count: int) -> Tensor:
    """Take `count` places of `x` along an axis, from `start` on, which may be a tensor."""
    begin, sizes = [0] * len(x.shape), list(ops.shape(x))
    begin[axis], sizes[axis] = start, count
    return ops.slice(x, begin, sizes)


def _check_heads(width: int, num_heads: int) -> None:
    if width % num_heads:
        raise ConfigError(f"The width {width} is not a multiple of the {num_heads} heads.")


class SelfAttention(keras.layers.Layer):
    """Self-attention with one joint projection to queries, keys and values.

    The projection's 3 D outputs are ordered query, key, value, each head after head.

    Args:
        width: D, a multiple of `num_heads`.
        num_heads: H.
        qkv_bias: Whether the joint projection has a bias.
        attention_dropout: Dropout of the attention weights.
        dropout: Dropout of the result.
        kernel_initializer: Of both projections.

    Raises:
        ConfigError: `width` is not a multiple of `num_heads`.
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        qkv_bias: bool = True,
        attention_dropout: float = 0.0,
        dropout: float = 0.0,
        kernel_initializer: Initializer = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        _check_heads(width, num_heads)
        self.width, self.num_heads = width, num_heads
        self.qkv = Linear(
            3 * width, use_bias=qkv_bias, kernel_initializer=kernel_initializer, name="qkv"
        )
        self.out = Linear(width, kernel_initializer=kernel_initializer, name="out")
        self.attention_dropout = make_dropout(attention_dropout)
        self.dropout = make_dropout(dropout)

    def build(self, input_shape: Shape) -> None:
        self.qkv.build(input_shape)
        self.out.build(input_shape)
        self.built = True

    def context(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Attend, without the output projection.

        Args:
            x: (B, N, D).

        Returns:
            Context (B, N, D) and attention weights (B, H, N, N).
        """
        rows = leading_sizes(x, 2)
        heads = (*rows, 3, self.num_heads, self.width // self.num_heads)
        qkv = ops.transpose(ops.reshape(self.qkv(x), heads), (2, 0, 3, 1, 4))
        context, weights = attend(qkv[0], qkv[1], qkv[2], dropout=self.attention_dropout)
        context = ops.transpose(context, (0, 2, 1, 3))
        return ops.reshape(context, (*rows, self.width)), weights

    def call(self, x: Tensor, training: bool = False) -> tuple[Tensor, Tensor]:
        """Attend, and apply the output projection; arguments and results as of `context`."""
        context, weights = self.context(x)
        return self.dropout(self.out(context)), weights


class MultiHeadAttention(keras.layers.Layer):
    """Attention with separate projections, of a sequence to itself or to another one.

    Args:
        width: D, a multiple of `num_heads`.
        num_heads: H.
        qkv_bias: Whether the projections to queries, keys and values have a bias.
        attention_dropout: Dropout of the attention weights.
        dropout: Dropout of the result.
        in_initializer: Of the projections to queries, keys and values.
        out_initializer: Of the output projection.

    Attributes:
        heads: The heads that are left, by the numbers that they had at first.

    Raises:
        ConfigError: `width` is not a multiple of `num_heads`.
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        qkv_bias: bool = True,
        attention_dropout: float = 0.0,
        dropout: float = 0.0,
        in_initializer: Initializer = "glorot_uniform",
        out_initializer: Initializer = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        _check_heads(width, num_heads)
        self.width, self.num_heads, self.head_width = width, num_heads, width // num_heads
        self.heads = tuple(range(num_heads))

        def projection(name: str) -> Linear:
            init = keras.initializers.get(in_initializer)  # a shared one would draw equal weights
            return Linear(width, use_bias=qkv_bias, kernel_initializer=init.clone(), name=name)

        self.query, self.key, self.value = map(projection, ("query", "key", "value"))
        self.out = Linear(width, kernel_initializer=out_initializer, name="out")
        self.attention_dropout = make_dropout(attention_dropout)
        self.dropout = make_dropout(dropout)

    def build(self, input_shape: Shape) -> None:
        for layer in (self.query, self.key, self.value):
            layer.build((None, None, self.width))
        self.out.build((None, None, self.num_heads * self.head_width))
        self.built = True

    def prune(self, heads: Collection[int]) -> None:
        """Take heads away; at least one stays.

        Args:
            heads: By the numbers that they had at first; those that are gone do not count.
        """
        places = [i for i, head in enumerate(self.heads) if head not in heads]
        self.heads = tuple(self.heads[i] for i in places)
        self.num_heads = len(places)
        columns = (np.array(places)[:, None] * self.head_width + np.arange(self.head_width)).ravel()
        for name in ("query", "key", "value"):
            layer = getattr(self, name)
            if self.built:
                replace_tracked(self, name, _part_of(layer, columns, 1))
            else:
                layer.units = len(columns)
        if self.built:
            replace_tracked(self, "out", _part_of(self.out, columns, 0))

    def _heads(self, x: Tensor) -> Tensor:
        """(B, N, H K) -> (B, H, N, K)."""
        x = ops.reshape(x, (*leading_sizes(x, 2), self.num_heads, self.head_width))
        return ops.transpose(x, (0, 2, 1, 3))

    def _joined(self, x: Tensor) -> Tensor:
        """(B, H, N, K) -> (B, N, H K)."""
        x = ops.transpose(x, (0, 2, 1, 3))
        return ops.reshape(x, (*leading_sizes(x, 2), self.num_heads * self.head_width))

    def call(
        self,
        x: Tensor,
        source: Tensor | None = None,
        masked: Tensor | None = None,
        output_attentions: bool = True,
        training: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Attend to `source`, or to `x` itself.

        Args:
            x: (B, N, D); a batch of 1 serves every batch of `source`.
            source: (B, M, D), what is attended to; `x` where None.
            masked: Mask of hidden places, see `attend`.
            output_attentions: Return the attention weights. Without them, long sequences are
                attended to in blocks.

        Returns:
            Output (B, N, D) and attention weights (B, H, N, M), or () where they are not asked for.
        """
        source = x if source is None else source
        query, key, value = map(self._heads, (self.query(x), self.key(source), self.value(source)))
        if output_attentions or training:
            context, weights = attend(query, key, value, masked, self.attention_dropout)
        else:
            offsets = None if masked is None else score_offsets(masked)
            query = query * self.head_width**-0.5
            context, weights = attention_context(query, key, value, offsets), ()
        output = self.dropout(self.out(self._joined(context)))
        return output, weights if output_attentions else ()


def _part_of(layer: Linear, index: np.ndarray, axis: int) -> Linear:
    """A layer with some of another one's inputs (axis 0) or outputs (axis 1)."""
    kernel = ops.take(layer.kernel, index, axis)
    part = type(layer)(
        kernel.shape[1], use_bias=layer.use_bias, dtype=layer.dtype_policy, name=layer.name
    )
    part.build((None, kernel.shape[0]))
    part.kernel.assign(kernel)
    if layer.use_bias:
        part.bias.assign(ops.take(layer.bias, index) if axis else layer.bias)
    part.trainable = layer.trainable
    return part
