"""Outputs of LXMERT."""

from __future__ import annotations

from typing import Any

from tfzoo.core.outputs import ModelOutput

__all__ = [
    "TFLxmertForPreTrainingOutput",
    "TFLxmertForQuestionAnsweringOutput",
    "TFLxmertModelOutput",
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

    language_output: Any
    vision_output: Any
    pooled_output: Any
    language_hidden_states: tuple[Any, ...] | None
    vision_hidden_states: tuple[Any, ...] | None
    language_attentions: tuple[Any, ...] | None
    vision_attentions: tuple[Any, ...] | None
    cross_encoder_attentions: tuple[Any, ...] | None


class TFLxmertForPreTrainingOutput(ModelOutput):
    """Output of `TFLxmertForPreTraining`.

    Attributes:
        loss: Scalar, the sum of the losses of the labels that were given.
        prediction_logits: (B, T, vocabulary), scores of each place's word.
        cross_relationship_score: (B, 2), scores of "does not match" and "matches".
        question_answering_score: (B, answers); without `task_qa` a scalar without meaning, the
            first number of the pooled output, as in the reference.
        language_hidden_states: As in `TFLxmertModelOutput`, like all that follow.
        vision_hidden_states: See there.
        language_attentions: See there.
        vision_attentions: See there.
        cross_encoder_attentions: See there.
    """

    loss: Any | None
    prediction_logits: Any
    cross_relationship_score: Any
    question_answering_score: Any
    language_hidden_states: tuple[Any, ...] | None
    vision_hidden_states: tuple[Any, ...] | None
    language_attentions: tuple[Any, ...] | None
    vision_attentions: tuple[Any, ...] | None
    cross_encoder_attentions: tuple[Any, ...] | None


class TFLxmertForQuestionAnsweringOutput(ModelOutput):
    """Output of `TFLxmertForQuestionAnswering`.

    Attributes:
        loss: Scalar, present when labels were given.
        question_answering_score: (B, answers), scores before the softmax.
        language_hidden_states: As in `TFLxmertModelOutput`, like all that follow.
        vision_hidden_states: See there.
        language_attentions: See there.
        vision_attentions: See there.
        cross_encoder_attentions: See there.
    """

    loss: Any | None
    question_answering_score: Any
    language_hidden_states: tuple[Any, ...] | None
    vision_hidden_states: tuple[Any, ...] | None
    language_attentions: tuple[Any, ...] | None
    vision_attentions: tuple[Any, ...] | None
    cross_encoder_attentions: tuple[Any, ...] | None
