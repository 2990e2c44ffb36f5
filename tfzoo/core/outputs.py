"""What models return: ordered mappings that read by attribute, key, index and slice.

Fields are annotated, never given class-level defaults: a default would hide the value behind it.
Not dataclasses: TensorFlow rebuilds an output from pairs, which a dataclass would take as its
first field.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from tfzoo.core.keras_compat import register_pytree
from tfzoo.core.types import Tensor

__all__ = [
    "ModelOutput",
    "TFBaseModelOutput",
    "TFBaseModelOutputWithPooling",
    "TFImageClassifierOutput",
    "flattened",
]


class ModelOutput(OrderedDict):
    """Base class of all outputs. Fields that are None are absent from iteration and indices.

    Args:
        *args: A mapping or an iterable of (field, value) pairs.
        **kwargs: Fields by name.

    Raises:
        AttributeError: The output has no such field.

    Example:
        >>> from tfzoo.core.outputs import TFBaseModelOutput
        >>> out = TFBaseModelOutput(last_hidden_state=1.0, attentions=(2.0,))
        >>> out.last_hidden_state, out["attentions"], out[0], out[-1:], out.hidden_states
        (1.0, (2.0,), 1.0, ((2.0,),), None)
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        for name, value in OrderedDict(*args, **kwargs).items():
            if value is not None:
                super().__setitem__(name, value)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _register(cls)  # trees are matched by exact type, so every subclass has to register

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in self:
            return self[name]
        if name in self.field_names():
            return None
        raise AttributeError(
            f"{type(self).__name__} has no field {name!r}; it has {', '.join(self.field_names())}."
        )

    def __getitem__(self, key: str | int | slice) -> Any:
        if isinstance(key, (int, slice)):
            return tuple(self.values())[key]
        return super().__getitem__(key)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (list(self.items()),)

    @classmethod
    def field_names(cls) -> tuple[str, ...]:
        """The documented fields, in order."""
        classes = (c for c in reversed(cls.__mro__) if issubclass(c, ModelOutput))
        return tuple(name for c in classes for name in inspect.get_annotations(c))

    def to_tuple(self) -> tuple[Any, ...]:
        """The fields that are there, as a tuple; nested outputs become tuples as well."""
        return tuple(v.to_tuple() if isinstance(v, ModelOutput) else v for v in self.values())

    def plain_tuple(self) -> tuple[Any, ...]:
        """What `return_dict=False` gives: `to_tuple`, unless the reference's tuple differs."""
        return self.to_tuple()


def _register(cls: type[ModelOutput]) -> None:
    def flatten(output: ModelOutput) -> tuple[list[Any], tuple[str, ...]]:
        return list(output.values()), tuple(output)

    def unflatten(names: Iterable[str], values: Iterable[Any]) -> ModelOutput:
        return cls(zip(names, values, strict=True))

    register_pytree(cls, flatten, unflatten)


_register(ModelOutput)


class TFBaseModelOutput(ModelOutput):
    """Output of an encoder.

    Attributes:
        last_hidden_state: (B, N, D), output of the last layer after the final norm, if any.
        hidden_states: L + 1 tensors (B, N, D), the embeddings and each layer's output.
        attentions: L tensors (B, H, N, N), attention weights after the softmax.
    """

    last_hidden_state: Tensor
    hidden_states: tuple[Tensor, ...] | None
    attentions: tuple[Tensor, ...] | None


class TFBaseModelOutputWithPooling(ModelOutput):
    """Output of an encoder that also gives one vector for each sample.

    Attributes:
        last_hidden_state: (B, N, D), output of the last layer.
        pooler_output: (B, D), the vector that stands for the whole; each model says how.
        hidden_states: L + 1 tensors (B, N, D), the embeddings and each layer's output.
        attentions: L tensors (B, H, N, N), attention weights after the softmax.
    """

    last_hidden_state: Tensor
    pooler_output: Tensor
    hidden_states: tuple[Tensor, ...] | None
    attentions: tuple[Tensor, ...] | None


class TFImageClassifierOutput(ModelOutput):
    """Output of an image or video classifier.

    Attributes:
        loss: Scalar, present when labels were given.
        logits: (B, labels), scores before the softmax.
        hidden_states: L + 1 tensors (B, N, D), the embeddings and each layer's output.
        attentions: L tensors (B, H, N, N), attention weights after the softmax.
    """

    loss: Tensor | None
    logits: Tensor
    hidden_states: tuple[Tensor, ...] | None
    attentions: tuple[Tensor, ...] | None


def flattened(outputs: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The tensors of an output by one name each, such as `hidden_states_0`."""
    flat: dict[str, Any] = {}
    for name, value in outputs.items():
        if isinstance(value, (list, tuple)):
            value = {str(i): item for i, item in enumerate(value)}
        is_nested = isinstance(value, Mapping)
        flat.update(flattened(value, f"{prefix}{name}_") if is_nested else {prefix + name: value})
    return flat
