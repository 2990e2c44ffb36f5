"""Perceiver for optical flow: how far each pixel moves between two frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from tfzoo.core.inputs import Input
from tfzoo.models.perceiver.classification import ClassifierMixin
from tfzoo.models.perceiver.config import PerceiverConfig
from tfzoo.models.perceiver.decoder_heads import TFPerceiverOpticalFlowDecoder
from tfzoo.models.perceiver.image_preprocessor import TFPerceiverImagePreprocessor
from tfzoo.models.perceiver.inputs import ATTENTION_MASK, HEAD_MASK, SizedInput
from tfzoo.models.perceiver.model import TFPerceiverModel, TFPerceiverPreTrainedModel
from tfzoo.models.perceiver.outputs import TFPerceiverClassifierOutput

__all__ = ["EndPointError", "TFPerceiverForOpticalFlow"]

_BANDS, _FEATURES, _PATCH = 64, 64, 54  # frequencies, and widths after and before the projection


@keras.saving.register_keras_serializable(package="tfzoo")
class EndPointError(keras.losses.Loss):
    """Mean distance, in pixels, between where each pixel goes and where it is said to go.

    Source: Otte and Nagel 1994, "Optical flow estimation: advances and comparisons".

    Example:
        >>> truth, found = np.zeros((1, 2, 2, 2), "float32"), np.ones((1, 2, 2, 2), "float32")
        >>> round(float(EndPointError()(truth, found)), 4)
        1.4142
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """(B, height, width, 2) twice -> (B,)."""
        squares = ops.sum(ops.square(y_pred - ops.cast(y_true, y_pred.dtype)), axis=-1)
        is_zero = ops.equal(squares, 0)  # where the square root has no gradient
        distance = ops.where(is_zero, 0.0, ops.sqrt(ops.where(is_zero, 1.0, squares)))
        return ops.mean(distance, axis=(1, 2))


class TFPerceiverForOpticalFlow(ClassifierMixin, TFPerceiverPreTrainedModel):
    """Computes optical flow from the 3 x 3 surroundings of each pixel of two frames.

    `tfzoo.compute_flow` cuts frames of any size into such inputs and puts the results together.

    Args:
        config: The configuration; frames have height and width `train_size`.
        **kwargs: `name`, `dtype`, `trainable` as in `keras.Model`.

    Raises:
        ConfigError: Widths that the heads do not divide.

    Source: the reference's PerceiverForOpticalFlow.

    Example:
        >>> from tfzoo import PerceiverConfig, TFPerceiverForOpticalFlow
        >>> config = PerceiverConfig(num_latents=4, d_latents=8, num_self_attends_per_block=1,
        ...     num_cross_attention_heads=1, train_size=[8, 12])
        >>> model = TFPerceiverForOpticalFlow(config)
        >>> tuple(model(inputs=np.zeros((1, 2, 27, 8, 12), "float32")).logits.shape)
        (1, 8, 12, 2)
    """

    inputs_table = (
        SizedInput(
            "inputs",
            "float32",
            ("batch", "frames", "channels", "height", "width"),
            "Two frames with 27 channels, the 3 x 3 surroundings of each pixel.",
            True,
            ("batch", "frames", "channels", "height", "width"),
            lambda config: (None, 2, _PATCH // 2, *config.train_size),
        ),
        ATTENTION_MASK,
        HEAD_MASK,
        Input(
            "labels",
            "float32",
            ("batch", "height", "width", "axes"),
            "True flow in pixels, to the right and down.",
            True,
        ),
    )

    def setup(self, config: PerceiverConfig) -> None:
        """Make the sublayers."""
        waves = {"num_bands": _BANDS, "max_resolution": tuple(config.train_size)}
        preprocessor = TFPerceiverImagePreprocessor(
            config,
            prep_type="patches",
            spatial_downsample=1,
            temporal_downsample=2,
            out_channels=_FEATURES,
            conv_after_patching=True,
            conv_after_patching_in_channels=_PATCH,
            fourier_position_encoding_kwargs=waves,
            name="input_preprocessor",
        )
        decoder = TFPerceiverOpticalFlowDecoder(
            config,
            output_image_shape=config.train_size,
            num_channels=preprocessor.num_channels,
            use_query_residual=False,
            position_encoding_type="none",
            name="decoder",
        )
        self.perceiver = TFPerceiverModel(config, decoder, preprocessor, name="perceiver")

    def check_inputs(self, inputs: Mapping[str, Any]) -> None:
        """Refuse frames of another size or number, and labels that are no flow."""
        super().check_inputs(inputs)
        frames, labels = inputs["inputs"].shape[1], inputs.get("labels")
        if frames not in (None, 2):
            raise ValueError(f"{type(self).__name__}: inputs must have 2 frames, got {frames}.")
        wanted = (*self.config.train_size, 2)
        if labels is not None and None not in labels.shape and tuple(labels.shape)[1:] != wanted:
            raise ValueError(
                f"{type(self).__name__}: labels must have shape (batch, {wanted[0]}, {wanted[1]}, "
                f"2), like the flow, got {tuple(labels.shape)}."
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
        training: bool = False,
    ) -> TFPerceiverClassifierOutput:
        """Compute optical flow.

        Args:
            inputs: (B, 2, 27, height, width), floats: for each pixel of each frame its 3 x 3
                surroundings, see `flow_patches`.
            attention_mask: (B, height * width), 1 for pixels that are read.
            head_mask: (H,) or (layers, H), see `TFPerceiverModel`.
            output_attentions: Return the attention maps; the config's choice where None. They are
                large: 1.5 GB each of the first and the last in the published model.
            output_hidden_states: Return the latents between layers; the config's where None.
            labels: (B, height, width, 2), true flow in pixels.
            return_dict: Return an output object rather than a tuple; the config's where None.
            training: Whether dropout acts.

        Returns:
            `loss`, the mean end-point error in pixels, where labels were given; `logits` (B,
            height, width, 2), shifts in pixels to the right and down; and what was asked for.

        Raises:
            ValueError: Frames of another size than `train_size`, transposed ones included.
        """
        return self.classify(
            labels,
            inputs=inputs,
            attention_mask=attention_mask,
            head_mask=head_mask,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
        )

    def compute_output_loss(
        self, labels: Any, outputs: TFPerceiverClassifierOutput, sample_weight: Any = None
    ) -> Any:
        """The mean end-point error, in pixels."""
        return EndPointError()(labels, ops.cast(outputs["logits"], "float32"), sample_weight)
