"""Types that all models, layers and losses share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

__all__ = ["ModelMixin", "Shape", "Tensor"]

# A tensor of Keras's backend, a `keras.KerasTensor`, or an array that Keras takes for one. The
# backends share no base class, and Keras has no type hints, so type checkers can tell no more.
Tensor: TypeAlias = Any

# The shape of a layer's input, None for an axis of unknown size; None where the layer needs none.
Shape: TypeAlias = tuple[int | None, ...] | None

# The base of classes that are mixed into `keras.Model`: type checkers then know what they inherit.
if TYPE_CHECKING:
    from keras import Model as ModelMixin
else:
    ModelMixin = object
