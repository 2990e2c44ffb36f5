"""The tiny head that a family's features are tested on: `FEATURES` in its `cases.py`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tests.support.cases import Case

__all__ = ["RATE", "Tiny", "main_shape"]

RATE = 0.01


@dataclass(frozen=True, eq=False)  # so that results can be cached by it
class Tiny:
    """A tiny model of a family.

    Attributes:
        case: The model and its inputs, with labels where its own loss needs some.
        tells_classes: Whether the main output's last axis holds a score of each class.
    """

    case: Case
    tells_classes: bool = True

    @property
    def name(self) -> str:
        """Of the family."""
        return self.case.name.split("/")[0]

    def load(self, **kwargs: Any) -> Any:
        """A model with the recorded weights."""
        return self.case.load(**kwargs)

    def compiled(self, optimizer: Any = None, *, eager: bool = True, **how: Any) -> Any:
        """A model that trains on its own loss; step by step, which spares the tracing."""
        model = self.load()
        self.compile(model, optimizer, eager=eager, **how)
        return model

    def compile(self, model: Any, optimizer: Any = None, *, eager: bool = True, **how: Any) -> None:
        """Compile a model as `compiled` does."""
        how = {"run_eagerly": True, **how} if eager else {"jit_compile": False, **how}
        model.compile(keras.optimizers.SGD(RATE) if optimizer is None else optimizer, **how)

    def inputs(self) -> dict[str, Any]:
        """Inputs of a call without a loss."""
        return self.case.make_inputs(with_labels=False)

    def batches(self, count: int = 1) -> tf.data.Dataset:
        """The same batch some times; the labels are in the inputs."""
        return tf.data.Dataset.from_tensors(self.case.make_inputs()).repeat(count)

    def labels(self) -> Any:
        """The labels as `y`; None for a head that needs none."""
        return self.case.make_inputs().get("labels")

    def zeros(self) -> tf.data.Dataset:
        """A batch whose targets are zeros of the main output's shape."""
        batch = (self.inputs(), np.zeros(main_shape(self), "float32"))
        return tf.data.Dataset.from_tensors(batch)

    def output(self, model: Any) -> np.ndarray:
        """The main output."""
        found = model(self.inputs(), training=False)[model.main_output]
        return keras.ops.convert_to_numpy(keras.ops.cast(found, "float32"))


@cache
def main_shape(tiny: Tiny) -> tuple[int, ...]:
    """Shape of the main output."""
    return tiny.output(tiny.load()).shape
