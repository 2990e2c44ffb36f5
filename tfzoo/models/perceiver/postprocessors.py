"""Postprocessors: outputs of a decoder -> labels, pixels or samples.

All are called with `(inputs, pos=None, modality_sizes=None)`; `pos` has no effect. In their
constructors `config` is the configuration, `in_channels` are the channels that the decoder gives.

Source: the reference's classes of the same names without TF.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras import ops

from tfzoo.core.types import Tensor
from tfzoo.models.perceiver.config import PerceiverConfig
from tfzoo.models.perceiver.engine import Part, check_choice, label_count

__all__ = [
    "TFPerceiverAbstractPostprocessor",
    "TFPerceiverAudioPostprocessor",
    "TFPerceiverClassificationPostprocessor",
    "TFPerceiverMultimodalPostprocessor",
    "TFPerceiverProjectionPostprocessor",
    "split_modalities",
]


class TFPerceiverAbstractPostprocessor(Part):
    """Base class of the postprocessors, which make of a decoder's outputs what is wanted.

    One of your own overrides `call`. Where nothing but the outputs is needed, a Keras layer or a
    function of them does. `sublayer`, `linear` and `norm` make layers whose weights exist before
    the first call.

    Args:
        config: The configuration, or None.
        **kwargs: `name`, `dtype` and `trainable` as in `keras.layers.Layer`.

    Example:
        >>> class Probabilities(TFPerceiverAbstractPostprocessor):
        ...     def call(self, inputs, pos=None, modality_sizes=None):
        ...         return ops.softmax(inputs)
        >>> np.asarray(Probabilities()(np.zeros((1, 2), "float32"))).tolist()
        [[0.5, 0.5]]
    """

    def call(self, inputs: Any, pos: Tensor | None = None, modality_sizes: Any = None) -> Any:
        """Convert outputs.

        Args:
            inputs: What the decoder gave, (B, Q, C) for most.
            pos: Has no effect, as in the reference.
            modality_sizes: The number of outputs of each modality, None for one modality.
        """
        raise TypeError(f"{type(self).__name__} is abstract: use one of its subclasses.")


class _LinearPostprocessor(TFPerceiverAbstractPostprocessor):
    """One linear layer, called `classifier` in checkpoints whatever it is for."""

    def __init__(
        self, config: PerceiverConfig | None, in_channels: int, out_channels: int, **kwargs: Any
    ) -> None:
        super().__init__(config, **kwargs)
        self.classifier = self.linear(in_channels, out_channels, "classifier")

    def call(self, inputs: Tensor, pos: Tensor | None = None, modality_sizes: Any = None) -> Tensor:
        return self.classifier(inputs)


class TFPerceiverProjectionPostprocessor(_LinearPostprocessor):
    """Projects channels: (B, N, in_channels) -> (B, N, out_channels).

    Args:
        config: Says how fresh weights are drawn; the default one where None.

    Example:
        >>> post = TFPerceiverProjectionPostprocessor(in_channels=8, out_channels=3)
        >>> tuple(post(np.zeros((1, 5, 8), "float32")).shape)
        (1, 5, 3)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        config: PerceiverConfig | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(config, in_channels, out_channels, **kwargs)


class TFPerceiverAudioPostprocessor(_LinearPostprocessor):
    """Makes samples of patches: (B, patches, in_channels) -> (B, samples).

    Args:
        postproc_type: `"patches"`, the only one there is, see the config's `samples_per_patch`.
    """

    def __init__(
        self,
        config: PerceiverConfig,
        in_channels: int,
        postproc_type: str = "patches",
        **kwargs: Any,
    ) -> None:
        check_choice("postproc_type", postproc_type, "patches")
        super().__init__(config, in_channels, config.samples_per_patch, **kwargs)

    def call(self, inputs: Tensor, pos: Tensor | None = None, modality_sizes: Any = None) -> Tensor:
        outputs = super().call(inputs)
        return ops.reshape(outputs, (ops.shape(outputs)[0], -1))


class TFPerceiverClassificationPostprocessor(_LinearPostprocessor):
    """Makes scores of the first output: (B, N, in_channels) -> (B, labels)."""

    def __init__(self, config: PerceiverConfig, in_channels: int, **kwargs: Any) -> None:
        super().__init__(config, in_channels, label_count(config), **kwargs)

    def call(self, inputs: Tensor, pos: Tensor | None = None, modality_sizes: Any = None) -> Tensor:
        return super().call(inputs)[:, 0, :]


def split_modalities(x: Tensor, sizes: Mapping[str, Any]) -> dict[str, Tensor]:
    """Cut tokens (B, N, C) into those of each modality, which stand in alphabetical order."""
    parts, start = {}, 0
    for modality in sorted(sizes):
        parts[modality] = x[:, start : start + sizes[modality]]
        start = start + sizes[modality]
    return parts


class TFPerceiverMultimodalPostprocessor(TFPerceiverAbstractPostprocessor):
    """Splits outputs (B, N, C) into modalities and gives each to its own postprocessor.

    Args:
        modalities: Postprocessor of each modality.
        input_is_dict: Whether the outputs come as a dict already; a call needs `modality_sizes`,
            the number of outputs of each modality, if not.

    Example:
        >>> parts = {"image": TFPerceiverProjectionPostprocessor(8, 3)}
        >>> post = TFPerceiverMultimodalPostprocessor(parts)
        >>> outputs = post(np.zeros((1, 5, 8), "float32"), modality_sizes={"image": 5})
        >>> tuple(outputs["image"].shape)
        (1, 5, 3)
    """

    def __init__(
        self, modalities: Mapping[str, Part], input_is_dict: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.modalities = {name: self.sublayer(part) for name, part in modalities.items()}
        self.input_is_dict = input_is_dict

    def call(
        self, inputs: Tensor, pos: Tensor | None = None, modality_sizes: Mapping | None = None
    ) -> dict[str, Tensor]:
        if not self.input_is_dict:
            if modality_sizes is None:
                raise ValueError(
                    "TFPerceiverMultimodalPostprocessor needs modality_sizes, the number of "
                    f"outputs of each of {sorted(self.modalities)}, or input_is_dict=True."
                )
            inputs = split_modalities(inputs, modality_sizes)
        return {name: part(inputs[name]) for name, part in self.modalities.items()}
