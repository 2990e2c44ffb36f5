"""TimeSformer models (Bertasius et al. 2021, arXiv:2102.05095)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from tfzoo.core.config import ConfigError
from tfzoo.core.inputs import Input
from tfzoo.core.outputs import ModelOutput, TFBaseModelOutput, TFImageClassifierOutput
from tfzoo.core.types import Tensor
from tfzoo.layers.linear import Linear
from tfzoo.losses.classification import classification_loss, problem_type_of
from tfzoo.modeling.base import TFPreTrainedModel
from tfzoo.models.timesformer.config import TimesformerConfig
from tfzoo.models.timesformer.layers import (
    TimesformerEmbeddings,
    TimesformerEncoder,
    initializer,
    norm,
)

__all__ = [
    "TFTimesformerForVideoClassification",
    "TFTimesformerModel",
    "TFTimesformerPreTrainedModel",
]

_PIXELS = Input(
    "pixel_values",
    "float32",
    ("batch", "frames", "num_channels", "height", "width"),
    "Frames as the image processor gives them.",
)
_LABELS = Input(
    "labels",
    "any",
    None,
    "(batch,) class indices, (batch, labels) of 0 and 1, or targets of a regression.",
    optional=True,
)


class TFTimesformerPreTrainedModel(TFPreTrainedModel):
    """Base class of the TimeSformer models."""

    config_class = TimesformerConfig
    config: TimesformerConfig
    base_model_prefix = "timesformer"

    def get_input_embeddings(self) -> keras.layers.Layer:
        """The layer that embeds the patches."""
        return self.base_model.embeddings.patch_embeddings

    def check_inputs(self, inputs: Mapping[str, Any]) -> None:
        """Refuse wrong inputs.

        Raises:
            ValueError: A wrong dtype or shape, frames smaller than a patch, or, with divided
                attention, tokens that do not divide into the config's frames and columns.
        """
        super().check_inputs(inputs)
        _, frames, _, height, width = inputs["pixel_values"].shape
        config, side = self.config, self.config.patch_size
        if any(size is not None and size < side for size in (height, width)):
            raise ValueError(
                f"{type(self).__name__}: frames must hold at least one patch of {side} x {side} "
                f"pixels, got {height} x {width}."
            )
        if config.attention_type != "divided_space_time" or None in (frames, height, width):
            return
        tokens, columns = frames * (height // side) * (width // side), config.image_size // side
        if tokens % (config.num_frames * columns):
            raise ValueError(
                f"{type(self).__name__}: divided space-time attention needs frames x patches to "
                "be a multiple of num_frames x (image_size // patch_size) = "
                f"{config.num_frames} x {columns}, got {tokens}. Change the number of frames or "
                "the size of the video."
            )


class TFTimesformerModel(TFTimesformerPreTrainedModel):
    """The bare TimeSformer encoder.

    Args:
        config: The configuration.
        **kwargs: `name`, `dtype`, `trainable` as in `keras.Model`.

    Raises:
        ConfigError: An unknown `attention_type`, or sizes that do not fit.

    Source: the reference's TimesformerModel.

    Example:
        >>> import numpy as np
        >>> from tfzoo import TFTimesformerModel, TimesformerConfig
        >>> model = TFTimesformerModel(TimesformerConfig(num_hidden_layers=1))
        >>> video = np.zeros((1, 8, 3, 224, 224), "float32")
        >>> tuple(model(pixel_values=video).last_hidden_state.shape)
        (1, 1569, 768)
    """

    inputs_table = (_PIXELS,)
    main_output = "last_hidden_state"

    def setup(self, config: TimesformerConfig) -> None:
        if config.hidden_size % config.num_attention_heads:
            raise ConfigError(
                f"hidden_size {config.hidden_size} must be a multiple of num_attention_heads "
                f"{config.num_attention_heads}."
            )
        self.embeddings = TimesformerEmbeddings(config, name="embeddings")
        self.encoder = TimesformerEncoder(config, name="encoder")
        self.layernorm = norm(config, "layernorm")

    def build_layers(self) -> None:
        tokens = (None, None, self.config.hidden_size)
        self.embeddings.build()
        self.encoder.build(tokens)
        self.layernorm.build(tokens)

    def call(
        self,
        pixel_values: Tensor,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool = False,
    ) -> TFBaseModelOutput:
        """Encode clips.

        Args:
            pixel_values: (B, T, C, height, width), floats.
            output_attentions: Return the attention weights; the config's choice where None.
            output_hidden_states: Return all hidden states; the config's choice where None.
            return_dict: Return an output object rather than a tuple; the config's where None.
            training: Whether dropout and stochastic depth act.

        Returns:
            `last_hidden_state` (B, 1 + N T, D), with space-only attention (B T, 1 + N, D);
            `hidden_states`, before the final norm; `attentions`, with divided attention those
            over space, (B Tc, H, 1 + S, 1 + S) with S = N T / Tc and Tc the config's frames.

        Raises:
            ValueError: A video whose size does not fit (see `DividedTimesformerLayer`).
        """
        hidden, states, attentions = self.encoder(self.embeddings(pixel_values))
        return TFBaseModelOutput(
            last_hidden_state=self.layernorm(hidden),
            hidden_states=tuple(states) if output_hidden_states else None,
            attentions=tuple(attentions) if output_attentions else None,
        )


class TFTimesformerForVideoClassification(TFTimesformerPreTrainedModel):
    """TimeSformer with a linear classifier on the class token.

    Args:
        config: The configuration; `num_labels` is the width of the head, 0 leaves it out.
        **kwargs: `name`, `dtype`, `trainable` as in `keras.Model`.

    Raises:
        ConfigError: An unknown `attention_type`, or sizes that do not fit.

    Source: the reference's TimesformerForVideoClassification.

    Example:
        >>> import tfzoo
        >>> folder = tfzoo.default_checkpoint()
        >>> model = tfzoo.TFTimesformerForVideoClassification.from_pretrained(folder)
        >>> processor = tfzoo.AutoImageProcessor.from_pretrained(folder)
        >>> video = np.zeros((8, 90, 120, 3), "uint8")
        >>> inputs = processor(list(video), return_tensors="tf")
        >>> label = int(model(**inputs).logits.numpy().argmax(-1)[0])
        >>> model.config.id2label[label]
        'still'
    """

    inputs_table = (_PIXELS, _LABELS)

    def setup(self, config: TimesformerConfig) -> None:
        self.timesformer = TFTimesformerModel(config, name="timesformer")
        self.classifier = (
            Linear(config.num_labels, kernel_initializer=initializer(config), name="classifier")
            if config.num_labels
            else None
        )

    def build_layers(self) -> None:
        if self.classifier is not None:
            self.classifier.build((None, self.config.hidden_size))

    def call(
        self,
        pixel_values: Tensor,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool = False,
    ) -> TFImageClassifierOutput:
        """Classify clips.

        Args:
            pixel_values: (B, T, C, height, width), floats.
            labels: (B,) class indices, (B, labels) of 0 and 1, or targets of a regression; with
                space-only attention those of each frame, (B, T) or (B, T, labels), also in the
                rows of the logits, (B T) or (B T, labels).
            output_attentions: Return the attention weights; the config's choice where None.
            output_hidden_states: Return all hidden states; the config's choice where None.
            return_dict: Return an output object rather than a tuple; the config's where None.
            training: Whether dropout and stochastic depth act.

        Returns:
            `loss` where labels were given, `logits` (B, labels), with space-only attention
            (B T, labels); `hidden_states` and `attentions` as in `TFTimesformerModel`.

        Raises:
            ValueError: A video whose size does not fit, or labels that do not.
        """
        encoded = self.timesformer(
            pixel_values=pixel_values,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=True,
        )
        logits = encoded.last_hidden_state[:, 0]
        if self.classifier is not None:
            logits = self.classifier(logits)
        outputs = TFImageClassifierOutput(
            logits=logits, hidden_states=encoded.hidden_states, attentions=encoded.attentions
        )
        if labels is None:
            return outputs
        loss = self.compute_output_loss(labels, outputs)
        return TFImageClassifierOutput(loss=loss, **outputs)

    def compute_output_loss(
        self,
        labels: Tensor,
        outputs: TFImageClassifierOutput,
        sample_weight: Tensor | None = None,
    ) -> Tensor:
        """Cross-entropy, binary cross-entropy or squared error, see `classification_loss`.

        With space-only attention `sample_weight` is that of each clip, (B,), or frame, (B, T).
        """
        config, logits = self.config, outputs["logits"]
        labels = self._of_frames(labels, logits)
        weights = self._weights_of_frames(sample_weight, logits)
        return classification_loss(labels, logits, config.num_labels, config.problem_type, weights)

    # ---- space-only attention, where the logits (B T, labels) are those of frames
    def _of_frames(self, labels: Tensor, logits: Tensor) -> Tensor:
        """Labels (B, T) or (B, T, labels) in the rows of the logits; those that are, as they are.

        Where T is the number of labels, class indices (B, T) look like rows (B T, labels).
        """
        if self.config.attention_type != "space_only":
            return labels
        labels, width = ops.convert_to_tensor(labels), logits.shape[-1]
        rank, rows = len(labels.shape), (labels.shape[0], logits.shape[0])
        if rank == 3:
            return ops.reshape(labels, (-1, labels.shape[-1]))
        kind = problem_type_of(labels, width, self.config.problem_type)
        is_index = kind == "single_label_classification" and (None in rows or rows[0] != rows[1])
        are_frames = rank == 2 and (is_index or labels.shape[-1] != width)
        return ops.reshape(labels, (-1,)) if are_frames else labels

    def _weights_of_frames(self, weights: Tensor | None, logits: Tensor) -> Tensor | None:
        """Weights of clips (B,) or of their frames (B, T) as weights (B T,)."""
        if weights is None or self.config.attention_type != "space_only":
            return weights
        weights = ops.convert_to_tensor(weights)
        if len(weights.shape) == 1:
            clips = ops.shape(weights)[0]
            frames = ops.shape(logits)[0] // clips
            weights = ops.broadcast_to(weights[:, None], (clips, frames))
        return ops.reshape(weights, (-1,))

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        weights = self._weights_of_frames(sample_weight, y_pred["logits"])
        return super().compute_loss(x, y, y_pred, weights, training)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        weights = self._weights_of_frames(sample_weight, y_pred["logits"])
        return super().compute_metrics(x, y, y_pred, weights)

    def _pair(self, x: Any, y: Any, outputs: ModelOutput) -> tuple[Any, Any]:
        labels, prediction = super()._pair(x, y, outputs)
        if labels is None:
            return labels, prediction
        logits = outputs["logits"]
        return keras.tree.map_structure(lambda y: self._of_frames(y, logits), labels), prediction
