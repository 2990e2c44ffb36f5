"""`fit`, `evaluate` and `predict` on what people have: a processor's result, unequal rows.

Keras divides inputs by the rows of their first axis, of which all need the same number. Models that
compare texts with images or videos take any number of either: they say by four hooks what becomes
of inputs and outputs before Keras divides or joins them, and afterwards.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import keras

from tfzoo.core.inputs import InputTable
from tfzoo.core.keras_compat import register_pytree
from tfzoo.core.types import ModelMixin
from tfzoo.preprocessing.processor import BatchFeature
from tfzoo.text.batch_encoding import BatchEncoding

__all__ = ["BatchingMixin"]


def _register(cls: type[BatchFeature]) -> None:
    """Let Keras see into processors' results that a data set or a generator yields."""

    def flatten(batch: BatchFeature) -> tuple[list[Any], tuple[str, ...]]:
        return list(batch.values()), tuple(batch)

    def unflatten(names: Iterable[str], values: Iterable[Any]) -> BatchFeature:
        return cls(dict(zip(names, values, strict=True)))

    register_pytree(cls, flatten, unflatten)


for _result in (BatchFeature, BatchEncoding):
    _register(_result)


class BatchingMixin(ModelMixin):
    """Keras's methods, with inputs in every form that a call of the model takes."""

    _table: InputTable

    # ---- what families may override
    def divided_inputs(
        self, inputs: dict[str, Any], labels: Any, *, paired: bool
    ) -> tuple[dict[str, Any], Any]:
        """Bring inputs into a form that Keras can divide: equal numbers of rows.

        Args:
            inputs: Arrays by name, as a call takes them.
            labels: `y`, or None.
            paired: Whether the rows of all inputs belong together: in `fit` and `evaluate`
                without `y`.

        Returns:
            Inputs and labels.

        Raises:
            ValueError: Numbers of rows that do not fit.
        """
        return inputs, labels

    def whole_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Turn a batch of what `divided_inputs` gave into inputs of a call."""
        return inputs

    def divided_outputs(self, outputs: Any, inputs: Mapping[str, Any]) -> Any:
        """Bring the outputs for a batch into a form that Keras can join: a row for each input's."""
        return outputs

    def whole_outputs(self, outputs: Any, inputs: Mapping[str, Any]) -> Any:
        """Turn joined outputs into those of one call."""
        return outputs

    # ---- Keras's methods
    def fit(
        self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any
    ) -> keras.callbacks.History:
        """Train, see `keras.Model.fit`.

        Args:
            x: Inputs in every form that a call takes, a processor's result for one; or a data
                set, generator or `PyDataset` of batches.
            y: Labels, where they are not among the inputs.
            *args: Further arguments of `keras.Model.fit`.
            **kwargs: The same by name.

        Raises:
            ValueError: Unknown inputs, or numbers of rows that do not fit.
        """
        given = inspect.signature(super().fit).bind(x, y, *args, **kwargs).arguments
        given["x"], given["y"] = self._divided(x, y, paired=y is None)
        if given.get("validation_data") is not None:
            x, y, weight = keras.utils.unpack_x_y_sample_weight(given["validation_data"])
            given["validation_data"] = (*self._divided(x, y, paired=y is None), weight)
        return super().fit(**given)

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Loss and metrics, see `keras.Model.evaluate`; `x` and `y` as in `fit`.

        Raises:
            ValueError: Unknown inputs, or numbers of rows that do not fit.
        """
        x, y = self._divided(x, y, paired=y is None)
        return super().evaluate(x, y, *args, **kwargs)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """The outputs of a call, as arrays, computed by batches; see `keras.Model.predict`.

        Args:
            x: Inputs as in `fit`. `batch_size` counts images or videos; all the texts that a call
                would compare them with go along.
            *args: Further arguments of `keras.Model.predict`.
            **kwargs: The same by name.

        Raises:
            ValueError: Unknown inputs, or numbers of rows that do not fit.
        """
        x, _ = self._divided(x, None, paired=False)
        outputs = super().predict(x, *args, **kwargs)
        return self.whole_outputs(outputs, x) if isinstance(x, dict) else outputs

    def train_on_batch(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        return super().train_on_batch(self._by_name(x), *args, **kwargs)

    def test_on_batch(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        return super().test_on_batch(self._by_name(x), *args, **kwargs)

    def predict_on_batch(self, x: Any) -> Any:
        return super().predict_on_batch(self._by_name(x))

    # ---- helpers
    def _by_name(self, x: Any) -> Any:
        """Inputs as a dict of arrays; one array, and what yields batches, as it is."""
        if not hasattr(x, "keys") and not isinstance(x, (list, tuple)):
            return x
        if isinstance(x, dict):  # `fit` hands `evaluate` what it has divided
            x = self.whole_inputs(x)
        return {k: v for k, v in self._table.bind((x,), {}).items() if v is not None}

    def _divided(self, x: Any, y: Any, *, paired: bool) -> tuple[Any, Any]:
        x = self._by_name(x)
        if not isinstance(x, dict):
            return x, y
        x, y = self.divided_inputs(x, y, paired=paired)
        rows = {name: value.shape[0] for name, value in x.items() if getattr(value, "shape", ())}
        if len(set(rows.values())) > 1:
            raise ValueError(
                f"{type(self).__name__}: expected inputs of equally many rows, which Keras can "
                f"divide into batches, got {', '.join(f'{v} of {k}' for k, v in rows.items())}."
            )
        return x, y
