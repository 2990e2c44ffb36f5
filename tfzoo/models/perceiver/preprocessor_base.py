"""What the preprocessors share: their checks, and positions beside or onto features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from tfzoo.layers.linear import Linear
from tfzoo.models.perceiver.config import PerceiverConfig
from tfzoo.models.perceiver.layers import initializer
from tfzoo.models.perceiver.parts import Part
from tfzoo.models.perceiver.queries import FourierPositions, TrainablePositions, make_positions

__all__ = ["PositionedPreprocessor", "Preprocessor", "split_options"]


class Preprocessor(Part):
    """Base class of the preprocessors.

    Attributes:
        takes: What the inputs must be, in words.
        ranks: Numbers of axes that the inputs may have.
        is_integer: Whether the inputs are ids.
    """

    takes: str = ""
    ranks: tuple[int, ...] = ()
    is_integer: bool = False

    @property
    def num_channels(self) -> int:
        """C, the width of the tokens."""
        raise TypeError(f"{type(self).__name__} is abstract: use one of its subclasses.")

    def check(self, inputs: Any, owner: str) -> None:
        """Refuse inputs that this modality cannot be.

        Raises:
            ValueError: Says what was expected and what came.
        """
        if isinstance(inputs, Mapping) or not hasattr(inputs, "shape"):
            came = f"a {type(inputs).__name__}"
            raise ValueError(f"{owner}: {type(self).__name__} takes {self.takes}, got {came}.")
        dtype, shape = keras.backend.standardize_dtype(inputs.dtype), tuple(inputs.shape)
        is_float = "float" in dtype
        if len(shape) not in self.ranks or is_float == self.is_integer:
            raise ValueError(
                f"{owner}: {type(self).__name__} takes {self.takes}, got {dtype} of shape {shape}."
            )


class PositionedPreprocessor(Preprocessor):
    """Base class of the preprocessors that put positions beside or onto features.

    Args:
        config: The configuration.
        arguments: The part's own arguments, see `Part`.
        position_encoding_type: `"fourier"` or `"trainable"`.
        concat_or_add_pos: `"concat"` or `"add"`.
        out_channels: Width of the positions before they are projected.
        project_pos_dim: Width to project positions to; -1 leaves them.
        encoding: `fourier_position_encoding_kwargs` or `trainable_position_encoding_kwargs`.

    Raises:
        ValueError: An unknown choice, or arguments of the positions are missing.
    """

    def __init__(
        self,
        config: PerceiverConfig,
        arguments: Mapping[str, Any],
        position_encoding_type: str,
        concat_or_add_pos: str,
        out_channels: int,
        project_pos_dim: int,
        encoding: Mapping[str, Any],
        **kwargs: Any,
    ) -> None:
        super().__init__(config, arguments, **kwargs)
        if concat_or_add_pos not in ("concat", "add"):
            raise ValueError(
                f"concat_or_add_pos must be 'concat' or 'add', got {concat_or_add_pos!r}."
            )
        self.concat_or_add_pos, self.out_channels = concat_or_add_pos, out_channels
        self.project_pos_dim = project_pos_dim
        self.position_embeddings = make_positions(
            position_encoding_type, config.initializer_range, **encoding
        )
        self.positions_projection = (
            Linear(
                project_pos_dim,
                kernel_initializer=initializer(config),
                name="positions_projection",
            )
            if project_pos_dim > 0
            else None
        )

    def build_layers(self) -> None:
        """Create the weights."""
        if isinstance(self.position_embeddings, TrainablePositions):
            self.position_embeddings.build()
        if self.positions_projection is not None:
            self.positions_projection.build((None, None, self.out_channels))

    @property
    def _position_width(self) -> int:
        if self.project_pos_dim > 0:
            return self.project_pos_dim
        return self.position_embeddings.output_size()

    @property
    def _feature_width(self) -> int:
        """Width of the features, before positions are put beside them."""
        raise TypeError(f"{type(self).__name__} is abstract: use one of its subclasses.")

    @property
    def num_channels(self) -> int:
        """C, the width of the tokens."""
        if self.concat_or_add_pos == "add":
            return self._position_width
        return self._feature_width + self._position_width

    def _with_positions(self, features: Any, network_input_is_1d: bool, table: Any) -> Any:
        """Tokens and features of a grid (B, ..., C), with the positions of its cells."""
        grid, width = ops.shape(features)[:-1], features.shape[-1]
        tokens = ops.reshape(features, (grid[0], -1, width))
        if self.positions_projection is not None:
            table = self.positions_projection(table)
        table = ops.cast(table, tokens.dtype)
        if self.concat_or_add_pos == "add":
            full = tokens + table
        else:
            shape = (*ops.shape(tokens)[:2], table.shape[-1])
            full = ops.concatenate([tokens, ops.broadcast_to(table, shape)], axis=-1)
        if not network_input_is_1d:
            return ops.reshape(full, (*grid, full.shape[-1])), None, features
        return full, None, tokens

    def _table(self, dims: tuple[Any, ...], dtype: str) -> Any:
        """Positions (1, cells, width) of a grid."""
        if isinstance(self.position_embeddings, FourierPositions):
            return self.position_embeddings.grid(dims, dtype)
        return self.position_embeddings(None)


def split_options(kwargs: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Keywords of a Keras layer, and those of the positions."""
    names = ("name", "dtype", "trainable")
    options = {key: value for key, value in kwargs.items() if key in names}
    return options, {key: value for key, value in kwargs.items() if key not in names}
