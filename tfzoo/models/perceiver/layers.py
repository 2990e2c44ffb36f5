"""The one layer of Perceiver: attention, of latents to themselves or across, and an MLP.

Encoder, latent transformer and decoder are made of it alone (Jaegle et al. 2022, figure 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
from keras import ops

from tfzoo.core.config import ConfigError
from tfzoo.layers.attention import attend
from tfzoo.layers.drop_path import dropout as make_dropout
from tfzoo.layers.linear import Linear
from tfzoo.layers.masks import score_offsets
from tfzoo.layers.mlp import MLP
from tfzoo.layers.norm import LayerNorm
from tfzoo.layers.streaming import attention_context
from tfzoo.models.perceiver.config import PerceiverConfig

__all__ = [
    "AttentionSizes",
    "Memory",
    "PerceiverAttention",
    "PerceiverLayer",
    "initializer",
    "norm",
]

EPSILON = 1e-5  # of all norms; the reference's layers do not read the config's


def norm(name: str) -> LayerNorm:
    """A layer norm."""
    return LayerNorm(epsilon=EPSILON, name=name)


def initializer(config: PerceiverConfig) -> keras.initializers.Initializer:
    """The normal distribution of fresh weights around 0."""
    return keras.initializers.RandomNormal(stddev=config.initializer_range)


@dataclass(frozen=True)
class AttentionSizes:
    """Widths of an attention layer.

    Attributes:
        query: Width of what attends.
        source: Width of what is attended to.
        qk: Width of the projected queries and keys, all heads together.
        v: Width of the projected values.
        heads: H.
        out: Width of the result.
    """

    query: int
    source: int
    qk: int
    v: int
    heads: int
    out: int

    @classmethod
    def resolve(
        cls,
        query: int,
        source: int | None,
        qk: int | None,
        v: int | None,
        heads: int,
        shape_for_attention: str = "kv",
    ) -> AttentionSizes:
        """Fill in the widths that are None.

        Args:
            query: Width of what attends.
            source: Width of what is attended to; None for self-attention.
            qk: Width of queries and keys; None follows `shape_for_attention` across, and the
                queries in self-attention.
            v: Width of the values; None is `qk`.
            heads: H.
            shape_for_attention: `"kv"` or `"q"`.

        Raises:
            ConfigError: An unknown shape, or widths that the heads do not divide.
        """
        is_cross = source is not None
        if shape_for_attention not in ("kv", "q"):
            raise ConfigError(
                f"cross_attention_shape_for_attention must be 'kv' or 'q', got "
                f"{shape_for_attention!r}."
            )
        if qk is None:
            qk = source if is_cross and shape_for_attention == "kv" else query
        v = qk if v is None else v
        for name, width in (("qk_channels", qk), ("v_channels", v)):
            if width % heads:
                raise ConfigError(f"{name} {width} must be a multiple of the {heads} heads.")
        return cls(query, source or query, qk, v, heads, query if is_cross else v)


class Memory(NamedTuple):
    """What is attended to, prepared for queries: see `PerceiverAttention.memory`."""

    key: Any  # (B, H, M, K)
    value: Any  # (B, H, M, V)
    offsets: Any  # added to the scores, or None
    query_side: str  # how queries are made: projected | folded (with the keys' kernel) | plain
    output_side: str  # how contexts are read: projected | folded (with the values') | plain


class PerceiverAttention(keras.layers.Layer):
    """Pre-norm attention with queries, keys and values of any widths.

    Where one side is much longer than the other, and there is one head, products of weights spare
    the longer side its projections: q k^T = (x Wq)(s Wk + b)^T = ((x Wq) Wk^T) s^T up to a constant
    per row, which the softmax ignores, and likewise for queries, values and outputs. Optical flow
    costs a quarter less so.

    Args:
        config: For dropout and initialisation.
        sizes: The widths.
        is_cross: Attend to another sequence, which has a norm of its own.
    """

    def __init__(
        self, config: PerceiverConfig, sizes: AttentionSizes, is_cross: bool, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.sizes, self.is_cross = sizes, is_cross
        self.layernorm1 = norm("layernorm1")
        self.layernorm2 = norm("layernorm2") if is_cross else None

        def projection(units: int, name: str) -> Linear:
            return Linear(units, kernel_initializer=initializer(config), name=name)

        self.query = projection(sizes.qk, "query")
        self.key = projection(sizes.qk, "key")
        self.value = projection(sizes.v, "value")
        self.out = projection(sizes.out, "out")
        self.dropout = make_dropout(config.attention_probs_dropout_prob)

    def build(self, input_shape: Any = None) -> None:
        """Create the weights; the sizes are known."""
        s = self.sizes
        layers = (self.layernorm1, self.query, self.key, self.value, self.out)
        for layer, width in zip(layers, (s.query, s.query, s.source, s.source, s.v), strict=True):
            layer.build((None, None, width))
        if self.layernorm2 is not None:
            self.layernorm2.build((None, None, s.source))
        self.built = True

    def _heads(self, x: Any) -> Any:
        """(B, N, H K) -> (B, H, N, K)."""
        batch, tokens = ops.shape(x)[:2]
        x = ops.reshape(x, (batch, tokens, self.sizes.heads, x.shape[-1] // self.sizes.heads))
        return ops.transpose(x, (0, 2, 1, 3))

    def call(
        self,
        x: Any,
        source: Any = None,
        masked: Any = None,
        head_mask: Any = None,
        output_attentions: bool = False,
        training: bool = False,
    ) -> tuple[Any, Any]:
        """Attend to `source`, or to `x` itself.

        Args:
            x: (B, Q, query width); a batch of 1 serves every batch of `source`.
            source: (B, N, source width).
            masked: How often each place is hidden, see `tfzoo.layers.masks`.
            head_mask: (H,), factors of the attention maps.
            output_attentions: Return the maps.

        Returns:
            (B, Q, width) and the maps (B, H, Q, N), None where they are not asked for.
        """
        x = self.layernorm1(x)
        source = x if self.layernorm2 is None else self.layernorm2(source)
        if not (output_attentions or training or head_mask is not None):
            memory = self._memory(source, x.shape[1], masked)
            return self._read(x, memory), None
        parts = [self._heads(p) for p in (self.query(x), self.key(source), self.value(source))]

        def weigh(maps: Any) -> Any:
            maps = self.dropout(maps)
            if head_mask is None:
                return maps
            return maps * ops.reshape(ops.cast(head_mask, maps.dtype), (1, -1, 1, 1))

        context, maps = attend(*parts, masked, weigh)
        return self.out(self._joined(context)), maps if output_attentions else None

    def memory(self, source: Any, rows: int | None, masked: Any = None) -> Memory:
        """Prepare what is attended to, once for any number of `read`s.

        Args:
            source: (B, N, source width).
            rows: How many queries there will be, where known; decides which way costs least.
            masked: See `call`.
        """
        return self._memory(self.layernorm2(source), rows, masked)

    def read(self, x: Any, memory: Memory) -> Any:
        """Attend to a prepared memory.

        Args:
            x: (B, Q, query width).
            memory: Of `memory`.

        Returns:
            (B, Q, width).
        """
        return self._read(self.layernorm1(x), memory)

    def _memory(self, source: Any, rows: int | None, masked: Any) -> Memory:
        query_side, output_side = self._cheapest(rows, source.shape[1])
        offsets = None if masked is None else score_offsets(masked)
        scale = (self.sizes.qk // self.sizes.heads) ** -0.5
        whole = source[:, None]  # one head
        if query_side == "folded":
            key = whole
        elif query_side == "projected":
            key = self._heads(self.key(source))
        else:
            keys = self.key(source) * scale
            key = ops.matmul(keys, ops.transpose(self.query.kernel))[:, None]
            own = ops.cast(ops.matmul(keys, self.query.bias[:, None]), "float32")  # (B, N, 1)
            own = ops.transpose(own, (0, 2, 1))[:, None]
            offsets = own if offsets is None else own + offsets
        if output_side == "folded":
            value = whole
        elif output_side == "projected":
            value = self._heads(self.value(source))
        else:
            value = ops.matmul(self.value(source), self.out.kernel)[:, None]
        return Memory(key, value, offsets, query_side, output_side)

    def _read(self, x: Any, memory: Memory) -> Any:
        if memory.query_side == "plain":
            query = x[:, None]
        else:
            query = self.query(x) * (self.sizes.qk // self.sizes.heads) ** -0.5
            if memory.query_side == "folded":
                query = ops.matmul(query, ops.transpose(self.key.kernel))[:, None]
            else:
                query = self._heads(query)
        context = attention_context(query, memory.key, memory.value, memory.offsets)
        context = self._joined(context)
        if memory.output_side == "plain":
            return context + self.out.bias
        if memory.output_side == "folded":
            context = self.value(context)
        return self.out(context)

    @staticmethod
    def _joined(context: Any) -> Any:
        """(B, H, N, K) -> (B, N, H K)."""
        heads, width = context.shape[1], context.shape[-1]
        context = ops.transpose(context, (0, 2, 1, 3))
        return ops.reshape(context, (*ops.shape(context)[:2], heads * width))

    def _cheapest(self, rows: int | None, columns: int | None) -> tuple[str, str]:
        """How queries and outputs are made with the fewest multiplications."""
        s = self.sizes
        layers = (self.query, self.key, self.value, self.out)
        is_quantized = any(layer.quantization_mode for layer in layers)
        if s.heads > 1 or None in (rows, columns) or is_quantized:
            return "projected", "projected"
        pairs = rows * columns
        queries, keys = rows * s.query * s.qk, columns * s.source * s.qk
        query_side = {
            "projected": queries + keys + pairs * s.qk,
            "folded": queries + rows * s.qk * s.source + pairs * s.source,
            "plain": keys + columns * s.qk * s.query + pairs * s.query,
        }
        values, outputs = columns * s.source * s.v, rows * s.v * s.out
        output_side = {
            "projected": values + outputs + pairs * s.v,
            "folded": rows * s.source * s.v + outputs + pairs * s.source,
            "plain": values + columns * s.v * s.out + pairs * s.out,
        }
        return min(query_side, key=query_side.get), min(output_side, key=output_side.get)


class PerceiverLayer(keras.layers.Layer):
    """x' = x + attention(x, source), then x' + mlp(norm(x')).

    Args:
        config: For dropout, activation and initialisation.
        sizes: Widths of the attention.
        is_cross: Attend to another sequence.
        widening_factor: Hidden width of the MLP over that of the layer.
        use_query_residual: Add x to what the attention gives.

    Raises:
        ConfigError: The attention is not as wide as what it is added to.
    """

    def __init__(
        self,
        config: PerceiverConfig,
        sizes: AttentionSizes,
        is_cross: bool = False,
        widening_factor: int = 1,
        use_query_residual: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if use_query_residual and sizes.out != sizes.query:
            raise ConfigError(
                f"v_channels {sizes.v} must equal d_latents {sizes.query}: what self-attention "
                "gives is added to the latents."
            )
        self.sizes, self.use_query_residual = sizes, use_query_residual
        self.attention = PerceiverAttention(config, sizes, is_cross, name="attention")
        self.layernorm = norm("layernorm")
        self.mlp = MLP(
            widening_factor * sizes.out,
            sizes.out,
            activation=config.hidden_act,
            kernel_initializer=(initializer(config), initializer(config)),
            name="mlp",
        )

    def build(self, input_shape: Any = None) -> None:
        """Create the weights; the sizes are known."""
        self.attention.build()
        self.layernorm.build((None, None, self.sizes.out))
        self.mlp.build((None, None, self.sizes.out))
        self.built = True

    def call(
        self,
        x: Any,
        source: Any = None,
        masked: Any = None,
        head_mask: Any = None,
        output_attentions: bool = False,
        training: bool = False,
    ) -> tuple[Any, Any]:
        """Apply the layer; arguments and results as in `PerceiverAttention.call`."""
        attended, maps = self.attention(
            x, source, masked, head_mask, output_attentions=output_attentions
        )
        return self._finish(x, attended), maps

    def read(self, x: Any, memory: Memory) -> Any:
        """Apply the layer to queries (B, Q, D) and a memory that `attention.memory` prepared."""
        return self._finish(x, self.attention.read(x, memory))

    def _finish(self, x: Any, attended: Any) -> Any:
        x = x + attended if self.use_query_residual else attended
        return x + self.mlp(self.layernorm(x))
