"""Batch norm with PyTorch's rules (Ioffe and Szegedy 2015, arXiv:1502.03167)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfzoo.core.keras_compat import replicas, summed
from tfzoo.core.types import Shape, Tensor

__all__ = ["BatchNorm"]


class BatchNorm(keras.layers.BatchNormalization):
    """Batch norm of channels-last images as PyTorch computes it.

    Epsilon is 1e-5, and a training step moves the statistics by a tenth. The moving variance takes
    the batch's variance with the divisor n - 1, the normalisation with n; Keras takes n in both.

    Training uses the statistics of the batch and updates the moving ones, unless the layer is
    frozen (`trainable = False`) or its statistics are (`live = False`). Under `tf.distribute` they
    are those of the whole batch, over all replicas.

    Args:
        live: Whether training uses the batch's statistics and updates the moving ones. It may be
            set later, and holds for functions that are traced after that.
        **kwargs: As in `keras.layers.BatchNormalization`.

    Attributes:
        live: See above.
        num_batches_tracked: Number of updates of the statistics; checkpoints hold it.

    Source: Ioffe and Szegedy 2015, arXiv:1502.03167.

    Example:
        >>> norm = BatchNorm()
        >>> images = np.array([0.0, 4.0], "float32").reshape(2, 1, 1, 1)
        >>> np.asarray(norm(images, training=True)).round(3).ravel().tolist()
        [-1.0, 1.0]
        >>> float(norm.moving_variance[0])  # 0.9 * 1 + 0.1 * 8
        1.7000000476837158
    """

    def __init__(self, *, live: bool = True, **kwargs: Any) -> None:
        super().__init__(**{"momentum": 0.9, "epsilon": 1e-5, **kwargs})
        self.live = live

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "live": self.live}

    def build(self, input_shape: Shape) -> None:
        shape, own = (input_shape[-1],), {"autocast": False}
        self.gamma = self.add_weight(shape=shape, initializer="ones", name="gamma", **own)
        self.beta = self.add_weight(shape=shape, initializer="zeros", name="beta", **own)
        own |= {"trainable": False, "aggregation": "mean"}  # the same on all devices
        self.moving_mean = self.add_weight(
            shape=shape, initializer="zeros", name="moving_mean", **own
        )
        self.moving_variance = self.add_weight(
            shape=shape, initializer="ones", name="moving_variance", **own
        )
        own |= {"dtype": "int64", "aggregation": "only_first_replica"}
        self.num_batches_tracked = self.add_weight(
            shape=(), initializer="zeros", name="num_batches_tracked", **own
        )
        self.built = True

    def uses_batch(self, training: bool | None) -> bool:
        """Whether the batch's statistics are used rather than the moving ones."""
        return bool(training and self.live and self.trainable)

    def affine(self) -> tuple[Tensor, Tensor]:
        """Scale and shift (C,), float32, of the norm with its moving statistics."""
        gamma, beta, mean, variance = (
            ops.cast(v, "float32")
            for v in (self.gamma, self.beta, self.moving_mean, self.moving_variance)
        )
        scale = gamma * ops.rsqrt(variance + self.epsilon)
        return scale, beta - mean * scale

    def call(
        self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None
    ) -> Tensor:
        pixels = ops.cast(inputs, "float32")
        if not self.uses_batch(training):
            scale, shift = self.affine()
            return ops.cast(pixels * scale + shift, self.compute_dtype)
        mean, variance, count = _statistics(pixels)
        self._move(mean, variance, count)
        gamma, beta = (ops.cast(v, "float32") for v in (self.gamma, self.beta))
        pixels = ops.batch_normalization(pixels, mean, variance, -1, beta, gamma, self.epsilon)
        return ops.cast(pixels, self.compute_dtype)

    def _move(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        unbiased = variance * (count / ops.maximum(count - 1.0, 1.0))
        for moving, new in ((self.moving_mean, mean), (self.moving_variance, unbiased)):
            old = ops.cast(moving, "float32")
            step = (ops.stop_gradient(new) - old) * (1.0 - self.momentum)
            moving.assign(ops.cast(old + step, moving.dtype))
        self.num_batches_tracked.assign(self.num_batches_tracked + 1)


def _statistics(pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (C,) and variance (C,) of a batch over all replicas, and the number of its values."""
    count = 1.0
    for size in ops.shape(pixels)[:3]:  # floats: the product may pass the largest int32
        count = count * ops.cast(size, "float32")
    mean, variance = ops.moments(pixels, axes=(0, 1, 2))
    if replicas() == 1:
        return mean, variance, count
    total = summed(count)
    common = summed(mean * count) / total
    return common, summed((variance + ops.square(mean - common)) * count) / total, total
