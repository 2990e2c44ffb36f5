"""Decoders that use a basic one inside: of labels and of optical flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras import ops

from tfzoo.models.perceiver.config import PerceiverConfig
from tfzoo.models.perceiver.decoder import Decoder, TFPerceiverBasicDecoder
from tfzoo.models.perceiver.outputs import TFPerceiverDecoderOutput
from tfzoo.models.perceiver.preprocessor_base import split_options

__all__ = [
    "TFPerceiverClassificationDecoder",
    "TFPerceiverOpticalFlowDecoder",
    "WrappingDecoder",
]


class WrappingDecoder(Decoder):
    """Base class of the decoders that use a basic one inside."""

    decoder: TFPerceiverBasicDecoder

    def build_layers(self) -> None:
        """Create the weights."""
        self.decoder.build()

    @property
    def num_query_channels(self) -> int:
        """That of the decoder inside."""
        return self.decoder.num_query_channels

    def num_outputs(self, subsampled_points: Any = None) -> int | Any:
        """How many outputs `decoder_query` asks for."""
        return self.decoder.num_outputs(subsampled_points)

    def check(self, inputs: Any, points: Any, owner: str) -> None:
        """As the decoder inside."""
        self.decoder.check(inputs, points, owner)

    def decoder_query(
        self,
        inputs: Any,
        modality_sizes: Mapping[str, Any] | None = None,
        inputs_without_pos: Any = None,
        subsampled_points: Any = None,
    ) -> Any:
        """As the decoder inside."""
        return self.decoder.decoder_query(
            inputs, modality_sizes, inputs_without_pos, subsampled_points
        )


class TFPerceiverClassificationDecoder(WrappingDecoder):
    """One query, whose output are the scores of the labels.

    Args:
        config: Gives `num_labels`.
        **decoder_kwargs: Arguments of `TFPerceiverBasicDecoder`, positions included.

    Source: the reference's PerceiverClassificationDecoder.

    Example:
        >>> from tfzoo import PerceiverConfig, TFPerceiverClassificationDecoder
        >>> decoder = TFPerceiverClassificationDecoder(PerceiverConfig(d_latents=8, num_labels=3),
        ...     num_channels=8, trainable_position_encoding_kwargs={"num_channels": 8,
        ...     "index_dims": 1})
        >>> latents = np.zeros((2, 4, 8), "float32")
        >>> tuple(decoder(decoder.decoder_query(latents), latents).logits.shape)
        (2, 3)
    """

    def __init__(self, config: PerceiverConfig, **decoder_kwargs: Any) -> None:
        options, arguments = split_options(decoder_kwargs)
        super().__init__(config, arguments, **options)
        self.decoder = TFPerceiverBasicDecoder(
            config,
            output_num_channels=config.num_labels,
            output_index_dims=1,
            **arguments,
            name="decoder",
        )

    def call(
        self, query: Any, z: Any = None, query_mask: Any = None, output_attentions: bool = False
    ) -> TFPerceiverDecoderOutput:
        """Decode; `logits` are (B, labels)."""
        outputs = self.decoder(query, z, output_attentions=output_attentions)
        return TFPerceiverDecoderOutput({**outputs, "logits": outputs.logits[:, 0, :]})


class TFPerceiverOpticalFlowDecoder(WrappingDecoder):
    """One query for each pixel, made of the inputs themselves; the outputs are shifts in pixels.

    Args:
        config: The configuration.
        output_image_shape: Height and width of the frames.
        output_num_channels: 2, the shifts to the right and down.
        rescale_factor: What the outputs are divided by.
        **decoder_kwargs: Arguments of `TFPerceiverBasicDecoder`.

    Source: the reference's PerceiverOpticalFlowDecoder.

    Example:
        >>> from tfzoo import PerceiverConfig, TFPerceiverOpticalFlowDecoder
        >>> decoder = TFPerceiverOpticalFlowDecoder(PerceiverConfig(d_latents=8), (2, 3),
        ...     num_channels=6, position_encoding_type="none")
        >>> pixels, latents = np.zeros((1, 6, 6), "float32"), np.zeros((1, 4, 8), "float32")
        >>> tuple(decoder(decoder.decoder_query(pixels), latents).logits.shape)
        (1, 2, 3, 2)
    """

    def __init__(
        self,
        config: PerceiverConfig,
        output_image_shape: Sequence[int],
        output_num_channels: int = 2,
        rescale_factor: float = 100.0,
        **decoder_kwargs: Any,
    ) -> None:
        options, arguments = split_options(decoder_kwargs)
        own = {
            "output_image_shape": list(output_image_shape),
            "output_num_channels": output_num_channels,
            "rescale_factor": rescale_factor,
        }
        super().__init__(config, {**own, **arguments}, **options)
        self.output_image_shape = tuple(output_image_shape)
        self.rescale_factor = rescale_factor
        self.decoder = TFPerceiverBasicDecoder(
            config, output_num_channels=output_num_channels, **arguments, name="decoder"
        )

    def decoder_query(
        self,
        inputs: Any,
        modality_sizes: Mapping[str, Any] | None = None,
        inputs_without_pos: Any = None,
        subsampled_points: Any = None,
    ) -> Any:
        """The inputs themselves, see the base class."""
        if subsampled_points is not None:
            raise ValueError("Optical flow is decoded for all pixels: pass no subsampled points.")
        return inputs

    def check(self, inputs: Any, points: Any, owner: str) -> None:
        """Refuse frames of another size: transposed ones would be scrambled without a word."""
        if points is not None:
            raise ValueError(
                f"{owner}: optical flow is decoded for all pixels: pass no subsampled points."
            )
        size = tuple(inputs.shape)[-2:]
        if len(inputs.shape) in (4, 5) and None not in size and size != self.output_image_shape:
            raise ValueError(
                f"{owner}: frames must have height and width {self.output_image_shape} "
                f"(train_size), got {size}. For frames of other sizes use compute_flow."
            )

    def call(
        self, query: Any, z: Any = None, query_mask: Any = None, output_attentions: bool = False
    ) -> TFPerceiverDecoderOutput:
        """Decode; `logits` are (B, height, width, 2)."""
        outputs = self.decoder(query, z, output_attentions=output_attentions)
        flow = outputs.logits / self.rescale_factor
        flow = ops.reshape(flow, (-1, *self.output_image_shape, flow.shape[-1]))
        return TFPerceiverDecoderOutput({**outputs, "logits": flow})
