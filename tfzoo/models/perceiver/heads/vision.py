"""Perceiver for images: three ways to read pixels for one classifier, and optical flow.

The models' arguments and errors are those of `TFPerceiverPreTrainedModel`.

Source: the reference's classes of the same names without TF.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import keras
from keras import ops

from tfzoo.core.inputs import Input
from tfzoo.core.types import Tensor
from tfzoo.models.perceiver import model
from tfzoo.models.perceiver.config import PerceiverConfig
from tfzoo.models.perceiver.decoders import TFPerceiverOpticalFlowDecoder, classification_decoder
from tfzoo.models.perceiver.engine import Part
from tfzoo.models.perceiver.preprocessors import TFPerceiverImagePreprocessor

__all__ = [
    "CLASSIFIERS",
    "EndPointError",
    "TFPerceiverForImageClassificationConvProcessing",
    "TFPerceiverForImageClassificationFourier",
    "TFPerceiverForImageClassificationLearned",
    "TFPerceiverForOpticalFlow",
]

_BANDS = 64  # frequencies of Fourier positions, and width of the features beside them
_PIXELS = ("batch", "channels", "height", "width")
_PIXEL_VALUES = model.sized(
    "pixel_values", _PIXELS, "Images as the processor gives them.", lambda c: (None, 3, None, None)
)


# ---- classification
class _ImageClassifier(model.PerceiverHead):
    """The classifiers below, which differ in their preprocessor alone."""

    inputs_table = (
        _PIXEL_VALUES,
        Input("inputs", "float32", _PIXELS, "The same under the model's general name.", True),
        model.ATTENTION_MASK,
        model.HEAD_MASK,
        model.LABELS,
    )
    input_names = ("inputs", "pixel_values")
    prep_type, resolution = "pixels", 224

    def make_parts(self, config: PerceiverConfig) -> tuple[Part, ...]:
        decoder = classification_decoder(config)
        waves = {"num_bands": _BANDS, "max_resolution": (self.resolution, self.resolution)}
        return decoder, TFPerceiverImagePreprocessor(
            config,
            prep_type=self.prep_type,
            spatial_downsample=1,
            fourier_position_encoding_kwargs=waves,
            name="input_preprocessor",
        )

    def call(
        self,
        inputs: Tensor | None = None,
        attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        labels: Tensor | None = None,
        return_dict: bool | None = None,
        pixel_values: Tensor | None = None,
        *,
        interpolate_pos_encoding: bool = False,
        training: bool = False,
    ) -> model.TFPerceiverClassifierOutput:
        """Classify images; arguments not named here are those of `TFPerceiverModel.call`.

        Args:
            inputs: (B, C, height, width), floats; or `pixel_values`.
            attention_mask: (B, N) for the N tokens that the image becomes, 1 for those to read.
            labels: (B,) class indices, (B, labels) of 0 and 1, or targets of a regression.
            pixel_values: (B, C, height, width), floats.
            interpolate_pos_encoding: Resize trainable positions to an image of another size than
                theirs, which is a `ValueError` otherwise. Fourier positions fit any size.

        Returns:
            `loss` where labels were given, `logits` (B, labels), and what was asked for.

        Raises:
            ValueError: Both or none of `inputs` and `pixel_values`, or labels that do not fit.
        """
        flags = (output_attentions, output_hidden_states)
        images = pixel_values if inputs is None else inputs
        more = {"interpolate_pos_encoding": interpolate_pos_encoding}
        return self.run(labels, images, attention_mask, head_mask, *flags, **more)


class TFPerceiverForImageClassificationLearned(_ImageClassifier):
    """Classifies images by their pixels, projected one by one, beside trainable positions.

    Images have the config's `image_size` as height and width.

    Example:
        >>> config = PerceiverConfig(d_latents=8, num_self_attends_per_block=1, image_size=8)
        >>> model = TFPerceiverForImageClassificationLearned(config)
        >>> tuple(model(np.zeros((1, 3, 9, 12)), interpolate_pos_encoding=True).logits.shape)
        (1, 2)
    """

    inputs_table = (
        replace(_PIXEL_VALUES, sizes=lambda config: (None, 3, *(config.image_size,) * 2)),
        *_ImageClassifier.inputs_table[1:],
    )

    def make_parts(self, config: PerceiverConfig) -> tuple[Part, ...]:
        decoder = classification_decoder(config)
        table = {"num_channels": 256, "index_dims": config.image_size**2}
        return decoder, TFPerceiverImagePreprocessor(
            config,
            prep_type="conv1x1",
            spatial_downsample=1,
            out_channels=256,
            position_encoding_type="trainable",
            concat_or_add_pos="concat",
            project_pos_dim=256,
            trainable_position_encoding_kwargs=table,
            name="input_preprocessor",
        )


class TFPerceiverForImageClassificationFourier(_ImageClassifier):
    """Classifies images by their pixels, beside Fourier positions of 64 frequencies.

    Example:
        >>> config = PerceiverConfig(num_cross_attention_heads=1, num_self_attends_per_block=1)
        >>> model = TFPerceiverForImageClassificationFourier(config)
        >>> tuple(model(pixel_values=np.zeros((1, 3, 8, 12))).logits.shape)
        (1, 2)
    """


class TFPerceiverForImageClassificationConvProcessing(_ImageClassifier):
    """Classifies images by the features of a convolution, beside Fourier positions.

    Example:
        >>> config = PerceiverConfig(num_cross_attention_heads=1, num_self_attends_per_block=1)
        >>> model = TFPerceiverForImageClassificationConvProcessing(config)
        >>> tuple(model(pixel_values=np.zeros((1, 3, 32, 40))).logits.shape)
        (1, 2)
    """

    prep_type, resolution = "conv", 56


CLASSIFIERS = (
    TFPerceiverForImageClassificationLearned,
    TFPerceiverForImageClassificationFourier,
    TFPerceiverForImageClassificationConvProcessing,
)

# ---- optical flow
_PATCH = 54  # width of the patches, 3 x 3 pixels of two frames
_FRAMES = ("batch", "frames", "channels", "height", "width")
_FLOW = ("batch", "height", "width", "axes")


@keras.saving.register_keras_serializable(package="tfzoo")
class EndPointError(keras.losses.Loss):
    """Mean distance, in pixels, between the true and the predicted shift of each pixel.

    Source: Otte and Nagel 1994, "Optical flow estimation: advances and comparisons".

    Example:
        >>> truth, found = np.zeros((1, 2, 2, 2), "float32"), np.ones((1, 2, 2, 2), "float32")
        >>> round(float(EndPointError()(truth, found)), 4)
        1.4142
    """

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """(B, height, width, 2) twice -> (B,)."""
        squares = ops.sum(ops.square(y_pred - ops.cast(y_true, y_pred.dtype)), axis=-1)
        is_zero = ops.equal(squares, 0)  # where the square root has no gradient
        distance = ops.where(is_zero, 0.0, ops.sqrt(ops.where(is_zero, 1.0, squares)))
        return ops.mean(distance, axis=(1, 2))


class TFPerceiverForOpticalFlow(model.PerceiverHead):
    """Computes optical flow from the 3 x 3 surroundings of each pixel of two frames.

    Frames have the config's `train_size` as height and width. `tfzoo.compute_flow` cuts frames of
    any size into such inputs and puts the results together.

    Example:
        >>> config = PerceiverConfig(
        ...     num_cross_attention_heads=1, num_self_attends_per_block=1, train_size=[8, 12])
        >>> model = TFPerceiverForOpticalFlow(config)
        >>> tuple(model(inputs=np.zeros((1, 2, 27, 8, 12))).logits.shape)
        (1, 8, 12, 2)
    """

    inputs_table = (
        model.sized(
            "inputs",
            _FRAMES,
            "Two frames with 27 channels, the 3 x 3 surroundings of each pixel.",
            lambda config: (None, 2, _PATCH // 2, *config.train_size),
        ),
        model.ATTENTION_MASK,
        model.HEAD_MASK,
        Input("labels", "float32", _FLOW, "True flow in pixels, to the right and down.", True),
    )

    def make_parts(self, config: PerceiverConfig) -> tuple[Part, ...]:
        waves = {"num_bands": _BANDS, "max_resolution": tuple(config.train_size)}
        preprocessor = TFPerceiverImagePreprocessor(
            config,
            prep_type="patches",
            spatial_downsample=1,
            temporal_downsample=2,
            out_channels=_BANDS,
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
        return decoder, preprocessor

    def check_inputs(self, inputs: Mapping[str, Any]) -> None:
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
        inputs: Tensor | None = None,
        attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        labels: Tensor | None = None,
        return_dict: bool | None = None,
        training: bool = False,
    ) -> model.TFPerceiverClassifierOutput:
        """Compute optical flow; arguments not named here are those of `TFPerceiverModel.call`.

        Args:
            inputs: (B, 2, 27, height, width), floats: for each pixel of each frame its 3 x 3
                surroundings, see `flow_patches`.
            attention_mask: (B, height * width), 1 for pixels that are read.
            output_attentions: Return the attention weights; the config's choice where None. They
                are large: 1.5 GB each of the first and the last in the published model.
            labels: (B, height, width, 2), true flow in pixels.

        Returns:
            `loss`, the mean end-point error in pixels, where labels were given; `logits` (B,
            height, width, 2), shifts in pixels to the right and down; and what was asked for.

        Raises:
            ValueError: Frames of another size than `train_size`, transposed ones included.
        """
        flags = (output_attentions, output_hidden_states)
        return self.run(labels, inputs, attention_mask, head_mask, *flags)

    def compute_output_loss(
        self, labels: Tensor, outputs: Mapping[str, Any], sample_weight: Tensor | None = None
    ) -> Tensor:
        """The mean end-point error, in pixels."""
        return EndPointError()(labels, ops.cast(outputs["logits"], "float32"), sample_weight)
