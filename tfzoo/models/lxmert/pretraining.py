"""LXMERT with the heads of its pretraining: words, matching, objects, answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from tfzoo.core.inputs import Input
from tfzoo.core.keras_compat import has_compiled_loss
from tfzoo.core.outputs import ModelOutput
from tfzoo.core.types import Tensor
from tfzoo.core.warn import warn
from tfzoo.losses.classification import IGNORE_INDEX
from tfzoo.models.lxmert.config import LxmertConfig
from tfzoo.models.lxmert.inputs import INPUTS, check_classes, class_labels, read_object_labels
from tfzoo.models.lxmert.layers import AnswerHead, LanguageModelHead, ObjectHead, PreTrainingHeads
from tfzoo.models.lxmert.model import (
    AnswersMixin,
    TFLxmertModel,
    TFLxmertPreTrainedModel,
    encoder_outputs,
    index_loss,
)

__all__ = ["TFLxmertForPreTraining", "TFLxmertForPreTrainingOutput", "object_loss"]

_WORDS = Input(
    "masked_lm_labels",
    "int64",
    ("batch", "sequence"),
    "Ids of the masked words, -100 elsewhere.",
    optional=True,
)
_OBJECTS = Input(
    "obj_labels",
    "structure",
    None,
    "Labels of the objects, see `TFLxmertForPreTraining.call`.",
    optional=True,
)


class TFLxmertForPreTrainingOutput(ModelOutput):
    """Output of `TFLxmertForPreTraining`; hidden states and attentions are those of the base.

    Attributes:
        loss: Scalar, the sum of the losses of the labels that were given.
        prediction_logits: (B, T, vocabulary), scores of each place's word.
        cross_relationship_score: (B, 2), scores of "does not match" and "matches".
        question_answering_score: (B, answers); without `task_qa` a scalar without meaning, the
            first number of the pooled output, as in the reference.
    """

    loss: Tensor | None
    prediction_logits: Tensor
    cross_relationship_score: Tensor
    question_answering_score: Tensor
    language_hidden_states: tuple[Tensor, ...] | None
    vision_hidden_states: tuple[Tensor, ...] | None
    language_attentions: tuple[Tensor, ...] | None
    vision_attentions: tuple[Tensor, ...] | None
    cross_encoder_attentions: tuple[Tensor, ...] | None


def object_loss(task: str, pair: tuple[Tensor, Tensor], scores: Tensor) -> Tensor:
    """Loss of one visual task: the mean over all objects of loss times confidence.

    The mean is over all B N objects, not over the sum of the confidences.

    Args:
        task: `obj` or `attr` for classes, whose loss is the cross-entropy; `feat` for features,
            whose loss is the mean of the smooth L1 distances, quadratic below 1.
        pair: The label, (B, N) class indices or (B, N, F) features, and the confidence, (B, N).
            The class -100 has no loss, but counts as an object.
        scores: (B, N, classes or F).

    Returns:
        Scalar.

    Example:
        >>> pair = np.array([[0, -100]]), np.array([[1.0, 1.0]])
        >>> round(float(object_loss("obj", pair, np.zeros((1, 2, 4)))), 5)  # ln 4 / 2
        0.69315
    """
    label, confidence = map(ops.convert_to_tensor, pair)
    confidence, scores = ops.cast(confidence, "float32"), ops.cast(scores, "float32")
    if task == "feat":
        return keras.losses.Huber(delta=1.0)(ops.cast(label, "float32"), scores, confidence)
    # In rows: of (B, N, 1), the scores of a single class, Keras would drop the last axis.
    scores = ops.reshape(scores, (-1, scores.shape[-1]))
    label, confidence = ops.reshape(label, (-1,)), ops.reshape(confidence, (-1,))
    counts = ops.not_equal(label, IGNORE_INDEX)
    confidence = ops.where(counts, confidence, 0.0)
    label = ops.where(counts, label, ops.zeros_like(label))
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)(label, scores, confidence)


class TFLxmertForPreTraining(AnswersMixin, TFLxmertPreTrainedModel):
    """LXMERT with the heads of its pretraining: words, matching, objects, answers.

    Training: `compile(optimizer)` and `fit`, with the labels inside the inputs, or as `y`, an
    array (the masked words) or a dict of labels. Each part of the loss is logged by name.

    Args:
        config: The configuration; its `task_...` and `visual_..._loss` choose the heads.
        **kwargs: `name`, `dtype`, `trainable` as in `keras.Model`.

    Raises:
        ConfigError: The configuration is invalid.

    Source: the reference's LxmertForPreTraining.

    Example:
        >>> from tfzoo import LxmertConfig, TFLxmertForPreTraining
        >>> sizes = {"hidden_size": 24, "l_layers": 1, "x_layers": 1, "r_layers": 1}
        >>> model = TFLxmertForPreTraining(LxmertConfig(vocab_size=120, **sizes))
        >>> outputs = model(
        ...     input_ids=np.array([[101, 7, 103, 102]]),
        ...     visual_feats=np.zeros((1, 36, 2048), "float32"),
        ...     visual_pos=np.zeros((1, 36, 4), "float32"),
        ...     masked_lm_labels=np.array([[-100, -100, 9, -100]]),
        ...     matched_label=np.array([1]))
        >>> outputs.prediction_logits.shape, outputs.loss.shape
        (TensorShape([1, 4, 120]), TensorShape([]))
    """

    inputs_table = (
        *INPUTS,
        _WORDS,
        _OBJECTS,
        class_labels("matched_label", "(batch,) 1 where text and image match, else 0."),
        class_labels("ans", "(batch,) index of the right answer."),
    )
    input_aliases = {"labels": "masked_lm_labels"}  # PyTorch's name
    main_output = "prediction_logits"
    labels_input = "masked_lm_labels"

    def setup(self, config: LxmertConfig) -> None:
        self.lxmert = TFLxmertModel(config, name="lxmert")
        self.cls = PreTrainingHeads(config, self.lxmert.embeddings, name="cls")
        if config.task_obj_predict:
            self.obj_predict_head = ObjectHead(config, name="obj_predict_head")
        if config.task_qa:
            self.answer_head = AnswerHead(config, name="answer_head")

    def build_layers(self) -> None:
        self.cls.build()
        if self.config.task_obj_predict:
            self.obj_predict_head.build()
        if self.config.task_qa:
            self.answer_head.build()

    # ---- inputs
    def prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        labels = inputs.get("obj_labels")
        if labels is not None:
            boxes = tuple(inputs["visual_feats"].shape[:2])
            inputs["obj_labels"] = read_object_labels(
                type(self).__name__, labels, self.config, boxes
            )
        return inputs

    def check_inputs(self, inputs: Mapping[str, Any]) -> None:
        super().check_inputs(inputs)
        config, owner = self.config, type(self).__name__
        given = inputs.get("input_ids")
        text = (inputs["inputs_embeds"] if given is None else given).shape[:2]
        for name, is_on, classes, shape in (
            ("masked_lm_labels", config.task_mask_lm, config.vocab_size, text),
            ("matched_label", config.task_matched, 2, None),
            ("ans", config.task_qa, config.num_qa_labels, None),
        ):
            if is_on and inputs.get(name) is not None:
                check_classes(owner, name, inputs[name], classes, shape)

    def call(
        self,
        input_ids: Tensor | None = None,
        visual_feats: Tensor | None = None,
        visual_pos: Tensor | None = None,
        attention_mask: Tensor | None = None,
        visual_attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        masked_lm_labels: Tensor | None = None,
        obj_labels: Mapping[str, tuple[Tensor, Tensor]] | None = None,
        matched_label: Tensor | None = None,
        ans: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool = False,
    ) -> TFLxmertForPreTrainingOutput:
        """Predict words, match and answers, and compute the loss of the labels that are given.

        Labels of a task that the config switches off are ignored, as in the reference.

        Args:
            input_ids: (B, T), token ids; or give `inputs_embeds`.
            visual_feats: (B, N, F), features of the objects.
            visual_pos: (B, N, 4) with default sizes, their boxes as fractions of the image.
            attention_mask: (B, T), 1 for tokens and 0 for padding; no padding where None.
            visual_attention_mask: (B, N), 1 for objects and 0 for padding; no padding where None.
            token_type_ids: (B, T), 0 for the first text and 1 for the second; 0 where None.
            inputs_embeds: (B, T, D), vectors of the words.
            masked_lm_labels: (B, T), ids of the masked words, -100 elsewhere; the keyword or key
                `labels` means the same.
            obj_labels: `{"obj": (label, confidence), "attr": ..., "feat": ...}`, one for each
                visual task that is on: label (B, N), class indices where -100 is ignored, but for
                `feat` (B, N, F), the features; confidence (B, N), the weight of each object.
            matched_label: (B,), 1 where text and image match, else 0.
            ans: (B,), index of the right answer; -100 is ignored.
            output_attentions: Return the attention weights; the config's choice where None.
            output_hidden_states: Return all hidden states; the config's choice where None.
            return_dict: Return an output object rather than a tuple; the config's where None.
            training: Whether dropout acts.

        Returns:
            See `TFLxmertForPreTrainingOutput`.

        Raises:
            ValueError: Wrong inputs or labels.
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
        pooled = base.pooled_output
        words, match = self.cls(base.language_output, pooled)
        outputs = TFLxmertForPreTrainingOutput(
            prediction_logits=words,
            cross_relationship_score=match,
            question_answering_score=(
                self.answer_head(pooled) if self.config.task_qa else pooled[0, 0]
            ),
            **encoder_outputs(base),
        )
        labels = {
            "loss_masked_lm": masked_lm_labels,
            "loss_matched": matched_label,
            "loss_ans": ans,
        }
        if obj_labels is None and all(value is None for value in labels.values()):
            return outputs
        parts = self._losses_of(labels, outputs)
        if obj_labels:
            scores = self.obj_predict_head(base.vision_output)
            factor = self.config.visual_loss_normalizer
            for task, pair in obj_labels.items():
                parts[f"loss_{task}"] = factor * object_loss(task, pair, scores[task])
        # The parts are for the log of `fit` alone: the reference's output does not have them.
        shown = {"loss_dict": parts} if self._in_step else {}
        return TFLxmertForPreTrainingOutput(
            loss=sum(parts.values(), start=ops.zeros((), "float32")), **outputs, **shown
        )

    # ---- training
    def unused_weights(self) -> Iterable[Tensor]:
        """The weights of the layers that only tasks use which the config switches off."""
        config = self.config
        sees_objects = config.task_obj_predict and config.visual_losses
        reads_pooled = config.task_matched or config.task_qa
        unused = [] if sees_objects else self.last_layers("visn")
        if not (config.task_mask_lm or reads_pooled):
            unused += self.last_layers("lang")
        if config.task_obj_predict and not sees_objects:
            unused.append(self.obj_predict_head)
        if not config.task_mask_lm:
            unused.append(self.cls.predictions)
        if not config.task_matched:
            unused.append(self.cls.seq_relationship)
        if not reads_pooled:
            unused.append(self.lxmert.pooler)
        return [weight for layer in unused for weight in layer.weights]

    @property
    def component_losses(self) -> tuple[str, ...]:
        """Names of the parts of the loss, those of the tasks that are on."""
        config = self.config
        tasks = {
            "masked_lm": config.task_mask_lm,
            "matched": config.task_matched,
            **dict.fromkeys(config.visual_losses, config.task_obj_predict),
            "ans": config.task_qa,
        }
        return tuple(f"loss_{task}" for task, is_on in tasks.items() if is_on)

    def _losses_of(
        self, labels: Mapping[str, Tensor | None], outputs: ModelOutput
    ) -> dict[str, Tensor]:
        """The losses of words, match and answers, of the tasks that are on."""
        logits = {
            "loss_masked_lm": outputs["prediction_logits"],
            "loss_matched": outputs["cross_relationship_score"],
            "loss_ans": outputs["question_answering_score"],
        }
        return {
            name: index_loss(labels[name], logits[name])
            for name in logits
            if name in self.component_losses and labels[name] is not None
        }

    def compute_output_loss(
        self, labels: Tensor, outputs: ModelOutput, sample_weight: Tensor | None
    ) -> Tensor:
        """Refuse sample weights, which are defined for a single label of each sample.

        Raises:
            ValueError: Always: the parts of the loss count words, samples and objects.
        """
        raise ValueError(
            f"{type(self).__name__} takes no sample_weight: its loss counts words, samples and "
            "objects. Use the confidences of obj_labels and -100, or compile(loss=...)."
        )

    def train_step(self, *args: Any, **kwargs: Any) -> Any:
        return super().train_step(*args[:-1], self._joined(args[-1]), **kwargs)

    def test_step(self, *args: Any, **kwargs: Any) -> Any:
        return super().test_step(*args[:-1], self._joined(args[-1]), **kwargs)

    def _joined(self, data: Any) -> Any:
        """A batch whose labels have moved from `y` into the inputs, where all losses need them."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if y is None or has_compiled_loss(self):
            return data
        x = self._table.bind((x,), {})
        y = self._table.renamed(y) if isinstance(y, Mapping) else {self.labels_input: y}
        joined = {**x, **y}
        return joined if sample_weight is None else (joined, None, sample_weight)

    def _pair(self, x: Any, y: Any, outputs: ModelOutput) -> tuple[Any, Any]:
        if isinstance(y, Mapping) and not any(name in outputs for name in y):
            # labels that are yet to be joined
            x, y = None, self._table.renamed(y).get(self.labels_input)
        return super()._pair(x, y, outputs)

    def divided_outputs(self, outputs: Any, inputs: Mapping[str, Any]) -> Any:
        if self.config.task_qa:
            return outputs
        kept = {k: v for k, v in outputs.items() if k != "question_answering_score"}  # a scalar
        return type(outputs)(kept)

    # ---- the vocabulary
    def resize_scores(self, count: int) -> None:
        head = self.get_lm_head()
        bias = ops.convert_to_numpy(head.bias)
        fresh = np.zeros(max(count - len(bias), 0), bias.dtype)
        head.set_bias({"bias": np.concatenate([bias[:count], fresh])})

    def get_lm_head(self) -> LanguageModelHead:
        """The head that scores words."""
        return self.cls.predictions

    def get_prefix_bias_name(self) -> str:
        """Path of the bias of the words' scores, in the manner of older versions (deprecated)."""
        warn("get_prefix_bias_name is deprecated: use get_bias.", FutureWarning)
        return f"{self.name}/{self.cls.name}/{self.cls.predictions.name}"

    def get_output_embeddings(self) -> keras.layers.Embedding:
        """The layer whose table scores the words: the word embeddings."""
        return self.get_lm_head().get_output_embeddings()

    def set_output_embeddings(self, value: keras.layers.Embedding | Tensor) -> None:
        """Use another table, which also embeds the words that come in."""
        self.set_input_embeddings(value)

    def get_bias(self) -> dict[str, Tensor]:
        """The bias of the words' scores, `{"bias": (vocabulary,)}`."""
        return self.get_lm_head().get_bias()

    def set_bias(self, value: Mapping[str, Tensor]) -> None:
        """Set what `get_bias` gives."""
        self.get_lm_head().set_bias(value)
