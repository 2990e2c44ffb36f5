"""Perceiver for multimodal autoencoding: video, sound and label through one bottleneck."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from tfzoo.core.inputs import Input
from tfzoo.losses.classification import classification_loss
from tfzoo.models.perceiver.classification import ClassifierMixin
from tfzoo.models.perceiver.config import PerceiverConfig
from tfzoo.models.perceiver.decoder import TFPerceiverBasicDecoder
from tfzoo.models.perceiver.decoder_heads import TFPerceiverClassificationDecoder
from tfzoo.models.perceiver.decoder_multimodal import (
    TFPerceiverBasicVideoAutoencodingDecoder,
    TFPerceiverMultimodalDecoder,
)
from tfzoo.models.perceiver.image_preprocessor import TFPerceiverImagePreprocessor
from tfzoo.models.perceiver.inputs import ATTENTION_MASK, HEAD_MASK, SizedInput
from tfzoo.models.perceiver.model import TFPerceiverModel, TFPerceiverPreTrainedModel
from tfzoo.models.perceiver.outputs import TFPerceiverClassifierOutput
from tfzoo.models.perceiver.postprocessors import (
    TFPerceiverAudioPostprocessor,
    TFPerceiverClassificationPostprocessor,
    TFPerceiverMultimodalPostprocessor,
    TFPerceiverProjectionPostprocessor,
)
from tfzoo.models.perceiver.preprocessors import (
    TFPerceiverAudioPreprocessor,
    TFPerceiverMultimodalPreprocessor,
    TFPerceiverOneHotPreprocessor,
)

__all__ = ["LOSS_WEIGHTS", "TFPerceiverForMultimodalAutoencoding", "autoencoding_labels"]

#: Weights of the terms of the loss: L1 of sound and of pixels, cross-entropy of the label. They are
#: those of public code that trains the reference's model after arXiv:2107.14795, with these terms;
#: they were compared with that code, not with the paper's own text.
LOSS_WEIGHTS = {"audio": 1.0, "image": 0.03, "label": 0.0001}

_AUDIO_BANDS, _IMAGE_BANDS, _IMAGE_PATCH, _COLOURS = 192, 32, 4, 3
_MODALITIES = ("image", "audio", "label")
_LABEL = ("batch", "num_labels")


def _samples(config: PerceiverConfig) -> int:
    return config.num_frames * config.audio_samples_per_frame


class TFPerceiverForMultimodalAutoencoding(ClassifierMixin, TFPerceiverPreTrainedModel):
    """Encodes a video with its sound and label into latents, and decodes all three.

    The label is hidden from the model, in inference as well, so that the decoded one is a
    classification.

    Args:
        config: The configuration.
        **kwargs: `name`, `dtype`, `trainable` as in `keras.Model`.

    Raises:
        ConfigError: Widths that the heads do not divide.

    Source: the reference's PerceiverForMultimodalAutoencoding.

    Example:
        >>> from tfzoo import PerceiverConfig, TFPerceiverForMultimodalAutoencoding
        >>> config = PerceiverConfig(num_latents=4, d_latents=16, num_self_attends_per_block=1,
        ...     num_cross_attention_heads=1, image_size=8, num_frames=2, num_labels=3,
        ...     audio_samples_per_frame=64, output_shape=[1, 2, 8, 8], output_num_channels=6)
        >>> model = TFPerceiverForMultimodalAutoencoding(config)
        >>> inputs = {"image": np.zeros((1, 2, 3, 8, 8), "float32"),
        ...     "audio": np.zeros((1, 128, 1), "float32"), "label": np.zeros((1, 3), "float32")}
        >>> points = {"image": np.arange(50), "audio": np.arange(4), "label": None}
        >>> logits = model(inputs=inputs, subsampled_output_points=points).logits
        >>> {name: tuple(value.shape) for name, value in logits.items()}
        {'audio': (1, 64), 'image': (1, 50, 3), 'label': (1, 3)}
    """

    inputs_table = (
        SizedInput(
            "image",
            "float32",
            ("batch", "frames", "channels", "height", "width"),
            "Video; or as an entry of `inputs`.",
            True,
            ("batch", "frames", "channels", "height", "width"),
            lambda c: (None, c.num_frames, _COLOURS, c.image_size, c.image_size),
        ),
        SizedInput(
            "audio",
            "float32",
            ("batch", "samples", "audio_channels"),
            "Its sound.",
            True,
            ("batch", "samples", "audio_channels"),
            lambda config: (None, _samples(config), 1),
        ),
        Input("label", "float32", _LABEL, "Its label; zeros will do.", True, _LABEL),
        Input("image_points", "int64", ("pixels",), "Indices of pixels.", True, ("pixels",)),
        Input("audio_points", "int64", ("patches",), "Indices of patches.", True, ("patches",)),
        Input("inputs", "structure", None, "A dict with image, audio and label.", True),
        Input("subsampled_output_points", "structure", None, "A dict of indices.", True),
        Input("labels", "structure", None, "A dict with targets like the outputs.", True),
        ATTENTION_MASK,
        HEAD_MASK,
    )
    component_losses = ("audio_loss", "image_loss", "label_loss")

    def setup(self, config: PerceiverConfig) -> None:
        """Make the sublayers."""
        video = (config.num_frames, config.image_size, config.image_size)
        sound_waves = {"num_bands": _AUDIO_BANDS, "max_resolution": (_samples(config),)}
        image_waves = {"num_bands": _IMAGE_BANDS, "max_resolution": video}
        self.perceiver = TFPerceiverModel(
            config,
            _decoder(config, sound_waves, image_waves),
            _preprocessor(config, sound_waves, image_waves),
            _postprocessor(config),
            name="perceiver",
        )

    def _gathered(self, inputs: Mapping[str, Any]) -> tuple[Any, Any]:
        """Modalities and points, however they were given."""
        data, points = inputs.get("inputs"), inputs.get("subsampled_output_points")
        flat = {name: inputs.get(name) for name in _MODALITIES}
        flat = {name: value for name, value in flat.items() if value is not None}
        if flat and data is not None:
            raise ValueError(
                f"{type(self).__name__}: pass either inputs or {', '.join(flat)}, not both."
            )
        flat_points = {name: inputs.get(f"{name}_points") for name in ("image", "audio")}
        flat_points = {name: value for name, value in flat_points.items() if value is not None}
        if flat_points and points is not None:
            raise ValueError(
                f"{type(self).__name__}: pass either subsampled_output_points or image_points and "
                "audio_points, not both."
            )
        if data is None and not flat:
            raise ValueError(
                f"{type(self).__name__}: inputs is required, a dict with image, audio and label."
            )
        if isinstance(data, Mapping):
            data = {name: value for name, value in data.items() if value is not None}
        return flat if data is None else data, flat_points or points

    def check_inputs(self, inputs: Mapping[str, Any]) -> None:
        """Refuse missing modalities, points that there are not, and labels that do not fit."""
        data, points = self._gathered(inputs)
        super().check_inputs({**inputs, "inputs": data, "subsampled_output_points": points})
        labels = inputs.get("labels")
        if labels is not None:
            _check_labels(labels, type(self).__name__)

    def call(
        self,
        inputs: Any = None,
        attention_mask: Any = None,
        subsampled_output_points: Any = None,
        head_mask: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        labels: Any = None,
        return_dict: bool | None = None,
        *,
        image: Any = None,
        audio: Any = None,
        label: Any = None,
        image_points: Any = None,
        audio_points: Any = None,
        training: bool = False,
    ) -> TFPerceiverClassifierOutput:
        """Encode and decode.

        Args:
            inputs: A dict of `image` (B, T, 3, height, width), `audio` (B, samples, 1) and `label`
                (B, labels), floats.
            attention_mask: (B, N) for the N tokens, in the order audio, image, label.
            subsampled_output_points: A dict of `image`, indices of pixels, and `audio`, indices
                of patches; all of a modality that is missing.
            head_mask: (H,) or (layers, H), see `TFPerceiverModel`.
            output_attentions: Return the attention maps; the config's choice where None.
            output_hidden_states: Return the latents between layers; the config's where None.
            labels: A dict like `logits` of some or all modalities; `label` as class indices (B,)
                or as one-hot rows. See `autoencoding_labels`.
            return_dict: Return an output object rather than a tuple; the config's where None.
            image: The entry of `inputs` of that name, for callers that have no dicts.
            audio: Likewise.
            label: Likewise.
            image_points: The entry of `subsampled_output_points` named image, likewise.
            audio_points: Likewise.
            training: Whether dropout acts.

        Returns:
            `loss` where labels were given; `logits`, a dict of `audio` (B, samples), `image`
            (B, pixels, 3) and `label` (B, labels); and what was asked for.

        Raises:
            ValueError: A missing modality, points that there are not, or labels of another shape.
        """
        given = {
            "inputs": inputs,
            "subsampled_output_points": subsampled_output_points,
            "image": image,
            "audio": audio,
            "label": label,
            "image_points": image_points,
            "audio_points": audio_points,
        }
        data, points = self._gathered(given)
        return self.classify(
            None if self._in_step else labels,  # a step computes the loss itself, term by term
            inputs=data,
            attention_mask=attention_mask,
            subsampled_output_points=points,
            head_mask=head_mask,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
        )

    def compute_output_loss(
        self,
        labels: Mapping[str, Any],
        outputs: TFPerceiverClassifierOutput,
        sample_weight: Any = None,
    ) -> Any:
        """The weighted sum of L1 of sound and pixels and of the label's cross-entropy.

        Returns:
            The sum, and within a step of `fit` a dict with each term before it is weighted.

        Raises:
            ValueError: Labels of another shape than the outputs.
        """
        _check_labels(labels, type(self).__name__)
        parts, total = {}, 0.0
        for name, target in labels.items():
            output = ops.cast(outputs["logits"][name], "float32")
            if name == "label":
                kind = "single_label_classification"
                size = self.config.num_labels
                if len(target.shape) == 2:
                    _check_same(name, target, output, type(self).__name__)
                    target = ops.argmax(target, axis=-1)
                term = classification_loss(target, output, size, kind, sample_weight)
            else:
                _check_same(name, target, output, type(self).__name__)
                term = keras.losses.MeanAbsoluteError()(target, output, sample_weight)
            parts[f"{name}_loss"] = term
            total = total + LOSS_WEIGHTS[name] * term
        return {**parts, "loss": total} if self._in_step else total


def _preprocessor(
    config: PerceiverConfig, sound_waves: dict[str, Any], image_waves: dict[str, Any]
) -> TFPerceiverMultimodalPreprocessor:
    return TFPerceiverMultimodalPreprocessor(
        {
            "audio": TFPerceiverAudioPreprocessor(
                config,
                samples_per_patch=config.samples_per_patch,
                fourier_position_encoding_kwargs=sound_waves,
                name="audio",
            ),
            "image": TFPerceiverImagePreprocessor(
                config,
                prep_type="patches",
                spatial_downsample=_IMAGE_PATCH,
                fourier_position_encoding_kwargs=image_waves,
                name="image",
            ),
            "label": TFPerceiverOneHotPreprocessor(config, name="label"),
        },
        mask_probs={"image": 0.0, "audio": 0.0, "label": 1.0},
        min_padding_size=4,
        name="input_preprocessor",
    )


def _decoder(
    config: PerceiverConfig, sound_waves: dict[str, Any], image_waves: dict[str, Any]
) -> TFPerceiverMultimodalDecoder:
    patches = _samples(config) // config.samples_per_patch
    channels, label_width = config.output_num_channels, config._label_trainable_num_channels
    return TFPerceiverMultimodalDecoder(
        config,
        {
            "audio": TFPerceiverBasicDecoder(
                config,
                output_num_channels=channels,
                output_index_dims=(patches,),
                position_encoding_only=True,
                position_encoding_type="fourier",
                fourier_position_encoding_kwargs=sound_waves,
                name="audio",
            ),
            "image": TFPerceiverBasicVideoAutoencodingDecoder(
                config,
                output_shape=config.output_shape,
                output_num_channels=channels,
                position_encoding_only=True,
                position_encoding_type="fourier",
                fourier_position_encoding_kwargs=image_waves,
                name="image",
            ),
            "label": TFPerceiverClassificationDecoder(
                config,
                position_encoding_only=True,
                trainable_position_encoding_kwargs={"num_channels": label_width, "index_dims": 1},
                name="label",
            ),
        },
        num_outputs=None,
        output_num_channels=channels,
        use_query_residual=False,
        name="decoder",
    )


def _postprocessor(config: PerceiverConfig) -> TFPerceiverMultimodalPostprocessor:
    width = config.output_num_channels
    return TFPerceiverMultimodalPostprocessor(
        {
            "audio": TFPerceiverAudioPostprocessor(config, in_channels=width, name="audio"),
            "image": TFPerceiverProjectionPostprocessor(width, _COLOURS, name="image"),
            "label": TFPerceiverClassificationPostprocessor(config, width, name="label"),
        },
        name="output_postprocessor",
    )


def _check_labels(labels: Any, owner: str) -> None:
    if not isinstance(labels, Mapping) or not labels or not set(labels) <= set(_MODALITIES):
        came = sorted(labels) if isinstance(labels, Mapping) else type(labels).__name__
        raise ValueError(
            f"{owner}: labels must be a dict with some of {', '.join(_MODALITIES)}, got {came}."
        )


def _check_same(name: str, target: Any, output: Any, owner: str) -> None:
    have, want = tuple(target.shape), tuple(output.shape)
    fits = len(have) == len(want) and all(
        a is None or b is None or a == b for a, b in zip(have, want, strict=True)
    )
    if not fits:
        raise ValueError(
            f"{owner}: labels[{name!r}] must have the shape {want} of the outputs, got {have}; "
            "see autoencoding_labels."
        )


def autoencoding_labels(
    inputs: Mapping[str, Any], points: Mapping[str, Any] | None = None, samples_per_patch: int = 16
) -> dict[str, Any]:
    """The targets with which the multimodal autoencoder learns to give back its inputs.

    Args:
        inputs: `image` (B, T, 3, height, width) and `audio` (B, samples, 1); `label` (B, labels),
            one-hot, is taken over.
        points: The subsampled output points, whose targets are wanted; all where None.
        samples_per_patch: The config's.

    Returns:
        A dict of targets like the model's outputs.

    Example:
        >>> inputs = {"image": np.zeros((1, 2, 3, 8, 8)), "audio": np.zeros((1, 64, 1))}
        >>> labels = autoencoding_labels(inputs, {"image": np.arange(5), "audio": np.arange(2)})
        >>> {name: tuple(value.shape) for name, value in labels.items()}
        {'image': (1, 5, 3), 'audio': (1, 32)}
    """
    points, labels = points or {}, dict(inputs)
    if "image" in inputs:
        pixels = ops.transpose(inputs["image"], (0, 1, 3, 4, 2))
        labels["image"] = ops.reshape(pixels, (ops.shape(pixels)[0], -1, pixels.shape[-1]))
    if "audio" in inputs:
        batch = ops.shape(inputs["audio"])[0]
        labels["audio"] = ops.reshape(inputs["audio"], (batch, -1, samples_per_patch))
    for name in ("image", "audio"):
        if name in labels and points.get(name) is not None:
            labels[name] = ops.take(labels[name], points[name], axis=1)
    if "audio" in labels:
        labels["audio"] = ops.reshape(labels["audio"], (ops.shape(labels["audio"])[0], -1))
    return labels
