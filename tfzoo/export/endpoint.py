"""What a family serves: named signatures in the user's terms, with the preprocessing inside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

__all__ = ["Endpoint", "ServingError"]


class ServingError(ValueError):
    """A model, processor or option that cannot be exported together; nothing was written."""


@dataclass(frozen=True)
class Endpoint:
    """One signature of a SavedModel.

    Args:
        name: Name of the signature, e.g. `"classify_frames"`.
        function: Takes the inputs as keywords, returns a flat dict of named tensors. It is traced
            into the graph: only core TensorFlow operations.
        inputs: Name -> spec of each input; the first axis is the batch, of any size.
        example: Name -> a small valid request (batch of one). It is run before the model is
            published, and becomes the warm-up request and the client example of the documents.

    Example:
        >>> import numpy as np, tensorflow as tf
        >>> twice = Endpoint(
        ...     "twice",
        ...     lambda x: {"y": 2.0 * x},
        ...     {"x": tf.TensorSpec([None], "float32", "x")},
        ...     {"x": np.ones(1, "float32")},
        ... )
        >>> float(twice.function(**twice.example)["y"][0])
        2.0
    """

    name: str
    function: Callable[..., dict[str, tf.Tensor]]
    inputs: Mapping[str, tf.TensorSpec]
    example: Mapping[str, np.ndarray]
