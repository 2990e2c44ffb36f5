"""Postprocessors: what a decoder gives -> labels, pixels or samples.

All are called with `(inputs, pos=None, modality_sizes=None)`; `pos` has no effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras import ops

from tfzoo.layers.linear import Linear
from tfzoo.models.perceiver.config import PerceiverConfig
from tfzoo.models.perceiver.layers import initializer
from tfzoo.models.perceiver.parts import Part, split_modalities

__all__ = [
    "TFPerceiverAudioPostprocessor",
    "TFPerceiverClassificationPostprocessor",
    "TFPerceiverMultimodalPostprocessor",
    "TFPerceiverProjectionPostprocessor",
]


class _LinearPostprocessor(Part):
    """One linear layer, called `classifier` in checkpoints whatever it is for."""

    def __init__(
        self,
        config: PerceiverConfig | None,
        arguments: Mapping[str, Any],
        in_channels: int,
        out_channels: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(config, arguments, **kwargs)
        self.in_channels = in_channels
        self.classifier = Linear(
            out_channels,
            kernel_initializer=initializer(config or PerceiverConfig()),
            name="classifier",
        )

    def build_layers(self) -> None:
        """Create the weights."""
        self.classifier.build((None, None, self.in_channels))

    def call(self, inputs: Any, pos: Any = None, modality_sizes: Any = None) -> Any:
        """(B, N, in channels) -> (B, N, out channels)."""
        return self.classifier(inputs)


class TFPerceiverProjectionPostprocessor(_LinearPostprocessor):
    """Projects channels.

    Args:
        in_channels: Channels that the decoder gives.
        out_channels: Channels wanted.

    Source: the reference's PerceiverProjectionPostprocessor.

    Example:
        >>> from tfzoo import TFPerceiverProjectionPostprocessor
        >>> post = TFPerceiverProjectionPostprocessor(in_channels=8, out_channels=3)
        >>> tuple(post(np.zeros((1, 5, 8), "float32")).shape)
        (1, 5, 3)
    """

    def __init__(self, in_channels: int, out_channels: int, **kwargs: Any) -> None:
        arguments = {"in_channels": in_channels, "out_channels": out_channels}
        super().__init__(None, arguments, in_channels, out_channels, **kwargs)


class TFPerceiverAudioPostprocessor(_LinearPostprocessor):
    """Makes samples of patches.

    Args:
        config: Gives `samples_per_patch`.
        in_channels: Channels that the decoder gives.
        postproc_type: `"patches"`, the only one there is.

    Raises:
        ValueError: Another `postproc_type`.

    Source: the reference's PerceiverAudioPostprocessor.

    Example:
        >>> from tfzoo import PerceiverConfig, TFPerceiverAudioPostprocessor
        >>> post = TFPerceiverAudioPostprocessor(PerceiverConfig(), in_channels=8)
        >>> tuple(post(np.zeros((1, 5, 8), "float32")).shape)
        (1, 80)
    """

    def __init__(
        self,
        config: PerceiverConfig,
        in_channels: int,
        postproc_type: str = "patches",
        **kwargs: Any,
    ) -> None:
        if postproc_type != "patches":
            raise ValueError(f"postproc_type must be 'patches', got {postproc_type!r}.")
        arguments = {"in_channels": in_channels, "postproc_type": postproc_type}
        super().__init__(config, arguments, in_channels, config.samples_per_patch, **kwargs)

    def call(self, inputs: Any, pos: Any = None, modality_sizes: Any = None) -> Any:
        """(B, patches, channels) -> (B, samples)."""
        samples = super().call(inputs)
        return ops.reshape(samples, (ops.shape(samples)[0], -1))


class TFPerceiverClassificationPostprocessor(_LinearPostprocessor):
    """Makes scores of the first output.

    Args:
        config: Gives `num_labels`.
        in_channels: Channels that the decoder gives.

    Source: the reference's PerceiverClassificationPostprocessor.

    Example:
        >>> from tfzoo import PerceiverConfig, TFPerceiverClassificationPostprocessor
        >>> post = TFPerceiverClassificationPostprocessor(PerceiverConfig(num_labels=3), 8)
        >>> tuple(post(np.zeros((1, 1, 8), "float32")).shape)
        (1, 3)
    """

    def __init__(self, config: PerceiverConfig, in_channels: int, **kwargs: Any) -> None:
        arguments = {"in_channels": in_channels}
        super().__init__(config, arguments, in_channels, config.num_labels, **kwargs)

    def call(self, inputs: Any, pos: Any = None, modality_sizes: Any = None) -> Any:
        """(B, N, channels) -> (B, labels)."""
        return super().call(inputs)[:, 0, :]


class TFPerceiverMultimodalPostprocessor(Part):
    """Cuts outputs into modalities and gives each to its own postprocessor.

    Args:
        modalities: Postprocessor of each modality.
        input_is_dict: Whether the outputs come as a dict already.

    Source: the reference's PerceiverMultimodalPostprocessor.

    Example:
        >>> from tfzoo import (PerceiverConfig, TFPerceiverMultimodalPostprocessor,
        ...     TFPerceiverProjectionPostprocessor)
        >>> post = TFPerceiverMultimodalPostprocessor(
        ...     {"image": TFPerceiverProjectionPostprocessor(8, 3)})
        >>> outputs = post(np.zeros((1, 5, 8), "float32"), modality_sizes={"image": 5})
        >>> tuple(outputs["image"].shape)
        (1, 5, 3)
    """

    def __init__(
        self, modalities: Mapping[str, Part], input_is_dict: bool = False, **kwargs: Any
    ) -> None:
        arguments = {"modalities": dict(modalities), "input_is_dict": input_is_dict}
        super().__init__(None, arguments, **kwargs)
        self.modalities, self.input_is_dict = dict(modalities), input_is_dict

    def build_layers(self) -> None:
        """Create the weights."""
        for part in self.modalities.values():
            part.build()

    def call(
        self, inputs: Any, pos: Any = None, modality_sizes: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Outputs of all modalities (B, N, C) -> the outputs of each.

        Raises:
            ValueError: The sizes of the modalities are missing.
        """
        if not self.input_is_dict:
            if modality_sizes is None:
                raise ValueError(
                    "TFPerceiverMultimodalPostprocessor needs modality_sizes, the number of "
                    f"outputs of each of {sorted(self.modalities)}, or input_is_dict=True."
                )
            inputs = split_modalities(inputs, modality_sizes)
        return {name: part(inputs[name]) for name, part in self.modalities.items()}
