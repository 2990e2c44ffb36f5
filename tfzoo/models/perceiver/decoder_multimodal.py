"""Decoders of video and of several modalities at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras import ops

from tfzoo.models.perceiver.config import PerceiverConfig
from tfzoo.models.perceiver.decoder import Decoder, TFPerceiverBasicDecoder
from tfzoo.models.perceiver.decoder_heads import WrappingDecoder
from tfzoo.models.perceiver.outputs import TFPerceiverDecoderOutput
from tfzoo.models.perceiver.parts import ModalityVectors, pad_channels, split_modalities
from tfzoo.models.perceiver.preprocessor_base import split_options

__all__ = ["TFPerceiverBasicVideoAutoencodingDecoder", "TFPerceiverMultimodalDecoder"]


class TFPerceiverBasicVideoAutoencodingDecoder(WrappingDecoder):
    """One query for each pixel of each frame.

    Args:
        config: The configuration.
        output_shape: Batch, frames, height and width; the batch has no effect.
        position_encoding_type: `"trainable"` or `"fourier"`.
        **decoder_kwargs: Arguments of `TFPerceiverBasicDecoder`; `output_num_channels` must be
            there.

    Raises:
        ValueError: `output_shape` has not four numbers.

    Source: the reference's PerceiverBasicVideoAutoencodingDecoder.

    Example:
        >>> from tfzoo import PerceiverConfig, TFPerceiverBasicVideoAutoencodingDecoder
        >>> decoder = TFPerceiverBasicVideoAutoencodingDecoder(
        ...     PerceiverConfig(d_latents=8), (1, 2, 3, 4), "fourier", output_num_channels=3,
        ...     num_channels=27, fourier_position_encoding_kwargs={"num_bands": 4,
        ...     "max_resolution": (2, 3, 4)})
        >>> latents = np.zeros((5, 4, 8), "float32")
        >>> tuple(decoder(decoder.decoder_query(latents), latents).logits.shape)
        (5, 2, 3, 4, 3)
    """

    def __init__(
        self,
        config: PerceiverConfig,
        output_shape: Sequence[int],
        position_encoding_type: str,
        **decoder_kwargs: Any,
    ) -> None:
        options, arguments = split_options(decoder_kwargs)
        if len(output_shape) != 4:
            raise ValueError(
                f"output_shape must be (batch, frames, height, width), got {tuple(output_shape)}."
            )
        own = {
            "output_shape": list(output_shape),
            "position_encoding_type": position_encoding_type,
        }
        super().__init__(config, {**own, **arguments}, **options)
        self.video_shape = tuple(output_shape)[1:]
        self.decoder = TFPerceiverBasicDecoder(
            config,
            output_index_dims=self.video_shape,
            position_encoding_type=position_encoding_type,
            **arguments,
            name="decoder",
        )
        self.output_num_channels = self.decoder.output_num_channels

    def call(
        self, query: Any, z: Any = None, query_mask: Any = None, output_attentions: bool = False
    ) -> TFPerceiverDecoderOutput:
        """Decode whole videos; `logits` are (B, frames, height, width, channels)."""
        outputs = self.decoder(query, z, output_attentions=output_attentions)
        video = ops.reshape(outputs.logits, (-1, *self.video_shape, outputs.logits.shape[-1]))
        return TFPerceiverDecoderOutput({**outputs, "logits": video})


class TFPerceiverMultimodalDecoder(Decoder):
    """Queries of several modalities, padded to one width, attend to the latents together.

    Args:
        config: The configuration.
        modalities: The decoder that makes the queries of each modality.
        num_outputs: Has no effect; the number follows from the queries.
        output_num_channels: Channels of the outputs.
        min_padding_size: How much wider than the widest modality's the queries are.
        subsampled_index_dims: Has no effect, as in the reference.
        **decoder_kwargs: Arguments of the `TFPerceiverBasicDecoder` that attends.

    Source: the reference's PerceiverMultimodalDecoder.

    Example:
        >>> from tfzoo import (PerceiverConfig, TFPerceiverBasicDecoder,
        ...     TFPerceiverMultimodalDecoder)
        >>> config = PerceiverConfig(d_latents=8)
        >>> audio = TFPerceiverBasicDecoder(config, 5, position_encoding_only=True,
        ...     trainable_position_encoding_kwargs={"num_channels": 6, "index_dims": 4})
        >>> decoder = TFPerceiverMultimodalDecoder(config, {"audio": audio}, None, 5)
        >>> latents = np.zeros((2, 3, 8), "float32")
        >>> query = decoder.decoder_query(latents, {"audio": 3})
        >>> tuple(query.shape), tuple(decoder(query, latents).logits.shape)
        ((1, 4, 8), (2, 4, 5))
    """

    def __init__(
        self,
        config: PerceiverConfig,
        modalities: Mapping[str, Decoder],
        num_outputs: int | None,
        output_num_channels: int,
        min_padding_size: int = 2,
        subsampled_index_dims: Any = None,
        **decoder_kwargs: Any,
    ) -> None:
        options, arguments = split_options(decoder_kwargs)
        own = {
            "modalities": dict(modalities),
            "num_outputs": num_outputs,
            "output_num_channels": output_num_channels,
            "min_padding_size": min_padding_size,
            "subsampled_index_dims": subsampled_index_dims,
        }
        super().__init__(config, {**own, **arguments}, **options)
        self.modalities = dict(modalities)
        widths = {name: part.num_query_channels for name, part in modalities.items()}
        self.common = max(widths.values()) + min_padding_size
        self.decoder = TFPerceiverBasicDecoder(
            config,
            output_num_channels=output_num_channels,
            output_index_dims=num_outputs,
            position_encoding_type="none",
            num_channels=self.common,
            **arguments,
            name="decoder",
        )
        paddings = {name: self.common - width for name, width in widths.items()}
        self.padding = ModalityVectors(paddings, config.initializer_range, name="padding")

    def build_layers(self) -> None:
        """Create the weights."""
        for part in (*self.modalities.values(), self.decoder, self.padding):
            part.build()

    @property
    def num_query_channels(self) -> int:
        """Width of the padded queries."""
        return self.common

    def decoder_query(
        self,
        inputs: Any,
        modality_sizes: Mapping[str, Any] | None = None,
        inputs_without_pos: Mapping[str, Any] | None = None,
        subsampled_points: Mapping[str, Any] | None = None,
    ) -> Any:
        """Queries of all modalities in alphabetical order, see the base class.

        Args:
            inputs: (B, N, C), the preprocessed inputs.
            modality_sizes: Number of tokens of each modality.
            inputs_without_pos: The inputs of each modality without positions.
            subsampled_points: Indices of the outputs wanted, by modality; all of a modality that
                is missing.
        """
        if modality_sizes is None:
            raise ValueError("The multimodal decoder needs modality_sizes, tokens by modality.")
        self.build()
        inputs = split_modalities(inputs, modality_sizes)
        plain, points = inputs_without_pos or {}, subsampled_points or {}
        queries = []
        for name in sorted(self.modalities):
            query = self.modalities[name].decoder_query(
                inputs.get(name), None, plain.get(name), points.get(name)
            )
            queries.append(pad_channels(query, self.padding.of(name)))
        if wide := [query for query in queries if query.shape[0] != 1]:
            batch = ops.shape(wide[0])[0]
            queries = [ops.broadcast_to(q, (batch, *ops.shape(q)[1:])) for q in queries]
        return ops.concatenate(queries, axis=1)

    def output_sizes(self, modality_sizes: Any, subsampled_points: Any) -> dict[str, Any]:
        """Number of outputs of each modality."""
        points = subsampled_points or {}
        return {name: part.num_outputs(points.get(name)) for name, part in self.modalities.items()}

    def check(self, inputs: Any, points: Any, owner: str) -> None:
        """Refuse points of unknown modalities, and those that there are not."""
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

    def call(
        self, query: Any, z: Any = None, query_mask: Any = None, output_attentions: bool = False
    ) -> TFPerceiverDecoderOutput:
        """Decode; `logits` are (B, Q, channels) of all modalities."""
        return self.decoder(query, z, output_attentions=output_attentions)
