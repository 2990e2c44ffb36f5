"""Names for a model's variables: the paths of attributes that lead to them.

`slots(model)["encoder.layer.0.attention.qkv.kernel"]` is the variable that Python reaches as
`model.encoder.layer[0].attention.qkv.kernel`. These names are stable, unlike Keras's automatic
layer names, and near enough to PyTorch's that a few rows per family bridge the difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from tfzoo.core.keras_compat import attributes, own_variables

__all__ = ["Slot", "named_layers", "slots"]

# The kind of a layer decides how its arrays are laid out in a checkpoint, see weights_convert.
_KINDS: tuple[tuple[type, str], ...] = (
    (keras.layers.Dense, "dense"),
    (keras.layers.Conv1D, "conv1d"),
    (keras.layers.Conv2D, "conv2d"),
    (keras.layers.Conv3D, "conv3d"),
    (keras.layers.LayerNormalization, "norm"),
    (keras.layers.BatchNormalization, "norm"),
    (keras.layers.Embedding, "embedding"),
)


@dataclass(frozen=True)
class Slot:
    """A variable that one tensor of a checkpoint fills.

    Attributes:
        kind: `dense`, `conv1d`, `conv2d`, `conv3d`, `norm`, `embedding` or `raw`.
        variable: The Keras variable.
    """

    kind: str
    variable: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape in Keras's layout."""
        return tuple(self.variable.shape)


def slots(model: keras.layers.Layer) -> dict[str, Slot]:
    """Every weight of `model` by its path of attributes, each variable once.

    Args:
        model: A built model or layer.

    Raises:
        RuntimeError: No attribute leads to a weight, so that it would be lost on saving.

    Example:
        >>> from tfzoo import TFTimesformerModel, TimesformerConfig
        >>> model = TFTimesformerModel(TimesformerConfig(num_hidden_layers=1))
        >>> slots(model)["encoder.layer.0.attention.qkv.kernel"].shape
        (768, 2304)
    """
    found: dict[str, Slot] = {}
    seen: set[int] = set()
    for path, layer in {"": model, **named_layers(model)}.items():
        kind = next((kind for cls, kind in _KINDS if isinstance(layer, cls)), "raw")
        for variable in own_variables(layer):
            if id(variable) not in seen:  # a shared variable counts once, under its first name
                seen.add(id(variable))
                found[f"{path}.{variable.name}" if path else variable.name] = Slot(kind, variable)
    if lost := [v.path for v in model.weights if id(v) not in seen]:
        raise RuntimeError(f"{type(model).__name__}: no attribute leads to {', '.join(lost)}.")
    return found


def named_layers(model: keras.layers.Layer) -> dict[str, keras.layers.Layer]:
    """Every layer inside `model` by its path of attributes, each layer once.

    Args:
        model: A model or layer.

    Returns:
        Path -> layer, containers before what they hold; a shared layer has its first name.

    Example:
        >>> from tfzoo import TFTimesformerModel, TimesformerConfig
        >>> model = TFTimesformerModel(TimesformerConfig(num_hidden_layers=1))
        >>> list(named_layers(model))[:2]
        ['embeddings', 'embeddings.patch_embeddings']
    """
    found: dict[str, keras.layers.Layer] = {}
    seen = {id(model)}

    def visit(value: Any, path: str) -> None:
        if isinstance(value, keras.layers.Layer):
            if id(value) not in seen:
                seen.add(id(value))
                found[path] = value
                enter(value, f"{path}.")
        elif isinstance(value, (list, tuple, dict)):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for key, item in items:
                visit(item, f"{path}.{key}")

    def enter(layer: keras.layers.Layer, prefix: str) -> None:
        for name, value in attributes(layer).items():
            visit(value, prefix + name)

    enter(model, "")
    return found
