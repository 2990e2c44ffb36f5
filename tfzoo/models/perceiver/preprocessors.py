"""Preprocessors of text, audio, labels and several modalities: anything -> (B, N, C).

All are called with `(inputs, pos=None, network_input_is_1d=True)`, of which `pos` has no effect, as
in the reference, and return the tokens, the sizes of the modalities (None where there is one) and
the tokens without positions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from tfzoo.core.keras_compat import concrete
from tfzoo.models.perceiver.config import PerceiverConfig
from tfzoo.models.perceiver.layers import initializer
from tfzoo.models.perceiver.parts import ModalityVectors, pad_channels
from tfzoo.models.perceiver.preprocessor_base import (
    PositionedPreprocessor,
    Preprocessor,
    split_options,
)

__all__ = [
    "TFPerceiverAudioPreprocessor",
    "TFPerceiverMultimodalPreprocessor",
    "TFPerceiverOneHotPreprocessor",
    "TFPerceiverTextPreprocessor",
]


class TFPerceiverTextPreprocessor(Preprocessor):
    """Embeds ids and adds trainable positions.

    Args:
        config: Gives `vocab_size`, `d_model` and `max_position_embeddings`.

    Source: the reference's PerceiverTextPreprocessor.

    Example:
        >>> from tfzoo import PerceiverConfig, TFPerceiverTextPreprocessor
        >>> preprocessor = TFPerceiverTextPreprocessor(PerceiverConfig(d_model=8))
        >>> tokens, sizes, without_positions = preprocessor(np.array([[4, 110, 5]]))
        >>> tuple(tokens.shape), sizes, preprocessor.num_channels
        ((1, 3, 8), None, 8)
    """

    takes = "ids of shape (batch, sequence)"
    ranks = (2,)
    is_integer = True

    def __init__(self, config: PerceiverConfig, **kwargs: Any) -> None:
        super().__init__(config, {}, **kwargs)

        def table(rows: int, name: str) -> keras.layers.Embedding:
            return keras.layers.Embedding(
                rows, config.d_model, embeddings_initializer=initializer(config), name=name
            )

        self.embeddings = table(config.vocab_size, "embeddings")
        self.position_embeddings = table(config.max_position_embeddings, "position_embeddings")

    def build_layers(self) -> None:
        """Create the weights."""
        self.embeddings.build()
        self.position_embeddings.build()

    @property
    def num_channels(self) -> int:
        """C, the width of the tokens."""
        return self.config.d_model

    def check(self, inputs: Any, owner: str) -> None:
        """Refuse what is no text, is too long or has ids outside the vocabulary."""
        super().check(inputs, owner)
        length, limit = inputs.shape[1], self.config.max_position_embeddings
        if length is not None and length > limit:
            raise ValueError(
                f"{owner}: the text has {length} tokens, the model positions for {limit} "
                "(max_position_embeddings): pass truncation=True to the tokenizer."
            )
        values, size = concrete(inputs), self.config.vocab_size
        if values is not None and values.size and not 0 <= values.min() <= values.max() < size:
            raise ValueError(
                f"{owner}: ids must lie in [0, {size}) (vocab_size), got {values.min()} to "
                f"{values.max()}: does the tokenizer belong to this checkpoint?"
            )

    def call(
        self,
        inputs: Any,
        pos: Any = None,
        network_input_is_1d: bool = True,
        interpolate_pos_encoding: bool = False,
    ) -> tuple[Any, None, Any]:
        """Embed ids (B, N); see the module for arguments and results."""
        embedded = self.embeddings(inputs)
        places = self.position_embeddings(ops.arange(ops.shape(inputs)[1]))
        return embedded + places[None], None, embedded


class TFPerceiverOneHotPreprocessor(Preprocessor):
    """Makes one token of a one-hot label.

    Args:
        config: Gives `num_labels`.

    Source: the reference's PerceiverOneHotPreprocessor, which fails inside its model.

    Example:
        >>> from tfzoo import PerceiverConfig, TFPerceiverOneHotPreprocessor
        >>> preprocessor = TFPerceiverOneHotPreprocessor(PerceiverConfig(num_labels=3))
        >>> tuple(preprocessor(np.eye(3, dtype="float32"))[0].shape)
        (3, 1, 3)
    """

    takes = "floats of shape (batch, num_labels)"
    ranks = (2,)

    def __init__(self, config: PerceiverConfig, **kwargs: Any) -> None:
        super().__init__(config, {}, **kwargs)

    @property
    def num_channels(self) -> int:
        """C, the width of the tokens."""
        return self.config.num_labels

    def check(self, inputs: Any, owner: str) -> None:
        """Refuse what is no row of one number for each label."""
        super().check(inputs, owner)
        if inputs.shape[1] not in (None, self.config.num_labels):
            raise ValueError(
                f"{owner}: a label must have num_labels={self.config.num_labels} numbers, got "
                f"{tuple(inputs.shape)}."
            )

    def call(
        self,
        inputs: Any,
        pos: Any = None,
        network_input_is_1d: bool = True,
        interpolate_pos_encoding: bool = False,
    ) -> tuple[Any, None, Any]:
        """(B, labels) -> (B, 1, labels); see the module for arguments and results."""
        inputs = inputs[:, None, :]
        return inputs, None, inputs


class TFPerceiverAudioPreprocessor(PositionedPreprocessor):
    """Cuts audio into patches.

    Args:
        config: The configuration.
        prep_type: `"patches"`, the only one there is.
        samples_per_patch: Samples of a patch.
        position_encoding_type: `"fourier"` or `"trainable"`.
        concat_or_add_pos: `"concat"` or `"add"`.
        out_channels: Width of the positions before they are projected.
        project_pos_dim: Width to project positions to; -1 leaves them.
        **position_encoding_kwargs: `fourier_position_encoding_kwargs` or
            `trainable_position_encoding_kwargs`.

    Raises:
        ValueError: An unknown choice, or arguments of the positions are missing.

    Source: the reference's PerceiverAudioPreprocessor.

    Example:
        >>> from tfzoo import PerceiverConfig, TFPerceiverAudioPreprocessor
        >>> waves = {"num_bands": 4, "max_resolution": (64,)}
        >>> preprocessor = TFPerceiverAudioPreprocessor(
        ...     PerceiverConfig(), samples_per_patch=16, fourier_position_encoding_kwargs=waves)
        >>> tuple(preprocessor(np.zeros((1, 64, 1), "float32"))[0].shape)
        (1, 4, 25)
    """

    takes = "floats of shape (batch, samples, channels)"
    ranks = (3,)

    def __init__(
        self,
        config: PerceiverConfig,
        prep_type: str = "patches",
        samples_per_patch: int = 96,
        position_encoding_type: str = "fourier",
        concat_or_add_pos: str = "concat",
        out_channels: int = 64,
        project_pos_dim: int = -1,
        **position_encoding_kwargs: Any,
    ) -> None:
        options, encoding = split_options(position_encoding_kwargs)
        arguments = {
            "prep_type": prep_type,
            "samples_per_patch": samples_per_patch,
            "position_encoding_type": position_encoding_type,
            "concat_or_add_pos": concat_or_add_pos,
            "out_channels": out_channels,
            "project_pos_dim": project_pos_dim,
            **encoding,
        }
        if prep_type != "patches":
            raise ValueError(f"prep_type of audio must be 'patches', got {prep_type!r}.")
        super().__init__(
            config,
            arguments,
            position_encoding_type,
            concat_or_add_pos,
            out_channels,
            project_pos_dim,
            encoding,
            **options,
        )
        self.samples_per_patch = samples_per_patch

    @property
    def _feature_width(self) -> int:
        return self.samples_per_patch

    def check(self, inputs: Any, owner: str) -> None:
        """Refuse what is no audio, or no whole number of patches."""
        super().check(inputs, owner)
        _, samples, channels = inputs.shape
        if None not in (samples, channels) and samples * channels % self.samples_per_patch:
            raise ValueError(
                f"{owner}: {samples} samples of {channels} channels are no whole number of "
                f"patches of {self.samples_per_patch} (samples_per_patch): pad or cut the audio."
            )

    def call(
        self,
        inputs: Any,
        pos: Any = None,
        network_input_is_1d: bool = True,
        interpolate_pos_encoding: bool = False,
    ) -> tuple[Any, None, Any]:
        """(B, samples, channels) -> patches with positions; see the module for the rest."""
        patches = ops.reshape(inputs, (ops.shape(inputs)[0], -1, self.samples_per_patch))
        table = self._table((ops.shape(patches)[1],), patches.dtype)
        return self._with_positions(patches, network_input_is_1d, table)


class TFPerceiverMultimodalPreprocessor(Preprocessor):
    """Preprocesses each modality and puts them one behind the other, in alphabetical order.

    Trainable vectors pad all tokens to one width. A token of a modality in `mask_probs` is replaced
    by that modality's trainable vector with its probability, in inference as well.

    Args:
        modalities: Preprocessor of each modality.
        mask_probs: Probability that a token is masked, for some modalities.
        min_padding_size: How much wider than the widest modality the tokens are.

    Raises:
        ValueError: No modality, a mask for one that there is not, or a name with a slash or dot.

    Source: the reference's PerceiverMultimodalPreprocessor.

    Example:
        >>> from tfzoo import (PerceiverConfig, TFPerceiverMultimodalPreprocessor,
        ...     TFPerceiverOneHotPreprocessor, TFPerceiverTextPreprocessor)
        >>> config = PerceiverConfig(num_labels=3, d_model=8)
        >>> preprocessor = TFPerceiverMultimodalPreprocessor(
        ...     {"text": TFPerceiverTextPreprocessor(config),
        ...      "label": TFPerceiverOneHotPreprocessor(config)})
        >>> inputs = {"text": np.array([[4, 5]]), "label": np.zeros((1, 3), "float32")}
        >>> tokens, sizes, _ = preprocessor(inputs)
        >>> tuple(tokens.shape), sizes
        ((1, 3, 10), {'label': 1, 'text': 2})
    """

    def __init__(
        self,
        modalities: Mapping[str, Preprocessor],
        mask_probs: Mapping[str, float] | None = None,
        min_padding_size: int = 2,
        **kwargs: Any,
    ) -> None:
        mask_probs = dict(mask_probs or {})
        arguments = {
            "modalities": dict(modalities),
            "mask_probs": mask_probs,
            "min_padding_size": min_padding_size,
        }
        super().__init__(None, arguments, **kwargs)
        if not modalities or any("/" in name or "." in name for name in modalities):
            raise ValueError(
                "modalities must have at least one entry, with names without '/' and '.', got "
                f"{sorted(modalities)}."
            )
        if unknown := sorted(set(mask_probs) - set(modalities)):
            raise ValueError(f"mask_probs names {unknown}, which are not in {sorted(modalities)}.")
        self.modalities, self.mask_probs = dict(modalities), mask_probs
        self.min_padding_size = min_padding_size
        widths = {name: part.num_channels for name, part in modalities.items()}
        self.common = max(widths.values()) + min_padding_size
        paddings = {name: self.common - width for name, width in widths.items()}
        self.padding = ModalityVectors(paddings, 0.02, name="padding")
        self.mask = ModalityVectors(dict.fromkeys(mask_probs, self.common), 0.02, name="mask")
        is_random = any(0 < p < 1 for p in mask_probs.values())
        self.seed_generator = keras.random.SeedGenerator() if is_random else None

    def build_layers(self) -> None:
        """Create the weights."""
        for part in (*self.modalities.values(), self.padding, self.mask):
            part.build()

    @property
    def num_channels(self) -> int:
        """C, the width of the tokens."""
        return self.common

    def check(self, inputs: Any, owner: str) -> None:
        """Refuse inputs that lack a modality, have one too many, or do not fit theirs."""
        if not isinstance(inputs, Mapping):
            raise ValueError(
                f"{owner}: inputs must be a dict with {sorted(self.modalities)}, got "
                f"{type(inputs).__name__}."
            )
        if set(inputs) != set(self.modalities):
            raise ValueError(
                f"{owner}: inputs must hold the modalities {sorted(self.modalities)}, got "
                f"{sorted(inputs)}."
            )
        for name, part in self.modalities.items():
            part.check(inputs[name], f"{owner}, modality {name!r}")

    def call(
        self,
        inputs: Mapping[str, Any],
        pos: Any = None,
        network_input_is_1d: bool = True,
        interpolate_pos_encoding: bool = False,
        training: bool = False,
    ) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        """Preprocess a dict of modalities; see the module for arguments and results."""
        tokens, sizes, plain = {}, {}, {}
        for name in sorted(self.modalities):
            features, _, plain[name] = self.modalities[name](inputs[name])
            features = pad_channels(features, self.padding.of(name))
            sizes[name] = ops.shape(features)[1]
            if name in self.mask_probs:
                features = self._masked(features, name, training)
            tokens[name] = features
        return ops.concatenate([tokens[name] for name in sorted(tokens)], axis=1), sizes, plain

    def _masked(self, x: Any, modality: str, training: bool) -> Any:
        """Replace tokens by the modality's vector; what is certain costs nothing in inference."""
        probability, vector = self.mask_probs[modality], self.mask.of(modality)[None]
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
