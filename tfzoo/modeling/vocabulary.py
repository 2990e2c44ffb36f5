"""The vocabulary of a model that reads words: its size can change."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tfzoo.core.keras_compat import replace_tracked
from tfzoo.core.types import ModelMixin, Tensor

__all__ = ["VocabularyMixin"]


class VocabularyMixin(ModelMixin):
    """The word embeddings of a model, replaceable.

    After a change of size compile the model again, and make functions again that `tf.function` has
    traced.
    """

    config: Any

    def word_embeddings(self) -> tuple[keras.layers.Layer, str] | None:
        """The layer that holds the word embeddings, and their attribute there; None without any."""
        return None

    def resize_scores(self, count: int) -> None:
        """Fit a head that scores words to the vocabulary; models that have one override it."""

    def set_input_embeddings(self, value: keras.layers.Embedding | Tensor) -> None:
        """Use other word embeddings; a head that scores words uses them as well.

        The config's `vocab_size` follows, and so does the bias of a head that scores words.

        Args:
            value: An embedding layer, or a table (vocabulary, D).

        Raises:
            ValueError: Vectors of another width than the model's, or a model without words.
        """
        old = self._words()
        is_layer = isinstance(value, keras.layers.Embedding)
        if is_layer and not value.built:
            value.build(None)
        table = ops.convert_to_numpy(value.embeddings if is_layer else value)
        if table.ndim != 2 or table.shape[1] != old.output_dim:
            raise ValueError(
                f"{type(self).__name__}: word embeddings must have shape (vocabulary, "
                f"hidden_size={old.output_dim}), got {table.shape}."
            )
        self._replace_words(value if is_layer else _like(old, table))

    def resize_token_embeddings(
        self,
        new_num_tokens: int | None = None,
        pad_to_multiple_of: int | None = None,
        mean_resizing: bool = True,
    ) -> keras.layers.Embedding:
        """Change the size of the vocabulary; words that stay keep their vectors.

        X-CLIP, OWLv2 and OWL-ViT read a text off its largest id: a new token takes the place of the
        end of text, as in the reference.

        Args:
            new_num_tokens: New size, e.g. `len(tokenizer)`; the present one where None.
            pad_to_multiple_of: Round the size up to a multiple of this.
            mean_resizing: Let new words start next to the mean of the old ones, so that they
                hardly change the scores of those; otherwise as any fresh weight.

        Returns:
            The layer that embeds the words.

        Raises:
            ValueError: A size below 1, or a model without words.

        Example:
            >>> from tfzoo import TFXCLIPTextModel, XCLIPTextConfig
            >>> model = TFXCLIPTextModel(XCLIPTextConfig(vocab_size=100, num_hidden_layers=1))
            >>> model.resize_token_embeddings(103).input_dim, model.config.vocab_size
            (103, 103)
        """
        for name, size in (
            ("new_num_tokens", new_num_tokens),
            ("pad_to_multiple_of", pad_to_multiple_of),
        ):
            is_whole = isinstance(size, int | np.integer) and not isinstance(size, bool)
            if size is not None and not (is_whole and size > 0):
                raise ValueError(f"{name} must be a positive integer or None, got {size!r}.")
        layer = self._words()
        old = ops.convert_to_numpy(layer.embeddings)
        count = len(old) if new_num_tokens is None else int(new_num_tokens)
        if pad_to_multiple_of is not None:
            count = -(-count // pad_to_multiple_of) * pad_to_multiple_of
        if count == len(old):
            return layer
        fresh = self._fresh_rows(old, max(count - len(old), 0), mean_resizing)
        self._replace_words(_like(layer, np.concatenate([old[:count], fresh])))
        return self._words()

    def _words(self) -> keras.layers.Embedding:
        found = self.word_embeddings()
        if found is None:
            raise ValueError(f"{type(self).__name__} has no word embeddings.")
        return getattr(*found)

    @property
    def _words_config(self) -> Any:
        """The config that has the size of the vocabulary: the model's, or its text tower's."""
        return getattr(self.config, "text_config", self.config)

    def _fresh_rows(self, old: np.ndarray, count: int, near_mean: bool) -> np.ndarray:
        """Vectors of new words; near the mean they keep a trace of the old ones' covariance."""
        if not near_mean:
            std = self._words_config.initializer_range
            fresh = keras.random.normal((count, old.shape[1]), stddev=std, dtype="float32")
            return ops.convert_to_numpy(fresh).astype(old.dtype)
        mean = old.mean(0, dtype="float64")
        noise = ops.convert_to_numpy(keras.random.normal((count, len(old)), dtype="float32"))
        around = noise @ (old - mean).astype("float32") * (1e-9 / len(old)) ** 0.5
        return (mean + around).astype(old.dtype)

    def _replace_words(self, layer: keras.layers.Embedding) -> None:
        found = self.word_embeddings()
        assert found is not None  # as its callers have seen
        replace_tracked(*found, layer)
        self._words_config.vocab_size = int(layer.embeddings.shape[0])
        self.resize_scores(self._words_config.vocab_size)
        self.forget_traces()


def _like(old: keras.layers.Embedding, table: np.ndarray) -> keras.layers.Embedding:
    """A layer like another one, with another table."""
    padding = [old.padding_row] if hasattr(old, "padding_row") else []
    layer = type(old)(*table.shape, *padding, dtype=old.dtype_policy, name=old.name)
    layer.build(None)
    layer.embeddings.assign(table)
    layer.trainable = old.trainable
    return layer
