"""Preprocessors: text, labels, audio, images or videos -> tokens (B, N, C).

`TFPerceiverAbstractPreprocessor.call` documents how all of them are called. In their constructors
`config` is the configuration, and `**kwargs` are `name`, `dtype` and `trainable` as in
`keras.layers.Layer`.

Source: the reference's classes of the same names without TF.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from tfzoo.core.inputs import check_ids
from tfzoo.core.types import Tensor
from tfzoo.layers.batch_norm import BatchNorm
from tfzoo.layers.positions import resize_grid_bicubic
from tfzoo.models.perceiver.config import PerceiverConfig
from tfzoo.models.perceiver.engine import (
    Assembly,
    Part,
    check_choice,
    initializer,
    label_count,
    split_options,
)
from tfzoo.models.perceiver.positions import FourierPositions

__all__ = [
    "TFPerceiverAbstractPreprocessor",
    "TFPerceiverAudioPreprocessor",
    "TFPerceiverImagePreprocessor",
    "TFPerceiverOneHotPreprocessor",
    "TFPerceiverTextPreprocessor",
]

Inputs = Tensor | Mapping[str, Tensor]
Tokens = tuple[Tensor, Any, Any]


class TFPerceiverAbstractPreprocessor(Part):
    """Base class of the preprocessors, which make tokens (B, N, C) of inputs.

    One of your own sets `num_channels` and overrides `call`, which returns the tokens, or what
    `call` here does. Where tokens (B, N, d_model) are made without more, a Keras layer or a
    function of the inputs does. `sublayer`, `linear` and `norm` make layers whose weights exist
    before the first call.

    Args:
        config: The configuration.
        **kwargs: `name`, `dtype` and `trainable` as in `keras.layers.Layer`.

    Attributes:
        num_channels: C, the width of the tokens.
        takes: What the inputs must be, in words.
        ranks: The numbers of axes that they may have; any where there is none.
        is_integer: Whether they are ids.

    Example:
        >>> class PointsPreprocessor(TFPerceiverAbstractPreprocessor):
        ...     takes, ranks, num_channels = "points (batch, points, 3)", (3,), 16
        ...
        ...     def __init__(self, config, **kwargs):
        ...         super().__init__(config, **kwargs)
        ...         self.embedding = self.linear(3, self.num_channels, "embedding")
        ...
        ...     def call(self, inputs):
        ...         return self.embedding(inputs)
        >>> from tfzoo import TFPerceiverModel
        >>> config = PerceiverConfig(d_latents=8, num_self_attends_per_block=1)
        >>> model = TFPerceiverModel(config, input_preprocessor=PointsPreprocessor(config))
        >>> tuple(model(inputs=np.zeros((1, 50, 3), "float32")).last_hidden_state.shape)
        (1, 256, 8)
    """

    takes: str = ""
    ranks: tuple[int, ...] = ()
    is_integer: bool = False
    num_channels: int

    def check(self, inputs: Inputs, owner: str) -> None:
        """Raise a `ValueError` in the name of `owner` for inputs that do not fit this modality."""
        if not self.ranks:
            return
        if isinstance(inputs, Mapping) or not hasattr(inputs, "shape"):
            came = f"a {type(inputs).__name__}"
        else:
            dtype, shape = keras.backend.standardize_dtype(inputs.dtype), tuple(inputs.shape)
            if len(shape) in self.ranks and ("float" in dtype) != self.is_integer:
                return
            came = f"{dtype} of shape {shape}"
        raise ValueError(f"{owner}: {type(self).__name__} takes {self.takes}, got {came}.")

    def call(
        self,
        inputs: Inputs,
        pos: Tensor | None = None,
        network_input_is_1d: bool = True,
        interpolate_pos_encoding: bool = False,
        training: bool = False,
    ) -> Tokens:
        """Make tokens.

        Args:
            inputs: Ids (B, N), one-hot labels (B, labels), audio (B, samples, C), images (B, C,
                height, width) or videos (B, T, C, height, width); a dict for several modalities.
            pos: Has no effect, as in the reference.
            network_input_is_1d: Whether tokens of a grid stand in one row.
            interpolate_pos_encoding: Resize trainable positions to an image of another size.

        Returns:
            The tokens, the number of each modality's (None where there is one modality), and the
            tokens without positions.
        """
        return self._tokens(inputs, network_input_is_1d, interpolate_pos_encoding, training)

    def _tokens(self, inputs: Inputs, is_1d: bool, interpolate: bool, training: bool) -> Tokens:
        raise TypeError(f"{type(self).__name__} is abstract: use one of its subclasses.")


# ---- text and labels
class TFPerceiverTextPreprocessor(TFPerceiverAbstractPreprocessor):
    """Embeds ids (B, N) in `d_model` channels, and adds trainable positions.

    Example:
        >>> preprocessor = TFPerceiverTextPreprocessor(PerceiverConfig(d_model=8))
        >>> tokens, sizes, without_positions = preprocessor(np.array([[4, 110, 5]]))
        >>> tuple(tokens.shape), sizes, preprocessor.num_channels
        ((1, 3, 8), None, 8)
    """

    takes = "ids of shape (batch, sequence)"
    ranks = (2,)
    is_integer = True

    def __init__(self, config: PerceiverConfig, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        self.num_channels = config.d_model

        def table(rows: int, name: str) -> keras.layers.Embedding:
            layer = keras.layers.Embedding(rows, config.d_model, initializer(config), name=name)
            return self.sublayer(layer)

        self.embeddings = table(config.vocab_size, "embeddings")
        self.position_embeddings = table(config.max_position_embeddings, "position_embeddings")

    def check(self, inputs: Tensor, owner: str) -> None:
        super().check(inputs, owner)
        length, limit = inputs.shape[1], self.config.max_position_embeddings
        if length is not None and length > limit:
            raise ValueError(
                f"{owner}: the text has {length} tokens, the model positions for {limit} "
                "(max_position_embeddings): pass truncation=True to the tokenizer."
            )
        check_ids(owner, "ids", inputs, self.config.vocab_size, "vocab_size")

    def _tokens(self, inputs: Tensor, is_1d: bool, interpolate: bool, training: bool) -> Tokens:
        embedded = self.embeddings(inputs)
        places = self.position_embeddings(ops.arange(ops.shape(inputs)[1]))
        return embedded + places[None], None, embedded


class TFPerceiverOneHotPreprocessor(TFPerceiverAbstractPreprocessor):
    """Makes one token of a one-hot label (B, labels); the reference's fails inside its model."""

    takes = "floats of shape (batch, num_labels)"
    ranks = (2,)

    def __init__(self, config: PerceiverConfig, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        self.num_channels = label_count(config)

    def check(self, inputs: Tensor, owner: str) -> None:
        super().check(inputs, owner)
        if inputs.shape[1] not in (None, self.num_channels):
            raise ValueError(
                f"{owner}: a label must have num_labels={self.num_channels} numbers, got "
                f"{tuple(inputs.shape)}."
            )

    def _tokens(self, inputs: Tensor, is_1d: bool, interpolate: bool, training: bool) -> Tokens:
        inputs = inputs[:, None, :]
        return inputs, None, inputs


# ---- audio, images and videos
class PositionedPreprocessor(TFPerceiverAbstractPreprocessor):
    """Base class of those for audio, images and videos: positions beside or onto features."""

    feature_width: int

    def __init__(
        self,
        config: PerceiverConfig,
        kind: str,
        way: str,
        width: int,
        project_to: int,
        **kwargs: Any,
    ) -> None:
        options, encoding = split_options(kwargs)
        super().__init__(config, **options)
        check_choice("concat_or_add_pos", way, "concat", "add")
        self.concat_or_add_pos, self.out_channels = way, width
        self.position_embeddings, self.positions_projection = self.make_positions(
            "position_embeddings", kind, width, project_to, **encoding
        )

    @property
    def num_channels(self) -> int:
        """C, the width of the tokens."""
        projection = self.positions_projection
        width = self.position_embeddings.output_size() if projection is None else projection.units
        return width if self.concat_or_add_pos == "add" else self.feature_width + width

    def _tokens(self, inputs: Tensor, is_1d: bool, interpolate: bool, training: bool) -> Tokens:
        features = self._features(inputs)  # (B, ..., C)
        grid, width = ops.shape(features)[:-1], features.shape[-1]
        table = self._table(grid[1:], features.dtype, interpolate)
        tokens = ops.reshape(features, (grid[0], -1, width))
        if self.positions_projection is not None:
            table = self.positions_projection(table)
        table = ops.cast(table, tokens.dtype)
        if self.concat_or_add_pos == "add":
            full = tokens + table
        else:
            shape = (*ops.shape(tokens)[:2], table.shape[-1])
            full = ops.concatenate([tokens, ops.broadcast_to(table, shape)], axis=-1)
        if not is_1d:
            return ops.reshape(full, (*grid, full.shape[-1])), None, features
        return full, None, tokens

    def _table(self, dims: tuple[Any, ...], dtype: str, interpolate: bool) -> Tensor:
        """Positions (1, cells, width) of a grid."""
        if isinstance(self.position_embeddings, FourierPositions):
            return self.position_embeddings.grid(dims, dtype)
        table = self.position_embeddings(None)
        if interpolate and len(dims) == 2:
            return resize_grid_bicubic(table[0], *dims)[None]
        count = math.prod(dims)
        if isinstance(count, int) and count != table.shape[1]:
            raise ValueError(
                f"There are trainable positions for {table.shape[1]} places, the inputs have "
                f"{count} ({' x '.join(map(str, dims))}): resize images, or pass "
                "interpolate_pos_encoding=True."
            )
        return table


class TFPerceiverAudioPreprocessor(PositionedPreprocessor):
    """Cuts audio (B, samples, C) into patches.

    Arguments that are not named here, and errors, are those of `TFPerceiverImagePreprocessor`.

    Args:
        prep_type: `"patches"`, the only one there is.
        samples_per_patch: Samples of a patch.
        out_channels: Width of the positions before they are projected.
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
        check_choice("prep_type of audio", prep_type, "patches")
        choices = (position_encoding_type, concat_or_add_pos, out_channels, project_pos_dim)
        super().__init__(config, *choices, **position_encoding_kwargs)
        self.samples_per_patch = self.feature_width = samples_per_patch

    def check(self, inputs: Tensor, owner: str) -> None:
        super().check(inputs, owner)
        _, samples, channels = inputs.shape
        if None not in (samples, channels) and samples * channels % self.samples_per_patch:
            raise ValueError(
                f"{owner}: {samples} samples of {channels} channels do not divide into patches of "
                f"{self.samples_per_patch} (samples_per_patch): pad or cut the audio."
            )

    def _features(self, inputs: Tensor) -> Tensor:
        return ops.reshape(inputs, (ops.shape(inputs)[0], -1, self.samples_per_patch))


def _conv(config: PerceiverConfig, size: int, channels: int, **kwargs: Any) -> keras.layers.Conv2D:
    kwargs.update(kernel_initializer=initializer(config), data_format="channels_last")
    return keras.layers.Conv2D(channels, size, **kwargs)


class ConvDownsample(Assembly):
    """7 x 7 convolution of stride 2, norm, ReLU and 3 x 3 max pooling of stride 2.

    Three zeros are put on every side before the convolution, and none before the pooling, so that
    224 pixels become 55 rows.
    """

    def __init__(
        self, config: PerceiverConfig, colours: int, channels: int, has_norm: bool, **kwargs: Any
    ) -> None:
        super().__init__(config, **kwargs)
        conv = _conv(config, 7, channels, strides=2, use_bias=False, name="conv")
        self.conv = self.sublayer(conv, None, None, None, colours)
        self.batchnorm = None
        if has_norm:
            norm = BatchNorm(name="batchnorm")
            self.batchnorm = self.sublayer(norm, None, None, None, channels)

    def call(self, inputs: Tensor) -> Tensor:
        """(B, height, width, C) -> (B, about height / 4, about width / 4, C')."""
        x = self.conv(ops.pad(inputs, ((0, 0), (3, 3), (3, 3), (0, 0))))
        if self.batchnorm is not None:
            x = self.batchnorm(x)
        return ops.max_pool(ops.relu(x), 3, strides=2, padding="valid", data_format="channels_last")


def _space_to_depth(frames: Tensor, temporal: int, spatial: int) -> Tensor:
    """Turn blocks of pixels into channels, ordered time, row, column, colour.

    (B, T, height, width, C), without T for images, becomes (B, T / temporal, height / spatial,
    width / spatial, channels).
    """
    is_video = len(frames.shape) == 5
    batch, *sizes, channels = ops.shape(frames)
    blocks = [temporal, spatial, spatial] if is_video else [spatial, spatial]
    split = [n for size, block in zip(sizes, blocks, strict=True) for n in (size // block, block)]
    frames = ops.reshape(frames, (batch, *split, channels))
    axes = len(sizes)
    outer, inner = [1 + 2 * i for i in range(axes)], [2 + 2 * i for i in range(axes)]
    frames = ops.transpose(frames, (0, *outer, *inner, 2 * axes + 1))
    return ops.reshape(frames, (*ops.shape(frames)[: 1 + axes], math.prod([channels, *blocks])))


class TFPerceiverImagePreprocessor(PositionedPreprocessor):
    """Makes tokens of images (B, C, height, width) or videos (B, T, C, height, width).

    Args:
        prep_type: `"conv"` (a convolution and pooling, a quarter of the size), `"conv1x1"`,
            `"patches"` (blocks of pixels become channels) or `"pixels"`.
        spatial_downsample: Rows and columns of a block, or the stride; a power of 4 with `"conv"`.
        temporal_downsample: Frames of a block, or the stride; 1 with `"conv"`.
        position_encoding_type: `"fourier"` or `"trainable"`.
        in_channels: Channels of the images.
        out_channels: Channels of the features, and of positions before they are projected.
        conv_after_patching: Project the patches to `out_channels`.
        conv_after_patching_in_channels: Width of the patches.
        conv2d_use_batchnorm: Normalise after the convolution.
        concat_or_add_pos: `"concat"` or `"add"`.
        project_pos_dim: Width to project positions to; -1 leaves them.
        **position_encoding_kwargs: `fourier_position_encoding_kwargs` or
            `trainable_position_encoding_kwargs`.

    Raises:
        ValueError: An unknown choice, or arguments of the positions are missing.

    Example:
        >>> waves = {"num_bands": 4, "max_resolution": (8, 8)}
        >>> preprocessor = TFPerceiverImagePreprocessor(PerceiverConfig(), "pixels", 1,
        ...     fourier_position_encoding_kwargs=waves)
        >>> tuple(preprocessor(np.zeros((1, 3, 8, 8), "float32"))[0].shape)
        (1, 64, 21)
    """

    takes = "floats of shape (batch, channels, height, width) or (batch, frames, channels, ...)"
    ranks = (4, 5)

    def __init__(
        self,
        config: PerceiverConfig,
        prep_type: str = "conv",
        spatial_downsample: int = 4,
        temporal_downsample: int = 1,
        position_encoding_type: str = "fourier",
        in_channels: int = 3,
        out_channels: int = 64,
        conv_after_patching: bool = False,
        conv_after_patching_in_channels: int = 54,
        conv2d_use_batchnorm: bool = True,
        concat_or_add_pos: str = "concat",
        project_pos_dim: int = -1,
        **position_encoding_kwargs: Any,
    ) -> None:
        check_choice("prep_type", prep_type, "conv", "conv1x1", "patches", "pixels")
        is_power = any(spatial_downsample == 4**i for i in range(16))
        if prep_type == "conv" and not (is_power and temporal_downsample == 1):
            raise ValueError(
                "prep_type 'conv' needs a spatial_downsample that is a power of 4 and a "
                f"temporal_downsample of 1, got {spatial_downsample} and {temporal_downsample}."
            )
        choices = (position_encoding_type, concat_or_add_pos, out_channels, project_pos_dim)
        super().__init__(config, *choices, **position_encoding_kwargs)
        self.prep_type, self.in_channels = prep_type, in_channels
        self.spatial_downsample, self.temporal_downsample = spatial_downsample, temporal_downsample
        self.patch_channels = conv_after_patching_in_channels if conv_after_patching else None
        self.convnet = self.convnet_1x1 = self.conv_after_patches = None
        if prep_type == "conv":
            sizes = (in_channels, out_channels, conv2d_use_batchnorm)
            self.convnet = self.sublayer(ConvDownsample(config, *sizes, name="convnet"))
        elif prep_type == "conv1x1":
            conv = _conv(config, 1, out_channels, strides=spatial_downsample, name="convnet_1x1")
            self.convnet_1x1 = self.sublayer(conv, None, None, None, in_channels)
        if conv_after_patching:
            self.conv_after_patches = self.linear(
                conv_after_patching_in_channels, out_channels, "conv_after_patches"
            )

    @property
    def feature_width(self) -> int:
        """Width of the features, before positions are put beside them."""
        if self.prep_type in ("conv", "conv1x1") or self.patch_channels is not None:
            return self.out_channels
        is_video = self.position_embeddings.num_dimensions > 2
        if self.prep_type == "pixels":
            return self.in_channels if is_video else -(-self.in_channels // self.spatial_downsample)
        frames = self.temporal_downsample if is_video else 1
        return self.in_channels * self.spatial_downsample**2 * frames

    def check(self, inputs: Tensor, owner: str) -> None:
        super().check(inputs, owner)
        *frames, channels, height, width = tuple(inputs.shape)[1:]
        if frames and self.prep_type in ("conv", "conv1x1"):
            raise ValueError(
                f"{owner}: prep_type {self.prep_type!r} takes images (batch, channels, height, "
                f"width), got {tuple(inputs.shape)}."
            )
        steps = [(height, self.spatial_downsample), (width, self.spatial_downsample)]
        steps += [(frames[0], self.temporal_downsample)] if frames else []
        if self.prep_type == "patches" and any(n and n % step for n, step in steps):
            raise ValueError(
                f"{owner}: inputs of shape {tuple(inputs.shape)} do not divide into blocks of "
                f"{self.temporal_downsample} frames and {self.spatial_downsample} x "
                f"{self.spatial_downsample} pixels."
            )
        expected, what = self.in_channels, f"in_channels={self.in_channels}"
        if self.prep_type == "patches" and self.patch_channels is not None:
            volume = self.spatial_downsample**2 * (self.temporal_downsample if frames else 1)
            expected = self.patch_channels // volume
            what = f"{expected} channels: {self.patch_channels} for each patch of {volume} pixels"
        if channels is not None and channels != expected:
            raise ValueError(f"{owner}: inputs must have {what}, got {channels} channels.")

    def _features(self, inputs: Tensor) -> Tensor:
        step, is_video = self.spatial_downsample, len(inputs.shape) == 5
        if self.prep_type == "pixels":
            if is_video:
                inputs = inputs[:, :: self.temporal_downsample, :, ::step, ::step]
            else:  # the first two axes, as in the reference; published models have a step of 1
                inputs = inputs[::step, ::step]
        x = ops.transpose(inputs, (0, 1, 3, 4, 2) if is_video else (0, 2, 3, 1))
        if self.prep_type == "conv":
            return self.convnet(x)
        if self.prep_type == "conv1x1":
            return self.convnet_1x1(x)
        if self.prep_type == "patches":
            x = _space_to_depth(x, self.temporal_downsample, step)
            if is_video and x.shape[1] == 1:
                x = x[:, 0]
            if self.conv_after_patches is not None:
                x = self.conv_after_patches(x)
        return x
