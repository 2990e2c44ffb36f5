"""A family's signature as a function of arrays, traced as it is for a SavedModel."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfzoo.export import ServingOptions
from tfzoo.registry import family_of

__all__ = ["as_bytes", "read", "traced"]


def traced(
    model: Any, processor: Any, signature: str, **options: Any
) -> Callable[..., dict[str, np.ndarray]]:
    """A signature of a model: arrays by name -> arrays by name.

    Args:
        model: Any that its family serves.
        processor: Its processor.
        signature: Name of the signature.
        **options: Fields of `ServingOptions`.
    """
    family = importlib.import_module(f"{family_of(model.base_model_type).package}.serving")
    endpoints = family.endpoints(model, processor, ServingOptions(**options))
    endpoint = next(e for e in endpoints if e.name == signature)
    specs = {n: tf.TensorSpec(s.shape, s.dtype, n) for n, s in endpoint.inputs.items()}
    assert set(endpoint.example) == set(specs)
    function = tf.function(
        lambda inputs: endpoint.function(**inputs), input_signature=[specs], autograph=False
    ).get_concrete_function()

    def run(**inputs: Any) -> dict[str, np.ndarray]:
        tensors = {name: tf.constant(value, specs[name].dtype) for name, value in inputs.items()}
        return {name: value.numpy() for name, value in function(**tensors).items()}

    run(**endpoint.example)
    return run


def as_bytes(*texts: str | bytes) -> np.ndarray:
    """Texts as a request holds them; trailing zeros stay."""
    return np.array([t.encode() if isinstance(t, str) else t for t in texts], object)


def read(*paths: Path) -> np.ndarray:
    """The bytes of files as a request holds them."""
    return np.array([path.read_bytes() for path in paths], object)
