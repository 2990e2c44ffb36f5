"""Images cut into patches, each projected to a token."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfzoo.core.types import Shape, Tensor
from tfzoo.layers.linear import affine

__all__ = ["PatchEmbedding"]


class PatchEmbedding(keras.layers.Layer):
    """Projects square patches side by side; pixels that do not fill a patch are dropped.

    The weights are those of a convolution whose stride is its kernel size. One matrix product over
    the patches computes it, without bringing the images into channels-last order.

    Args:
        width: D.
        patch_size: Side of a patch in pixels.
        num_channels: C.
        use_bias: Whether the projection has a bias.
        kernel_initializer: Of the projection.
    """

    def __init__(
        self,
        width: int,
        patch_size: int,
        num_channels: int,
        use_bias: bool = True,
        kernel_initializer: str | keras.initializers.Initializer = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.width, self.patch_size, self.num_channels = width, patch_size, num_channels
        self.projection = keras.layers.Conv2D(
            width,
            patch_size,
            strides=patch_size,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            data_format="channels_last",
            name="projection",
        )

    def build(self, input_shape: Shape = None) -> None:
        self.projection.build((None, None, None, self.num_channels))
        self.built = True

    def grid(self, height: int | Tensor, width: int | Tensor) -> tuple[Tensor, Tensor]:
        """Number of patches along the height and the width of an image."""
        return height // self.patch_size, width // self.patch_size

    def call(self, images: Tensor) -> Tensor:
        """Project the patches.

        Args:
            images: (B, C, height, width).

        Returns:
            (B, N, D), patches row by row.
        """
        batch, channels, height, width = ops.shape(images)
        rows, columns = self.grid(height, width)
        side = self.patch_size
        x = images[:, :, : rows * side, : columns * side]
        x = ops.reshape(x, (batch, channels, rows, side, columns, side))
        x = ops.transpose(x, (0, 2, 4, 3, 5, 1))
        x = ops.reshape(x, (-1, side * side * self.num_channels))
        kernel = ops.reshape(self.projection.kernel, (-1, self.width))
        x = affine(x, kernel, self.projection.bias if self.projection.use_bias else None)
        return ops.reshape(x, (batch, rows * columns, self.width))
