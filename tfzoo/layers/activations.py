"""Activation functions by the names that checkpoints use."""

from __future__ import annotations

from collections.abc import Callable

from keras import ops

from tfzoo.core.types import Tensor

__all__ = ["ACTIVATIONS", "Activation", "gelu", "get_activation", "quick_gelu"]


def gelu(x: Tensor) -> Tensor:
    """Exact GELU, x Phi(x), written with erf.

    Keras's own emits an operation that ONNX lacks. TensorFlow fuses this form with the matrix
    product before it.
    """
    return 0.5 * x * (1.0 + ops.erf(x * 0.7071067811865476))


def quick_gelu(x: Tensor) -> Tensor:
    """x sigmoid(1.702 x), the approximation of CLIP's original code."""
    return x * ops.sigmoid(1.702 * x)


Activation = Callable[[Tensor], Tensor]

ACTIVATIONS: dict[str, Activation] = {
    "gelu": gelu,
    "gelu_new": lambda x: ops.gelu(x, approximate=True),
    "gelu_pytorch_tanh": lambda x: ops.gelu(x, approximate=True),
    "quick_gelu": quick_gelu,
    "relu": ops.relu,
    "selu": ops.selu,
    "silu": ops.silu,
    "swish": ops.silu,
    "sigmoid": ops.sigmoid,
    "tanh": ops.tanh,
    "linear": lambda x: x,
}


def get_activation(name: str | Activation) -> Activation:
    """Find the activation called `name`; a function is returned as it is.

    Raises:
        ValueError: An unknown name; the message lists the known ones.

    Example:
        >>> float(get_activation("relu")(-1.0))
        0.0
    """
    if callable(name):
        return name
    if name not in ACTIVATIONS:
        raise ValueError(f"Unknown activation {name!r}; known are {', '.join(ACTIVATIONS)}.")
    return ACTIVATIONS[name]
