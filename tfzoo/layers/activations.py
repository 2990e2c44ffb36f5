"""Activation functions by the names that checkpoints use: the reference's table, and SELU."""

from __future__ import annotations

import math
from collections.abc import Callable

from keras import ops

from tfzoo.core.config import ConfigError
from tfzoo.core.types import Tensor

__all__ = ["ACTIVATIONS", "WITH_WEIGHTS", "Activation", "gelu", "get_activation", "quick_gelu"]


def gelu(x: Tensor) -> Tensor:
    """Exact GELU, x Phi(x), written with erf.

    Keras's own emits an operation that ONNX lacks. TensorFlow fuses this form with the matrix
    product before it.
    """
    return 0.5 * x * (1.0 + ops.erf(x * 0.7071067811865476))


def quick_gelu(x: Tensor) -> Tensor:
    """x sigmoid(1.702 x), the approximation of CLIP's original code."""
    return x * ops.sigmoid(1.702 * x)


def _gelu_tanh(x: Tensor) -> Tensor:
    """GELU with tanh for erf; the reference's names for it differ in rounding alone."""
    return ops.gelu(x, approximate=True)


def _laplace(x: Tensor) -> Tensor:
    """The normal distribution function that comes nearest to the square of a ReLU.

    Source: Ma et al. 2022, arXiv:2209.10655, "Laplace attention".
    """
    return 0.5 * (1.0 + ops.erf((x - 0.707107) / (0.282095 * math.sqrt(2.0))))


Activation = Callable[[Tensor], Tensor]

ACTIVATIONS: dict[str, Activation] = {
    "gelu": gelu,
    "gelu_new": _gelu_tanh,
    "gelu_pytorch_tanh": _gelu_tanh,
    "gelu_python": gelu,
    "gelu_python_tanh": _gelu_tanh,
    "gelu_fast": _gelu_tanh,
    "gelu_accurate": _gelu_tanh,
    "gelu_10": lambda x: ops.clip(gelu(x), -10.0, 10.0),
    "quick_gelu": quick_gelu,
    "relu": ops.relu,
    "relu2": lambda x: ops.square(ops.relu(x)),
    "relu6": ops.relu6,
    "leaky_relu": lambda x: ops.leaky_relu(x, 0.01),  # PyTorch's slope; Keras's is 0.2
    "selu": ops.selu,
    "silu": ops.silu,
    "swish": ops.silu,
    "mish": lambda x: x * ops.tanh(ops.softplus(x)),
    "laplace": _laplace,
    "sigmoid": ops.sigmoid,
    "tanh": ops.tanh,
    "linear": lambda x: x,
}

#: Names of the reference's table whose functions are trained.
WITH_WEIGHTS = ("prelu", "xielu")


def get_activation(name: str | Activation) -> Activation:
    """Find the activation called `name`; a function is returned as it is.

    Raises:
        ConfigError: An unknown name, or an activation that has weights of its own; the message
            lists the known ones.

    Example:
        >>> float(get_activation("relu")(-1.0))
        0.0
    """
    if callable(name):
        return name
    if name not in ACTIVATIONS:
        what = f"Unknown activation {name!r}"
        if name in WITH_WEIGHTS:
            what = f"The activation {name!r} is not supported, since it has weights of its own"
        raise ConfigError(f"{what}; known are {', '.join(ACTIVATIONS)}.")
    return ACTIVATIONS[name]
