"""Linear: a Dense layer whose bias and activation TensorFlow fuses into the matrix product."""

from __future__ import annotations

import math
from collections.abc import MutableMapping
from typing import Any

import keras
from keras import ops

from tfzoo.core.keras_compat import tensorflow
from tfzoo.core.types import Tensor
from tfzoo.layers.activations import Activation

__all__ = ["Linear", "affine", "chain", "leading_sizes"]

_ADAPTER = ("lora_kernel_a", "lora_kernel_b")


class Linear(keras.layers.Dense):
    """y = activation(x W + b) over the last axis, with weights as in `keras.layers.Dense`.

    On TensorFlow the product is two-dimensional, with `bias_add` and the activation right after it:
    its graph optimiser runs this form as one kernel (an MLP of ViT-B is 1.1 times as fast).
    Elsewhere it is `Dense` itself.

    Args:
        units: Width of the output.
        **kwargs: As in `keras.layers.Dense`.
    """

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if tensorflow() is None or len(inputs.shape) < 2:
            return super().call(inputs)
        bias = self.bias if self.use_bias else None
        return affine(inputs, self.kernel, bias, self.activation)

    # ---- adapters
    def merge_lora(self) -> None:
        """Add the adapter's product to the kernel, and remove the adapter.

        Raises:
            ValueError: No adapter to merge, or the kernel is quantized.
        """
        if not self.lora_enabled or self.quantization_mode:
            which = "a quantized kernel" if self.lora_enabled else "no adapter"
            raise ValueError(f"{self.path} has {which}: there is nothing to merge into it.")
        change = ops.matmul(self.lora_kernel_a, self.lora_kernel_b)
        change = change * (self.lora_alpha / self.lora_rank)
        self.lora_enabled = False  # from here on `kernel` is the variable itself
        merged = ops.cast(self.kernel.value, "float32") + change
        self.kernel.assign(ops.cast(merged, self.kernel.dtype))
        self.lora_rank = self.lora_alpha = None
        del self.lora_kernel_a, self.lora_kernel_b

    def save_own_variables(self, store: MutableMapping[str, Any]) -> None:
        """Write the weights to a Keras file, an adapter beside its kernel.

        `Dense` writes their sum, from which training cannot go on: reading it sets both matrices
        of the adapter to zero, so that neither has a gradient.
        """
        adapted, self.lora_enabled = self.lora_enabled, False
        try:
            super().save_own_variables(store)
        finally:
            self.lora_enabled = adapted
        for name in _ADAPTER if adapted else ():
            store[name] = getattr(self, name)

    def load_own_variables(self, store: MutableMapping[str, Any]) -> None:
        super().load_own_variables(store)
        for name in _ADAPTER if self.lora_enabled else ():
            getattr(self, name).assign(store[name])


def affine(
    x: Tensor, kernel: Tensor, bias: Tensor | None = None, activation: Activation | None = None
) -> Tensor:
    """Compute activation(x W + b) over the last axis, in the form that TensorFlow fuses.

    Args:
        x: (..., width).
        kernel: (width, units).
        bias: (units,).
        activation: Applied to the sum.

    Returns:
        (..., units).
    """
    tf = tensorflow()
    outputs = ops.matmul(ops.reshape(x, (-1, x.shape[-1])), kernel)
    if bias is not None:
        outputs = outputs + bias if tf is None else tf.nn.bias_add(outputs, bias)
    if activation is not None:
        outputs = activation(outputs)
    return ops.reshape(outputs, (*leading_sizes(x, -1), kernel.shape[-1]))


def leading_sizes(x: Tensor, count: int) -> tuple[int | Tensor, ...]:
    """The first sizes of a tensor, for `ops.reshape`.

    Args:
        x: The tensor.
        count: How many, as an index counts: -1 for all but the last.

    Returns:
        -1 for a size that a graph does not know, which spares the graph what would compute it;
        tensors where it does not know several.
    """
    sizes = tuple(x.shape[:count])
    if sizes.count(None) == 1 and 0 not in sizes:
        return tuple(-1 if size is None else size for size in sizes)
    return tuple(ops.shape(x)[:count])


def chain(x: Tensor, first: Linear, second: Linear) -> Tensor:
    """Compute second(first(x)), as one product where that is less work.

    x (W1 W2) instead of (x W1) W2: it pays where x has more rows than the layers are wide. The
    weights' product is computed in each call, so that it is never out of date.

    Args:
        x: (..., width).
        first: Has a bias and no activation.
        second: Has a bias and no activation.

    Returns:
        (..., units of `second`).
    """
    rows = None if None in x.shape[:-1] else math.prod(x.shape[:-1])
    quantized = first.quantization_mode or second.quantization_mode
    if rows is None or rows <= second.units or quantized:
        return second(first(x))
    kernel = ops.matmul(first.kernel, second.kernel)
    bias = ops.matmul(first.bias[None], second.kernel)[0] + second.bias
    return affine(x, kernel, bias)
