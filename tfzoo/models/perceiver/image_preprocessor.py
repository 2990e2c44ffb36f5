"""The preprocessor of images and videos, and the convolution that it may begin with."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfzoo.layers.batch_norm import BatchNorm
from tfzoo.layers.linear import Linear
from tfzoo.layers.positions import resize_grid_bicubic
from tfzoo.models.perceiver.config import PerceiverConfig
from tfzoo.models.perceiver.layers import initializer
from tfzoo.models.perceiver.preprocessor_base import PositionedPreprocessor, split_options
from tfzoo.models.perceiver.queries import TrainablePositions

__all__ = ["ConvDownsample", "TFPerceiverImagePreprocessor", "space_to_depth"]

PREP_TYPES = ("conv", "conv1x1", "patches", "pixels")


class ConvDownsample(keras.layers.Layer):
    """7 x 7 convolution of stride 2, norm, ReLU and 3 x 3 max pooling of stride 2.

    Three zeros are put on every side before the convolution, and none before the pooling, so that
    224 pixels become 55 rows.

    Args:
        config: For the initialisation.
        in_channels: Channels of the images.
        out_channels: Channels of the result.
        use_batchnorm: Normalise after the convolution.
    """

    def __init__(
        self,
        config: PerceiverConfig,
        in_channels: int,
        out_channels: int,
        use_batchnorm: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.conv = keras.layers.Conv2D(
            out_channels,
            7,
            strides=2,
            use_bias=False,
            kernel_initializer=initializer(config),
            data_format="channels_last",
            name="conv",
        )
        self.batchnorm = BatchNorm(name="batchnorm") if use_batchnorm else None

    def build(self, input_shape: Any = None) -> None:
        """Create the weights."""
        self.conv.build((None, None, None, self.in_channels))
        if self.batchnorm is not None:
            self.batchnorm.build((None, None, None, self.out_channels))
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """(B, height, width, C) -> (B, about height / 4, about width / 4, C')."""
        x = self.conv(ops.pad(inputs, ((0, 0), (3, 3), (3, 3), (0, 0))))
        if self.batchnorm is not None:
            x = self.batchnorm(x, training=training)
        return ops.max_pool(ops.relu(x), 3, strides=2, padding="valid", data_format="channels_last")


def space_to_depth(frames: Any, temporal: int = 1, spatial: int = 1) -> Any:
    """Blocks of pixels as channels, ordered time, row, column, colour.

    Args:
        frames: (B, T, height, width, C), or (B, height, width, C).
        temporal: Frames of a block.
        spatial: Rows and columns of a block.

    Returns:
        (B, T / temporal, height / spatial, width / spatial, channels), without the second axis
        for images.
    """
    is_video = len(frames.shape) == 5
    batch, *sizes, channels = ops.shape(frames)
    blocks = [temporal, spatial, spatial] if is_video else [spatial, spatial]
    split = [n for size, block in zip(sizes, blocks, strict=True) for n in (size // block, block)]
    frames = ops.reshape(frames, (batch, *split, channels))
    axes = len(sizes)
    outer, inner = [1 + 2 * i for i in range(axes)], [2 + 2 * i for i in range(axes)]
    frames = ops.transpose(frames, (0, *outer, *inner, 2 * axes + 1))
    volume = channels
    for block in blocks:
        volume *= block
    return ops.reshape(frames, (*ops.shape(frames)[: 1 + axes], volume))


class TFPerceiverImagePreprocessor(PositionedPreprocessor):
    """Makes tokens of images (B, C, height, width) or videos (B, T, C, height, width).

    Args:
        config: The configuration.
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

    Source: the reference's PerceiverImagePreprocessor.

    Example:
        >>> from tfzoo import PerceiverConfig, TFPerceiverImagePreprocessor
        >>> waves = {"num_bands": 4, "max_resolution": (8, 8)}
        >>> preprocessor = TFPerceiverImagePreprocessor(
        ...     PerceiverConfig(), prep_type="pixels", spatial_downsample=1,
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
        options, encoding = split_options(position_encoding_kwargs)
        arguments = {
            "prep_type": prep_type,
            "spatial_downsample": spatial_downsample,
            "temporal_downsample": temporal_downsample,
            "position_encoding_type": position_encoding_type,
            "in_channels": in_channels,
            "out_channels": out_channels,
            "conv_after_patching": conv_after_patching,
            "conv_after_patching_in_channels": conv_after_patching_in_channels,
            "conv2d_use_batchnorm": conv2d_use_batchnorm,
            "concat_or_add_pos": concat_or_add_pos,
            "project_pos_dim": project_pos_dim,
            **encoding,
        }
        _check_steps(prep_type, spatial_downsample, temporal_downsample)
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
        self.prep_type, self.in_channels = prep_type, in_channels
        self.spatial_downsample = spatial_downsample
        self.temporal_downsample = temporal_downsample
        self.patch_channels = conv_after_patching_in_channels if conv_after_patching else None
        self._make_layers(conv2d_use_batchnorm)

    def _make_layers(self, use_batchnorm: bool) -> None:
        config, width = self.config, self.out_channels
        self.convnet = self.convnet_1x1 = self.conv_after_patches = None
        if self.prep_type == "conv":
            self.convnet = ConvDownsample(
                config, self.in_channels, width, use_batchnorm, name="convnet"
            )
        elif self.prep_type == "conv1x1":
            self.convnet_1x1 = keras.layers.Conv2D(
                width,
                1,
                strides=self.spatial_downsample,
                kernel_initializer=initializer(config),
                data_format="channels_last",
                name="convnet_1x1",
            )
        if self.patch_channels is not None:
            self.conv_after_patches = Linear(
                width, kernel_initializer=initializer(config), name="conv_after_patches"
            )

    def build_layers(self) -> None:
        """Create the weights."""
        super().build_layers()
        if self.convnet is not None:
            self.convnet.build()
        if self.convnet_1x1 is not None:
            self.convnet_1x1.build((None, None, None, self.in_channels))
        if self.conv_after_patches is not None:
            self.conv_after_patches.build((None, None, self.patch_channels))

    @property
    def _feature_width(self) -> int:
        if self.prep_type in ("conv", "conv1x1") or self.patch_channels is not None:
            return self.out_channels
        is_video = self.position_embeddings.num_dimensions > 2
        if self.prep_type == "pixels":
            return self.in_channels if is_video else -(-self.in_channels // self.spatial_downsample)
        frames = self.temporal_downsample if is_video else 1
        return self.in_channels * self.spatial_downsample**2 * frames

    def check(self, inputs: Any, owner: str) -> None:
        """Refuse what is no image or video, has other channels or does not divide into blocks."""
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

    def call(
        self,
        inputs: Any,
        pos: Any = None,
        network_input_is_1d: bool = True,
        interpolate_pos_encoding: bool = False,
        training: bool = False,
    ) -> tuple[Any, None, Any]:
        """Make tokens; see `tfzoo.models.perceiver.preprocessors` for arguments and results.

        Args:
            inputs: (B, C, height, width) or (B, T, C, height, width).
            pos: Has no effect.
            network_input_is_1d: Return tokens rather than their grid.
            interpolate_pos_encoding: Resize trainable positions to the size of the image.
        """
        features = self._features(inputs, training)
        dims = ops.shape(features)[1:-1]
        table = self._table(dims, features.dtype)
        if isinstance(self.position_embeddings, TrainablePositions):
            table = self._fitted(table, dims, interpolate_pos_encoding)
        return self._with_positions(features, network_input_is_1d, table)

    def _features(self, inputs: Any, training: bool) -> Any:
        """Features with the channels last: (B, height, width, C) or (B, T, height, width, C)."""
        step, is_video = self.spatial_downsample, len(inputs.shape) == 5
        if self.prep_type == "pixels":
            if is_video:
                inputs = inputs[:, :: self.temporal_downsample, :, ::step, ::step]
            else:  # the first two axes, as in the reference; published models have a step of 1
                inputs = inputs[::step, ::step]
        x = ops.transpose(inputs, (0, 1, 3, 4, 2) if is_video else (0, 2, 3, 1))
        if self.prep_type == "conv":
            return self.convnet(x, training=training)
        if self.prep_type == "conv1x1":
            return self.convnet_1x1(x)
        if self.prep_type == "patches":
            x = space_to_depth(x, self.temporal_downsample, step)
            if is_video and x.shape[1] == 1:
                x = x[:, 0]
            if self.conv_after_patches is not None:
                x = self.conv_after_patches(x)
        return x

    def _fitted(self, table: Any, dims: tuple[Any, ...], interpolate: bool) -> Any:
        """Trainable positions for a grid of this size."""
        if interpolate and len(dims) == 2:
            return resize_grid_bicubic(table[0], *dims)[None]
        count = 1
        for size in dims:
            count = count * size
        if isinstance(count, int) and count != table.shape[1]:
            raise ValueError(
                f"There are trainable positions for {table.shape[1]} places, the image has "
                f"{count} ({' x '.join(map(str, dims))}): resize it, or pass "
                "interpolate_pos_encoding=True."
            )
        return table


def _check_steps(prep_type: str, spatial: int, temporal: int) -> None:
    if prep_type not in PREP_TYPES:
        raise ValueError(f"prep_type must be one of {', '.join(PREP_TYPES)}, got {prep_type!r}.")
    if prep_type != "conv":
        return
    power = spatial
    while power > 1 and power % 4 == 0:
        power //= 4
    if power != 1 or temporal != 1:
        raise ValueError(
            "prep_type 'conv' needs a spatial_downsample that is a power of 4 and a "
            f"temporal_downsample of 1, got {spatial} and {temporal}."
        )
