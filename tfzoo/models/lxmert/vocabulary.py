"""Changing a model's vocabulary: the word embeddings, and what scores words."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tfzoo.core.keras_compat import replace_tracked

__all__ = ["VocabularyMixin"]


class VocabularyMixin:
    """The word embeddings of a model, readable and replaceable.

    After a change of size the model has to be compiled anew, and functions that were traced by
    `tf.function` have to be made anew.
    """

    def base_model(self) -> Any:
        """The model without its heads. No property: Keras would save what it gives once more."""
        return getattr(self, "lxmert", self)

    def get_input_embeddings(self) -> keras.layers.Embedding:
        """The layer that embeds the words."""
        return self.base_model().embeddings.word_embeddings

    def set_input_embeddings(self, value: Any) -> None:
        """Use other word embeddings; a head that scores words uses them, too.

        `config.vocab_size` follows, and so does the bias of a head that scores words.

        Args:
            value: An embedding layer, or a table (vocabulary, D).

        Raises:
            ValueError: Vectors of another width than the model's.
        """
        is_layer = isinstance(value, keras.layers.Embedding)
        if is_layer and not value.built:
            value.build(None)
        table = ops.convert_to_numpy(value.embeddings if is_layer else value)
        width = self.config.hidden_size
        if table.ndim != 2 or table.shape[1] != width:
            raise ValueError(
                f"{type(self).__name__}: word embeddings must have shape (vocabulary, "
                f"hidden_size={width}), got {table.shape}."
            )
        self._replace_words(value if is_layer else self._word_layer(table))

    def resize_token_embeddings(
        self,
        new_num_tokens: int | None = None,
        pad_to_multiple_of: int | None = None,
        mean_resizing: bool = True,
    ) -> keras.layers.Embedding:
        """Change the size of the vocabulary; words that stay keep their vectors.

        Args:
            new_num_tokens: New size; the present one where None.
            pad_to_multiple_of: Round the size up to a multiple of this.
            mean_resizing: Let new words start next to the mean of the old ones, so that they
                hardly change the scores of those; otherwise as any fresh weight.

        Returns:
            The layer that embeds the words.

        Raises:
            ValueError: A size below 1.
        """
        for name, size in (
            ("new_num_tokens", new_num_tokens),
            ("pad_to_multiple_of", pad_to_multiple_of),
        ):
            if size is not None and (not isinstance(size, int | np.integer) or size < 1):
                raise ValueError(f"{name} must be a positive integer or None, got {size!r}.")
        layer = self.get_input_embeddings()
        old = ops.convert_to_numpy(layer.embeddings)
        count = len(old) if new_num_tokens is None else int(new_num_tokens)
        if pad_to_multiple_of is not None:
            count = -(-count // pad_to_multiple_of) * pad_to_multiple_of
        if count == len(old):
            return layer
        fresh = self._fresh_rows(old, max(count - len(old), 0), mean_resizing)
        self._replace_words(self._word_layer(np.concatenate([old[:count], fresh])))
        return self.get_input_embeddings()

    def _fresh_rows(self, old: np.ndarray, count: int, near_mean: bool) -> np.ndarray:
        """Vectors of new words; near the mean they keep a trace of the old ones' covariance."""
        shape = count, old.shape[1]
        spread = self.config.initializer_range
        if not near_mean:
            return ops.convert_to_numpy(keras.random.normal(shape, stddev=spread, dtype="float32"))
        mean = old.mean(0, dtype="float64")
        noise = ops.convert_to_numpy(keras.random.normal((count, len(old)), dtype="float32"))
        around = noise @ (old - mean).astype("float32") * (1e-9 / len(old)) ** 0.5
        return (mean + around).astype(old.dtype)

    def _word_layer(self, table: np.ndarray) -> keras.layers.Embedding:
        """A layer like the present one, with another table."""
        old = self.get_input_embeddings()
        layer = type(old)(
            table.shape[0],
            table.shape[1],
            getattr(old, "padding_row", None),
            dtype=old.dtype_policy,
            name=old.name,
        )
        layer.build(None)
        layer.embeddings.assign(table)
        return layer

    def _replace_words(self, layer: keras.layers.Embedding) -> None:
        replace_tracked(self.base_model().embeddings, "word_embeddings", layer)
        self.config.vocab_size = int(layer.embeddings.shape[0])
        self._resize_scores(self.config.vocab_size)
        self._forget_traces()

    def _resize_scores(self, count: int) -> None:
        """Fit a head that scores words to the vocabulary; there is none here."""

    def _forget_traces(self) -> None:
        """Let Keras trace its functions anew: the old ones hold weights that are gone."""
        self.predict_function = self.test_function = self.train_function = None
        self.compiled = False  # the optimizer, too, holds the old weights
