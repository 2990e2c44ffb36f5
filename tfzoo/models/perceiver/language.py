"""Perceiver for text: bytes in, bytes or labels out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from tfzoo.core.inputs import Input
from tfzoo.losses.classification import classification_loss
from tfzoo.models.perceiver.classification import ClassifierMixin, classification_decoder
from tfzoo.models.perceiver.config import PerceiverConfig
from tfzoo.models.perceiver.decoder import TFPerceiverBasicDecoder
from tfzoo.models.perceiver.inputs import HEAD_MASK, LABELS
from tfzoo.models.perceiver.model import TFPerceiverModel, TFPerceiverPreTrainedModel
from tfzoo.models.perceiver.outputs import TFPerceiverClassifierOutput, TFPerceiverMaskedLMOutput
from tfzoo.models.perceiver.preprocessors import TFPerceiverTextPreprocessor

__all__ = ["EmbeddingDecoder", "TFPerceiverForMaskedLM", "TFPerceiverForSequenceClassification"]

_TEXT = ("batch", "sequence")
_TABLE = (
    Input("input_ids", "int64", _TEXT, "Ids as the tokenizer gives them.", True, _TEXT),
    Input("inputs", "int64", _TEXT, "The same under the model's general name.", True),
    Input("attention_mask", "mask", None, "1 for tokens, 0 for padding.", True, _TEXT),
    HEAD_MASK,
    LABELS,
)
_HEADS, _QK = 8, 256  # of the decoder of masked language modelling, whatever the config says


class EmbeddingDecoder(keras.layers.Layer):
    """Scores of all ids: the embedding table read backwards, with a bias of its own.

    Args:
        vocab_size: Number of ids.
    """

    def __init__(self, vocab_size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.vocab_size = vocab_size

    def build(self, input_shape: Any = None) -> None:
        """Create the bias."""
        self.bias = self.add_weight(shape=(self.vocab_size,), initializer="zeros", name="bias")
        self.built = True

    def call(self, hidden: Any, table: Any) -> Any:
        """(B, N, D) and the table (ids, D) -> (B, N, ids)."""
        return ops.matmul(hidden, ops.transpose(ops.cast(table, hidden.dtype))) + self.bias


class TFPerceiverForMaskedLM(TFPerceiverPreTrainedModel):
    """Fills masked bytes.

    Args:
        config: The configuration.
        **kwargs: `name`, `dtype`, `trainable` as in `keras.Model`.

    Raises:
        ConfigError: Widths that the heads do not divide.

    Source: the reference's PerceiverForMaskedLM.

    Example:
        >>> from tfzoo import PerceiverConfig, TFPerceiverForMaskedLM
        >>> config = PerceiverConfig(num_latents=4, d_latents=8, d_model=8,
        ...     num_self_attends_per_block=1, max_position_embeddings=10)
        >>> model = TFPerceiverForMaskedLM(config)
        >>> tuple(model(input_ids=np.array([[4, 110, 3, 5]])).logits.shape)
        (1, 10, 262)
    """

    inputs_table = _TABLE

    def setup(self, config: PerceiverConfig) -> None:
        """Make the sublayers."""
        preprocessor = TFPerceiverTextPreprocessor(config, name="input_preprocessor")
        table = {"num_channels": config.d_model, "index_dims": config.max_position_embeddings}
        decoder = TFPerceiverBasicDecoder(
            config,
            output_num_channels=config.d_latents,
            output_index_dims=config.max_position_embeddings,
            num_channels=config.d_model,
            qk_channels=_QK,
            v_channels=config.d_model,
            num_heads=_HEADS,
            use_query_residual=False,
            final_project=False,
            trainable_position_encoding_kwargs=table,
            name="decoder",
        )
        self.perceiver = TFPerceiverModel(config, decoder, preprocessor, name="perceiver")
        self.embedding_decoder = EmbeddingDecoder(config.vocab_size, name="embedding_decoder")

    def build_layers(self) -> None:
        """Create the bias of the head; all else is there."""
        self.embedding_decoder.build()

    def check_inputs(self, inputs: Mapping[str, Any]) -> None:
        """Refuse what is no text, and labels of another length than the outputs."""
        super().check_inputs(inputs)
        text = self.one_of(inputs, "inputs", "input_ids")
        self.perceiver.check_inputs({**inputs, "inputs": text})
        labels, length = inputs.get("labels"), self.config.max_position_embeddings
        if labels is not None and tuple(labels.shape)[1:] not in ((length,), (None,)):
            raise ValueError(
                f"{type(self).__name__}: labels must have shape (batch, {length}), one for each "
                f"output (max_position_embeddings), got {tuple(labels.shape)}: pad them, and the "
                "text, with padding='max_length'."
            )

    def call(
        self,
        inputs: Any = None,
        attention_mask: Any = None,
        head_mask: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        labels: Any = None,
        return_dict: bool | None = None,
        input_ids: Any = None,
        training: bool = False,
    ) -> TFPerceiverMaskedLMOutput:
        """Score all ids for each place.

        Args:
            inputs: (B, N) ids; or `input_ids`.
            attention_mask: (B, N), 1 for tokens and 0 for padding.
            head_mask: (H,) or (layers, H), see `TFPerceiverModel`.
            output_attentions: Return the attention maps; the config's choice where None.
            output_hidden_states: Return the latents between layers; the config's where None.
            labels: (B, max_position_embeddings) ids; -100 is ignored, the padding's 0 is not.
            return_dict: Return an output object rather than a tuple; the config's where None.
            input_ids: (B, N) ids.
            training: Whether dropout acts.

        Returns:
            `loss` where labels were given, `logits` (B, max_position_embeddings, vocab_size), and
            what was asked for.

        Raises:
            ValueError: Both or none of `inputs` and `input_ids`, or labels of another length.
        """
        outputs = self.perceiver(
            inputs=input_ids if inputs is None else inputs,
            attention_mask=attention_mask,
            head_mask=head_mask,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=True,
        )
        table = self.perceiver.input_preprocessor.embeddings.embeddings
        logits = self.embedding_decoder(outputs.logits, table)
        result = TFPerceiverMaskedLMOutput(
            logits=logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            cross_attentions=outputs.cross_attentions,
        )
        if labels is None:
            return result
        return TFPerceiverMaskedLMOutput(loss=self.compute_output_loss(labels, result), **result)

    def compute_output_loss(
        self, labels: Any, outputs: TFPerceiverMaskedLMOutput, sample_weight: Any = None
    ) -> Any:
        """Mean cross-entropy over all places whose label is not -100."""
        if sample_weight is not None and len(sample_weight.shape) == 1:
            sample_weight = ops.broadcast_to(sample_weight[:, None], ops.shape(labels))
        if sample_weight is not None:
            sample_weight = ops.reshape(sample_weight, (-1,))
        kind, size = "single_label_classification", self.config.vocab_size
        return classification_loss(labels, outputs["logits"], size, kind, sample_weight)


class TFPerceiverForSequenceClassification(ClassifierMixin, TFPerceiverPreTrainedModel):
    """Classifies texts.

    Args:
        config: The configuration; `num_labels` is the number of labels.
        **kwargs: `name`, `dtype`, `trainable` as in `keras.Model`.

    Raises:
        ConfigError: Widths that the heads do not divide.

    Source: the reference's PerceiverForSequenceClassification.

    Example:
        >>> from tfzoo import PerceiverConfig, TFPerceiverForSequenceClassification
        >>> config = PerceiverConfig(num_latents=4, d_latents=8, d_model=8,
        ...     num_self_attends_per_block=1, num_labels=3)
        >>> model = TFPerceiverForSequenceClassification(config)
        >>> tuple(model(input_ids=np.array([[4, 110, 5]])).logits.shape)
        (1, 3)
    """

    inputs_table = _TABLE
    input_names = ("inputs", "input_ids")

    def setup(self, config: PerceiverConfig) -> None:
        """Make the sublayers."""
        preprocessor = TFPerceiverTextPreprocessor(config, name="input_preprocessor")
        self.perceiver = TFPerceiverModel(
            config, classification_decoder(config), preprocessor, name="perceiver"
        )

    def call(
        self,
        inputs: Any = None,
        attention_mask: Any = None,
        head_mask: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        labels: Any = None,
        return_dict: bool | None = None,
        input_ids: Any = None,
        training: bool = False,
    ) -> TFPerceiverClassifierOutput:
        """Classify texts.

        Args:
            inputs: (B, N) ids; or `input_ids`.
            attention_mask: (B, N), 1 for tokens and 0 for padding.
            head_mask: (H,) or (layers, H), see `TFPerceiverModel`.
            output_attentions: Return the attention maps; the config's choice where None.
            output_hidden_states: Return the latents between layers; the config's where None.
            labels: (B,) class indices, (B, labels) of 0 and 1, or targets of a regression.
            return_dict: Return an output object rather than a tuple; the config's where None.
            input_ids: (B, N) ids.
            training: Whether dropout acts.

        Returns:
            `loss` where labels were given, `logits` (B, labels), and what was asked for.

        Raises:
            ValueError: Both or none of `inputs` and `input_ids`, or labels that do not fit.
        """
        return self.classify(
            labels,
            inputs=input_ids if inputs is None else inputs,
            attention_mask=attention_mask,
            head_mask=head_mask,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
        )
