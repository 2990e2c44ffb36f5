"""Perceiver for several modalities: video, sound and label through one bottleneck.

Source: the reference's classes of the same names without TF.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from tfzoo.core.inputs import Input
from tfzoo.core.types import Shape, Tensor
from tfzoo.losses.classification import classification_loss
from tfzoo.models.perceiver import decoders, model, postprocessors, preprocessors
from tfzoo.models.perceiver.config import PerceiverConfig
from tfzoo.models.perceiver.decoders import TFPerceiverAbstractDecoder, WrappingDecoder
from tfzoo.models.perceiver.engine import Part, split_options
from tfzoo.models.perceiver.postprocessors import split_modalities
from tfzoo.models.perceiver.preprocessors import TFPerceiverAbstractPreprocessor, Tokens

__all__ = [
    "LOSS_WEIGHTS",
    "TFPerceiverForMultimodalAutoencoding",
    "TFPerceiverMultimodalDecoder",
    "TFPerceiverMultimodalPreprocessor",
    "autoencoding_labels",
]


# ---- parts of several modalities
class ModalityVectors(keras.layers.Layer):
    """One trainable vector for each modality, of the width that `widths` says."""

    def __init__(self, widths: Mapping[str, int], stddev: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.widths, self.stddev = dict(widths), stddev

    def build(self, input_shape: Shape = None) -> None:
        fresh = keras.initializers.RandomNormal
        self.vectors = {
            name: self.add_weight(
                shape=(1, width), initializer=fresh(stddev=self.stddev), name=name
            )
            for name, width in self.widths.items()
        }

    def of(self, modality: str) -> Tensor:
        """The vector of a modality, (1, 1, width)."""
        return ops.cast(self.vectors[modality], self.compute_dtype)[None]

    def behind(self, x: Tensor, modality: str) -> Tensor:
        """Put the vector behind the channels of every token: (B, N, C) -> (B, N, C + width)."""
        vector = self.of(modality)
        repeated = ops.broadcast_to(vector, (*ops.shape(x)[:2], vector.shape[-1]))
        return ops.concatenate([x, ops.cast(repeated, x.dtype)], axis=2)


class TFPerceiverMultimodalPreprocessor(TFPerceiverAbstractPreprocessor):
    """Preprocesses each modality and concatenates their tokens, in alphabetical order.

    Trainable vectors pad all tokens to one width. A token of a modality in `mask_probs` is replaced
    by that modality's trainable vector with its probability, in inference as well.

    Args:
        modalities: Preprocessor of each modality.
        mask_probs: Probability that a token is masked, for some modalities.
        min_padding_size: How much wider than the widest modality the tokens are.

    Raises:
        ValueError: No modality, a mask for an unknown one, or a name with a slash or dot.

    Example:
        >>> from tfzoo import TFPerceiverOneHotPreprocessor
        >>> parts = {"label": TFPerceiverOneHotPreprocessor(PerceiverConfig(num_labels=3))}
        >>> tokens, sizes, _ = TFPerceiverMultimodalPreprocessor(parts)({"label": np.eye(3)})
        >>> tuple(tokens.shape), sizes
        ((3, 1, 5), {'label': 1})
    """

    def __init__(
        self,
        modalities: Mapping[str, TFPerceiverAbstractPreprocessor],
        mask_probs: Mapping[str, float] | None = None,
        min_padding_size: int = 2,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        mask_probs = dict(mask_probs or {})
        if not modalities or any("/" in name or "." in name for name in modalities):
            raise ValueError(
                "modalities must have at least one entry, with names without '/' and '.', got "
                f"{sorted(modalities)}."
            )
        if unknown := sorted(set(mask_probs) - set(modalities)):
            raise ValueError(f"mask_probs names {unknown}, which are not in {sorted(modalities)}.")
        self.modalities = {name: self.sublayer(part) for name, part in modalities.items()}
        self.mask_probs = mask_probs
        widths = {name: part.num_channels for name, part in modalities.items()}
        self.num_channels = max(widths.values()) + min_padding_size
        paddings = {name: self.num_channels - width for name, width in widths.items()}
        configs = [getattr(part, "config", None) for part in modalities.values()]
        stddev = (next(filter(None, configs), None) or PerceiverConfig()).initializer_range
        self.padding = self.sublayer(ModalityVectors(paddings, stddev, name="padding"))
        masks = dict.fromkeys(mask_probs, self.num_channels)
        self.mask = self.sublayer(ModalityVectors(masks, stddev, name="mask"))
        is_random = any(0 < p < 1 for p in mask_probs.values())
        self.seed_generator = keras.random.SeedGenerator() if is_random else None

    def check(self, inputs: Any, owner: str) -> None:
        came = sorted(inputs) if isinstance(inputs, Mapping) else type(inputs).__name__
        if came != sorted(self.modalities):
            raise ValueError(
                f"{owner}: inputs must be a dict with {sorted(self.modalities)}, got {came}."
            )
        for name, part in self.modalities.items():
            part.check(inputs[name], f"{owner}, modality {name!r}")

    def _tokens(self, inputs: Any, is_1d: bool, interpolate: bool, training: bool) -> Tokens:
        tokens, sizes, plain = [], {}, {}
        for name in sorted(self.modalities):
            features, _, plain[name] = self.modalities[name](inputs[name])
            features = self.padding.behind(features, name)
            sizes[name] = ops.shape(features)[1]
            if name in self.mask_probs:
                features = self._masked(features, name, training)
            tokens.append(features)
        return ops.concatenate(tokens, axis=1), sizes, plain

    def _masked(self, x: Tensor, modality: str, training: bool) -> Tensor:
        """Replace tokens by the modality's vector; what is certain costs nothing in inference."""
        probability, vector = self.mask_probs[modality], self.mask.of(modality)
        if probability <= 0 and not training:
            return x
        if probability >= 1 and not training:
            return ops.broadcast_to(vector, ops.shape(x))
        shape = (*ops.shape(x)[:2], 1)
        if 0 < probability < 1:
            drawn = keras.random.uniform(shape, seed=self.seed_generator)
            hidden = ops.cast(drawn < probability, x.dtype)
        else:
            hidden = ops.full(shape, float(probability >= 1), dtype=x.dtype)
        return (1 - hidden) * x + hidden * vector  # all of it, so that each weight has a gradient


class TFPerceiverMultimodalDecoder(WrappingDecoder):
    """Queries of several modalities, padded to one width, attend to the latents together.

    Args:
        modalities: The decoder that makes the queries of each modality.
        num_outputs: Has no effect; the number follows from the queries.
        output_num_channels: Channels of the outputs.
        min_padding_size: How much wider than the widest modality's the queries are.
        subsampled_index_dims: Has no effect, as in the reference.
        **decoder_kwargs: Arguments of the `TFPerceiverBasicDecoder` that attends.
    """

    def __init__(
        self,
        config: PerceiverConfig,
        modalities: Mapping[str, TFPerceiverAbstractDecoder],
        num_outputs: int | None,
        output_num_channels: int,
        min_padding_size: int = 2,
        subsampled_index_dims: Any = None,
        **decoder_kwargs: Any,
    ) -> None:
        options, arguments = split_options(decoder_kwargs)
        super().__init__(config, **options)
        self.modalities = {name: self.sublayer(part) for name, part in modalities.items()}
        widths = {name: part.num_query_channels for name, part in modalities.items()}
        self.common = max(widths.values()) + min_padding_size
        self.decoder = self.wrap(
            arguments,
            output_num_channels=output_num_channels,
            output_index_dims=num_outputs,
            position_encoding_type="none",
            num_channels=self.common,
        )
        paddings = {name: self.common - width for name, width in widths.items()}
        vectors = ModalityVectors(paddings, config.initializer_range, name="padding")
        self.padding = self.sublayer(vectors)

    @property
    def num_query_channels(self) -> int:
        """Width of the padded queries."""
        return self.common

    def _query(self, inputs: Tensor, sizes: Any, plain: Any, points: Any) -> Tensor:
        if sizes is None:
            raise ValueError("The multimodal decoder needs modality_sizes, tokens by modality.")
        inputs, plain, points = split_modalities(inputs, sizes), plain or {}, points or {}
        queries = []
        for name in sorted(self.modalities):
            query = self.modalities[name].decoder_query(
                inputs.get(name), None, plain.get(name), points.get(name)
            )
            queries.append(self.padding.behind(query, name))
        if wide := [query for query in queries if query.shape[0] != 1]:
            batch = ops.shape(wide[0])[0]
            queries = [ops.broadcast_to(q, (batch, *ops.shape(q)[1:])) for q in queries]
        return ops.concatenate(queries, axis=1)

    def output_sizes(self, modality_sizes: Any, subsampled_points: Any) -> dict[str, Any]:
        points = subsampled_points or {}
        return {name: part.num_outputs(points.get(name)) for name, part in self.modalities.items()}

    def check(self, inputs: Any, points: Any, owner: str) -> None:
        if points is None:
            return
        if not isinstance(points, Mapping) or not set(points) <= set(self.modalities):
            came = sorted(points) if isinstance(points, Mapping) else type(points).__name__
            raise ValueError(
                f"{owner}: subsampled_output_points must be a dict with some of "
                f"{sorted(self.modalities)}, got {came}."
            )
        for name, own in points.items():
            self.modalities[name].check(None, own, f"{owner}, modality {name!r}")


# ---- the autoencoder
#: Weights of the terms of the loss: L1 of sound and of pixels, cross-entropy of the label. They are
#: those of public code that trains the reference's model after arXiv:2107.14795, with these terms;
#: they were compared with that code, not with the paper's own text.
LOSS_WEIGHTS = {"audio": 1.0, "image": 0.03, "label": 0.0001}

_AUDIO_BANDS, _IMAGE_BANDS, _IMAGE_PATCH, _COLOURS = 192, 32, 4, 3
_MODALITIES = ("image", "audio", "label")
_VIDEO = ("batch", "frames", "channels", "height", "width")
_SOUND, _LABEL = ("batch", "samples", "audio_channels"), ("batch", "num_labels")


def _samples(config: PerceiverConfig) -> int:
    return config.num_frames * config.audio_samples_per_frame


class TFPerceiverForMultimodalAutoencoding(model.PerceiverHead):
    """Encodes a video with its sound and label into latents, and decodes all three.

    The label is hidden from the model, in inference as well, so that the decoded one is a
    classification. Arguments and errors are those of `TFPerceiverPreTrainedModel`.

    Example:
        >>> config = PerceiverConfig(num_cross_attention_heads=1, num_self_attends_per_block=1,
        ...     image_size=8, num_frames=2, audio_samples_per_frame=64, output_shape=[1, 2, 8, 8])
        >>> model, sound = TFPerceiverForMultimodalAutoencoding(config), np.zeros((1, 128, 1))
        >>> inputs = {"image": np.zeros((1, 2, 3, 8, 8)), "audio": sound, "label": np.zeros((1, 2))}
        >>> points = {"image": np.arange(50), "audio": np.arange(4)}
        >>> logits = model(inputs=inputs, subsampled_output_points=points).logits
        >>> {name: tuple(value.shape) for name, value in logits.items()}
        {'audio': (1, 64), 'image': (1, 50, 3), 'label': (1, 2)}
    """

    inputs_table = (
        model.sized(
            "image",
            _VIDEO,
            "Video; or as an entry of `inputs`.",
            lambda c: (None, c.num_frames, _COLOURS, c.image_size, c.image_size),
        ),
        model.sized("audio", _SOUND, "Its sound.", lambda config: (None, _samples(config), 1)),
        Input("label", "float32", _LABEL, "Its label; zeros will do.", True, _LABEL),
        Input("image_points", "int64", ("pixels",), "Indices of pixels.", True, ("pixels",)),
        Input("audio_points", "int64", ("patches",), "Indices of patches.", True, ("patches",)),
        Input("inputs", "structure", None, "A dict with image, audio and label.", True),
        Input("subsampled_output_points", "structure", None, "A dict of indices.", True),
        Input("labels", "structure", None, "A dict with targets like the outputs.", True),
        model.ATTENTION_MASK,
        model.HEAD_MASK,
    )
    component_losses = ("audio_loss", "image_loss", "label_loss")

    def make_parts(self, config: PerceiverConfig) -> tuple[Part, ...]:
        video = (config.num_frames, config.image_size, config.image_size)
        given = (("audio", _AUDIO_BANDS, (_samples(config),)), ("image", _IMAGE_BANDS, video))
        waves = {
            name: {"fourier_position_encoding_kwargs": {"num_bands": n, "max_resolution": size}}
            for name, n, size in given
        }
        return _decoder(config, waves), _preprocessor(config, waves), _postprocessor(config)

    def _gathered(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs with modalities and points in dicts, however they were given."""
        owner, rest = type(self).__name__, dict(inputs)
        flat = model.without_none({name: rest.pop(name, None) for name in _MODALITIES})
        points = model.without_none({n: rest.pop(f"{n}_points", None) for n in ("image", "audio")})
        if flat and rest.get("inputs") is not None:
            raise ValueError(f"{owner}: pass either inputs or {', '.join(flat)}, not both.")
        if points and rest.get("subsampled_output_points") is not None:
            raise ValueError(
                f"{owner}: pass either subsampled_output_points or image_points and audio_points, "
                "not both."
            )
        data = flat or rest.get("inputs")
        if data is None:
            raise ValueError(f"{owner}: inputs is required, a dict with image, audio and label.")
        data = model.without_none(data) if isinstance(data, Mapping) else data
        points = points or rest.get("subsampled_output_points")
        return {**rest, "inputs": data, "subsampled_output_points": points}

    def prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return super().prepare_inputs(self._gathered(inputs))

    def check_inputs(self, inputs: Mapping[str, Any]) -> None:
        super().check_inputs({**inputs, **self._gathered(inputs)})
        if (labels := inputs.get("labels")) is not None:
            _check_labels(labels, type(self).__name__)

    def call(
        self,
        inputs: Mapping[str, Tensor] | None = None,
        attention_mask: Tensor | None = None,
        subsampled_output_points: Mapping[str, Tensor] | None = None,
        head_mask: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        labels: Mapping[str, Tensor] | None = None,
        return_dict: bool | None = None,
        *,
        image: Tensor | None = None,
        audio: Tensor | None = None,
        label: Tensor | None = None,
        image_points: Tensor | None = None,
        audio_points: Tensor | None = None,
        training: bool = False,
    ) -> model.TFPerceiverClassifierOutput:
        """Encode and decode; arguments not named here are those of `TFPerceiverModel.call`.

        Args:
            inputs: A dict of `image` (B, T, 3, height, width), `audio` (B, samples, 1) and `label`
                (B, labels), floats.
            attention_mask: (B, N) for the N tokens, in the order audio, image, label.
            subsampled_output_points: A dict of `image`, indices of pixels, and `audio`, indices
                of patches; all of a modality that is missing.
            labels: A dict like `logits` of some or all modalities; `label` as class indices (B,)
                or as one-hot rows. See `autoencoding_labels`.
            image, audio, label: The entries of `inputs`, for callers that have no dicts.
            image_points, audio_points: Those of `subsampled_output_points`, likewise.

        Returns:
            `loss` where labels were given; `logits`, a dict of `audio` (B, samples), `image`
            (B, pixels, 3) and `label` (B, labels); and what was asked for.

        Raises:
            ValueError: A missing modality, unknown points, or labels of another shape.
        """
        labels = None if self._in_step else labels  # a step computes the loss itself, term by term
        points = {"subsampled_output_points": subsampled_output_points}
        flags = (output_attentions, output_hidden_states)
        return self.run(labels, inputs, attention_mask, head_mask, *flags, **points)

    def compute_output_loss(
        self, labels: Any, outputs: Mapping[str, Any], sample_weight: Tensor | None = None
    ) -> Tensor | dict[str, Tensor]:
        """The weighted sum of the L1 of sound and pixels and of the label's cross-entropy.

        Within a step of `fit` it comes in a dict with each term before it is weighted.
        """
        _check_labels(labels, type(self).__name__)
        parts, total = {}, 0.0
        for name, target in labels.items():
            output = ops.cast(outputs["logits"][name], "float32")
            if name != "label" or len(target.shape) == 2:
                _check_same(name, target, output, type(self).__name__)
            if name == "label":
                kind, size = "single_label_classification", self.config.num_labels
                target = ops.argmax(target, axis=-1) if len(target.shape) == 2 else target
                term = classification_loss(target, output, size, kind, sample_weight)
            else:
                term = keras.losses.MeanAbsoluteError()(target, output, sample_weight)
            parts[f"{name}_loss"] = term
            total = total + LOSS_WEIGHTS[name] * term
        return {**parts, "loss": total} if self._in_step else total


def _preprocessor(
    config: PerceiverConfig, waves: Mapping[str, Any]
) -> TFPerceiverMultimodalPreprocessor:
    audio = preprocessors.TFPerceiverAudioPreprocessor(
        config, samples_per_patch=config.samples_per_patch, **waves["audio"], name="audio"
    )
    image = preprocessors.TFPerceiverImagePreprocessor(
        config, "patches", _IMAGE_PATCH, **waves["image"], name="image"
    )
    label = preprocessors.TFPerceiverOneHotPreprocessor(config, name="label")
    return TFPerceiverMultimodalPreprocessor(
        {"audio": audio, "image": image, "label": label},
        mask_probs={"image": 0.0, "audio": 0.0, "label": 1.0},
        min_padding_size=4,
        name="input_preprocessor",
    )


def _decoder(config: PerceiverConfig, waves: Mapping[str, Any]) -> TFPerceiverMultimodalDecoder:
    channels, label_width = config.output_num_channels, config._label_trainable_num_channels
    queries = {"position_encoding_only": True, "position_encoding_type": "fourier"}
    queries["output_num_channels"] = channels
    patches = (_samples(config) // config.samples_per_patch,)
    audio = decoders.TFPerceiverBasicDecoder(
        config, output_index_dims=patches, **queries, **waves["audio"], name="audio"
    )
    image = decoders.TFPerceiverBasicVideoAutoencodingDecoder(
        config, config.output_shape, **queries, **waves["image"], name="image"
    )
    table = {"num_channels": label_width, "index_dims": 1}
    label = decoders.TFPerceiverClassificationDecoder(
        config, position_encoding_only=True, trainable_position_encoding_kwargs=table, name="label"
    )
    parts = {"audio": audio, "image": image, "label": label}
    return TFPerceiverMultimodalDecoder(config, parts, None, channels, name="decoder")


def _postprocessor(config: PerceiverConfig) -> Part:
    width = config.output_num_channels
    audio = postprocessors.TFPerceiverAudioPostprocessor(config, width, name="audio")
    image = postprocessors.TFPerceiverProjectionPostprocessor(
        width, _COLOURS, config=config, name="image"
    )
    label = postprocessors.TFPerceiverClassificationPostprocessor(config, width, name="label")
    parts = {"audio": audio, "image": image, "label": label}
    return postprocessors.TFPerceiverMultimodalPostprocessor(parts, name="output_postprocessor")


def _check_labels(labels: Any, owner: str) -> None:
    if not isinstance(labels, Mapping) or not labels or not set(labels) <= set(_MODALITIES):
        came = sorted(labels) if isinstance(labels, Mapping) else type(labels).__name__
        raise ValueError(
            f"{owner}: labels must be a dict with some of {', '.join(_MODALITIES)}, got {came}."
        )


def _check_same(name: str, target: Tensor, output: Tensor, owner: str) -> None:
    have, want = tuple(target.shape), tuple(output.shape)
    pairs = zip(have, want, strict=False)
    fits = len(have) == len(want) and all(None in (a, b) or a == b for a, b in pairs)
    if not fits:
        raise ValueError(
            f"{owner}: labels[{name!r}] must have the shape {want} of the outputs, got {have}; "
            "see autoencoding_labels."
        )


def autoencoding_labels(
    inputs: Mapping[str, Tensor],
    points: Mapping[str, Tensor] | None = None,
    samples_per_patch: int = 16,
) -> dict[str, Tensor]:
    """Make the targets with which the multimodal autoencoder learns to reproduce its inputs.

    Args:
        inputs: `image` (B, T, 3, height, width) and `audio` (B, samples, 1); `label` (B, labels),
            one-hot, is copied.
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
