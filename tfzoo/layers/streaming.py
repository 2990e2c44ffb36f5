"""Attention whose score matrix never exists whole, and other work done some rows at a time.

A Perceiver attends from 2,048 latents to 182,528 pixels: 374 million scores, 1.5 GB. Here the
longer side is taken in blocks that fit into the processor's cache. Long queries are independent of
each other; over long keys the softmax is carried along with its running maximum and sum.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

__all__ = ["SCORES_AT_ONCE", "attention_context", "in_blocks", "needs_blocks"]

SCORES_AT_ONCE = 12_000_000  # up to here, one matrix is faster
_BLOCK = 4_000_000  # scores of one block beyond


def needs_blocks(query: Any, columns: int | None, heads: int) -> bool:
    """Whether the scores of queries (B, N, D) against so many keys are too many for one matrix.

    Sizes that are not known before the call count as small.
    """
    batch, rows = query.shape[0] or 1, query.shape[1]
    return None not in (rows, columns) and batch * heads * rows * columns > SCORES_AT_ONCE


def in_blocks(function: Callable[[Any], Any], x: Any, scores_per_row: int) -> Any:
    """`function` on some rows of `x` at a time.

    Args:
        function: (B, n, C) -> (B, n, E), each row by itself.
        x: (B, N, C) of known N.
        scores_per_row: What one row costs; decides how many are taken at once.

    Returns:
        (B, N, E).

    Example:
        >>> x = np.arange(6.0, dtype="float32").reshape(1, 3, 2)
        >>> np.asarray(in_blocks(lambda rows: rows + 1, x, 4_000_000)).tolist()
        [[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]]
    """
    size, count, width = max(_BLOCK // scores_per_row, 1), x.shape[1], x.shape[2]
    blocks = -(-count // size)
    size = -(-count // blocks)  # blocks of about equal size, the last one may be shorter
    whole = count // size * size
    stacked = ops.reshape(x[:, :whole], (ops.shape(x)[0], -1, size, width))
    done = ops.map(function, ops.transpose(stacked, (1, 0, 2, 3)))
    done = ops.transpose(done, (1, 0, 2, 3))
    done = ops.reshape(done, (ops.shape(done)[0], whole, done.shape[-1]))
    if whole == count:
        return done
    return ops.concatenate([done, function(x[:, whole:])], axis=1)


def attention_context(query: Any, key: Any, value: Any, offsets: Any = None) -> Any:
    """softmax(q k^T + offsets) v, in blocks where there are many scores.

    Args:
        query: (B, H, N, K), scaled already; a batch of 1 serves all keys.
        key: (B, H, M, K).
        value: (B, H, M, V).
        offsets: Added to the scores, float32, broadcast to (B, H, N, M); None adds nothing.

    Returns:
        (B, H, N, V).
    """
    rows, columns, heads = query.shape[2], key.shape[2], query.shape[1]
    batch = query.shape[0] or key.shape[0] or 1
    known = None not in (rows, columns)
    if not known or batch * heads * rows * columns <= SCORES_AT_ONCE:
        return _all_at_once(query, key, value, offsets)
    own_row = offsets is not None and offsets.shape[2] != 1
    if columns > rows or own_row:
        return _over_keys(query, key, value, offsets)
    return _over_queries(query, key, value, offsets)


def _scores(query: Any, key: Any, offsets: Any) -> Any:
    scores = ops.cast(ops.matmul(query, ops.swapaxes(key, -1, -2)), "float32")
    return scores if offsets is None else scores + offsets


def _all_at_once(query: Any, key: Any, value: Any, offsets: Any) -> Any:
    scores = _scores(query, key, offsets)
    alone = scores.shape[-1] == 1  # Keras takes such a softmax for a mistake, and warns
    maps = ops.ones_like(scores) if alone else ops.softmax(scores, axis=-1)
    return ops.matmul(ops.cast(maps, value.dtype), value)


def _over_queries(query: Any, key: Any, value: Any, offsets: Any) -> Any:
    heads, rows, width = query.shape[1:]

    def attend(block: Any) -> Any:  # (B, n, H K), the form that `in_blocks` knows
        block = ops.reshape(block, (*ops.shape(block)[:2], heads, width))
        block = ops.transpose(block, (0, 2, 1, 3))
        context = ops.transpose(_all_at_once(block, key, value, offsets), (0, 2, 1, 3))
        return ops.reshape(context, (*ops.shape(context)[:2], heads * value.shape[-1]))

    flat = ops.reshape(ops.transpose(query, (0, 2, 1, 3)), (-1, rows, heads * width))
    context = in_blocks(attend, flat, heads * key.shape[2] * (query.shape[0] or 1))
    context = ops.reshape(context, (*ops.shape(context)[:2], heads, value.shape[-1]))
    return ops.transpose(context, (0, 2, 1, 3))


def _over_keys(query: Any, key: Any, value: Any, offsets: Any) -> Any:
    """The softmax's maximum and sum are brought up to date with each block of keys.

    Source: Milakov and Gimelshein 2018, "Online normalizer calculation for softmax",
    arXiv:1805.02867.
    """
    heads, rows, columns = query.shape[1], query.shape[2], key.shape[2]
    batch = key.shape[0] or 1
    size = min(max(_BLOCK // (batch * heads * rows), 1), columns)
    whole = columns // size

    def step(start: Any, count: int, top: Any, total: Any, context: Any) -> tuple[Any, ...]:
        keys, values = _columns(key, 2, start, count), _columns(value, 2, start, count)
        hidden = None if offsets is None else _columns(offsets, 3, start, count)
        scores = _scores(query, keys, hidden)
        new_top = ops.maximum(top, ops.max(scores, axis=-1, keepdims=True))
        kept, weights = ops.exp(top - new_top), ops.exp(scores - new_top)
        total = total * kept + ops.sum(weights, axis=-1, keepdims=True)
        part = ops.matmul(ops.cast(weights, values.dtype), values)
        return new_top, total, context * kept + ops.cast(part, "float32")

    def body(i: Any, *state: Any) -> tuple[Any, ...]:
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


def _columns(x: Any, axis: int, start: Any, count: int) -> Any:
    """`count` places of `x` along an axis, from `start` on, which may be a tensor."""
    begin, sizes = [0] * len(x.shape), list(ops.shape(x))
    begin[axis], sizes[axis] = start, count
    return ops.slice(x, begin, sizes)
