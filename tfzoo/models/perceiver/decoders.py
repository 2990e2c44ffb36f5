"""Decoders: queries for the outputs wanted, which attend to the latents once.

`TFPerceiverAbstractDecoder` documents how all of them are called. In their constructors `config` is
the configuration, and `**decoder_kwargs` are arguments of `TFPerceiverBasicDecoder`, those of its
positions included.

Source: the reference's classes of the same names without TF.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from keras import ops

from tfzoo.core.keras_compat import concrete
from tfzoo.core.outputs import ModelOutput
from tfzoo.core.types import Tensor
from tfzoo.layers.attention import in_blocks, needs_blocks
from tfzoo.models.perceiver.config import PerceiverConfig
from tfzoo.models.perceiver.engine import Part, PerceiverLayer, label_count, split_options
from tfzoo.models.perceiver.positions import TrainablePositions

__all__ = [
    "TFPerceiverAbstractDecoder",
    "TFPerceiverBasicDecoder",
    "TFPerceiverBasicVideoAutoencodingDecoder",
    "TFPerceiverClassificationDecoder",
    "TFPerceiverDecoderOutput",
    "TFPerceiverOpticalFlowDecoder",
    "TFPerceiverProjectionDecoder",
    "WrappingDecoder",
    "classification_decoder",
]


class TFPerceiverDecoderOutput(ModelOutput):
    """Output of a decoder.

    Attributes:
        logits: (B, Q, C), or as the decoder shapes them.
        cross_attentions: A tuple of one tensor (B, H, Q, latents), where asked for.
    """

    logits: Tensor
    cross_attentions: tuple[Tensor, ...] | None


class TFPerceiverAbstractDecoder(Part):
    """Base class of the decoders: queries for outputs, which attend to the latents.

    A decoder of your own overrides either or both; where the mean of the latents or the like is
    enough, a Keras layer or a function of the latents does. `sublayer`, `linear` and `norm` make
    layers whose weights exist before the first call.

    Args:
        config: The configuration.
        **kwargs: `name`, `dtype` and `trainable` as in `keras.layers.Layer`.

    Example:
        >>> class LatentsDecoder(TFPerceiverAbstractDecoder):
        ...     def __init__(self, config, channels, **kwargs):
        ...         super().__init__(config, **kwargs)
        ...         self.scores = self.linear(config.d_latents, channels, "scores")
        ...
        ...     def call(self, query, z, query_mask=None, output_attentions=False):
        ...         return self.scores(z)  # an output for each of the latents
        >>> decoder = LatentsDecoder(PerceiverConfig(d_latents=8), channels=3)
        >>> tuple(decoder(None, np.zeros((2, 4, 8), "float32")).shape)
        (2, 4, 3)
    """

    num_query_channels: int  # width of the queries, or of the outputs where they are projected

    def decoder_query(
        self,
        inputs: Tensor,
        modality_sizes: Mapping[str, Any] | None = None,
        inputs_without_pos: Any = None,
        subsampled_points: Any = None,
    ) -> Tensor | None:
        """Make queries for the outputs.

        Args:
            inputs: (B, N, C), the preprocessed inputs.
            modality_sizes: Numbers of tokens of each modality.
            inputs_without_pos: The preprocessed inputs without positions.
            subsampled_points: (P,) flat indices of the outputs wanted; all where None. For several
                modalities a dict, where all outputs of one that is missing are wanted.

        Returns:
            (B, Q, C); a batch of 1 where the queries are the same for each sample. None for a
            decoder that needs none.

        Raises:
            ValueError: This decoder makes no queries, or lacks what they are made of.
        """
        self.build()
        return self._query(inputs, modality_sizes, inputs_without_pos, subsampled_points)

    def _query(self, inputs: Tensor, sizes: Any, plain: Any, points: Any) -> Tensor | None:
        return None

    def call(
        self,
        query: Tensor | None,
        z: Tensor | None = None,
        query_mask: Tensor | None = None,
        output_attentions: bool = False,
        training: bool = False,
    ) -> TFPerceiverDecoderOutput | Tensor:
        """Decode.

        Args:
            query: (B, Q, C); a batch of 1 serves all samples.
            z: (B, latents, D), the latents.
            query_mask: Has no effect, as in the reference.
            output_attentions: Return the attention weights.

        Returns:
            `logits` and, where asked for, `cross_attentions`.
        """
        return self._decoded(query, z, output_attentions, training)

    def _decoded(self, query: Any, z: Tensor, output_attentions: bool, training: bool) -> Any:
        raise TypeError(f"{type(self).__name__} is abstract: use one of its subclasses.")

    def output_sizes(self, modality_sizes: Any, subsampled_points: Any) -> Any:
        """Number of outputs of each modality, None for a decoder that knows none."""
        return modality_sizes

    def check(self, inputs: Any, points: Any, owner: str) -> None:
        """Raise a `ValueError` for inputs that cannot be decoded and points that do not exist."""


class TFPerceiverProjectionDecoder(TFPerceiverAbstractDecoder):
    """The first Perceiver's decoder: the mean of the latents, projected to labels.

    A call takes any query, and gives the scores (B, labels) themselves. The reference's cannot be
    constructed.

    Example:
        >>> decoder = TFPerceiverProjectionDecoder(PerceiverConfig(d_latents=8, num_labels=3))
        >>> tuple(decoder(None, np.zeros((2, 4, 8), "float32")).shape)
        (2, 3)
    """

    def __init__(self, config: PerceiverConfig, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        self.num_query_channels = label_count(config)
        self.classifier = self.linear(config.d_latents, self.num_query_channels, "classifier")

    def _decoded(self, query: Any, z: Tensor, output_attentions: bool, training: bool) -> Tensor:
        return self.classifier(ops.mean(z, axis=1))


class TFPerceiverBasicDecoder(TFPerceiverAbstractDecoder):
    """Queries with positions attend to the latents, and are projected.

    Fourier positions of single points, and of all points of a grid, lie at the left edges of its
    cells, so that outputs decoded in parts are those decoded at once. Without `output_index_dims`
    there is an output for each channel of the inputs, as in the reference. Trainable positions are
    always queried as a whole.

    Args:
        output_num_channels: Channels of the outputs.
        position_encoding_type: `"trainable"`, `"fourier"`, or `"none"` where queries come from
            elsewhere.
        output_index_dims: Sizes of the grid of outputs, or their number.
        num_channels: Width of the queries.
        subsampled_index_dims: Has no effect, as in the reference.
        qk_channels: Width of projected queries and keys; None is that of the latents, or of the
            queries with the config's `cross_attention_shape_for_attention="q"`.
        v_channels: Width of projected values; None is `qk_channels`.
        num_heads: H.
        widening_factor: Hidden width of the MLP over that of the queries.
        use_query_residual: Add the queries to what they attend to.
        concat_preprocessed_input: Put the inputs without positions in front of the positions.
        final_project: Project to `output_num_channels`.
        position_encoding_only: Only make queries.
        **position_encoding_kwargs: `trainable_position_encoding_kwargs` or
            `fourier_position_encoding_kwargs`; `project_pos_dim` and `out_channels` to project
            the positions.

    Raises:
        ValueError: Arguments of the positions are missing, or head counts that do not divide.

    Example:
        >>> decoder = TFPerceiverBasicDecoder(PerceiverConfig(d_latents=8), 3, num_channels=8,
        ...     trainable_position_encoding_kwargs={"num_channels": 8, "index_dims": 5})
        >>> latents = np.zeros((2, 4, 8), "float32")
        >>> tuple(decoder(decoder.decoder_query(latents), latents).logits.shape)
        (2, 5, 3)
    """

    def __init__(
        self,
        config: PerceiverConfig,
        output_num_channels: int,
        position_encoding_type: str = "trainable",
        output_index_dims: int | Sequence[int] | None = None,
        num_channels: int = 128,
        subsampled_index_dims: Any = None,
        qk_channels: int | None = None,
        v_channels: int | None = None,
        num_heads: int = 1,
        widening_factor: int = 1,
        use_query_residual: bool = False,
        concat_preprocessed_input: bool = False,
        final_project: bool = True,
        position_encoding_only: bool = False,
        **position_encoding_kwargs: Any,
    ) -> None:
        options, encoding = split_options(position_encoding_kwargs)
        super().__init__(config, **options)
        self.num_channels, self.output_num_channels = num_channels, output_num_channels
        dims = (output_index_dims,) if isinstance(output_index_dims, int) else output_index_dims
        self.output_index_dims = None if dims is None else tuple(dims)
        self.concat_preprocessed_input = concat_preprocessed_input
        self.output_position_encodings = self.positions_projection = None
        project = (encoding.pop("out_channels", None), encoding.pop("project_pos_dim", -1))
        if position_encoding_type != "none":
            self.output_position_encodings, self.positions_projection = self.make_positions(
                "output_position_encodings", position_encoding_type, *project, **encoding
            )
        self.decoding_cross_attention = self.final_layer = None
        if position_encoding_only:
            return
        sizes = (num_channels, config.d_latents, qk_channels, v_channels, num_heads)
        layer = PerceiverLayer(
            config, *sizes, widening_factor, use_query_residual, name="decoding_cross_attention"
        )
        self.decoding_cross_attention = self.sublayer(layer)
        if final_project:
            self.final_layer = self.linear(num_channels, output_num_channels, "final_layer")

    @property
    def num_query_channels(self) -> int:
        """Width of the positions where there is nothing else, else that of the outputs."""
        self._check_positions()
        if self.decoding_cross_attention is not None:
            return self.num_channels if self.final_layer is None else self.output_num_channels
        if self.positions_projection is not None:
            return self.positions_projection.units
        return self.output_position_encodings.output_size()

    def _check_positions(self) -> None:
        if self.output_position_encodings is None:
            raise ValueError(
                "A decoder with position_encoding_type 'none' makes no queries: pass them in, or "
                "give it 'trainable' or 'fourier' positions."
            )

    def _query(self, inputs: Tensor, sizes: Any, plain: Any, points: Any) -> Tensor:
        self._check_positions()
        positions, dims = self.output_position_encodings, self.output_index_dims
        if isinstance(positions, TrainablePositions):
            query = positions(None)
        elif dims is None and points is None:
            query = positions.grid(tuple(ops.shape(inputs)[2:]))
        else:
            if dims is None:
                raise ValueError("subsampled_points need output_index_dims, the grid they are in.")
            if points is None:
                points = ops.arange(math.prod(dims), dtype="int32")
            query = positions.at_cells(points, dims)
        query = ops.cast(query, self.compute_dtype)
        if self.positions_projection is not None:
            query = self.positions_projection(query)
        if not self.concat_preprocessed_input:
            return query
        if plain is None:
            raise ValueError("concat_preprocessed_input needs inputs_without_pos.")
        query = ops.broadcast_to(query, (ops.shape(plain)[0], *ops.shape(query)[1:]))
        return ops.concatenate([plain, query], axis=-1)

    def num_outputs(self, subsampled_points: Tensor | None = None) -> int | Tensor:
        """Number of outputs that `decoder_query` asks for."""
        if isinstance(self.output_position_encodings, TrainablePositions):
            return self.output_position_encodings.count
        if subsampled_points is not None:
            return ops.shape(subsampled_points)[0]
        if self.output_index_dims is None:
            raise ValueError("The number of outputs is unknown: give output_index_dims.")
        return math.prod(self.output_index_dims)

    def check(self, inputs: Any, points: Any, owner: str) -> None:
        if points is None:
            return
        if isinstance(points, Mapping) or len(getattr(points, "shape", ())) != 1:
            raise ValueError(
                f"{owner}: subsampled_output_points must be indices of shape (points,) here, got "
                f"{type(points).__name__}."
            )
        values = concrete(points)
        if values is None or self.output_index_dims is None or not values.size:
            return
        count = math.prod(self.output_index_dims)
        if values.dtype.kind not in "iu" or not 0 <= values.min() <= values.max() < count:
            raise ValueError(
                f"{owner}: subsampled_output_points must be integers in [0, {count}), the number "
                f"of outputs, got {values.dtype} from {values.min()} to {values.max()}."
            )

    def _decoded(self, query: Tensor, z: Tensor, output_attentions: bool, training: bool) -> Any:
        layer = self.decoding_cross_attention
        if layer is None:
            raise ValueError("A decoder with position_encoding_only=True only makes queries.")
        if not (output_attentions or training) and needs_blocks(query, z, layer.num_heads):
            return TFPerceiverDecoderOutput(logits=self._in_blocks(query, z))
        outputs, weights = layer(query, z, output_attentions=output_attentions)
        return TFPerceiverDecoderOutput(
            logits=self._projected(outputs),
            cross_attentions=(weights,) if output_attentions else None,
        )

    def _projected(self, outputs: Tensor) -> Tensor:
        return outputs if self.final_layer is None else self.final_layer(outputs)

    def _in_blocks(self, query: Tensor, z: Tensor) -> Tensor:
        """Apply all layers to some queries at a time: only the outputs have their length."""
        layer = self.decoding_cross_attention
        memory = layer.memory(z, query.shape[1])
        cost = (z.shape[0] or 1) * z.shape[1] * layer.num_heads
        return in_blocks(lambda rows: self._projected(layer.read(rows, memory)), cost, query)


class WrappingDecoder(TFPerceiverAbstractDecoder):
    """Base class of the decoders that use a basic one inside."""

    decoder: TFPerceiverBasicDecoder

    def wrap(self, arguments: Mapping[str, Any], **fixed: Any) -> TFPerceiverBasicDecoder:
        """Make the decoder inside of the arguments that users give and those that they do not."""
        decoder = TFPerceiverBasicDecoder(self.config, **fixed, **arguments, name="decoder")
        return self.sublayer(decoder)

    @property
    def num_query_channels(self) -> int:
        """That of the decoder inside."""
        return self.decoder.num_query_channels

    def num_outputs(self, subsampled_points: Tensor | None = None) -> int | Tensor:
        """Number of outputs that `decoder_query` asks for."""
        return self.decoder.num_outputs(subsampled_points)

    def check(self, inputs: Any, points: Any, owner: str) -> None:
        self.decoder.check(inputs, points, owner)

    def _query(self, inputs: Tensor, sizes: Any, plain: Any, points: Any) -> Tensor:
        return self.decoder.decoder_query(inputs, sizes, plain, points)

    def shaped(self, logits: Tensor) -> Tensor:
        """The logits (B, Q, C) in the form that this decoder gives."""
        return logits

    def _decoded(self, query: Tensor, z: Tensor, output_attentions: bool, training: bool) -> Any:
        outputs = self.decoder(query, z, output_attentions=output_attentions)
        return TFPerceiverDecoderOutput({**outputs, "logits": self.shaped(outputs.logits)})


class TFPerceiverClassificationDecoder(WrappingDecoder):
    """One query, whose output is the scores of the config's labels (B, labels)."""

    def __init__(self, config: PerceiverConfig, **decoder_kwargs: Any) -> None:
        options, arguments = split_options(decoder_kwargs)
        super().__init__(config, **options)
        sizes = {"output_num_channels": label_count(config), "output_index_dims": 1}
        self.decoder = self.wrap(arguments, **sizes)

    def shaped(self, logits: Tensor) -> Tensor:
        return logits[:, 0, :]


def classification_decoder(config: PerceiverConfig) -> TFPerceiverClassificationDecoder:
    """The decoder of the ready-made classifiers: one trainable query as wide as the latents."""
    return TFPerceiverClassificationDecoder(
        config,
        num_channels=config.d_latents,
        trainable_position_encoding_kwargs={"num_channels": config.d_latents, "index_dims": 1},
        use_query_residual=True,
        name="decoder",
    )


class TFPerceiverOpticalFlowDecoder(WrappingDecoder):
    """One query for each pixel, the inputs themselves; shifts in pixels (B, height, width, 2).

    Args:
        output_image_shape: Height and width of the frames.
        output_num_channels: 2, the shifts to the right and down.
        rescale_factor: What the outputs are divided by.

    Example:
        >>> decoder = TFPerceiverOpticalFlowDecoder(PerceiverConfig(d_latents=8), (2, 3),
        ...     num_channels=6, position_encoding_type="none")
        >>> pixels, latents = np.zeros((1, 6, 6), "float32"), np.zeros((1, 4, 8), "float32")
        >>> tuple(decoder(pixels, latents).logits.shape)
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
        super().__init__(config, **options)
        self.output_image_shape = tuple(output_image_shape)
        self.rescale_factor = rescale_factor
        self.decoder = self.wrap(arguments, output_num_channels=output_num_channels)

    def _query(self, inputs: Tensor, sizes: Any, plain: Any, points: Any) -> Tensor:
        if points is not None:
            raise ValueError("Optical flow is decoded for all pixels: pass no subsampled points.")
        return inputs

    def check(self, inputs: Any, points: Any, owner: str) -> None:
        if points is not None:
            raise ValueError(
                f"{owner}: optical flow is decoded for all pixels: pass no subsampled points."
            )
        size = tuple(inputs.shape)[-2:]  # transposed frames would be scrambled without an error
        if len(inputs.shape) in (4, 5) and None not in size and size != self.output_image_shape:
            raise ValueError(
                f"{owner}: frames must have height and width {self.output_image_shape} "
                f"(train_size), got {size}. For frames of other sizes use compute_flow."
            )

    def shaped(self, logits: Tensor) -> Tensor:
        flow = logits / self.rescale_factor
        return ops.reshape(flow, (-1, *self.output_image_shape, flow.shape[-1]))


class TFPerceiverBasicVideoAutoencodingDecoder(WrappingDecoder):
    """One query for each pixel of each frame of a video (B, frames, height, width, channels).

    Args:
        output_shape: Four numbers: batch, which has no effect, frames, height and width.
        position_encoding_type: `"trainable"` or `"fourier"`.
        **decoder_kwargs: Of these `output_num_channels` is required.
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
        super().__init__(config, **options)
        self.video_shape = tuple(output_shape)[1:]
        arguments["position_encoding_type"] = position_encoding_type
        self.decoder = self.wrap(arguments, output_index_dims=self.video_shape)
        self.output_num_channels = self.decoder.output_num_channels

    def shaped(self, logits: Tensor) -> Tensor:
        return ops.reshape(logits, (-1, *self.video_shape, logits.shape[-1]))
