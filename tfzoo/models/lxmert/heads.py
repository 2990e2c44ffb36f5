"""LXMERT's heads: words, matching, objects, answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from tfzoo.core.keras_compat import replace_tracked
from tfzoo.layers.activations import gelu, get_activation
from tfzoo.layers.bert import BertEmbeddings, BertSizes
from tfzoo.layers.linear import Linear
from tfzoo.models.lxmert.config import LxmertConfig
from tfzoo.models.lxmert.layers import lxmert_sizes

__all__ = [
    "AnswerHead",
    "LanguageModelHead",
    "ObjectHead",
    "PreTrainingHeads",
    "Transform",
    "linear",
]


def linear(sizes: BertSizes, units: int, name: str, activation: Any = None) -> Linear:
    """A linear layer with fresh weights."""
    return Linear(units, activation=activation, kernel_initializer=sizes.initializer(), name=name)


class Transform(keras.layers.Layer):
    """What predictions of words and objects begin with: norm(activation(x W + b)).

    Args:
        sizes: Sizes and settings.
    """

    def __init__(self, sizes: BertSizes, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = sizes.width
        self.dense = linear(sizes, sizes.width, "dense", get_activation(sizes.activation))
        self.norm = sizes.norm("norm")

    def build(self, input_shape: Any = None) -> None:
        """Create the weights."""
        self.dense.build((None, None, self.width))
        self.norm.build((None, None, self.width))
        self.built = True

    def call(self, x: Any) -> Any:
        """Map (..., D) to (..., D)."""
        return self.norm(self.dense(x))


class LanguageModelHead(keras.layers.Layer):
    """Scores of each place's word, with the word embeddings themselves as the weights.

    The table is looked up in each call, so that it always is the model's.

    Args:
        sizes: Sizes and settings.
        embeddings: The embeddings of the model.
    """

    def __init__(self, sizes: BertSizes, embeddings: BertEmbeddings, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.transform = Transform(sizes, name="transform")
        self._embeddings = lambda: embeddings  # in a function, or Keras would own it twice

    def build(self, input_shape: Any = None) -> None:
        """Create the weights."""
        self.transform.build()
        rows = self._embeddings().word_embeddings.input_dim
        self.bias = self.add_weight(shape=(rows,), initializer="zeros", name="bias")
        self.built = True

    def call(self, x: Any) -> Any:
        """Score words.

        Args:
            x: (B, T, D).

        Returns:
            (B, T, vocabulary).
        """
        x = self.transform(x)
        table = ops.cast(self.get_output_embeddings().embeddings, x.dtype)
        # As an einsum TensorFlow multiplies with the table as it lies, which is a fifth faster; of
        # rows without a batch, or its gradient would be a whole table for each sample.
        scores = ops.einsum("nd,vd->nv", ops.reshape(x, (-1, x.shape[-1])), table)
        scores = scores + ops.cast(self.bias, x.dtype)
        return ops.reshape(scores, (*ops.shape(x)[:-1], table.shape[0]))

    def get_output_embeddings(self) -> keras.layers.Embedding:
        """The layer whose table scores the words: the word embeddings."""
        return self._embeddings().word_embeddings

    def set_output_embeddings(self, value: Any) -> None:
        """Use another table, for the words that come in, too.

        Args:
            value: (vocabulary, D).
        """
        self.get_output_embeddings().embeddings.assign(value)

    def get_bias(self) -> dict[str, Any]:
        """The bias of the scores, `{"bias": (vocabulary,)}`."""
        return {"bias": self.bias}

    def set_bias(self, value: Mapping[str, Any]) -> None:
        """Set what `get_bias` gives; its length may differ, and must be the table's in the end.

        Args:
            value: `{"bias": (vocabulary,)}`.
        """
        bias = ops.convert_to_numpy(value["bias"])
        if bias.shape == tuple(self.bias.shape):
            self.bias.assign(bias)
        else:
            fresh = keras.Variable(bias, dtype=self.bias.dtype, name="bias")
            replace_tracked(self, "bias", fresh)


class PreTrainingHeads(keras.layers.Layer):
    """Scores of words, and of the match of text and image.

    Args:
        config: The configuration.
        embeddings: The embeddings of the model.
    """

    def __init__(self, config: LxmertConfig, embeddings: BertEmbeddings, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        sizes = lxmert_sizes(config)
        self.width = sizes.width
        self.predictions = LanguageModelHead(sizes, embeddings, name="predictions")
        self.seq_relationship = linear(sizes, 2, "seq_relationship")

    def build(self, input_shape: Any = None) -> None:
        """Create the weights."""
        self.predictions.build()
        self.seq_relationship.build((None, self.width))
        self.built = True

    def call(self, language: Any, pooled: Any) -> tuple[Any, Any]:
        """Score words and match.

        Args:
            language: (B, T, D).
            pooled: (B, D).

        Returns:
            (B, T, vocabulary) and (B, 2).
        """
        return self.predictions(language), self.seq_relationship(pooled)


class ObjectHead(keras.layers.Layer):
    """Predictions of each visual task that is on.

    Args:
        config: The configuration.
    """

    def __init__(self, config: LxmertConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        sizes = lxmert_sizes(config)
        self.width = sizes.width
        self.transform = Transform(sizes, name="transform")
        self.decoder_dict = {
            task: linear(sizes, units, f"decoder_{task}")
            for task, units in config.visual_losses.items()
        }

    def build(self, input_shape: Any = None) -> None:
        """Create the weights."""
        self.transform.build()
        for layer in self.decoder_dict.values():
            layer.build((None, None, self.width))
        self.built = True

    def call(self, vision: Any) -> dict[str, Any]:
        """Predict each task.

        Args:
            vision: (B, N, D).

        Returns:
            Task -> (B, N, classes or F).
        """
        x = self.transform(vision)
        return {task: layer(x) for task, layer in self.decoder_dict.items()}


class AnswerHead(keras.layers.Layer):
    """Scores of the answers; its activation is GELU, whatever the config says.

    Args:
        config: The configuration.
    """

    def __init__(self, config: LxmertConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        sizes = lxmert_sizes(config)
        self.width = sizes.width
        self.dense = linear(sizes, 2 * sizes.width, "dense", gelu)
        self.norm = sizes.norm("norm")
        self.out = linear(sizes, config.num_qa_labels, "out")

    def build(self, input_shape: Any = None) -> None:
        """Create the weights."""
        self.dense.build((None, self.width))
        for layer in (self.norm, self.out):
            layer.build((None, 2 * self.width))
        self.built = True

    def call(self, pooled: Any) -> Any:
        """Map (B, D) to (B, answers)."""
        return self.out(self.norm(self.dense(pooled)))
