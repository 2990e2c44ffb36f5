"""What preprocessors, decoders and postprocessors have in common: they are put together freely."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from tfzoo.models.perceiver.config import PerceiverConfig

__all__ = ["ModalityVectors", "Part", "pad_channels", "split_modalities"]


class Part(keras.layers.Layer):
    """Base class of all parts. Weights need no input: they are made by the model, or on first use.

    Args:
        config: The configuration, None for a part that needs none.
        arguments: The part's own arguments, from which Keras's files make it again.
        **kwargs: `name`, `dtype`, `trainable` as in `keras.layers.Layer`.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        keras.saving.register_keras_serializable(package="tfzoo")(cls)

    def __init__(
        self, config: PerceiverConfig | None, arguments: Mapping[str, Any], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        vars(self)["_arguments"] = dict(arguments)  # past Keras's tracking: parts are tracked once
        self.config = config

    def build_layers(self) -> None:
        """Build the sublayers, with real shapes. Parts that have some override it."""

    def build(self, input_shape: Any = None) -> None:
        """Create the weights; they depend on no input."""
        if not self.built:
            self.build_layers()
            self.built = True

    def get_config(self) -> dict[str, Any]:
        """What a `.keras` file needs to construct the part again."""
        config = None if self.config is None else self.config.to_json_dict()
        arguments = {k: keras.saving.serialize_keras_object(v) for k, v in self._arguments.items()}
        return {**super().get_config(), "config": config, "arguments": arguments}

    @classmethod
    def from_config(cls, values: Mapping[str, Any]) -> Part:
        """Construct the part that `get_config` described."""
        values = dict(values)
        config, stored = values.pop("config"), values.pop("arguments")
        arguments = {k: keras.saving.deserialize_keras_object(v) for k, v in stored.items()}
        if config is not None:
            arguments["config"] = PerceiverConfig.from_dict(config)
        return cls(**arguments, **values)


class ModalityVectors(keras.layers.Layer):
    """One trainable vector for each modality.

    Args:
        widths: Width of each modality's vector.
        stddev: Of fresh values.
    """

    def __init__(self, widths: Mapping[str, int], stddev: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.widths, self.stddev = dict(widths), stddev

    def build(self, input_shape: Any = None) -> None:
        """Create the weights."""
        self.vectors = {
            modality: self.add_weight(
                shape=(1, width),
                initializer=keras.initializers.RandomNormal(stddev=self.stddev),
                name=modality,
            )
            for modality, width in self.widths.items()
        }
        self.built = True

    def of(self, modality: str) -> Any:
        """The vector of a modality, (1, width)."""
        return ops.cast(self.vectors[modality], self.compute_dtype)


def pad_channels(x: Any, vector: Any) -> Any:
    """Put the same channels behind those of every token.

    Args:
        x: (B, N, C).
        vector: (1, E).

    Returns:
        (B, N, C + E).
    """
    batch, count = ops.shape(x)[:2]
    spread = ops.broadcast_to(vector[None], (batch, count, vector.shape[-1]))
    return ops.concatenate([x, ops.cast(spread, x.dtype)], axis=2)


def split_modalities(x: Any, sizes: Mapping[str, Any]) -> dict[str, Any]:
    """Cut tokens (B, N, C) into those of each modality, which stand in alphabetical order."""
    parts, start = {}, 0
    for modality in sorted(sizes):
        parts[modality] = x[:, start : start + sizes[modality]]
        start = start + sizes[modality]
    return parts
