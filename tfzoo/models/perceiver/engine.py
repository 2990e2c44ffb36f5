"""The engine of Perceiver IO: latents attend to the inputs once, and then to each other.

Encoder, latent transformer and decoder are made of one layer, attention and an MLP (Jaegle et al.
2022, arXiv:2107.14795, figure 2). `Part` is what stands around the engine. Everywhere `config` is
the configuration, and `**kwargs` are `name`, `dtype` and `trainable` as in `keras.layers.Layer`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import keras
from keras import ops

from tfzoo.core.config import ConfigError
from tfzoo.core.outputs import ModelOutput
from tfzoo.core.types import Shape, Tensor
from tfzoo.layers.attention import attend, attention_context
from tfzoo.layers.drop_path import dropout as make_dropout
from tfzoo.layers.linear import Linear
from tfzoo.layers.masks import score_offsets
from tfzoo.layers.mlp import MLP
from tfzoo.layers.norm import LayerNorm
from tfzoo.models.perceiver.config import PerceiverConfig
from tfzoo.models.perceiver.positions import FourierPositions, TrainablePositions

__all__ = [
    "Assembly",
    "CrossAttentionsOutput",
    "Latents",
    "Part",
    "PerceiverEncoder",
    "PerceiverLayer",
    "TFPerceiverModelOutput",
    "check_choice",
    "initializer",
    "label_count",
    "split_options",
]

EPSILON = 1e-5  # of all norms; the reference's layers do not read the config's

Sublayer = TypeVar("Sublayer", bound=keras.layers.Layer)


def initializer(config: PerceiverConfig | None) -> keras.initializers.Initializer:
    """The normal distribution of fresh weights around 0; the default config's where None."""
    return keras.initializers.RandomNormal(stddev=(config or PerceiverConfig()).initializer_range)


class Assembly(keras.layers.Layer):
    """A layer made of others, each of which it builds for the shape that `sublayer` was told."""

    def __init__(self, config: PerceiverConfig | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config
        # Past Keras's tracking: weights are named by the attributes that lead to them.
        vars(self)["_to_build"] = []

    def sublayer(self, layer: Sublayer, *shape: int | None) -> Sublayer:
        """Have `layer` built along with this one, for inputs of `shape` where it needs one."""
        self._to_build.append((layer, shape))
        return layer

    def linear(self, width: int, units: int, name: str) -> Linear:
        """Make a linear layer from `width` channels to `units`."""
        layer = Linear(units, kernel_initializer=initializer(self.config), name=name)
        return self.sublayer(layer, None, None, width)

    def norm(self, width: int, name: str) -> LayerNorm:
        """Make a layer norm of `width` channels."""
        return self.sublayer(LayerNorm(epsilon=EPSILON, name=name), None, None, width)

    def build(self, input_shape: Shape = None) -> None:
        if not self.built:
            for layer, shape in self._to_build:
                layer.build(*([shape] if shape else []))
            self._to_build.clear()


# ---- attention
@dataclass(frozen=True)
class AttentionSizes:
    """Widths of an attention layer."""

    query: int  # of what attends
    source: int  # of what is attended to
    qk: int  # of the projected queries and keys, all heads together
    v: int  # of the projected values
    heads: int  # H
    out: int  # of the result


def _resolved(
    config: PerceiverConfig, query: int, kv: int | None, qk: int | None, v: int | None, heads: int
) -> AttentionSizes:
    """Fill in the widths that are None; without a source, `kv`, it is self-attention."""
    if qk is None:
        follows_source = config.cross_attention_shape_for_attention == "kv"
        qk = kv if kv is not None and follows_source else query
    v = qk if v is None else v
    for name, width in (("qk_channels", qk), ("v_channels", v)):
        if width % heads:
            raise ConfigError(f"{name} {width} must be a multiple of the {heads} heads.")
    return AttentionSizes(query, kv or query, qk, v, heads, v if kv is None else query)


class Memory(NamedTuple):
    """What is attended to, prepared for queries: see `PerceiverAttention.memory`."""

    key: Tensor  # (B, H, M, K)
    value: Tensor  # (B, H, M, V)
    offsets: Tensor | None  # added to the scores, or None
    query_side: str  # how queries are made: projected | folded (with the keys' kernel) | plain
    output_side: str  # how contexts are read: projected | folded (with the values') | plain


class PerceiverAttention(Assembly):
    """Pre-norm attention with queries, keys and values of any widths.

    Where one side is much longer than the other, and there is one head, products of weights spare
    the longer side its projections: q k^T = (x Wq)(s Wk + b)^T = ((x Wq) Wk^T) s^T up to a constant
    per row, which the softmax ignores, and likewise for queries, values and outputs. Optical flow
    costs a quarter less so. With `is_cross` another sequence is attended to, after its own norm.
    """

    def __init__(
        self, config: PerceiverConfig, sizes: AttentionSizes, is_cross: bool, **kwargs: Any
    ) -> None:
        super().__init__(config, **kwargs)
        self.sizes = sizes
        self.layernorm1 = self.norm(sizes.query, "layernorm1")
        self.layernorm2 = self.norm(sizes.source, "layernorm2") if is_cross else None
        self.query = self.linear(sizes.query, sizes.qk, "query")
        self.key = self.linear(sizes.source, sizes.qk, "key")
        self.value = self.linear(sizes.source, sizes.v, "value")
        self.out = self.linear(sizes.v, sizes.out, "out")
        self.dropout = make_dropout(config.attention_probs_dropout_prob)

    def call(
        self,
        x: Tensor,
        source: Tensor | None = None,
        masked: Tensor | None = None,
        head_mask: Tensor | None = None,
        output_attentions: bool = False,
        training: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend from x (B, Q, C) to `source` (B, N, C'), or to x itself.

        A batch of 1 serves every batch of `source`. `masked` has 1 for each place that is hidden,
        see `tfzoo.layers.masks`, `head_mask` (H,) the factors of the attention weights. Returns
        (B, Q, out) and the attention weights (B, H, Q, N), None unless asked for.
        """
        x = self.layernorm1(x)
        source = x if self.layernorm2 is None else self.layernorm2(source)
        if not (output_attentions or training or head_mask is not None):
            return self.read(x, self.memory(source, x.shape[1], masked)), None
        parts = [self._heads(p) for p in (self.query(x), self.key(source), self.value(source))]

        def weigh(weights: Tensor) -> Tensor:
            weights = self.dropout(weights)
            if head_mask is None:
                return weights
            return weights * ops.reshape(ops.cast(head_mask, weights.dtype), (1, -1, 1, 1))

        context, weights = attend(*parts, masked, weigh)
        return self.out(self._joined(context)), weights if output_attentions else None

    def memory(self, source: Tensor, rows: int | None, masked: Tensor | None = None) -> Memory:
        """Prepare what is attended to (B, N, C'), normalised, once for any number of `read`s.

        The number of queries, `rows`, decides which way costs least, where it is known.
        """
        query_side, output_side = self._cheapest(rows, source.shape[1])
        offsets = None if masked is None else score_offsets(masked)
        whole = source[:, None]  # one head
        if query_side == "folded":
            key = whole
        elif query_side == "projected":
            key = self._heads(self.key(source))
        else:
            keys = self.key(source) * (self.sizes.qk // self.sizes.heads) ** -0.5
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

    def read(self, x: Tensor, memory: Memory) -> Tensor:
        """Attend from normalised queries (B, Q, C) to a memory: (B, Q, out)."""
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
        return self.out(self.value(context) if memory.output_side == "folded" else context)

    def _heads(self, x: Tensor) -> Tensor:
        """(B, N, H K) -> (B, H, N, K)."""
        batch, tokens = ops.shape(x)[:2]
        x = ops.reshape(x, (batch, tokens, self.sizes.heads, x.shape[-1] // self.sizes.heads))
        return ops.transpose(x, (0, 2, 1, 3))

    @staticmethod
    def _joined(context: Tensor) -> Tensor:
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


class PerceiverLayer(Assembly):
    """x' = x + attention(x, source), then x' + mlp(norm(x')).

    `width` is that of x, `source` that of what is attended to, None for self-attention; the other
    arguments are those of `TFPerceiverBasicDecoder`.

    Raises:
        ConfigError: Heads do not divide a width, or the attention is not as wide as x.
    """

    def __init__(
        self,
        config: PerceiverConfig,
        width: int,
        source: int | None,
        qk_channels: int | None,
        v_channels: int | None,
        num_heads: int,
        widening_factor: int = 1,
        use_query_residual: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(config, **kwargs)
        sizes = _resolved(config, width, source, qk_channels, v_channels, num_heads)
        if use_query_residual and sizes.out != width:
            raise ConfigError(
                f"v_channels {sizes.v} must equal d_latents {width}: the result of self-attention "
                "is added to the latents."
            )
        self.num_heads, self.use_query_residual = num_heads, use_query_residual
        attention = PerceiverAttention(config, sizes, source is not None, name="attention")
        self.attention = self.sublayer(attention)
        self.layernorm = self.norm(sizes.out, "layernorm")
        mlp = MLP(
            widening_factor * sizes.out,
            sizes.out,
            activation=config.hidden_act,
            kernel_initializer=(initializer(config), initializer(config)),
            name="mlp",
        )
        self.mlp = self.sublayer(mlp, None, None, sizes.out)

    def call(
        self,
        x: Tensor,
        source: Tensor | None = None,
        masked: Tensor | None = None,
        head_mask: Tensor | None = None,
        output_attentions: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Apply the layer; arguments and results as in `PerceiverAttention.call`."""
        attended, weights = self.attention(
            x, source, masked, head_mask, output_attentions=output_attentions
        )
        return self._finish(x, attended), weights

    def memory(self, source: Tensor, rows: int | None) -> Memory:
        """Prepare what `read` attends to, see `PerceiverAttention.memory`."""
        return self.attention.memory(self.attention.layernorm2(source), rows)

    def read(self, x: Tensor, memory: Memory) -> Tensor:
        """Apply the layer to queries (B, Q, D) and what `memory` prepared."""
        return self._finish(x, self.attention.read(self.attention.layernorm1(x), memory))

    def _finish(self, x: Tensor, attended: Tensor) -> Tensor:
        x = x + attended if self.use_query_residual else attended
        return x + self.mlp(self.layernorm(x))


# ---- encoder
class Latents(Assembly):
    """The latents that every sample starts from."""

    def build(self, input_shape: Shape = None) -> None:
        shape, fresh = (self.config.num_latents, self.config.d_latents), initializer(self.config)
        self.latents = self.add_weight(shape=shape, initializer=fresh, name="latents")

    def call(self, inputs: None = None) -> Tensor:
        """The latents, (1, latents, D): one batch serves all, so that they are projected once."""
        return self.latents[None]


class CrossAttentionsOutput(ModelOutput):
    """Base class of outputs whose last field is `cross_attentions`."""

    def plain_tuple(self) -> tuple[Any, ...]:
        """As in the reference, the decoder's attention weights stand behind the encoder's tuple."""
        values = self.to_tuple()
        if "cross_attentions" not in self:
            return values
        *others, (encoder, *decoder) = values
        return (*others, (encoder,), *decoder)


class TFPerceiverModelOutput(CrossAttentionsOutput):
    """Output of `TFPerceiverModel`.

    Attributes:
        logits: What the decoder and the postprocessor give; absent without a decoder.
        last_hidden_state: (B, latents, D), the latents after the last layer.
        hidden_states: For each block the latents before each of its layers and after the last one,
            so that the state between two blocks stands there twice; (B, latents, D) each.
        attentions: (B, H, latents, latents), the weights of each self-attention layer that was run.
        cross_attentions: (B, H, latents, N) of the encoder, then (B, H, Q, latents) of the decoder.
    """

    logits: Any | None
    last_hidden_state: Tensor
    hidden_states: tuple[Tensor, ...] | None
    attentions: tuple[Tensor, ...] | None
    cross_attentions: tuple[Tensor, ...] | None


class PerceiverEncoder(Assembly):
    """Cross-attention to inputs of width `kv_dim`, then the same layers, block after block."""

    def __init__(self, config: PerceiverConfig, kv_dim: int, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        width, channels = config.d_latents, (config.qk_channels, config.v_channels)
        for field in ("num_self_attention_heads", "num_cross_attention_heads"):
            if width % getattr(config, field):
                raise ConfigError(
                    f"d_latents {width} must be a multiple of {field} {getattr(config, field)}."
                )
        heads, widening = config.num_cross_attention_heads, config.cross_attention_widening_factor
        across = (width, kv_dim, *channels, heads, widening, config.use_query_residual)
        self.cross_attention = self.sublayer(
            PerceiverLayer(config, *across, name="cross_attention")
        )
        heads, widening = config.num_self_attention_heads, config.self_attention_widening_factor
        within = (width, None, *channels, heads, widening)
        self.self_attends = [
            self.sublayer(PerceiverLayer(config, *within, name=f"self_attend_{i}"))
            for i in range(config.num_self_attends_per_block)
        ]

    def call(
        self,
        latents: Tensor,
        inputs: Tensor,
        masked: Tensor | None = None,
        head_mask: Tensor | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> TFPerceiverModelOutput:
        """Let latents (1, latents, D) read inputs (B, N, C).

        `masked` has 1 for each input that is hidden, see `tfzoo.layers.masks`; `head_mask` (layers,
        H) the factors of the self-attention's weights. Each block takes its first rows, one for
        each of its layers.
        """
        hidden, cross_weights = self.cross_attention(
            latents, inputs, masked, output_attentions=output_attentions
        )
        states, attentions = [], []
        for _ in range(self.config.num_blocks):
            for i, layer in enumerate(self.self_attends):
                states.append(hidden)
                own = None if head_mask is None else head_mask[i]
                hidden, weights = layer(hidden, head_mask=own, output_attentions=output_attentions)
                attentions.append(weights)
            states.append(hidden)
        return TFPerceiverModelOutput(
            last_hidden_state=hidden,
            hidden_states=tuple(states) if output_hidden_states else None,
            attentions=tuple(attentions) if output_attentions else None,
            cross_attentions=(cross_weights,) if output_attentions else None,
        )


# ---- what stands around the encoder
_OPTIONS = ("name", "dtype", "trainable")


def split_options(kwargs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Keywords of a Keras layer, and the others."""
    options = {key: value for key, value in kwargs.items() if key in _OPTIONS}
    return options, {key: value for key, value in kwargs.items() if key not in _OPTIONS}


def label_count(config: PerceiverConfig) -> int:
    """The number of labels of a part that has some.

    Raises:
        ConfigError: It is 0.
    """
    if not config.num_labels:
        raise ConfigError("PerceiverConfig.num_labels must be positive for this model, got 0.")
    return config.num_labels


def check_choice(name: str, value: str, *choices: str) -> None:
    """Raise a `ValueError` unless the argument `name` is one of `choices`."""
    if value not in choices:
        raise ValueError(f"{name} must be {' or '.join(map(repr, choices))}, got {value!r}.")


class Part(Assembly):
    """Base class of preprocessors, decoders and postprocessors, which are combined freely.

    Their weights need no input: they are made by the model, or on first use.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        keras.saving.register_keras_serializable(package="tfzoo")(cls)

    def __new__(cls, *args: Any, **kwargs: Any) -> Part:
        part = super().__new__(cls, *args, **kwargs)
        given = inspect.signature(cls.__init__).bind_partial(part, *args, **kwargs)
        given.apply_defaults()
        rest = given.arguments.pop(inspect.getfullargspec(cls.__init__).varkw, {})
        arguments = split_options({**given.arguments, **rest})[1]
        # What a Keras file makes the part again from. Past Keras's tracking, which would find
        # the parts inside a second time.
        vars(part)["_arguments"] = {
            name: dict(value) if isinstance(value, Mapping) else value
            for name, value in arguments.items()
            if name not in ("self", "config")
        }
        return part

    def make_positions(
        self,
        name: str,
        kind: str,
        width: int | None,
        project_to: int,
        trainable_position_encoding_kwargs: Mapping[str, Any] | None = None,
        fourier_position_encoding_kwargs: Mapping[str, Any] | None = None,
    ) -> tuple[TrainablePositions | FourierPositions, Linear | None]:
        """Make a position encoding, and a layer that projects it where `project_to` is positive.

        Positions of `width`, by default the encoding's, are projected. `name` is the encoding's
        attribute, `kind` and the last arguments are those of the decoders and preprocessors.

        Raises:
            ValueError: An unknown kind, or its arguments are missing.
        """
        check_choice("position_encoding_type", kind, "trainable", "fourier")
        is_fourier = kind == "fourier"
        given = trainable_position_encoding_kwargs
        keys = "{'num_channels': ..., 'index_dims': ...}"
        if is_fourier:
            given = fourier_position_encoding_kwargs
            keys = "{'num_bands': ..., 'max_resolution': (...)}"
        if not given:
            title = f"{kind.capitalize()} positions"
            raise ValueError(f"{title} need {kind}_position_encoding_kwargs={keys}.")
        if is_fourier:
            positions = FourierPositions(**given)
        else:
            stddev = self.config.initializer_range
            positions = self.sublayer(TrainablePositions(**given, stddev=stddev, name=name))
        if project_to <= 0:
            return positions, None
        width = width or positions.output_size()
        return positions, self.linear(width, project_to, "positions_projection")

    def get_config(self) -> dict[str, Any]:
        config = None if self.config is None else self.config.to_json_dict()
        arguments = {k: keras.saving.serialize_keras_object(v) for k, v in self._arguments.items()}
        return {**super().get_config(), "config": config, "arguments": arguments}

    @classmethod
    def from_config(cls, values: Mapping[str, Any]) -> Part:
        values = dict(values)
        config, stored = values.pop("config"), values.pop("arguments")
        arguments = {k: keras.saving.deserialize_keras_object(v) for k, v in stored.items()}
        if config is not None:
            arguments["config"] = PerceiverConfig.from_dict(config)
        return cls(**arguments, **values)
