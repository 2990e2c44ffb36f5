"""Rows of input tables that several Perceiver models have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from tfzoo.core.inputs import Input

__all__ = ["ATTENTION_MASK", "HEAD_MASK", "LABELS", "SizedInput"]


@dataclass(frozen=True)
class SizedInput(Input):
    """An input whose exported shape is computed from the config.

    Attributes:
        sizes: Config -> the shape, None where an axis is free.
    """

    sizes: Callable[[Any], tuple[int | None, ...]] = lambda config: ()

    def spec(self, config: Any) -> keras.InputSpec:
        """The input's entry in an exported signature."""
        return keras.InputSpec(shape=self.sizes(config), dtype=self.dtype, name=self.name)


ATTENTION_MASK = Input(
    "attention_mask",
    "mask",
    None,
    "1 for tokens, 0 for padding: (batch, tokens), or (batch, latents, tokens).",
    optional=True,
)
HEAD_MASK = Input(
    "head_mask", "any", None, "(heads,) or (layers, heads), 0 for heads left out.", optional=True
)
LABELS = Input(
    "labels",
    "any",
    None,
    "(batch,) class indices, (batch, labels) of 0 and 1, or targets of a regression.",
    optional=True,
)
