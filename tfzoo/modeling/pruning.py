"""Attention heads that are taken away for good (Michel et al. 2019, arXiv:1905.10650)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tfzoo.core.config import ConfigError
from tfzoo.core.types import ModelMixin
from tfzoo.layers.attention import MultiHeadAttention

__all__ = ["PruningMixin"]


class PruningMixin(ModelMixin):
    """Pruning of attention heads."""

    config: Any

    def attention_layers(self) -> list[MultiHeadAttention]:
        """The layers whose heads can be pruned, in the order of the attention weights that a call
        returns; none in a family without pruning.
        """
        return []

    def prune_heads(self, heads_to_prune: Mapping[int, Iterable[int]]) -> None:
        """Take heads away from attention layers: the model becomes smaller and faster.

        Layers are numbered in the order of the attention weights that `output_attentions` returns:
        in LXMERT those of language, vision and cross-modality; in X-CLIP, OWLv2 and OWL-ViT those
        of texts, then those of images. Heads keep the numbers that they had at first. The config
        says in `pruned_heads` what is gone, so that a checkpoint of the model can be loaded again.
        Compile the model again, and make functions again that `tf.function` has traced.

        Args:
            heads_to_prune: Heads by layer, such as `{0: [1, 2], 5: [0]}`; heads that are gone
                already do not count.

        Raises:
            ValueError: A layer or head that the model does not have, a layer that would be left
                without heads, adapters, int8 weights, or a family without pruning.

        Source: the reference's method of the same name.

        Example:
            >>> from tfzoo import TFXCLIPTextModel, XCLIPTextConfig
            >>> model = TFXCLIPTextModel(XCLIPTextConfig(vocab_size=100, num_hidden_layers=1))
            >>> model.prune_heads({0: [1, 2]})
            >>> model.config.pruned_heads, model.attention_layers()[0].num_heads
            ({0: [1, 2]}, 6)
        """
        if self.changes().keys() & {"lora", "quantize"}:
            raise ValueError(
                f"{type(self).__name__} cannot be pruned while it has adapters or int8 weights: "
                "merge_lora() first, or prune before quantize()."
            )
        self._prune(heads_to_prune, ValueError)
        self.forget_traces()

    def prune_as_configured(self) -> None:
        """Take the heads away that the config says are gone, before the layers are built.

        Raises:
            ConfigError: Layers or heads that the model does not have.
        """
        if self.base_model is self and self.config.pruned_heads:
            self._prune(self.config.pruned_heads, ConfigError)

    def _prune(self, heads_to_prune: Mapping[int, Iterable[int]], error: type[ValueError]) -> None:
        if not isinstance(heads_to_prune, Mapping):
            raise error(f"expected heads by layer, such as {{0: [1, 2]}}, got {heads_to_prune!r}.")
        layers, gone = self.base_model.attention_layers(), {}
        for number, heads in heads_to_prune.items():
            if not _is_index(number, len(layers)):
                raise error(
                    f"{type(self).__name__} has {len(layers)} layers whose heads can be pruned, "
                    f"numbered from 0; got {number!r:.100}."
                )
            gone[int(number)] = self._checked(number, heads, layers[number], error)
        for number, heads in gone.items():
            layers[number].prune(heads)
        union = {
            number: sorted({*self.config.pruned_heads.get(number, ()), *heads})
            for number, heads in gone.items()
        }
        self.config.pruned_heads = {**self.config.pruned_heads, **union}

    def _checked(
        self, number: int, heads: Any, layer: MultiHeadAttention, error: type[ValueError]
    ) -> list[int]:
        """The heads of a layer as integers."""
        owner, count = f"{type(self).__name__}, layer {number}", layer.width // layer.head_width
        if not isinstance(heads, Iterable) or isinstance(heads, str):
            raise error(f"{owner}: expected a list of heads, got {heads!r:.100}.")
        heads = list(heads)
        if wrong := [head for head in heads if not _is_index(head, count)]:
            raise error(f"{owner}: expected heads from 0 to {count - 1}, got {wrong[0]!r:.100}.")
        if not set(layer.heads) - set(heads):
            raise error(f"{owner}: at least one of the {count} heads must stay.")
        return [int(head) for head in heads]


def _is_index(value: Any, count: int) -> bool:
    is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return is_whole and 0 <= value < count
