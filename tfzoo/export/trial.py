"""Every signature is run on its example before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfzoo.export.endpoint import Endpoint, ServingError

__all__ = ["try_out"]


def try_out(endpoint: Endpoint, function: Callable[[Mapping[str, Any]], Any]) -> bool:
    """Run a signature on its example, and on the example twice in one batch.

    Args:
        endpoint: The signature.
        function: The traced function, which takes the inputs as a dict.

    Returns:
        Whether each output has a row for each row of the inputs, of a shape that does not depend on
        how many there are: only then may a server put requests together.

    Raises:
        ServingError: The example does not run, or an answer is not finite.
    """
    double = {name: np.concatenate([value] * 2) for name, value in endpoint.example.items()}
    once, twice = (_run(endpoint, function, inputs) for inputs in (endpoint.example, double))
    rows = {len(value) for value in endpoint.example.values()}
    return len(rows) == 1 and all(
        value.shape[:1] == list(rows) and twice[name].shape == [2 * len(value), *value.shape[1:]]
        for name, value in once.items()
    )


def _run(endpoint: Endpoint, function: Any, inputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
    tensors = {
        name: tf.constant(value, endpoint.inputs[name].dtype) for name, value in inputs.items()
    }
    try:
        outputs = function(tensors)
    except tf.errors.OpError as error:
        raise ServingError(f"{endpoint.name} does not run: {error.message}") from error
    for name, value in outputs.items():
        if value.dtype.is_floating and not np.isfinite(tf.cast(value, "float32")).all():
            raise ServingError(
                f"{endpoint.name}: {name} is not finite for a sound request: the model's weights "
                "are damaged or overflow."
            )
    return outputs
