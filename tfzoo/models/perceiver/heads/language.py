"""Perceiver for text: bytes in, bytes or labels out.

Source: the reference's classes of the same names without TF.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from tfzoo.core.inputs import Input
from tfzoo.core.keras_compat import replace_tracked
from tfzoo.core.types import Shape, Tensor
from tfzoo.losses.classification import classification_loss
from tfzoo.models.perceiver import model
from tfzoo.models.perceiver.config import PerceiverConfig
from tfzoo.models.perceiver.decoders import TFPerceiverBasicDecoder, classification_decoder
from tfzoo.models.perceiver.engine import Part
from tfzoo.models.perceiver.preprocessors import TFPerceiverTextPreprocessor

__all__ = ["TFPerceiverForMaskedLM", "TFPerceiverForSequenceClassification"]

_TEXT = ("batch", "sequence")
_HEADS, _QK = 8, 256  # of the decoder of masked language modelling, whatever the config says


class EmbeddingDecoder(keras.layers.Layer):
    """Scores of all ids: the transposed embedding table, and a bias."""

    def __init__(self, vocab_size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.vocab_size = vocab_size

    def build(self, input_shape: Shape = None) -> None:
        self.bias = self.add_weight(shape=(self.vocab_size,), initializer="zeros", name="bias")

    def call(self, hidden: Tensor, table: Tensor) -> Tensor:
        """(B, N, D) and the table (ids, D) -> (B, N, ids)."""
        return ops.matmul(hidden, ops.transpose(ops.cast(table, hidden.dtype))) + self.bias


class _TextModel(model.PerceiverHead):
    """The models below, which differ in decoder and loss."""

    inputs_table = (
        Input("input_ids", "int64", _TEXT, "Ids as the tokenizer gives them.", True, _TEXT),
        Input("inputs", "int64", _TEXT, "The same under the model's general name.", True),
        Input("attention_mask", "mask", None, "1 for tokens, 0 for padding.", True, _TEXT),
        model.HEAD_MASK,
        model.LABELS,
    )
    input_names = ("inputs", "input_ids")

    def call(
        self,
        inputs: Tensor | None = None,
        attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        labels: Tensor | None = None,
        return_dict: bool | None = None,
        input_ids: Tensor | None = None,
        training: bool = False,
    ) -> model.TFPerceiverClassifierOutput:
        """Read texts; arguments that are not named here are those of `TFPerceiverModel.call`.

        Args:
            inputs: (B, N) ids; or `input_ids`.
            attention_mask: (B, N), 1 for tokens and 0 for padding.
            labels: For masked bytes (B, max_position_embeddings) ids, where -100 is ignored and
                the padding's 0 is not; for a classifier (B,) class indices, (B, labels) of 0 and
                1, or targets of a regression.
            input_ids: (B, N) ids.

        Returns:
            `loss` where labels were given, `logits` (B, max_position_embeddings, vocab_size) of
            masked bytes or (B, labels) of a classifier, and what was asked for.

        Raises:
            ValueError: Both or none of `inputs` and `input_ids`, or labels that do not fit.
        """
        flags = (output_attentions, output_hidden_states)
        ids = input_ids if inputs is None else inputs
        return self.run(labels, ids, attention_mask, head_mask, *flags)


class TFPerceiverForMaskedLM(_TextModel):
    """Fills masked bytes; arguments and errors are those of `TFPerceiverPreTrainedModel`.

    Example:
        >>> config = PerceiverConfig(d_latents=8, d_model=8, num_self_attends_per_block=1)
        >>> tuple(TFPerceiverForMaskedLM(config)(input_ids=np.array([[4, 110, 3, 5]])).logits.shape)
        (1, 2048, 262)
    """

    output_class = model.TFPerceiverMaskedLMOutput

    def make_parts(self, config: PerceiverConfig) -> tuple[Part, ...]:
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
        return decoder, preprocessor

    def setup(self, config: PerceiverConfig) -> None:
        super().setup(config)
        self.embedding_decoder = EmbeddingDecoder(config.vocab_size, name="embedding_decoder")

    def build_layers(self) -> None:
        self.embedding_decoder.build()

    def resize_scores(self, count: int) -> None:
        head = self.embedding_decoder
        old = ops.convert_to_numpy(head.bias)
        bias = np.zeros(count, old.dtype)
        bias[: len(old)] = old[:count]
        replace_tracked(head, "bias", keras.Variable(bias, dtype=head.bias.dtype, name="bias"))

    def check_inputs(self, inputs: Mapping[str, Any]) -> None:
        super().check_inputs(inputs)
        labels, length = inputs.get("labels"), self.config.max_position_embeddings
        if labels is not None and tuple(labels.shape)[1:] not in ((length,), (None,)):
            raise ValueError(
                f"{type(self).__name__}: labels must have shape (batch, {length}), one for each "
                f"output (max_position_embeddings), got {tuple(labels.shape)}: pad them, and the "
                "text, with padding='max_length'."
            )

    def head_logits(self, logits: Tensor) -> Tensor:
        table = self.perceiver.input_preprocessor.embeddings.embeddings
        return self.embedding_decoder(logits, table)

    def compute_output_loss(
        self, labels: Tensor, outputs: Mapping[str, Any], sample_weight: Tensor | None = None
    ) -> Tensor:
        """Mean cross-entropy over all places whose label is not -100."""
        if sample_weight is not None and len(sample_weight.shape) == 1:
            sample_weight = ops.broadcast_to(sample_weight[:, None], ops.shape(labels))
        if sample_weight is not None:
            sample_weight = ops.reshape(sample_weight, (-1,))
        kind, size = "single_label_classification", self.config.vocab_size
        return classification_loss(labels, outputs["logits"], size, kind, sample_weight)


class TFPerceiverForSequenceClassification(_TextModel):
    """Classifies texts; arguments and errors are those of `TFPerceiverPreTrainedModel`.

    Example:
        >>> config = PerceiverConfig(d_latents=8, d_model=8, num_self_attends_per_block=1)
        >>> model = TFPerceiverForSequenceClassification(config)
        >>> tuple(model(input_ids=np.array([[4, 110, 5]])).logits.shape)
        (1, 2)
    """

    def make_parts(self, config: PerceiverConfig) -> tuple[Part, ...]:
        preprocessor = TFPerceiverTextPreprocessor(config, name="input_preprocessor")
        return classification_decoder(config), preprocessor
