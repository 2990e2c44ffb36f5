"""ResNet without its classifier (He et al. 2016, arXiv:1512.03385), in channels-last order.

A batch norm with moving statistics is an affine map, which is folded into the convolution before
it: K * s and a bias instead of a second pass over every activation. The product is computed in each
call, so that it is never out of date; the kernels are small beside the feature maps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from tfzoo.core.keras_compat import tensorflow
from tfzoo.core.types import Shape, Tensor
from tfzoo.layers.activations import Activation, get_activation
from tfzoo.layers.batch_norm import BatchNorm

__all__ = ["ConvNorm", "ResNet", "ResNetSizes", "conv_initializer"]

_REDUCTION = 4  # of the channels inside a bottleneck


def conv_initializer() -> keras.initializers.Initializer:
    """Make He's normal distribution by the fan out, for fresh kernels."""
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")


@dataclass(frozen=True)
class ResNetSizes:
    """Sizes and settings of a ResNet.

    Attributes:
        num_channels: C of the images.
        embedding_size: Channels of the stem.
        hidden_sizes: Channels of each stage.
        depths: Blocks of each stage.
        layer_type: `"bottleneck"` (1x1, 3x3, 1x1) or `"basic"` (3x3, 3x3).
        activation: Of the stem and after each sum, name or function; inside blocks it is a ReLU.
        downsample_in_first_stage: Whether the first stage halves the resolution, as all others do.
        downsample_in_bottleneck: Whether a bottleneck strides in its first convolution rather
            than in its second.
    """

    num_channels: int
    embedding_size: int
    hidden_sizes: tuple[int, ...]
    depths: tuple[int, ...]
    layer_type: str = "bottleneck"
    activation: str | Activation = "relu"
    downsample_in_first_stage: bool = False
    downsample_in_bottleneck: bool = False

    def stride(self, stage: int) -> int:
        """Stride of a stage, counted from 0."""
        return 2 if stage or self.downsample_in_first_stage else 1

    def inputs(self, stage: int) -> int:
        """Input channels of a stage, counted from 0."""
        return self.hidden_sizes[stage - 1] if stage else self.embedding_size

    def grid(self, size: int | Tensor, index: int) -> int | Tensor:
        """Side of a feature map of images of a size; index 0 is the stem's map.

        Example:
            >>> ResNetSizes(3, 64, (256, 512, 1024, 2048), (3, 4, 6, 3)).grid(448, 4)
            14
        """
        halvings = 2 + sum(self.stride(stage) == 2 for stage in range(index))
        return -(-size // 2**halvings)


class ConvNorm(keras.layers.Layer):
    """A convolution without bias, padded by half its kernel, and a batch norm.

    Args:
        inputs: Channels of the input.
        channels: Channels of the output.
        kernel_size: Side of the kernel, odd.
        stride: Step of the kernel.
        activation: Name or function; None for no activation.
    """

    def __init__(
        self,
        inputs: int,
        channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        activation: str | Activation | None = "relu",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.inputs, self.channels = inputs, channels
        self.kernel_size, self.stride = kernel_size, stride
        self.activation = get_activation("linear" if activation is None else activation)
        self.convolution = keras.layers.Conv2D(
            channels,
            kernel_size,
            stride,
            use_bias=False,
            kernel_initializer=conv_initializer(),
            data_format="channels_last",
            name="convolution",
        )
        self.normalization = BatchNorm(name="normalization")

    def build(self, input_shape: Shape = None) -> None:
        self.convolution.build((None, None, None, self.inputs))
        self.normalization.build((None, None, None, self.channels))
        self.built = True

    def call(self, x: Tensor, residual: Tensor | None = None, training: bool = False) -> Tensor:
        """Apply convolution, norm and activation.

        Args:
            x: (B, height, width, C).
            residual: Added before the activation; of the output's shape.

        Returns:
            (B, height', width', channels).
        """
        if self.normalization.uses_batch(training):
            x = self.normalization(self._convolve(x, self.convolution.kernel), training=True)
        else:
            scale, shift = self.normalization.affine()
            kernel = ops.cast(self.convolution.kernel, "float32") * scale
            x = self._convolve(x, ops.cast(kernel, x.dtype))
            x = _add_bias(x, ops.cast(shift, x.dtype))
        return self.activation(x if residual is None else x + residual)

    def _convolve(self, x: Tensor, kernel: Tensor) -> Tensor:
        """Convolve; with a stride, "same" would pad one pixel less on the left."""
        side, stride, padding = self.kernel_size // 2, self.stride, "same"
        if stride > 1 and not side:
            # Pick the pixels first: TensorFlow's oneDNN kernel for the gradient of strided 1x1
            # kernels writes past its memory when another convolution runs beside it.
            x, stride = x[:, ::stride, ::stride], 1
        elif stride > 1:
            x = ops.pad(x, ((0, 0), (side, side), (side, side), (0, 0)))
            padding = "valid"
        return ops.conv(x, kernel, strides=stride, padding=padding, data_format="channels_last")


def _add_bias(x: Tensor, bias: Tensor) -> Tensor:
    """x + bias, in the form that TensorFlow fuses with the convolution before it."""
    tf = tensorflow()
    return x + bias if tf is None else tf.nn.bias_add(x, bias)


class Block(keras.layers.Layer):
    """A residual block: activation(convs(x) + shortcut(x)).

    Args:
        inputs: Channels of the input.
        channels: Channels of the output.
        stride: Step of one of the convolutions, and of the shortcut.
        sizes: Sizes and settings.
    """

    def __init__(
        self, inputs: int, channels: int, stride: int, sizes: ResNetSizes, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.shortcut = None
        if inputs != channels or stride != 1:
            self.shortcut = ConvNorm(inputs, channels, 1, stride, None, name="shortcut")
        last = sizes.activation  # after the sum, which the last convolution computes
        if sizes.layer_type == "basic":
            self.convs = [
                ConvNorm(inputs, channels, 3, stride),
                ConvNorm(channels, channels, 3, activation=last),
            ]
            return
        inner = channels // _REDUCTION
        first, second = (stride, 1) if sizes.downsample_in_bottleneck else (1, stride)
        self.convs = [
            ConvNorm(inputs, inner, 1, first),
            ConvNorm(inner, inner, 3, second),
            ConvNorm(inner, channels, 1, activation=last),
        ]

    def build(self, input_shape: Shape = None) -> None:
        for layer in [*self.convs, *([self.shortcut] if self.shortcut else [])]:
            layer.build()
        self.built = True

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Map (B, height, width, C) to (B, height / stride, width / stride, channels)."""
        residual = x if self.shortcut is None else self.shortcut(x, training=training)
        for conv in self.convs[:-1]:
            x = conv(x, training=training)
        return self.convs[-1](x, residual, training=training)


class Stage(keras.layers.Layer):
    """Blocks of one resolution; the first one strides.

    Args:
        index: Which stage, counted from 0.
        sizes: Sizes and settings.
    """

    def __init__(self, index: int, sizes: ResNetSizes, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        channels = sizes.hidden_sizes[index]
        self.blocks = [Block(sizes.inputs(index), channels, sizes.stride(index), sizes)]
        self.blocks += [Block(channels, channels, 1, sizes) for _ in range(sizes.depths[index] - 1)]

    def build(self, input_shape: Shape = None) -> None:
        for block in self.blocks:
            block.build()
        self.built = True

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Map (B, height, width, C) to (B, height / stride, width / stride, channels)."""
        for block in self.blocks:
            x = block(x, training=training)
        return x


class ResNet(keras.layers.Layer):
    """A ResNet that returns feature maps.

    Args:
        sizes: Sizes and settings.
        out_indices: Which maps, in ascending order: 0 for the stem's, then those of the stages.
            Later stages have weights but are not run.

    Source: the reference's ResNetBackbone.

    Example:
        >>> sizes = ResNetSizes(3, 8, (16, 32), (1, 1), layer_type="basic")
        >>> resnet = ResNet(sizes, out_indices=(2,))
        >>> resnet.build()
        >>> [tuple(m.shape) for m in resnet(np.zeros((1, 72, 40, 3), "float32"))]
        [(1, 9, 5, 32)]
    """

    def __init__(self, sizes: ResNetSizes, out_indices: tuple[int, ...], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sizes, self.out_indices = sizes, tuple(out_indices)
        self.stem = ConvNorm(
            sizes.num_channels, sizes.embedding_size, 7, 2, sizes.activation, name="stem"
        )
        self.stages = [Stage(i, sizes, name=f"stage{i + 1}") for i in range(len(sizes.depths))]

    def build(self, input_shape: Shape = None) -> None:
        for layer in (self.stem, *self.stages):
            layer.build()
        self.built = True

    def batch_norms(self) -> list[BatchNorm]:
        """List all batch norms."""
        blocks = [block for stage in self.stages for block in stage.blocks]
        convs = [conv for block in blocks for conv in (*block.convs, block.shortcut) if conv]
        return [conv.normalization for conv in (self.stem, *convs)]

    def call(self, images: Tensor, training: bool = False) -> list[Tensor]:
        """Compute the feature maps of a batch of images.

        Args:
            images: (B, height, width, C).

        Returns:
            A map (B, height', width', channels) for each of `out_indices`.
        """
        x = self.stem(images, training=training)
        # Padded with minus infinity, not 0: activations other than ReLU go below it.
        x = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=float("-inf"))
        x = ops.max_pool(x, 3, 2, padding="valid", data_format="channels_last")
        maps = [x]
        for stage in self.stages[: self.out_indices[-1]]:
            maps.append(stage(maps[-1], training=training))
        return [maps[index] for index in self.out_indices]
