"""Decoders: queries for the outputs wanted, which attend to the latents once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from keras import ops

from tfzoo.core.keras_compat import concrete
from tfzoo.layers.linear import Linear
from tfzoo.layers.streaming import in_blocks, needs_blocks
from tfzoo.models.perceiver.config import PerceiverConfig
from tfzoo.models.perceiver.layers import AttentionSizes, PerceiverLayer, initializer
from tfzoo.models.perceiver.outputs import TFPerceiverDecoderOutput
from tfzoo.models.perceiver.parts import Part
from tfzoo.models.perceiver.preprocessor_base import split_options
from tfzoo.models.perceiver.queries import TrainablePositions, make_positions

__all__ = [
    "Decoder",
    "TFPerceiverBasicDecoder",
    "TFPerceiverProjectionDecoder",
]


class Decoder(Part):
    """Base class of the decoders."""

    @property
    def num_query_channels(self) -> int:
        """Width of the queries, or of the outputs where they are projected."""
        raise TypeError(f"{type(self).__name__} is abstract: use one of its subclasses.")

    def decoder_query(
        self,
        inputs: Any,
        modality_sizes: Mapping[str, Any] | None = None,
        inputs_without_pos: Any = None,
        subsampled_points: Any = None,
    ) -> Any:
        """Queries for the outputs.

        Args:
            inputs: (B, N, C), the preprocessed inputs.
            modality_sizes: Numbers of tokens of each modality.
            inputs_without_pos: The preprocessed inputs without positions.
            subsampled_points: (P,) flat indices of the outputs wanted; all where None.

        Returns:
            (B, Q, C); a batch of 1 where the queries are the same for each sample.

        Raises:
            ValueError: This decoder makes no queries, or lacks what they are made of.
        """
        raise TypeError(f"{type(self).__name__} is abstract: use one of its subclasses.")

    def output_sizes(self, modality_sizes: Any, subsampled_points: Any) -> Any:
        """Number of outputs of each modality, None for a decoder that knows none."""
        return modality_sizes

    def check(self, inputs: Any, points: Any, owner: str) -> None:
        """Refuse inputs that cannot be decoded, and points that there are not.

        Raises:
            ValueError: Says what was expected and what came.
        """


class TFPerceiverProjectionDecoder(Decoder):
    """The first Perceiver's decoder: the mean of the latents, projected to labels.

    Args:
        config: Gives `d_latents` and `num_labels`.

    Source: the reference's PerceiverProjectionDecoder, which cannot be constructed.

    Example:
        >>> from tfzoo import PerceiverConfig, TFPerceiverProjectionDecoder
        >>> decoder = TFPerceiverProjectionDecoder(PerceiverConfig(d_latents=8, num_labels=3))
        >>> tuple(decoder(None, np.zeros((2, 4, 8), "float32")).shape)
        (2, 3)
    """

    def __init__(self, config: PerceiverConfig, **kwargs: Any) -> None:
        super().__init__(config, {}, **kwargs)
        self.classifier = Linear(
            config.num_labels, kernel_initializer=initializer(config), name="classifier"
        )

    def build_layers(self) -> None:
        """Create the weights."""
        self.classifier.build((None, self.config.d_latents))

    @property
    def num_query_channels(self) -> int:
        """Width of the outputs; there are no queries."""
        return self.config.num_labels

    def decoder_query(
        self,
        inputs: Any,
        modality_sizes: Mapping[str, Any] | None = None,
        inputs_without_pos: Any = None,
        subsampled_points: Any = None,
    ) -> None:
        """None: this decoder needs no queries."""
        return

    def call(
        self, query: Any, z: Any = None, query_mask: Any = None, output_attentions: bool = False
    ) -> Any:
        """Latents (B, latents, D) -> scores (B, labels); `query` has no effect."""
        return self.classifier(ops.mean(z, axis=1))


class TFPerceiverBasicDecoder(Decoder):
    """Queries with positions attend to the latents, and are projected.

    Args:
        config: The configuration.
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

    Source: the reference's PerceiverBasicDecoder.

    Example:
        >>> from tfzoo import PerceiverConfig, TFPerceiverBasicDecoder
        >>> table = {"num_channels": 8, "index_dims": 5}
        >>> decoder = TFPerceiverBasicDecoder(PerceiverConfig(d_latents=16), 3, num_channels=8,
        ...     trainable_position_encoding_kwargs=table)
        >>> latents = np.zeros((2, 4, 16), "float32")
        >>> query = decoder.decoder_query(latents)
        >>> tuple(decoder(query, latents).logits.shape)
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
        given = {k: v for k, v in locals().items() if k not in ("self", "config", "__class__")}
        options, encoding = split_options(given.pop("position_encoding_kwargs"))
        super().__init__(config, {**given, **encoding}, **options)
        self.num_channels, self.output_num_channels = num_channels, output_num_channels
        is_number = output_index_dims is None or isinstance(output_index_dims, int)
        self.output_index_dims = output_index_dims if is_number else tuple(output_index_dims)
        self.position_encoding_type = position_encoding_type
        self.concat_preprocessed_input = concat_preprocessed_input
        self._make_positions(dict(encoding))
        self.decoding_cross_attention = self.final_layer = None
        if position_encoding_only:
            return
        sizes = AttentionSizes.resolve(
            num_channels,
            config.d_latents,
            qk_channels,
            v_channels,
            num_heads,
            config.cross_attention_shape_for_attention,
        )
        self.decoding_cross_attention = PerceiverLayer(
            config,
            sizes,
            is_cross=True,
            widening_factor=widening_factor,
            use_query_residual=use_query_residual,
            name="decoding_cross_attention",
        )
        if final_project:
            self.final_layer = Linear(
                output_num_channels, kernel_initializer=initializer(config), name="final_layer"
            )

    def _make_positions(self, encoding: dict[str, Any]) -> None:
        self.output_position_encodings = self.positions_projection = None
        self.project_pos_dim = encoding.pop("project_pos_dim", -1)
        self.projected_from = encoding.pop("out_channels", None)
        if self.position_encoding_type == "none":
            return
        self.output_position_encodings = make_positions(
            self.position_encoding_type,
            self.config.initializer_range,
            **encoding,
            name="output_position_encodings",
        )
        if self.project_pos_dim > 0:
            self.positions_projection = Linear(
                self.project_pos_dim,
                kernel_initializer=initializer(self.config),
                name="positions_projection",
            )

    def build_layers(self) -> None:
        """Create the weights."""
        positions = self.output_position_encodings
        if isinstance(positions, TrainablePositions):
            positions.build()
        if self.positions_projection is not None:
            width = self.projected_from or positions.output_size()
            self.positions_projection.build((None, None, width))
        if self.decoding_cross_attention is not None:
            self.decoding_cross_attention.build()
        if self.final_layer is not None:
            self.final_layer.build((None, None, self.num_channels))

    @property
    def num_query_channels(self) -> int:
        """Width of the positions where there is nothing else, else that of the outputs."""
        if self.position_encoding_type == "none":
            raise ValueError(
                "A decoder with position_encoding_type 'none' makes no queries: give it "
                "'trainable' or 'fourier' positions."
            )
        if self.decoding_cross_attention is None:
            if self.project_pos_dim > 0:
                return self.project_pos_dim
            return self.output_position_encodings.output_size()
        return self.num_channels if self.final_layer is None else self.output_num_channels

    @property
    def _dims(self) -> tuple[int, ...]:
        dims = self.output_index_dims
        return (dims,) if isinstance(dims, int) else dims

    def decoder_query(
        self,
        inputs: Any,
        modality_sizes: Mapping[str, Any] | None = None,
        inputs_without_pos: Any = None,
        subsampled_points: Any = None,
    ) -> Any:
        """Positions of the outputs, see the base class.

        Fourier positions of single points, and of all points of a grid, lie at the left edges of
        its cells, so that outputs decoded in parts are those decoded at once. Without
        `output_index_dims` there is an output for each channel of the inputs, as in the reference.
        Trainable positions are always returned as a whole.
        """
        if self.position_encoding_type == "none":
            raise ValueError(
                "A decoder with position_encoding_type 'none' makes no queries: pass them in."
            )
        self.build()
        positions = self.output_position_encodings
        if isinstance(positions, TrainablePositions):
            query = positions(None)
        elif self.output_index_dims is None and subsampled_points is None:
            query = positions.grid(tuple(ops.shape(inputs)[2:]))
        else:
            if self.output_index_dims is None:
                raise ValueError("subsampled_points need output_index_dims, the grid they are in.")
            if subsampled_points is None:
                subsampled_points = ops.arange(math.prod(self._dims), dtype="int32")
            query = positions.at_cells(subsampled_points, self._dims)
        query = ops.cast(query, self.compute_dtype)
        if self.positions_projection is not None:
            query = self.positions_projection(query)
        if not self.concat_preprocessed_input:
            return query
        if inputs_without_pos is None:
            raise ValueError("concat_preprocessed_input needs inputs_without_pos.")
        batch = ops.shape(inputs_without_pos)[0]
        query = ops.broadcast_to(query, (batch, *ops.shape(query)[1:]))
        return ops.concatenate([inputs_without_pos, query], axis=-1)

    def num_outputs(self, subsampled_points: Any = None) -> int | Any:
        """How many outputs `decoder_query` asks for."""
        if isinstance(self.output_position_encodings, TrainablePositions):
            return self.output_position_encodings.count
        if subsampled_points is not None:
            return ops.shape(subsampled_points)[0]
        if self.output_index_dims is None:
            raise ValueError("The number of outputs is unknown: give output_index_dims.")
        return math.prod(self._dims)

    def check(self, inputs: Any, points: Any, owner: str) -> None:
        """Refuse points outside the grid of outputs."""
        if points is None:
            return
        if isinstance(points, Mapping) or len(getattr(points, "shape", ())) != 1:
            raise ValueError(
                f"{owner}: subsampled_output_points must be indices of shape (points,) here, got "
                f"{type(points).__name__}."
            )
        values, dims = concrete(points), self.output_index_dims
        if values is None or dims is None or not values.size:
            return
        if (
            values.dtype.kind not in "iu"
            or values.min() < 0
            or values.max() >= math.prod(self._dims)
        ):
            raise ValueError(
                f"{owner}: subsampled_output_points must be integers in [0, "
                f"{math.prod(self._dims)}), the number of outputs, got {values.dtype} from "
                f"{values.min()} to {values.max()}."
            )

    def call(
        self,
        query: Any,
        z: Any = None,
        query_mask: Any = None,
        output_attentions: bool = False,
        training: bool = False,
    ) -> TFPerceiverDecoderOutput:
        """Decode.

        Args:
            query: (B, Q, C); a batch of 1 serves all samples.
            z: (B, latents, D), the latents.
            query_mask: Has no effect, as in the reference.
            output_attentions: Return the attention map.

        Returns:
            `logits` (B, Q, channels) and, where asked for, `cross_attentions`.

        Raises:
            ValueError: The decoder only makes queries.
        """
        layer = self.decoding_cross_attention
        if layer is None:
            raise ValueError("A decoder with position_encoding_only=True only makes queries.")
        if not (output_attentions or training) and needs_blocks(
            query, z.shape[1], layer.sizes.heads
        ):
            return TFPerceiverDecoderOutput(logits=self._in_blocks(query, z))
        outputs, maps = layer(query, z, output_attentions=output_attentions)
        return TFPerceiverDecoderOutput(
            logits=self._projected(outputs), cross_attentions=(maps,) if output_attentions else None
        )

    def _projected(self, outputs: Any) -> Any:
        return outputs if self.final_layer is None else self.final_layer(outputs)

    def _in_blocks(self, query: Any, z: Any) -> Any:
        """All layers for some queries at a time: only the outputs have their length."""
        layer = self.decoding_cross_attention
        memory = layer.attention.memory(z, query.shape[1])
        cost = (z.shape[0] or 1) * z.shape[1] * layer.sizes.heads
        return in_blocks(lambda rows: self._projected(layer.read(rows, memory)), query, cost)
