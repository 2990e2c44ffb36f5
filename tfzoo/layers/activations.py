"""Activation functions by the names that checkpoints use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

__all__ = ["ACTIVATIONS", "gelu", "get_activation", "quick_gelu"]


def gelu(x: Any) -> Any:
    """Exact GELU, x Phi(x), written with erf.

    Keras's own emits an operation that ONNX lacks; this form is also the one that TensorFlow
    fuses with the matrix product before it.
    """
    return 0.5 * x * (1.0 + ops.erf(x * 0.7071067811865476))


def quick_gelu(x: Any) -> Any:
    """x sigmoid(1.702 x), the approximation of CLIP's original code."""
    return x * ops.sigmoid(1.702 * x)


ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
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


def get_activation(name: str | Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The activation called `name`; a function is returned as it is.

    Raises:
        ValueError: There is none of that name; lists those that there are.

    Example:
        >>> float(get_activation("relu")(-1.0))
        0.0
    """
    if callable(name):
        return name
    if name not in ACTIVATIONS:
        raise ValueError(f"Unknown activation {name!r}; known are {', '.join(ACTIVATIONS)}.")
    return ACTIVATIONS[name]
