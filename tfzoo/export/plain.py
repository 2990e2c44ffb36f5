"""`serving_default`: the model itself, with the inputs and outputs of its documented call."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfzoo.core.inputs import Input, InputTable
from tfzoo.export.endpoint import Endpoint

__all__ = ["DEFAULT", "default_endpoint"]

DEFAULT = "serving_default"
_TOKENS = 8  # of a text where the length is free; shorter where the model takes no more
_SIDES = {"height", "width"}


def default_endpoint(model: Any, tokens: int | None = _TOKENS) -> Endpoint:
    """The signature that `model.export` writes, as an endpoint with an example.

    Args:
        model: Any model of tfzoo.
        tokens: Length of the example's texts; where None, as long as the model takes them.

    Example:
        >>> import tfzoo
        >>> model = tfzoo.TFTimesformerForVideoClassification.from_pretrained("checkpoint")
        >>> endpoint = default_endpoint(model)
        >>> endpoint.name, endpoint.example["pixel_values"].shape
        ('serving_default', (1, 8, 3, 48, 48))
    """
    table = InputTable(model.inputs_table, (), type(model).__name__)
    rows = {row.name: row for row in table.rows}
    specs = {
        name: tf.TensorSpec(spec.shape, spec.dtype, name)
        for name, spec in table.specs(model.config).items()
    }
    example = {
        name: _values(rows[name], _shape(rows[name], spec, model.config, tokens), spec)
        for name, spec in specs.items()
    }
    return Endpoint(DEFAULT, model.serving_outputs, specs, example)


def _shape(row: Input, spec: tf.TensorSpec, config: Any, tokens: int | None) -> list[int]:
    """The spec's shape with a size for each free axis."""
    axes = row.exported or row.shape
    free = [size is None for size in spec.shape]
    return [
        _size(axis.rpartition(".")[2], place, config, tokens) if is_free else spec.shape[place]
        for place, (axis, is_free) in enumerate(zip(axes, free, strict=True))
    ]


def _size(axis: str, place: int, config: Any, tokens: int | None) -> int:
    """A size for a free axis that the model takes."""
    if axis in ("frames", "fixed_frames"):  # also where clips are given frame after frame
        return config.num_frames
    if place == 0:
        return 1
    if axis in _SIDES:
        return config.image_size
    if axis == "sequence":
        longest = getattr(config, "text_config", config).max_position_embeddings
        return longest if tokens is None else min(tokens, longest)
    return 1


def _values(row: Input, shape: list[int], spec: tf.TensorSpec) -> np.ndarray:
    """Ones for ids and masks (an id of 0 may be padding), zeros for all others."""
    is_filled = row.dtype == "mask" or row.name == "input_ids"
    return np.full(shape, int(is_filled), spec.dtype.as_numpy_dtype)
