"""A family's signatures, traced as they are for a SavedModel: as functions, and by their names."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfzoo.export import Endpoint, ServingOptions
from tfzoo.export.graph.answers import answered
from tfzoo.registry import family_of

__all__ = ["as_bytes", "names_of_signatures", "read", "traced"]


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
    endpoint = next(e for e in _endpoints(model, processor, options) if e.name == signature)
    assert set(endpoint.example) == set(endpoint.inputs)
    function = _traced(endpoint)

    def run(**inputs: Any) -> dict[str, np.ndarray]:
        dtypes = {name: spec.dtype for name, spec in endpoint.inputs.items()}
        tensors = {name: tf.constant(value, dtypes[name]) for name, value in inputs.items()}
        return {name: value.numpy() for name, value in function(**tensors).items()}

    run(**endpoint.example)
    return run


def names_of_signatures(
    model: Any, processor: Any, **options: Any
) -> dict[str, tuple[set[str], set[str]]]:
    """Signature -> names of its inputs and of its outputs.

    Args:
        model: Any that its family serves.
        processor: Its processor.
        **options: Fields of `ServingOptions`.
    """
    return {
        endpoint.name: (set(endpoint.inputs), set(_traced(endpoint).structured_outputs))
        for endpoint in _endpoints(model, processor, options)
    }


def _endpoints(model: Any, processor: Any, options: Mapping[str, Any]) -> list[Endpoint]:
    family = importlib.import_module(f"{family_of(model.base_model_type).package}.serving")
    return family.endpoints(model, processor, ServingOptions(**options))


def _traced(endpoint: Endpoint) -> Any:
    """An endpoint as one graph."""
    specs = {n: tf.TensorSpec(s.shape, s.dtype, n) for n, s in endpoint.inputs.items()}
    return tf.function(
        lambda inputs: answered(endpoint, inputs), input_signature=[specs], autograph=False
    ).get_concrete_function()


def as_bytes(*texts: str | bytes) -> np.ndarray:
    """Texts as a request holds them; trailing zeros stay."""
    return np.array([t.encode() if isinstance(t, str) else t for t in texts], object)


def read(*paths: Path) -> np.ndarray:
    """The bytes of files as a request holds them."""
    return np.array([path.read_bytes() for path in paths], object)
