"""The Perceiver (Jaegle et al. 2022, arXiv:2107.14795): any input, any output."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import keras
from keras import ops

from tfzoo.core.config import PretrainedConfig
from tfzoo.core.inputs import Input, InputTable
from tfzoo.core.outputs import ModelOutput
from tfzoo.core.types import Tensor
from tfzoo.losses.classification import classification_loss
from tfzoo.modeling.base import TFPreTrainedModel
from tfzoo.models.perceiver.config import PerceiverConfig
from tfzoo.models.perceiver.decoders import TFPerceiverAbstractDecoder, TFPerceiverDecoderOutput
from tfzoo.models.perceiver.engine import (
    Assembly,
    CrossAttentionsOutput,
    Latents,
    Part,
    PerceiverEncoder,
    TFPerceiverModelOutput,
)
from tfzoo.models.perceiver.preprocessors import TFPerceiverAbstractPreprocessor

__all__ = [
    "ATTENTION_MASK",
    "HEAD_MASK",
    "LABELS",
    "PerceiverHead",
    "Preprocessed",
    "TFPerceiverClassifierOutput",
    "TFPerceiverMaskedLMOutput",
    "TFPerceiverModel",
    "TFPerceiverModelOutput",
    "TFPerceiverPreTrainedModel",
    "sized",
    "without_none",
]

PARTS = ("decoder", "input_preprocessor", "output_postprocessor")


# ---- inputs and outputs
@dataclass(frozen=True)
class SizedInput(Input):
    """An input whose exported shape is what `sizes` makes of the config, None for a free axis."""

    sizes: Callable[[Any], tuple[int | None, ...]] | None = None

    def spec(self, config: Any) -> keras.InputSpec:
        return keras.InputSpec(shape=self.sizes(config), dtype=self.dtype, name=self.name)


def sized(name: str, shape: tuple, description: str, sizes: Callable[[Any], tuple]) -> SizedInput:
    """Make the row of floats that may be left out in calls but are there in exports."""
    return SizedInput(name, "float32", shape, description, True, shape, sizes)


_MASKED = "1 for tokens, 0 for padding: (batch, tokens), or (batch, latents, tokens)."
_HEADS = "(heads,) or (layers, heads), 0 for heads left out."
_TARGETS = "(batch,) class indices, (batch, labels) of 0 and 1, or targets of a regression."
ATTENTION_MASK = Input("attention_mask", "mask", None, _MASKED, True)
HEAD_MASK = Input("head_mask", "any", None, _HEADS, True)
LABELS = Input("labels", "any", None, _TARGETS, True)


class TFPerceiverClassifierOutput(CrossAttentionsOutput):
    """Output of the classifiers, of optical flow and of multimodal autoencoding.

    Attributes:
        loss: Scalar, present when labels were given.
        logits: (B, labels); for flow (B, height, width, 2); for multimodal autoencoding a dict.
        hidden_states: As in `TFPerceiverModelOutput`, like `attentions` and `cross_attentions`.
    """

    loss: Tensor | None
    logits: Any
    hidden_states: tuple[Tensor, ...] | None
    attentions: tuple[Tensor, ...] | None
    cross_attentions: tuple[Tensor, ...] | None


class TFPerceiverMaskedLMOutput(TFPerceiverClassifierOutput):
    """Output of masked language modelling; logits (B, max_position_embeddings, vocab_size)."""


class Preprocessed(NamedTuple):
    """What a preprocessor gives."""

    tokens: Tensor  # (B, N, C)
    modality_sizes: Any  # tokens by modality, or None
    without_pos: Any  # the tokens without positions, by modality where there are several


def without_none(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The entries that are not None, which counts as absent."""
    return {name: value for name, value in inputs.items() if value is not None}


# ---- models
class TFPerceiverPreTrainedModel(TFPreTrainedModel):
    """Base class of the Perceiver models.

    Args:
        config: The configuration.
        **kwargs: `name`, `dtype`, `trainable` as in `keras.Model`.

    Raises:
        ConfigError: Widths that the heads do not divide, or no labels for a model that needs some.
    """

    config_class = PerceiverConfig
    base_model_prefix = "perceiver"

    def unused_weights(self) -> list[Any]:
        """Those of the self-attention layers, where no block applies them."""
        layers = [] if self.config.num_blocks else self.base_model.encoder.self_attends
        return [weight for layer in layers for weight in layer.weights]

    def get_input_embeddings(self) -> Tensor:
        """The latents (latents, D), which read every input."""
        return self.base_model.embeddings.latents

    def word_embeddings(self) -> tuple[keras.layers.Layer, str] | None:
        part = self.base_model.input_preprocessor
        is_table = isinstance(getattr(part, "embeddings", None), keras.layers.Embedding)
        return (part, "embeddings") if is_table else None

    def prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        for name, value in inputs.items():
            if isinstance(value, Mapping):
                inputs[name] = without_none(value)
        return super().prepare_inputs(inputs)


class TFPerceiverModel(TFPerceiverPreTrainedModel):
    """The Perceiver: a preprocessor, the encoder, a decoder and a postprocessor, freely combined.

    Args:
        config: The configuration.
        decoder: Makes outputs of the latents; without one there are only latents. Instead of a
            `TFPerceiverAbstractDecoder`, a Keras layer or a function of the latents.
        input_preprocessor: Makes tokens of the inputs; without one they are (B, N, d_model).
            Instead of a `TFPerceiverAbstractPreprocessor`, a Keras layer or a function that makes
            such tokens.
        output_postprocessor: Makes of the decoder's outputs what is wanted. Instead of a
            `TFPerceiverAbstractPostprocessor`, a Keras layer or a function of the outputs.
        **kwargs: As in `TFPerceiverPreTrainedModel`, like the errors.

    Source: the reference's PerceiverModel.

    Example:
        >>> from tfzoo import TFPerceiverProjectionDecoder, TFPerceiverTextPreprocessor
        >>> config = PerceiverConfig(d_latents=8, d_model=8, num_self_attends_per_block=1)
        >>> parts = TFPerceiverProjectionDecoder(config), TFPerceiverTextPreprocessor(config)
        >>> outputs = TFPerceiverModel(config, *parts)(inputs=np.array([[4, 110, 5]]))
        >>> tuple(outputs.logits.shape), tuple(outputs.last_hidden_state.shape)
        ((1, 2), (1, 256, 8))
    """

    inputs_table = (
        Input("inputs", "structure", None, "What the preprocessor takes.", optional=True),
        ATTENTION_MASK,
        Input("subsampled_output_points", "structure", None, "Indices of outputs.", optional=True),
        HEAD_MASK,
    )
    constructor_arguments = PARTS
    main_output = "last_hidden_state"
    labels_input = None

    def __init__(
        self,
        config: PerceiverConfig,
        decoder: TFPerceiverAbstractDecoder | Callable[[Tensor], Any] | None = None,
        input_preprocessor: TFPerceiverAbstractPreprocessor | Callable[[Any], Tensor] | None = None,
        output_postprocessor: Part | Callable[[Any], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        # Past Keras's tracking: `setup` makes them attributes once the base class is ready.
        vars(self)["_given"] = (decoder, input_preprocessor, output_postprocessor)
        super().__init__(config, **kwargs)

    def setup(self, config: PerceiverConfig) -> None:
        self.decoder, self.input_preprocessor, self.output_postprocessor = vars(self).pop("_given")
        preprocessor = self.input_preprocessor
        self.token_channels = getattr(preprocessor, "num_channels", config.d_model)
        self.embeddings = Latents(config, name="embeddings")
        self.encoder = PerceiverEncoder(config, self.token_channels, name="encoder")
        if self.decoder is not None:
            vars(self)["main_output"] = "logits"
        if preprocessor is None:
            shape = ("batch", "tokens", "d_model")
            row = Input("inputs", "float32", shape, "Tokens, without a preprocessor.")
            self.inputs_table = (row, *type(self).inputs_table[1:])
            self._table = InputTable(self.inputs_table, self._table.order, type(self).__name__)

    def build_layers(self) -> None:
        parts = (getattr(self, name) for name in PARTS)
        for layer in (self.embeddings, self.encoder, *parts):
            if isinstance(layer, Assembly):  # the user's Keras layers are built on the first call
                layer.build()

    def check_inputs(self, inputs: Mapping[str, Any]) -> None:
        super().check_inputs(inputs)
        owner, data = type(self).__name__, inputs.get("inputs")
        points = inputs.get("subsampled_output_points")
        if data is None:
            raise ValueError(f"{owner}: inputs is required.")
        if isinstance(self.input_preprocessor, TFPerceiverAbstractPreprocessor):
            self.input_preprocessor.check(data, owner)
        if isinstance(self.decoder, TFPerceiverAbstractDecoder):
            self.decoder.check(data, points, owner)
        elif points is not None:
            raise ValueError(f"{owner}: subsampled_output_points need a decoder with queries.")
        mask, head_mask = inputs.get("attention_mask"), inputs.get("head_mask")
        if mask is not None and len(mask.shape) not in (2, 3):
            raise ValueError(
                f"{owner}: attention_mask must have shape (batch, tokens) or (batch, latents, "
                f"tokens), got {tuple(mask.shape)}."
            )
        heads, layers = self.config.num_self_attention_heads, self.config.num_self_attends_per_block
        whole = layers * self.config.num_blocks
        shape = (heads,) if head_mask is None else tuple(head_mask.shape)
        if shape not in ((heads,), (layers, heads), (whole, heads)):
            raise ValueError(
                f"{owner}: head_mask must have shape ({heads},) or ({whole}, {heads}), got {shape}."
            )

    def call(
        self,
        inputs: Any = None,
        attention_mask: Tensor | None = None,
        subsampled_output_points: Any = None,
        head_mask: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        interpolate_pos_encoding: bool = False,
        training: bool = False,
    ) -> TFPerceiverModelOutput:
        """Encode and decode.

        Args:
            inputs: What the preprocessor takes, or (B, N, d_model).
            attention_mask: (B, N) or (B, latents, N) for the N tokens after preprocessing, 1 for
                those that are read.
            subsampled_output_points: (P,) indices of the outputs wanted, for several modalities a
                dict of such; all where None.
            head_mask: (H,) or (layers, H), factors of the self-attention's weights. Each block
                takes the first rows.
            output_attentions: Return the attention weights; the config's choice where None.
            output_hidden_states: Return the latents between layers; the config's where None.
            return_dict: Return an output object rather than a tuple; the config's where None.
            interpolate_pos_encoding: Resize trainable positions to an image of another size.
            training: Whether dropout acts.

        Returns:
            `logits` where there is a decoder, `last_hidden_state` and what was asked for.
        """
        data = self.preprocess(inputs, interpolate_pos_encoding)
        flags = (output_attentions, output_hidden_states)
        outputs = self.encode(data, attention_mask, head_mask, *flags)
        if self.decoder is None:
            return outputs
        latents = outputs.last_hidden_state
        decoded = self.decode(latents, data, subsampled_output_points, output_attentions)
        if output_attentions:
            weights = outputs.cross_attentions + (decoded.cross_attentions or ())
            outputs = TFPerceiverModelOutput({**outputs, "cross_attentions": weights})
        return TFPerceiverModelOutput(logits=decoded.logits, **outputs)

    def preprocess(self, inputs: Any, interpolate_pos_encoding: bool = False) -> Preprocessed:
        """Make tokens of the inputs; arguments as in `call`."""
        if self.input_preprocessor is None:
            return Preprocessed(inputs, None, None)
        flag = {"interpolate_pos_encoding": True} if interpolate_pos_encoding else {}
        made = self.input_preprocessor(inputs, **flag)
        data = Preprocessed(*(made if isinstance(made, tuple) else (made, None, made)))
        shape = tuple(data.tokens.shape)
        if len(shape) != 3 or shape[2] != self.token_channels:
            raise ValueError(
                f"{type(self).__name__}: input_preprocessor must make tokens (batch, tokens, "
                f"{self.token_channels}), got {shape}."
            )
        return data

    def encode(
        self,
        data: Preprocessed,
        attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> TFPerceiverModelOutput:
        """Read the tokens that `preprocess` made into latents; arguments as in `call`."""
        if head_mask is not None and len(head_mask.shape) == 1:
            shape = (self.config.num_self_attends_per_block, head_mask.shape[0])
            head_mask = ops.broadcast_to(head_mask, shape)
        return self.encoder(
            self.embeddings(None),
            data.tokens,
            _hidden_places(attention_mask, data.tokens.shape[1]),
            head_mask,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
        )

    def decode(
        self,
        latents: Tensor,
        data: Preprocessed,
        subsampled_output_points: Any = None,
        output_attentions: bool = False,
    ) -> TFPerceiverDecoderOutput:
        """Make outputs of latents (B, latents, D), any number of times for one encoding.

        Beside the postprocessed logits it returns the attention weights, if asked for. `data` is
        what `preprocess` made, the other arguments are those of `call`.
        """
        has_queries = isinstance(self.decoder, TFPerceiverAbstractDecoder)
        if has_queries:
            query = self.decoder.decoder_query(*data, subsampled_output_points)
            decoded = self.decoder(query, latents, output_attentions=output_attentions)
        else:
            decoded = self.decoder(latents)
        if not isinstance(decoded, TFPerceiverDecoderOutput):
            decoded = TFPerceiverDecoderOutput(logits=decoded)
        if self.output_postprocessor is None:
            return decoded
        more: dict[str, Any] = {}
        if has_queries and isinstance(self.output_postprocessor, Part):
            sizes = self.decoder.output_sizes(data.modality_sizes, subsampled_output_points)
            if sizes is not None and not all(isinstance(size, int) for size in sizes.values()):
                sizes = {name: ops.convert_to_tensor(size) for name, size in sizes.items()}
            more = {"modality_sizes": sizes}
        logits = self.output_postprocessor(decoded.logits, **more)
        return TFPerceiverDecoderOutput({**decoded, "logits": logits})

    # ---- files
    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | Path, **kwargs: Any
    ) -> TFPerceiverModel:
        """Load a checkpoint into given parts, see `TFPreTrainedModel.from_pretrained`.

        Args:
            pretrained_model_name_or_path: Folder, file in it, or repository name.
            **kwargs: Its other arguments, and the parts: `decoder`, `input_preprocessor` and
                `output_postprocessor`; a checkpoint's are ignored where None. A part of tfzoo's
                classes must be fresh, a Keras layer must be built: else it is a `ValueError`.
        """
        for name in PARTS:
            part = kwargs.get(name)
            if isinstance(part, Part) and part.built:
                raise ValueError(f"{cls.__name__}: {name} has weights already; make a fresh one.")
            if (
                isinstance(part, keras.layers.Layer)
                and not part.built
                and not isinstance(part, Part)
            ):
                raise ValueError(
                    f"{cls.__name__}: {name} is not built, so that it has no weights to load into: "
                    f"call {name}.build(shape) before."
                )
        return super().from_pretrained(pretrained_model_name_or_path, **kwargs)

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        return {**super().get_config(), **{n: serialize(getattr(self, n)) for n in PARTS}}

    @classmethod
    def from_config(
        cls, config: PretrainedConfig | Mapping[str, Any], **kwargs: Any
    ) -> TFPerceiverModel:
        if isinstance(config, PretrainedConfig):
            return super().from_config(config, **kwargs)
        deserialize = keras.saving.deserialize_keras_object
        parts = {n: deserialize(config[n]) for n in PARTS if config.get(n) is not None}
        return super().from_config({**config, **parts}, **kwargs)


def _hidden_places(attention_mask: Tensor | None, tokens: int | None) -> Tensor | None:
    """Mask of the tokens that are hidden from latents, (B, 1, 1 or latents, N), int8."""
    if attention_mask is None:
        return None
    length = attention_mask.shape[-1]
    if None not in (length, tokens) and length != tokens:
        raise ValueError(
            f"attention_mask must cover the {tokens} tokens that the inputs become, got "
            f"{tuple(attention_mask.shape)}."
        )
    hidden = ops.cast(ops.not_equal(ops.cast(attention_mask, "float32"), 1.0), "int8")
    return hidden[:, None] if len(attention_mask.shape) == 3 else hidden[:, None, None]


_RUN_WITH = ("inputs", "attention_mask", "head_mask", "output_attentions", "output_hidden_states")


class PerceiverHead(TFPerceiverPreTrainedModel):
    """Base class of the ready-made models: `perceiver` with parts, checks and a loss."""

    input_names: tuple[str, ...] = ("inputs",)  # of which one is to be given
    output_class: type[TFPerceiverClassifierOutput] = TFPerceiverClassifierOutput

    def make_parts(self, config: PerceiverConfig) -> tuple[Part, ...]:
        """Make the decoder, the preprocessor and, for some models, the postprocessor."""
        raise TypeError(f"{type(self).__name__} is abstract: use one of its subclasses.")

    def setup(self, config: PerceiverConfig) -> None:
        self.perceiver = TFPerceiverModel(config, *self.make_parts(config), name="perceiver")

    def check_inputs(self, inputs: Mapping[str, Any]) -> None:
        super().check_inputs(inputs)
        owner = type(self).__name__
        given = [name for name in self.input_names if inputs.get(name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"{owner}: pass {' or '.join(self.input_names)}, and only one of them; got "
                f"{' and '.join(given) or 'none'}."
            )
        data, labels = inputs[given[0]], inputs.get("labels")
        self.perceiver.check_inputs({**inputs, "inputs": data})
        if labels is None or isinstance(data, Mapping):
            return
        samples, rows = data.shape[0], labels.shape[0] if len(labels.shape) else None
        if None not in (samples, rows) and samples != rows:
            raise ValueError(
                f"{owner}: labels must be as many as the {samples} samples, got "
                f"{tuple(labels.shape)}."
            )

    def head_logits(self, logits: Tensor | dict[str, Tensor]) -> Tensor | dict[str, Tensor]:
        """Make the head's logits of the decoder's."""
        return logits

    def run(self, labels: Any, *inputs: Any, **more: Any) -> TFPerceiverClassifierOutput:
        """Run `perceiver` with the inputs of `_RUN_WITH`, and compute the loss, given labels."""
        given = dict(zip(_RUN_WITH, inputs, strict=True))
        outputs = self.perceiver(**given, **more, return_dict=True)
        fields = {name: value for name, value in outputs.items() if name != "last_hidden_state"}
        result = self.output_class({**fields, "logits": self.head_logits(outputs.logits)})
        if labels is None:
            return result
        return self.output_class(loss=self.compute_output_loss(labels, result), **result)

    def compute_output_loss(
        self, labels: Tensor, outputs: ModelOutput, sample_weight: Tensor | None = None
    ) -> Any:
        """Cross-entropy, binary cross-entropy or squared error, see `classification_loss`."""
        kind, size = self.config.problem_type, self.config.num_labels
        return classification_loss(labels, outputs["logits"], size, kind, sample_weight)
