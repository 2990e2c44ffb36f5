"""LXMERT, without a head and with the one that answers questions.

Tan and Bansal 2019, arXiv:1908.07490.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from tfzoo.core.keras_compat import replace_tracked
from tfzoo.core.outputs import ModelOutput
from tfzoo.core.types import Tensor
from tfzoo.core.warn import warn
from tfzoo.layers.attention import MultiHeadAttention
from tfzoo.layers.bert import BertEmbeddings
from tfzoo.layers.masks import padding_mask
from tfzoo.losses.classification import classification_loss
from tfzoo.modeling.base import TFPreTrainedModel
from tfzoo.models.lxmert.config import PYTORCH_EPSILON, LxmertConfig
from tfzoo.models.lxmert.inputs import INPUTS, check_classes, check_pairs, class_labels
from tfzoo.models.lxmert.layers import AnswerHead, TFLxmertEncoder, linear, lxmert_sizes

__all__ = [
    "AnswersMixin",
    "TFLxmertForQuestionAnswering",
    "TFLxmertForQuestionAnsweringOutput",
    "TFLxmertMainLayer",
    "TFLxmertModel",
    "TFLxmertModelOutput",
    "TFLxmertPreTrainedModel",
    "encoder_outputs",
    "index_loss",
]


class TFLxmertModelOutput(ModelOutput):
    """Output of `TFLxmertModel`, for B pairs of a text of T tokens and an image of N objects.

    The embeddings are not among the hidden states. Of the cross-modality layers only the attention
    of words to objects is returned, neither that of objects to words nor that of each modality to
    itself.

    Attributes:
        language_output: (B, T, D), the last hidden state of the words.
        vision_output: (B, N, D), the last hidden state of the objects.
        pooled_output: (B, D), the first token after a linear layer and tanh.
        language_hidden_states: `l_layers + x_layers` tensors (B, T, D), each layer's output.
        vision_hidden_states: `r_layers + x_layers` tensors (B, N, D), each layer's output.
        language_attentions: `l_layers` tensors (B, H, T, T).
        vision_attentions: `r_layers` tensors (B, H, N, N).
        cross_encoder_attentions: `x_layers` tensors (B, H, T, N).
    """

    language_output: Tensor
    vision_output: Tensor
    pooled_output: Tensor
    language_hidden_states: tuple[Tensor, ...] | None
    vision_hidden_states: tuple[Tensor, ...] | None
    language_attentions: tuple[Tensor, ...] | None
    vision_attentions: tuple[Tensor, ...] | None
    cross_encoder_attentions: tuple[Tensor, ...] | None


class TFLxmertPreTrainedModel(TFPreTrainedModel):
    """Base class of the LXMERT models."""

    config_class = LxmertConfig
    config: LxmertConfig
    inputs_table = INPUTS
    base_model_prefix = "lxmert"

    def check_inputs(self, inputs: Mapping[str, Any]) -> None:
        """Refuse wrong inputs.

        Raises:
            ValueError: Missing or wrong features or boxes, both or neither of `input_ids` and
                `inputs_embeds`, more text than positions, ids outside the vocabulary, or texts and
                objects that do not belong together.
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

    @classmethod
    def warn_about(cls, config: LxmertConfig, overrides: Mapping[str, Any]) -> None:
        """Warn of epsilons that PyTorch's classes do not read."""
        epsilon = config.layer_norm_eps
        if epsilon != PYTORCH_EPSILON and "layer_norm_eps" not in overrides:
            warn(
                f"{config.name_or_path}: layer_norm_eps is {epsilon}, which the model follows, "
                f"while PyTorch's classes compute with {PYTORCH_EPSILON} whatever the file says. "
                f"Pass layer_norm_eps={PYTORCH_EPSILON} for their numbers, or {epsilon} to keep "
                "these without a warning.",
            )

    def last_layers(self, modality: str) -> list[keras.layers.Layer]:
        """The layers that only the last hidden state of one modality depends on.

        Args:
            modality: `"lang"` for words, `"visn"` for objects.
        """
        base = self.base_model
        if base.encoder.x_layers:
            last = base.encoder.x_layers[-1]
            return [getattr(last, f"{modality}_{part}") for part in ("self_att", "mlp")]
        if modality == "lang":
            return [base.embeddings, *base.encoder.layer]
        return [base.encoder.visn_fc, *base.encoder.r_layers]

    # ---- the vocabulary
    def get_input_embeddings(self) -> keras.layers.Embedding:
        """The layer that embeds the words."""
        return self.base_model.embeddings.word_embeddings

    def word_embeddings(self) -> tuple[keras.layers.Layer, str]:
        return self.base_model.embeddings, "word_embeddings"

    def attention_layers(self) -> list[MultiHeadAttention]:
        encoder = self.base_model.encoder
        own = [layer.attention for layer in (*encoder.layer, *encoder.r_layers)]
        return [*own, *(layer.visual_attention for layer in encoder.x_layers)]


class TFLxmertModel(TFLxmertPreTrainedModel):
    """LXMERT: a text and the objects of an image, encoded apart and then together.

    The features of the objects come from an external detector, see `tfzoo.data.regions`.

    Row 0 of the tables of words, places and types is the padding's, as in PyTorch: it starts at
    zero and lookups do not train it (`transformers`' TensorFlow classes trained it). A head that
    scores words trains row 0 of the words, on both sides.

    Args:
        config: The configuration.
        **kwargs: `name`, `dtype`, `trainable` as in `keras.Model`.

    Raises:
        ConfigError: The configuration is invalid, or `hidden_size` is not a multiple of
            `num_attention_heads`.

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
        self.embeddings.build()
        self.encoder.build()
        self.pooler.build((None, self.config.hidden_size))

    def call(
        self,
        input_ids: Tensor | None = None,
        visual_feats: Tensor | None = None,
        visual_pos: Tensor | None = None,
        attention_mask: Tensor | None = None,
        visual_attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool = False,
    ) -> TFLxmertModelOutput:
        """Encode texts and images.

        Args:
            input_ids: (B, T), token ids; or give `inputs_embeds`.
            visual_feats: (B, N, F), features of the objects.
            visual_pos: (B, N, 4) with default sizes, their boxes as fractions of the image.
            attention_mask: (B, T), 1 for tokens and 0 for padding; no padding where None.
            visual_attention_mask: (B, N), 1 for objects and 0 for padding; no padding where None.
            token_type_ids: (B, T), 0 for the first text and 1 for the second; 0 where None.
            inputs_embeds: (B, T, D), vectors of the words.
            output_attentions: Return the attention weights; the config's choice where None.
            output_hidden_states: Return all hidden states; the config's choice where None.
            return_dict: Return an output object rather than a tuple; the config's where None.
            training: Whether dropout acts.

        Returns:
            See `TFLxmertModelOutput`.

        Raises:
            ValueError: Wrong inputs, see `check_inputs`.
        """
        words, objects, *weights = self.encoder(
            self.embeddings(input_ids, token_type_ids, inputs_embeds),
            visual_feats,
            visual_pos,
            None if attention_mask is None else padding_mask(attention_mask),
            None if visual_attention_mask is None else padding_mask(visual_attention_mask),
            output_attentions=bool(output_attentions),
        )
        weights = weights if output_attentions else (None, None, None)
        return TFLxmertModelOutput(
            language_output=words[-1],
            vision_output=objects[-1],
            pooled_output=self.pooler(words[-1][:, 0]),
            language_hidden_states=words if output_hidden_states else None,
            vision_hidden_states=objects if output_hidden_states else None,
            language_attentions=weights[0],
            vision_attentions=weights[1],
            cross_encoder_attentions=weights[2],
        )


class TFLxmertMainLayer(TFLxmertModel):
    """`TFLxmertModel` under the name that it has as a layer of models of your own.

    Args:
        config: The configuration.
        **kwargs: `name`, `dtype`, `trainable` as in `keras.layers.Layer`.
    """

    @property
    def torch_class(self) -> str:
        return "LxmertModel"


# ---- answers
def encoder_outputs(outputs: TFLxmertModelOutput) -> dict[str, Tensor]:
    """The fields that the heads pass on: hidden states and attention weights."""
    names = TFLxmertModelOutput.field_names()[3:]
    return {name: outputs[name] for name in names if name in outputs}


def index_loss(labels: Tensor, logits: Tensor, sample_weight: Tensor | None = None) -> Tensor:
    """Mean cross-entropy over the places that count.

    Args:
        labels: (...), class indices; -100 is ignored. Where nothing counts the loss is 0.
        logits: (..., classes).
        sample_weight: Weight of each label, optional.

    Returns:
        Scalar.

    Raises:
        ValueError: Indices outside [0, classes), or shapes that do not fit.

    Example:
        >>> round(float(index_loss(np.array([1, -100]), np.zeros((2, 4)))), 5)  # ln 4
        1.38629
    """
    return classification_loss(
        labels, logits, logits.shape[-1], "single_label_classification", sample_weight
    )


class AnswersMixin:
    """The last layer of the head of answers, readable and replaceable.

    After a change of size compile the model again, and make functions again that `tf.function` has
    traced.
    """

    @property
    def num_qa_labels(self) -> int:
        """Number of answers."""
        return self.config.num_qa_labels

    def get_qa_logit_layer(self) -> keras.layers.Dense | None:
        """The linear layer that scores the answers, None for a model without one."""
        head = getattr(self, "answer_head", None)
        return None if head is None else head.out

    def set_qa_logit_layer(self, qa_logit_layer: keras.layers.Dense) -> None:
        """Score the answers with another linear layer; `config.num_qa_labels` follows.

        Args:
            qa_logit_layer: From (B, 2 D) to (B, answers), built or not.

        Raises:
            ValueError: The model scores no answers, or the layer does not fit.
        """
        if self.get_qa_logit_layer() is None:
            raise ValueError(f"{type(self).__name__} without task_qa has no head of answers.")
        width = 2 * self.config.hidden_size
        if not isinstance(qa_logit_layer, keras.layers.Dense):
            raise ValueError(f"Expected a Dense layer, got {type(qa_logit_layer).__name__}.")
        if not qa_logit_layer.built:
            qa_logit_layer.build((None, width))
        if qa_logit_layer.kernel.shape[0] != width:
            raise ValueError(
                f"The layer must take (batch, 2 * hidden_size={width}), it takes "
                f"(batch, {qa_logit_layer.kernel.shape[0]})."
            )
        replace_tracked(self.answer_head, "out", qa_logit_layer)
        self.config.num_qa_labels = int(qa_logit_layer.units)
        self.forget_traces()

    def resize_num_qa_labels(self, num_labels: int | None) -> keras.layers.Dense | None:
        """Change the number of answers; those that stay keep their weights.

        New answers start as any fresh weight, with a bias of 0.

        Args:
            num_labels: New number; nothing happens where it is None, or where the model has no
                head of answers.

        Returns:
            The linear layer that scores the answers, or None where nothing happened.

        Raises:
            ValueError: A number below 1.
        """
        old = self.get_qa_logit_layer()
        if num_labels is None or old is None:
            return None
        if num_labels != old.units:
            self.set_qa_logit_layer(self._resized(old, num_labels))
        return self.get_qa_logit_layer()

    def _resized(self, old: keras.layers.Dense, num_labels: int) -> keras.layers.Dense:
        """A layer of another size with the same weights for the answers that both have."""
        if not isinstance(num_labels, int | np.integer) or num_labels < 1:
            raise ValueError(f"num_labels must be a positive integer, got {num_labels!r}.")
        width, kept = int(old.kernel.shape[0]), min(old.units, num_labels)
        new = type(old)(
            int(num_labels), use_bias=old.use_bias, dtype=old.dtype_policy, name=old.name
        )
        new.build((None, width))
        std = self.config.initializer_range
        fresh = keras.random.normal((width, num_labels - kept), stddev=std)
        new.kernel.assign(ops.concatenate([old.kernel[:, :kept], fresh], axis=1))
        if old.use_bias:
            new.bias.assign(ops.pad(old.bias[:kept], (0, num_labels - kept)))
        return new


class TFLxmertForQuestionAnsweringOutput(ModelOutput):
    """Output of `TFLxmertForQuestionAnswering`; hidden states and attentions are those of the base.

    Attributes:
        loss: Scalar, present when labels were given.
        question_answering_score: (B, answers), scores before the softmax.
    """

    loss: Tensor | None
    question_answering_score: Tensor
    language_hidden_states: tuple[Tensor, ...] | None
    vision_hidden_states: tuple[Tensor, ...] | None
    language_attentions: tuple[Tensor, ...] | None
    vision_attentions: tuple[Tensor, ...] | None
    cross_encoder_attentions: tuple[Tensor, ...] | None


class TFLxmertForQuestionAnswering(AnswersMixin, TFLxmertPreTrainedModel):
    """LXMERT that chooses the answer to a question about an image.

    Args:
        config: The configuration; `num_qa_labels` is the number of answers.
        **kwargs: `name`, `dtype`, `trainable` as in `keras.Model`.

    Raises:
        ConfigError: The configuration is invalid.

    Source: the reference's LxmertForQuestionAnswering.

    Example:
        >>> from tfzoo import LxmertConfig, TFLxmertForQuestionAnswering
        >>> sizes = {"hidden_size": 24, "l_layers": 1, "x_layers": 1, "r_layers": 1}
        >>> config = LxmertConfig(vocab_size=120, num_qa_labels=5, **sizes)
        >>> model = TFLxmertForQuestionAnswering(config)
        >>> outputs = model(
        ...     input_ids=np.array([[101, 7, 9, 102]]),
        ...     visual_feats=np.zeros((1, 36, 2048), "float32"),
        ...     visual_pos=np.zeros((1, 36, 4), "float32"))
        >>> int(np.argmax(outputs.question_answering_score)) in range(5)  # index of the answer
        True
    """

    inputs_table = (*INPUTS, class_labels("labels", "(batch,) index of the right answer."))
    main_output = "question_answering_score"

    def setup(self, config: LxmertConfig) -> None:
        self.lxmert = TFLxmertModel(config, name="lxmert")
        self.answer_head = AnswerHead(config, name="answer_head")

    def build_layers(self) -> None:
        self.answer_head.build()

    def check_inputs(self, inputs: Mapping[str, Any]) -> None:
        super().check_inputs(inputs)
        labels = inputs.get("labels")
        if labels is not None:
            check_classes(type(self).__name__, "labels", labels, self.num_qa_labels)

    def call(
        self,
        input_ids: Tensor | None = None,
        visual_feats: Tensor | None = None,
        visual_pos: Tensor | None = None,
        attention_mask: Tensor | None = None,
        visual_attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool = False,
    ) -> TFLxmertForQuestionAnsweringOutput:
        """Score the answers.

        Args:
            input_ids: (B, T), token ids; or give `inputs_embeds`.
            visual_feats: (B, N, F), features of the objects.
            visual_pos: (B, N, 4) with default sizes, their boxes as fractions of the image.
            attention_mask: (B, T), 1 for tokens and 0 for padding; no padding where None.
            visual_attention_mask: (B, N), 1 for objects and 0 for padding; no padding where None.
            token_type_ids: (B, T), 0 for the first text and 1 for the second; 0 where None.
            inputs_embeds: (B, T, D), vectors of the words.
            labels: (B,), index of the right answer; -100 is ignored.
            output_attentions: Return the attention weights; the config's choice where None.
            output_hidden_states: Return all hidden states; the config's choice where None.
            return_dict: Return an output object rather than a tuple; the config's where None.
            training: Whether dropout acts.

        Returns:
            See `TFLxmertForQuestionAnsweringOutput`.

        Raises:
            ValueError: Wrong inputs, see `check_inputs`, or labels that are not answers' indices.
        """
        base = self.lxmert(
            input_ids,
            visual_feats,
            visual_pos,
            attention_mask,
            visual_attention_mask,
            token_type_ids,
            inputs_embeds,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=True,
        )
        outputs = TFLxmertForQuestionAnsweringOutput(
            question_answering_score=self.answer_head(base.pooled_output), **encoder_outputs(base)
        )
        if labels is None:
            return outputs
        loss = self.compute_output_loss(labels, outputs, None)
        return TFLxmertForQuestionAnsweringOutput(loss=loss, **outputs)

    def unused_weights(self) -> Iterable[Tensor]:
        """Those of the objects' last layers: the answer is read off the words."""
        return [weight for layer in self.last_layers("visn") for weight in layer.weights]

    def compute_output_loss(
        self, labels: Tensor, outputs: ModelOutput, sample_weight: Tensor | None
    ) -> Tensor:
        """The cross-entropy of the answers."""
        return index_loss(labels, outputs["question_answering_score"], sample_weight)
