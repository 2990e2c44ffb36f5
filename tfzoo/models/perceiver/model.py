"""The Perceiver engine (Jaegle et al. 2022, arXiv:2107.14795): any input, any output."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import keras
from keras import ops

from tfzoo.core.inputs import Input, InputTable
from tfzoo.modeling.base import TFPreTrainedModel
from tfzoo.modeling.checkpoint import load_model_from, locate
from tfzoo.models.perceiver.config import PerceiverConfig
from tfzoo.models.perceiver.decoder import Decoder
from tfzoo.models.perceiver.encoder import Encoded, Latents, PerceiverEncoder
from tfzoo.models.perceiver.inputs import ATTENTION_MASK, HEAD_MASK
from tfzoo.models.perceiver.outputs import TFPerceiverDecoderOutput, TFPerceiverModelOutput
from tfzoo.models.perceiver.parts import Part
from tfzoo.models.perceiver.preprocessor_base import Preprocessor

__all__ = [
    "Preprocessed",
    "TFPerceiverModel",
    "TFPerceiverPreTrainedModel",
]


PARTS = ("decoder", "input_preprocessor", "output_postprocessor")


class TFPerceiverPreTrainedModel(TFPreTrainedModel):
    """Base class of the Perceiver models."""

    config_class = PerceiverConfig

    def get_input_embeddings(self) -> Any:
        """The latents (latents, D), which every input is read by."""
        return getattr(self, "perceiver", self).embeddings.latents

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
        """As the base class; entries of dicts that are None count as absent."""
        return_dict, inputs = super()._bind(args, kwargs)
        for name, value in inputs.items():
            if isinstance(value, Mapping):
                inputs[name] = {k: v for k, v in value.items() if v is not None}
        return return_dict, inputs

    def one_of(self, inputs: Mapping[str, Any], *names: str) -> Any:
        """The one of several inputs that was given.

        Raises:
            ValueError: Several were given, or none.
        """
        given = [name for name in names if inputs.get(name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"{type(self).__name__}: pass {' or '.join(names)}, and only one of them; got "
                f"{' and '.join(given) or 'none'}."
            )
        return inputs[given[0]]


class Preprocessed(NamedTuple):
    """What a preprocessor gives."""

    tokens: Any  # (B, N, C)
    modality_sizes: Any  # tokens by modality, or None
    without_pos: Any  # the tokens without positions, by modality where there are several


class TFPerceiverModel(TFPerceiverPreTrainedModel):
    """The Perceiver: a preprocessor, the encoder, a decoder and a postprocessor, freely combined.

    Args:
        config: The configuration.
        decoder: Makes outputs of the latents; without one there are only latents.
        input_preprocessor: Makes tokens of the inputs; without one they are (B, N, d_model).
        output_postprocessor: Makes of the decoder's outputs what is wanted.
        **kwargs: `name`, `dtype`, `trainable` as in `keras.Model`.

    Raises:
        ConfigError: Widths that the heads do not divide.

    Source: the reference's PerceiverModel.

    Example:
        >>> from tfzoo import (PerceiverConfig, TFPerceiverClassificationDecoder, TFPerceiverModel,
        ...     TFPerceiverTextPreprocessor)
        >>> config = PerceiverConfig(num_latents=4, d_latents=8, d_model=8,
        ...     num_self_attends_per_block=1)
        >>> decoder = TFPerceiverClassificationDecoder(config, num_channels=8,
        ...     trainable_position_encoding_kwargs={"num_channels": 8, "index_dims": 1})
        >>> model = TFPerceiverModel(config, decoder, TFPerceiverTextPreprocessor(config))
        >>> outputs = model(inputs=np.array([[4, 110, 5]]))
        >>> tuple(outputs.logits.shape), tuple(outputs.last_hidden_state.shape)
        ((1, 2), (1, 4, 8))
    """

    inputs_table = (
        Input("inputs", "structure", None, "What the preprocessor takes.", optional=True),
        ATTENTION_MASK,
        Input("subsampled_output_points", "structure", None, "Indices of outputs.", optional=True),
        HEAD_MASK,
    )
    main_output = "last_hidden_state"
    labels_input = None

    def __init__(
        self,
        config: PerceiverConfig,
        decoder: Decoder | None = None,
        input_preprocessor: Preprocessor | None = None,
        output_postprocessor: Part | None = None,
        **kwargs: Any,
    ) -> None:
        # Past Keras's tracking: `setup` makes them attributes once the base class is ready.
        vars(self)["_given"] = (decoder, input_preprocessor, output_postprocessor)
        super().__init__(config, **kwargs)

    def setup(self, config: PerceiverConfig) -> None:
        """Make the sublayers."""
        self.decoder, self.input_preprocessor, self.output_postprocessor = vars(self).pop("_given")
        preprocessor = self.input_preprocessor
        width = config.d_model if preprocessor is None else preprocessor.num_channels
        self.embeddings = Latents(config, name="embeddings")
        self.encoder = PerceiverEncoder(config, width, name="encoder")
        if self.decoder is not None:
            vars(self)["main_output"] = "logits"
        if preprocessor is None:
            shape = ("batch", "tokens", "d_model")
            row = Input("inputs", "float32", shape, "Tokens, without a preprocessor.")
            self.inputs_table = (row, *type(self).inputs_table[1:])
            self._table = InputTable(self.inputs_table, self._table.order, type(self).__name__)

    def build_layers(self) -> None:
        """Create the weights."""
        parts = (getattr(self, name) for name in PARTS)
        for layer in (self.embeddings, self.encoder, *parts):
            if layer is not None:
                layer.build()

    def check_inputs(self, inputs: Mapping[str, Any]) -> None:
        """Refuse inputs that the parts cannot take, see the base class.

        Raises:
            ValueError: Inputs of another modality, masks of another shape, points that there are
                not.
        """
        super().check_inputs(inputs)
        owner, data = type(self).__name__, inputs.get("inputs")
        points = inputs.get("subsampled_output_points")
        if data is None:
            raise ValueError(f"{owner}: inputs is required.")
        if self.input_preprocessor is not None:
            self.input_preprocessor.check(data, owner)
        if self.decoder is not None:
            self.decoder.check(data, points, owner)
        elif points is not None:
            raise ValueError(f"{owner}: subsampled_output_points need a decoder.")
        self._check_masks(inputs.get("attention_mask"), inputs.get("head_mask"))

    def _check_masks(self, attention_mask: Any, head_mask: Any) -> None:
        owner, config = type(self).__name__, self.config
        if attention_mask is not None and len(attention_mask.shape) not in (2, 3):
            raise ValueError(
                f"{owner}: attention_mask must have shape (batch, tokens) or (batch, latents, "
                f"tokens), got {tuple(attention_mask.shape)}."
            )
        if head_mask is None:
            return
        heads, layers = config.num_self_attention_heads, config.num_self_attends_per_block
        shape = tuple(head_mask.shape)
        rows = (layers, layers * config.num_blocks)
        if shape != (heads,) and (len(shape) != 2 or shape[0] not in rows or shape[1] != heads):
            raise ValueError(
                f"{owner}: head_mask must have shape ({heads},) or ({rows[1]}, {heads}), got "
                f"{shape}."
            )

    def call(
        self,
        inputs: Any = None,
        attention_mask: Any = None,
        subsampled_output_points: Any = None,
        head_mask: Any = None,
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
            head_mask: (H,) or (layers, H), factors of the self-attention's maps. Each block takes
                the first rows.
            output_attentions: Return the attention maps; the config's choice where None.
            output_hidden_states: Return the latents between layers; the config's where None.
            return_dict: Return an output object rather than a tuple; the config's where None.
            interpolate_pos_encoding: Resize trainable positions to an image of another size.
            training: Whether dropout acts.

        Returns:
            `logits` where there is a decoder, `last_hidden_state` and what was asked for.
        """
        data = self.preprocess(inputs, interpolate_pos_encoding)
        encoded = self.encode(
            data, attention_mask, head_mask, output_attentions, output_hidden_states
        )
        outputs = TFPerceiverModelOutput(
            last_hidden_state=encoded.last_hidden_state,
            hidden_states=encoded.hidden_states or None,
            attentions=encoded.attentions or None,
            cross_attentions=encoded.cross_attentions or None,
        )
        if self.decoder is None:
            return outputs
        decoded = self.decode(
            encoded.last_hidden_state, data, subsampled_output_points, output_attentions
        )
        if output_attentions:
            maps = encoded.cross_attentions + (decoded.cross_attentions or ())
            outputs = TFPerceiverModelOutput({**outputs, "cross_attentions": maps})
        return TFPerceiverModelOutput(logits=decoded.logits, **outputs)

    def preprocess(self, inputs: Any, interpolate_pos_encoding: bool = False) -> Preprocessed:
        """Make tokens of the inputs.

        Args:
            inputs: What the preprocessor takes, or (B, N, d_model).
            interpolate_pos_encoding: Resize trainable positions to an image of another size.
        """
        if self.input_preprocessor is None:
            return Preprocessed(inputs, None, None)
        flag = {"interpolate_pos_encoding": True} if interpolate_pos_encoding else {}
        return Preprocessed(*self.input_preprocessor(inputs, **flag))

    def encode(
        self,
        data: Preprocessed,
        attention_mask: Any = None,
        head_mask: Any = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> Encoded:
        """Read tokens into latents.

        Args:
            data: Of `preprocess`.
            attention_mask: See `call`.
            head_mask: See `call`.
            output_attentions: Return the attention maps.
            output_hidden_states: Return the latents between layers.

        Raises:
            ValueError: A mask for another number of tokens.
        """
        config = self.config
        if head_mask is not None and len(head_mask.shape) == 1:
            head_mask = ops.broadcast_to(
                head_mask, (config.num_self_attends_per_block, head_mask.shape[0])
            )
        return self.encoder(
            self.embeddings(None),
            data.tokens,
            masked=_hidden_places(attention_mask, data.tokens.shape[1]),
            head_mask=head_mask,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
        )

    def decode(
        self,
        latents: Any,
        data: Preprocessed,
        subsampled_output_points: Any = None,
        output_attentions: bool = False,
    ) -> TFPerceiverDecoderOutput:
        """Make outputs of latents, as often as one likes for once they were encoded.

        Args:
            latents: (B, latents, D).
            data: Of `preprocess`.
            subsampled_output_points: See `call`.
            output_attentions: Return the attention map.

        Returns:
            `logits`, postprocessed, and `cross_attentions` where asked for.
        """
        query = self.decoder.decoder_query(*data, subsampled_output_points)
        decoded = self.decoder(query, latents, output_attentions=output_attentions)
        if not isinstance(decoded, TFPerceiverDecoderOutput):
            decoded = TFPerceiverDecoderOutput(logits=decoded)
        if self.output_postprocessor is None:
            return decoded
        sizes = self.decoder.output_sizes(data.modality_sizes, subsampled_output_points)
        if sizes is not None and not all(isinstance(size, int) for size in sizes.values()):
            sizes = {name: ops.convert_to_tensor(size) for name, size in sizes.items()}
        logits = self.output_postprocessor(decoded.logits, modality_sizes=sizes)
        return TFPerceiverDecoderOutput({**decoded, "logits": logits})

    # ---- files
    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        decoder: Decoder | None = None,
        input_preprocessor: Preprocessor | None = None,
        output_postprocessor: Part | None = None,
        **kwargs: Any,
    ) -> TFPerceiverModel:
        """Load a checkpoint, see `TFPreTrainedModel.from_pretrained`, into these parts.

        Args:
            pretrained_model_name_or_path: Folder, file in it, or repository name.
            decoder: A fresh decoder; a checkpoint's decoder is ignored where None.
            input_preprocessor: Likewise.
            output_postprocessor: Likewise.
            **kwargs: As in `TFPreTrainedModel.from_pretrained`.

        Raises:
            ValueError: A part has weights already.
        """
        parts = (decoder, input_preprocessor, output_postprocessor)
        if all(part is None for part in parts):
            return super().from_pretrained(pretrained_model_name_or_path, **kwargs)
        if any(part is not None and part.built for part in parts):
            raise ValueError(f"{cls.__name__}: a part has weights already; make fresh parts.")
        config, dtype = kwargs.pop("config", None), kwargs.pop("dtype", None)
        ignore = kwargs.pop("ignore_mismatched_sizes", False)
        names = ("revision", "cache_dir", "local_files_only", "token")
        where = {name: kwargs.pop(name) for name in names if name in kwargs}
        cls._refuse_unknown(kwargs)
        if config is None:
            config = cls.config_class.from_pretrained(
                pretrained_model_name_or_path, **where, **kwargs
            )
        return load_model_from(
            locate(pretrained_model_name_or_path, **where),
            lambda: cls(config, *parts, dtype=dtype),
            ignore_mismatched_sizes=ignore,
        )

    def get_config(self) -> dict[str, Any]:
        """What a `.keras` file needs to construct the model again, the parts included."""
        serialize = keras.saving.serialize_keras_object
        return {**super().get_config(), **{n: serialize(getattr(self, n)) for n in PARTS}}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> TFPerceiverModel:
        """Construct the model that `get_config` described."""
        deserialize = keras.saving.deserialize_keras_object
        parts = {n: deserialize(config[n]) for n in PARTS if config.get(n) is not None}
        return super().from_config({**config, **parts})


def _hidden_places(attention_mask: Any, tokens: int | None) -> Any:
    """Which tokens are hidden from which latents, (B, 1, 1 or latents, N), int8."""
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
