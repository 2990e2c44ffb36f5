"""The input table: what a head takes, in one place.

From a head's table follow the accepted forms of its inputs (keywords, or one tensor, list, tuple
or dict), the errors for wrong ones and the signature it exports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tfzoo.core.keras_compat import concrete
from tfzoo.core.types import Tensor

__all__ = ["Input", "InputTable", "check_ids"]


@dataclass(frozen=True)
class Input:
    """One row of an input table.

    Attributes:
        name: The argument's documented name.
        dtype: `float32` (any float is taken), `int64` (any integer is taken), `mask` (any number
            or boolean is taken), `any`, or `structure` (not one array; the head checks it).
        shape: A symbol per axis; one that names a config field, with dots for one inside another
            config, is fixed to its value. None where the shape depends on the use (labels).
        description: What it holds.
        optional: Whether the head works without it.
        exported: Shape in an exported signature; where None, `shape` for a required input, while an
            optional one is left out.
    """

    name: str
    dtype: str
    shape: tuple[str, ...] | None
    description: str
    optional: bool = False
    exported: tuple[str, ...] | None = None

    def describe_shape(self, config: Any) -> str:
        """The expected shape in words, e.g. `(batch, frames, num_channels=3, height, width)`."""
        assert self.shape is not None  # only optional inputs have none
        names = [axis.rpartition(".")[2] for axis in self.shape]
        sizes = zip(names, _sizes(self.shape, config), strict=True)
        return f"({', '.join(a if n is None else f'{a}={n}' for a, n in sizes)})"

    def check(self, value: Tensor, config: Any, owner: str) -> None:
        """Refuse a value of the wrong dtype, rank or fixed size.

        Raises:
            ValueError: Says what was expected and what came.
        """
        if self.dtype == "structure":
            return
        if not hasattr(value, "dtype") or not hasattr(value, "shape"):
            raise ValueError(
                f"{owner}: {self.name} must be a tensor or an array, got {type(value).__name__}."
            )
        dtype = keras.backend.standardize_dtype(value.dtype)
        is_free = self.dtype in ("any", "mask")
        if not is_free and ("float" in dtype) != ("float" in self.dtype):
            kind = "floats" if "float" in self.dtype else "integers"
            hint = " (a processor makes them)" if self.name == "pixel_values" else ""
            raise ValueError(f"{owner}: {self.name} must be {kind}{hint}, got {dtype}.")
        if self.shape is None:
            return
        shape = tuple(value.shape)
        sizes = _sizes(self.shape, config)
        fits = len(shape) == len(sizes) and all(
            want is None or have is None or have == want
            for have, want in zip(shape, sizes, strict=True)
        )
        if not fits:
            raise ValueError(
                f"{owner}: {self.name} must have shape {self.describe_shape(config)}, got {shape}."
            )

    def spec(self, config: Any) -> keras.InputSpec:
        """The input's entry in an exported signature; axes without a fixed size are dynamic."""
        axes = self.exported or self.shape
        assert axes is not None  # only optional inputs have no shape, and those are left out
        sizes = tuple(_sizes(axes, config))
        dtype = "int64" if self.dtype == "mask" else self.dtype
        return keras.InputSpec(shape=sizes, dtype=dtype, name=self.name)


def check_ids(owner: str, name: str, ids: Tensor | None, size: int, field: str) -> None:
    """Refuse ids outside [0, size), where their values are known.

    Args:
        owner: Name of the model, for the error.
        name: Name of the input.
        ids: The ids, or None.
        size: Rows of the embedding.
        field: The config's name of `size`.

    Raises:
        ValueError: Names the range and what came.
    """
    values = concrete(ids)
    if values is not None and values.size and not 0 <= values.min() <= values.max() < size:
        raise ValueError(
            f"{owner}: {name} must lie in [0, {size}) ({field}), got {values.min()} to "
            f"{values.max()}: does the tokenizer belong to this checkpoint?"
        )


def _sizes(axes: tuple[str, ...], config: Any) -> list[int | None]:
    """The size of each axis that the config fixes, else None."""

    def size(axis: str) -> int | None:
        value = config
        for part in axis.split("."):
            value = getattr(value, part, None)
        return value

    return [size(axis) for axis in axes]


class InputTable:
    """The inputs of one head, in documented order.

    Args:
        rows: The tensors that the head takes.
        order: All argument names in documented order; a list is matched against them.
        owner: The head's class name, for errors.
        aliases: Other names of inputs, each with the name that stands in `order`.
    """

    def __init__(
        self,
        rows: Sequence[Input],
        order: Sequence[str],
        owner: str,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self.rows, self.order, self.owner = tuple(rows), tuple(order), owner
        self.aliases = dict(aliases or {})

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Turn any accepted form of the inputs into keywords.

        Args:
            args: One tensor, list, tuple or mapping, tensors in documented order, or nothing.
            kwargs: Keywords; None counts as absent.

        Raises:
            ValueError: Unknown names, too many inputs, or an input given twice.
        """
        given, kwargs = self.renamed(self._positional(args)), self.renamed(kwargs)
        unknown = [name for name in given if name not in self.order]
        if unknown:
            raise ValueError(
                f"{self.owner}: unknown inputs {unknown}; it takes {', '.join(self.order)}."
            )
        given = {name: value for name, value in given.items() if value is not None}
        if twice := [name for name in given if kwargs.get(name) is not None]:
            raise ValueError(f"{self.owner}: inputs given twice: {', '.join(twice)}.")
        return self._as_arrays({**kwargs, **given})

    def renamed(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs under the names that stand in `order`.

        Raises:
            ValueError: An input is given under two names.
        """
        values = dict(inputs)
        for alias, name in self.aliases.items():
            value = values.pop(alias, None)
            if value is None:
                continue
            if values.get(name) is not None:
                raise ValueError(
                    f"{self.owner}: {name} and {alias} are two names of one input: give one of "
                    "them."
                )
            values[name] = value
        return values

    def _positional(self, args: tuple[Any, ...]) -> dict[str, Any]:
        if not args:
            return {}
        first = args[0]
        if len(args) == 1 and hasattr(first, "keys"):  # dict, UserDict, a processor's result
            return {name: first[name] for name in first.keys()}  # noqa: SIM118 - not only dicts
        values = first if len(args) == 1 and isinstance(first, (list, tuple)) else args
        if len(values) > len(self.order):
            raise ValueError(
                f"{self.owner}: {len(values)} inputs given, it takes at most {len(self.order)}: "
                f"{', '.join(self.order)}."
            )
        return dict(zip(self.order, values))  # noqa: B905 - a shorter list is fine

    def _as_arrays(self, inputs: dict[str, Any]) -> dict[str, Any]:
        for row in self.rows:  # nested Python lists are arrays to us, structures to Keras
            is_plain = isinstance(inputs.get(row.name), (list, tuple, int, float))
            if is_plain and row.dtype != "structure":
                inputs[row.name] = np.asarray(inputs[row.name])
        return inputs

    def check(self, inputs: Mapping[str, Any], config: Any) -> None:
        """Refuse missing inputs and inputs of the wrong dtype or shape.

        Raises:
            ValueError: Says what was expected and what came.
        """
        for row in self.rows:
            value = inputs.get(row.name)
            if value is not None:
                row.check(value, config, self.owner)
            elif not row.optional:
                shape = row.describe_shape(config)
                raise ValueError(f"{self.owner}: {row.name} is required, of shape {shape}.")

    def specs(self, config: Any) -> dict[str, keras.InputSpec]:
        """The signature to export: required inputs, and those whose row names an exported shape."""
        rows = [row for row in self.rows if row.exported or not row.optional]
        return {row.name: row.spec(config) for row in rows}
