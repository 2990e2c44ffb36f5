"""Perceiver for images: three ways to read pixels, one classifier."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tfzoo.core.inputs import Input
from tfzoo.models.perceiver.classification import ClassifierMixin, classification_decoder
from tfzoo.models.perceiver.config import PerceiverConfig
from tfzoo.models.perceiver.image_preprocessor import TFPerceiverImagePreprocessor
from tfzoo.models.perceiver.inputs import ATTENTION_MASK, HEAD_MASK, LABELS, SizedInput
from tfzoo.models.perceiver.model import TFPerceiverModel, TFPerceiverPreTrainedModel
from tfzoo.models.perceiver.outputs import TFPerceiverClassifierOutput
from tfzoo.models.perceiver.preprocessor_base import Preprocessor

__all__ = [
    "TFPerceiverForImageClassificationConvProcessing",
    "TFPerceiverForImageClassificationFourier",
    "TFPerceiverForImageClassificationLearned",
]

_PIXELS = ("batch", "channels", "height", "width")
_TABLE = (
    SizedInput(
        "pixel_values",
        "float32",
        _PIXELS,
        "Images as the processor gives them.",
        True,
        _PIXELS,
        lambda config: (None, 3, None, None),
    ),
    Input("inputs", "float32", _PIXELS, "The same under the model's general name.", True),
    ATTENTION_MASK,
    HEAD_MASK,
    LABELS,
)


class _ImageClassifier(ClassifierMixin, TFPerceiverPreTrainedModel):
    """The classifiers below, which differ in their preprocessor alone."""

    inputs_table = _TABLE
    input_names = ("inputs", "pixel_values")

    def make_preprocessor(self, config: PerceiverConfig) -> Preprocessor:
        """How this model reads images."""
        raise TypeError(f"{type(self).__name__} is abstract: use one of its subclasses.")

    def setup(self, config: PerceiverConfig) -> None:
        """Make the sublayers."""
        self.perceiver = TFPerceiverModel(
            config, classification_decoder(config), self.make_preprocessor(config), name="perceiver"
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
        pixel_values: Any = None,
        training: bool = False,
    ) -> TFPerceiverClassifierOutput:
        """Classify images.

        Args:
            inputs: (B, C, height, width), floats; or `pixel_values`.
            attention_mask: (B, N) for the N tokens that the image becomes, 1 for those to read.
            head_mask: (H,) or (layers, H), see `TFPerceiverModel`.
            output_attentions: Return the attention maps; the config's choice where None.
            output_hidden_states: Return the latents between layers; the config's where None.
            labels: (B,) class indices, (B, labels) of 0 and 1, or targets of a regression.
            return_dict: Return an output object rather than a tuple; the config's where None.
            pixel_values: (B, C, height, width), floats.
            training: Whether dropout acts.

        Returns:
            `loss` where labels were given, `logits` (B, labels), and what was asked for.

        Raises:
            ValueError: Both or none of `inputs` and `pixel_values`, or labels that do not fit.
        """
        return self.classify(
            labels,
            inputs=pixel_values if inputs is None else inputs,
            attention_mask=attention_mask,
            head_mask=head_mask,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
        )


class TFPerceiverForImageClassificationLearned(_ImageClassifier):
    """Classifies images by their pixels and trainable positions: it is told nothing of images.

    Args:
        config: The configuration; images have `image_size` pixels in height and width.
        **kwargs: `name`, `dtype`, `trainable` as in `keras.Model`.

    Raises:
        ConfigError: Widths that the heads do not divide.

    Source: the reference's PerceiverForImageClassificationLearned.

    Example:
        >>> from tfzoo import PerceiverConfig, TFPerceiverForImageClassificationLearned
        >>> config = PerceiverConfig(num_latents=4, d_latents=8, num_self_attends_per_block=1,
        ...     image_size=8, num_labels=3)
        >>> model = TFPerceiverForImageClassificationLearned(config)
        >>> images = np.zeros((1, 3, 8, 8), "float32")
        >>> tuple(model(pixel_values=images).logits.shape)
        (1, 3)
        >>> larger = np.zeros((1, 3, 9, 12), "float32")
        >>> tuple(model(pixel_values=larger, interpolate_pos_encoding=True).logits.shape)
        (1, 3)
    """

    inputs_table = (
        replace(_TABLE[0], sizes=lambda config: (None, 3, config.image_size, config.image_size)),
        *_TABLE[1:],
    )

    def make_preprocessor(self, config: PerceiverConfig) -> Preprocessor:
        """Pixels, projected one by one, beside trainable positions."""
        return TFPerceiverImagePreprocessor(
            config,
            prep_type="conv1x1",
            spatial_downsample=1,
            out_channels=256,
            position_encoding_type="trainable",
            concat_or_add_pos="concat",
            project_pos_dim=256,
            trainable_position_encoding_kwargs={
                "num_channels": 256,
                "index_dims": config.image_size**2,
            },
            name="input_preprocessor",
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
        pixel_values: Any = None,
        *,
        interpolate_pos_encoding: bool = False,
        training: bool = False,
    ) -> TFPerceiverClassifierOutput:
        """Classify images, see `TFPerceiverForImageClassificationFourier.call`.

        Args:
            inputs: (B, C, height, width), floats; or `pixel_values`.
            attention_mask: (B, N) for the N pixels, 1 for those to read.
            head_mask: (H,) or (layers, H), see `TFPerceiverModel`.
            output_attentions: Return the attention maps; the config's choice where None.
            output_hidden_states: Return the latents between layers; the config's where None.
            labels: (B,) class indices, (B, labels) of 0 and 1, or targets of a regression.
            return_dict: Return an output object rather than a tuple; the config's where None.
            pixel_values: (B, C, height, width), floats.
            interpolate_pos_encoding: Resize the positions to images of another size.
            training: Whether dropout acts.

        Raises:
            ValueError: Images of another size without `interpolate_pos_encoding`.
        """
        return self.classify(
            labels,
            inputs=pixel_values if inputs is None else inputs,
            attention_mask=attention_mask,
            head_mask=head_mask,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            interpolate_pos_encoding=interpolate_pos_encoding,
        )


class TFPerceiverForImageClassificationFourier(_ImageClassifier):
    """Classifies images by their pixels and Fourier positions.

    Args:
        config: The configuration.
        **kwargs: `name`, `dtype`, `trainable` as in `keras.Model`.

    Raises:
        ConfigError: Widths that the heads do not divide.

    Source: the reference's PerceiverForImageClassificationFourier.

    Example:
        >>> from tfzoo import PerceiverConfig, TFPerceiverForImageClassificationFourier
        >>> config = PerceiverConfig(num_latents=4, d_latents=8, num_self_attends_per_block=1,
        ...     num_cross_attention_heads=1, num_labels=3)
        >>> model = TFPerceiverForImageClassificationFourier(config)
        >>> tuple(model(pixel_values=np.zeros((1, 3, 8, 12), "float32")).logits.shape)
        (1, 3)
    """

    def make_preprocessor(self, config: PerceiverConfig) -> Preprocessor:
        """Pixels beside 64 frequencies."""
        return TFPerceiverImagePreprocessor(
            config,
            prep_type="pixels",
            spatial_downsample=1,
            fourier_position_encoding_kwargs={"num_bands": 64, "max_resolution": (224, 224)},
            name="input_preprocessor",
        )


class TFPerceiverForImageClassificationConvProcessing(_ImageClassifier):
    """Classifies images by what a convolution makes of them, beside Fourier positions.

    Args:
        config: The configuration.
        **kwargs: `name`, `dtype`, `trainable` as in `keras.Model`.

    Raises:
        ConfigError: Widths that the heads do not divide.

    Source: the reference's PerceiverForImageClassificationConvProcessing.

    Example:
        >>> from tfzoo import PerceiverConfig, TFPerceiverForImageClassificationConvProcessing
        >>> config = PerceiverConfig(num_latents=4, d_latents=8, num_self_attends_per_block=1,
        ...     num_cross_attention_heads=1, num_labels=3)
        >>> model = TFPerceiverForImageClassificationConvProcessing(config)
        >>> tuple(model(pixel_values=np.zeros((1, 3, 32, 40), "float32")).logits.shape)
        (1, 3)
    """

    def make_preprocessor(self, config: PerceiverConfig) -> Preprocessor:
        """A convolution and pooling, beside 64 frequencies."""
        return TFPerceiverImagePreprocessor(
            config,
            prep_type="conv",
            spatial_downsample=1,
            fourier_position_encoding_kwargs={"num_bands": 64, "max_resolution": (56, 56)},
            name="input_preprocessor",
        )
