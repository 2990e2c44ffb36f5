"""LXMERT that answers questions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from tfzoo.models.lxmert.answers import AnswersMixin
from tfzoo.models.lxmert.config import LxmertConfig
from tfzoo.models.lxmert.heads import AnswerHead
from tfzoo.models.lxmert.inputs import INPUTS, check_classes, class_labels
from tfzoo.models.lxmert.losses import index_loss
from tfzoo.models.lxmert.model import TFLxmertModel, TFLxmertPreTrainedModel
from tfzoo.models.lxmert.outputs import TFLxmertForQuestionAnsweringOutput

__all__ = ["TFLxmertForQuestionAnswering", "encoder_outputs"]

_LISTS = (
    "language_hidden_states",
    "vision_hidden_states",
    "language_attentions",
    "vision_attentions",
    "cross_encoder_attentions",
)


def encoder_outputs(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `TFLxmertModelOutput` that the heads pass on."""
    return {name: outputs[name] for name in _LISTS if name in outputs}


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
        """Make the sublayers."""
        self.lxmert = TFLxmertModel(config, name="lxmert")
        self.answer_head = AnswerHead(config, name="answer_head")

    def build_layers(self) -> None:
        """Create the weights of the head; the base has its own already."""
        self.answer_head.build()

    def check_inputs(self, inputs: Mapping[str, Any]) -> None:
        """Refuse wrong inputs, see the base class, and answers that there are not.

        Raises:
            ValueError: Wrong inputs, or labels that are no indices of answers.
        """
        super().check_inputs(inputs)
        labels = inputs.get("labels")
        if labels is not None:
            check_classes(type(self).__name__, "labels", labels, self.num_qa_labels)

    def call(
        self,
        input_ids: Any = None,
        visual_feats: Any = None,
        visual_pos: Any = None,
        attention_mask: Any = None,
        visual_attention_mask: Any = None,
        token_type_ids: Any = None,
        inputs_embeds: Any = None,
        labels: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool = False,
    ) -> TFLxmertForQuestionAnsweringOutput:
        """Score the answers.

        Args:
            input_ids: (B, T), token ids; or give `inputs_embeds`.
            visual_feats: (B, N, F), features of the objects.
            visual_pos: (B, N, 4) with default sizes, their boxes in parts of the image.
            attention_mask: (B, T), 1 for tokens and 0 for padding; no padding where None.
            visual_attention_mask: (B, N), 1 for objects and 0 for padding; no padding where None.
            token_type_ids: (B, T), 0 for the first text and 1 for the second; 0 where None.
            inputs_embeds: (B, T, D), vectors of the words.
            labels: (B,), index of the right answer; -100 is ignored.
            output_attentions: Return the attention maps; the config's choice where None.
            output_hidden_states: Return all hidden states; the config's choice where None.
            return_dict: Return an output object rather than a tuple; the config's where None.
            training: Whether dropout acts.

        Returns:
            See `TFLxmertForQuestionAnsweringOutput`.

        Raises:
            ValueError: Wrong inputs, see `check_inputs`.
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

    def idle_layers(self) -> list[keras.layers.Layer]:
        """The last layers of the objects: the answer is read off the words."""
        return self.last_layers("visn")

    def compute_output_loss(self, labels: Any, outputs: Any, sample_weight: Any) -> Any:
        """The cross-entropy of the answers."""
        return index_loss(labels, outputs["question_answering_score"], sample_weight)
