"""Zero-shot classification of videos, with texts that are encoded once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from tfzoo.core.inputs import InputTable
from tfzoo.core.types import Tensor
from tfzoo.modeling.batching import BatchingMixin
from tfzoo.modeling.training import UnusedWeightsMixin

__all__ = ["ZeroShotVideoClassifier"]


class ZeroShotVideoClassifier(BatchingMixin, UnusedWeightsMixin, keras.Model):
    """X-CLIP with a bank of encoded texts: a classifier whose classes are sentences.

    The text tower runs once, when the classifier is made. The prompts depend on the video and are
    made for each, so the logits equal those of the whole model, `logits_per_video`. The bank is a
    snapshot: make a new classifier after training the text tower further.

    It trains like any Keras classifier, with `SparseCategoricalCrossentropy(from_logits=True)`
    and the index of each video's label: the published setting, in which the texts are frozen and
    everything else trains.

    Args:
        model: The `TFXCLIPModel`, which the classifier shares.
        labels: Names of the classes.
        template: Sentence with `{}` where the label goes.
        tokenizer: The tokenizer or processor; that beside the model's checkpoint where None.
        **kwargs: `name`, `trainable` as in `keras.Model`.

    Attributes:
        labels: Names of the classes, in the order of the logits.
        text_features: (Q, P), the bank, a weight that does not train.

    Raises:
        ValueError: No labels, a template without `{}`, no tokenizer, or one that does not belong
            to the model.

    Source: section 3.4 of the paper, zero-shot recognition.

    Example:
        >>> import tfzoo
        >>> model = tfzoo.TFXCLIPModel.from_pretrained("xclip/")
        >>> processor = tfzoo.XCLIPProcessor.from_pretrained("xclip/")
        >>> classifier = model.zero_shot_classifier(["eating", "running"], "a video of {}")
        >>> inputs = processor(videos="clip.mp4", num_frames=8, return_tensors="tf")
        >>> classifier(inputs.pixel_values).shape  # the same as logits_per_video
        TensorShape([1, 2])
        >>> label, probability = classifier.rank(inputs)[0][0]
    """

    def __init__(
        self,
        model: Any,
        labels: Sequence[str],
        template: str = "{}",
        tokenizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        sentences = _sentences(labels, template)
        tokenizer, config = model.tokenizer_for(tokenizer), model.config.text_config
        if len(tokenizer) > config.vocab_size:
            raise ValueError(
                f"The tokenizer has {len(tokenizer)} entries, the model's vocabulary has "
                f"{config.vocab_size}: they do not belong together."
            )
        self.model, self.labels, self.template = model, tuple(labels), template
        texts = tokenizer(sentences, padding=True, return_tensors="np")
        features = model.get_text_features(texts["input_ids"], texts["attention_mask"])
        self.text_features = self.add_weight(
            shape=tuple(features.shape), dtype=features.dtype, trainable=False, name="text_features"
        )
        self.text_features.assign(features)
        rows = [row for row in model.inputs_table if row.name == "pixel_values"]
        self._table = InputTable(rows, ["pixel_values"], type(self).__name__)
        self.built = True

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        """Score videos; `pixel_values` as array or keyword, or in a dict, list or tuple.

        Raises:
            ValueError: Unknown or missing inputs, or a wrong number or size of frames.
        """
        options = {name: kwargs.pop(name) for name in ("training",) if name in kwargs}
        inputs = self._table.bind(args, kwargs)
        self.model.check_table(
            self._table, inputs
        )  # Keras wraps errors from `call` in pages of its own
        return super().__call__(**inputs, **options)

    def call(self, pixel_values: Tensor, training: bool = False) -> Tensor:
        """Score every label for every video.

        Args:
            pixel_values: (B, T, C, height, width), as the processor gives them.
            training: Whether dropout and stochastic depth act.

        Returns:
            Logits (B, Q); a softmax over the last axis gives probabilities.

        Raises:
            ValueError: A wrong number or size of frames.
        """
        video, frames = self.model.encode_videos(pixel_values)
        text = ops.convert_to_tensor(self.text_features)
        return self.model.compare(text, video, frames)["logits_per_video"]

    def unused_weights(self) -> list[Any]:
        return [*self.model.text_model.weights, *self.model.text_projection.weights]

    def rank(
        self, pixel_values: Tensor | Mapping[str, Tensor], top_k: int = 5
    ) -> list[list[tuple[str, float]]]:
        """The most likely labels of each video.

        Args:
            pixel_values: (B, T, C, height, width), as the processor gives them, or a dict with it.
            top_k: How many.

        Returns:
            For each video pairs of label and probability, the best first.
        """
        logits = ops.convert_to_numpy(ops.cast(self(pixel_values), "float32"))
        rows = np.exp(logits - logits.max(axis=-1, keepdims=True))
        rows /= rows.sum(axis=-1, keepdims=True)
        order = (-rows).argsort(axis=-1, kind="stable")[:, :top_k]
        return [
            [(self.labels[i], float(row[i])) for i in best]
            for row, best in zip(rows, order, strict=True)
        ]


def _sentences(labels: Sequence[str], template: str) -> list[str]:
    if isinstance(labels, str) or not labels or not all(isinstance(x, str) for x in labels):
        raise ValueError(f"labels must be a list of one or more texts, got {labels!r}.")
    if "{}" not in template:
        raise ValueError(f"template must hold {{}} where the label goes, got {template!r}.")
    return [template.replace("{}", label) for label in labels]
