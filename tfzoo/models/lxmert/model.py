"""LXMERT without heads (Tan and Bansal 2019, arXiv:1908.07490)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from tfzoo.layers.bert import BertEmbeddings
from tfzoo.layers.masks import padding_mask
from tfzoo.modeling.base import TFPreTrainedModel
from tfzoo.models.lxmert.config import LxmertConfig
from tfzoo.models.lxmert.heads import linear
from tfzoo.models.lxmert.inputs import INPUTS, check_pairs
from tfzoo.models.lxmert.layers import TFLxmertEncoder, lxmert_sizes
from tfzoo.models.lxmert.outputs import TFLxmertModelOutput
from tfzoo.models.lxmert.vocabulary import VocabularyMixin

__all__ = ["TFLxmertMainLayer", "TFLxmertModel", "TFLxmertPreTrainedModel"]


class TFLxmertPreTrainedModel(VocabularyMixin, TFPreTrainedModel):
    """Base class of the LXMERT models."""

    config_class = LxmertConfig
    inputs_table = INPUTS

    def check_inputs(self, inputs: Mapping[str, Any]) -> None:
        """Refuse wrong inputs.

        Raises:
            ValueError: Missing or wrong features or boxes, both or neither of `input_ids` and
                `inputs_embeds`, more text than positions, ids outside the vocabulary, or inputs
                that are no pairs.
        """
        try:
            super().check_inputs(inputs)
        except ValueError as error:
            features = inputs.get("visual_feats")
            if features is not None and len(getattr(features, "shape", ())) == 2:
                raise ValueError(
                    f"{error} A list or tuple is read in the order {', '.join(self._table.order)}."
                ) from None
            raise
        check_pairs(type(self).__name__, inputs, self.config)

    # ---- training
    def idle_layers(self) -> list[keras.layers.Layer]:
        """The layers that none of the head's losses depends on; they stay as they are."""
        return []

    def last_layers(self, modality: str) -> list[keras.layers.Layer]:
        """The layers that only the last hidden state of one modality depends on.

        Args:
            modality: `"lang"` for words, `"visn"` for objects.
        """
        base = self.base_model()
        if base.encoder.x_layers:
            last = base.encoder.x_layers[-1]
            return [getattr(last, f"{modality}_{part}") for part in ("self_att", "mlp")]
        if modality == "lang":
            return [base.embeddings, *base.encoder.layer]
        return [base.encoder.visn_fc, *base.encoder.r_layers]

    @property
    def trainable_weights(self) -> list[Any]:
        """The weights that the head's losses train: Keras warns of others in each `fit`."""
        idle = {id(weight) for layer in self.idle_layers() for weight in layer.weights}
        return [weight for weight in super().trainable_weights if id(weight) not in idle]

    @property
    def trainable_variables(self) -> list[Any]:
        """The same as `trainable_weights`; Keras asks for either."""
        return self.trainable_weights


class TFLxmertModel(TFLxmertPreTrainedModel):
    """LXMERT: a text and the objects of an image, encoded apart and then together.

    The features of the objects come from an external detector, see
    `tfzoo.data.regions`.

    Row 0 of the tables of words, places and types is the padding's, as in PyTorch: it starts at
    zero and lookups do not train it (`transformers`' TensorFlow classes trained it). A head that
    scores words trains row 0 of the words, on both sides.

    Args:
        config: The configuration.
        **kwargs: `name`, `dtype`, `trainable` as in `keras.Model`.

    Raises:
        ConfigError: The configuration is invalid.
        ValueError: `hidden_size` is no multiple of `num_attention_heads`.

    Source: the reference's LxmertModel.

    Example:
        >>> from tfzoo import LxmertConfig, TFLxmertModel
        >>> sizes = {"hidden_size": 24, "l_layers": 1, "x_layers": 1, "r_layers": 1}
        >>> model = TFLxmertModel(LxmertConfig(vocab_size=120, **sizes))
        >>> outputs = model(
        ...     input_ids=np.array([[101, 7, 9, 102]]),
        ...     visual_feats=np.zeros((1, 36, 2048), "float32"),
        ...     visual_pos=np.zeros((1, 36, 4), "float32"))
        >>> outputs.language_output.shape, outputs.vision_output.shape
        (TensorShape([1, 4, 24]), TensorShape([1, 36, 24]))
    """

    main_output = "language_output"

    def setup(self, config: LxmertConfig) -> None:
        """Make the sublayers."""
        sizes = lxmert_sizes(config)
        self.embeddings = BertEmbeddings(
            sizes,
            config.vocab_size,
            config.max_position_embeddings,
            config.type_vocab_size,
            padding=(0, 0, 0),
            name="embeddings",
        )
        self.encoder = TFLxmertEncoder(config, name="encoder")
        self.pooler = linear(sizes, sizes.width, "pooler", ops.tanh)

    def build_layers(self) -> None:
        """Create the weights."""
        self.embeddings.build()
        self.encoder.build()
        self.pooler.build((None, self.config.hidden_size))

    def call(
        self,
        input_ids: Any = None,
        visual_feats: Any = None,
        visual_pos: Any = None,
        attention_mask: Any = None,
        visual_attention_mask: Any = None,
        token_type_ids: Any = None,
        inputs_embeds: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool = False,
    ) -> TFLxmertModelOutput:
        """Encode texts and images.

        Args:
            input_ids: (B, T), token ids; or give `inputs_embeds`.
            visual_feats: (B, N, F), features of the objects.
            visual_pos: (B, N, 4) with default sizes, their boxes in parts of the image.
            attention_mask: (B, T), 1 for tokens and 0 for padding; no padding where None.
            visual_attention_mask: (B, N), 1 for objects and 0 for padding; no padding where None.
            token_type_ids: (B, T), 0 for the first text and 1 for the second; 0 where None.
            inputs_embeds: (B, T, D), vectors of the words.
            output_attentions: Return the attention maps; the config's choice where None.
            output_hidden_states: Return all hidden states; the config's choice where None.
            return_dict: Return an output object rather than a tuple; the config's where None.
            training: Whether dropout acts.

        Returns:
            See `TFLxmertModelOutput`.

        Raises:
            ValueError: Wrong inputs, see `check_inputs`.
        """
        states = self.encoder(
            self.embeddings(input_ids, token_type_ids, inputs_embeds),
            visual_feats,
            visual_pos,
            None if attention_mask is None else padding_mask(attention_mask),
            None if visual_attention_mask is None else padding_mask(visual_attention_mask),
            output_attentions=bool(output_attentions),
        )
        words, objects, *maps = states
        maps = maps if output_attentions else (None, None, None)
        return TFLxmertModelOutput(
            language_output=words[-1],
            vision_output=objects[-1],
            pooled_output=self.pooler(words[-1][:, 0]),
            language_hidden_states=words if output_hidden_states else None,
            vision_hidden_states=objects if output_hidden_states else None,
            language_attentions=maps[0],
            vision_attentions=maps[1],
            cross_encoder_attentions=maps[2],
        )


class TFLxmertMainLayer(TFLxmertModel):
    """`TFLxmertModel` under the name that it has as a layer of models of your own.

    Args:
        config: The configuration.
        **kwargs: `name`, `dtype`, `trainable` as in `keras.layers.Layer`.
    """

    @property
    def torch_class(self) -> str:
        """Name of the PyTorch class with the same weights."""
        return "LxmertModel"
