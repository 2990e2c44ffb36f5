"""LXMERT's encoders and heads (Tan and Bansal 2019, arXiv:1908.07490)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import ops

from tfzoo.core.keras_compat import replace_tracked
from tfzoo.core.types import Shape, Tensor
from tfzoo.layers.activations import gelu, get_activation
from tfzoo.layers.attention import attend
from tfzoo.layers.bert import BertEmbeddings, BertLayer, BertSizes, PostNormAttention, PostNormMLP
from tfzoo.layers.drop_path import dropout
from tfzoo.layers.linear import Linear
from tfzoo.models.lxmert.config import LxmertConfig

__all__ = [
    "AnswerHead",
    "LanguageModelHead",
    "ObjectHead",
    "PreTrainingHeads",
    "TFLxmertEncoder",
    "TFLxmertVisualFeatureEncoder",
    "TFLxmertXLayer",
    "linear",
    "lxmert_sizes",
]


def lxmert_sizes(config: LxmertConfig) -> BertSizes:
    """The sizes and settings of all blocks."""
    return BertSizes(
        width=config.hidden_size,
        num_heads=config.num_attention_heads,
        hidden=config.intermediate_size,
        activation=config.hidden_act,
        epsilon=config.layer_norm_eps,
        dropout=config.hidden_dropout_prob,
        attention_dropout=config.attention_probs_dropout_prob,
        std=config.initializer_range,
    )


def linear(
    sizes: BertSizes, units: int, name: str, activation: Callable[[Tensor], Tensor] | None = None
) -> Linear:
    """A linear layer with fresh weights."""
    return Linear(units, activation=activation, kernel_initializer=sizes.initializer(), name=name)


# ---- encoders
class TFLxmertVisualFeatureEncoder(keras.layers.Layer):
    """Embeds objects: the mean of their features and their boxes, each projected and normed.

    Args:
        config: The configuration.

    Source: the reference's LxmertVisualFeatureEncoder.

    Example:
        >>> layer = TFLxmertVisualFeatureEncoder(LxmertConfig(hidden_size=24))
        >>> layer(np.zeros((1, 36, 2048), "float32"), np.zeros((1, 36, 4), "float32")).shape
        TensorShape([1, 36, 24])
    """

    def __init__(self, config: LxmertConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        sizes = lxmert_sizes(config)
        self.feature_dim, self.box_dim = config.visual_feat_dim, config.visual_pos_dim
        self.visn_fc = linear(sizes, sizes.width, "visn_fc")
        self.box_fc = linear(sizes, sizes.width, "box_fc")
        self.visn_layer_norm = sizes.norm("visn_layer_norm")
        self.box_layer_norm = sizes.norm("box_layer_norm")
        self.dropout = dropout(sizes.dropout)

    def build(self, *shapes: Shape) -> None:
        self.visn_fc.build((None, None, self.feature_dim))
        self.box_fc.build((None, None, self.box_dim))
        for layer in (self.visn_layer_norm, self.box_layer_norm):
            layer.build((None, None, self.visn_fc.units))
        self.built = True

    def call(self, visual_feats: Tensor, visual_pos: Tensor, training: bool = False) -> Tensor:
        """Embed objects.

        Args:
            visual_feats: (B, N, F), features.
            visual_pos: (B, N, 4) with default sizes, boxes.

        Returns:
            (B, N, D).
        """
        features = self.visn_layer_norm(self.visn_fc(visual_feats))
        places = self.box_layer_norm(self.box_fc(visual_pos))
        return self.dropout((features + places) * 0.5)


class CrossAttention(PostNormAttention):
    """Words attend to objects, and objects to words, with the same weights.

    Each projection runs once, on the words and objects of a sample in a row.
    """

    def call(
        self,
        language: Tensor,
        vision: Tensor,
        language_masked: Tensor | None = None,
        vision_masked: Tensor | None = None,
        output_attentions: bool = False,
        training: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Let each modality attend to the other one; arguments and results as of the block."""
        words = ops.shape(language)[1]
        both = ops.concatenate([language, vision], axis=1)
        query, key, value = (self._heads(f(both)) for f in (self.query, self.key, self.value))
        of_words, of_objects = slice(None, words), slice(words, None)

        def context(own: slice, other: slice, masked: Tensor | None) -> tuple[Tensor, Tensor]:
            rows = query[:, :, own], key[:, :, other], value[:, :, other]
            return attend(*rows, masked, self.attention_dropout)

        seen, weights = context(of_words, of_objects, vision_masked)
        read, _ = context(of_objects, of_words, language_masked)
        attended = self._joined(ops.concatenate([seen, read], axis=2))
        both = self.norm(self.dropout(self.out(attended)) + both)
        return both[:, of_words], both[:, of_objects], weights if output_attentions else ()


class TFLxmertXLayer(keras.layers.Layer):
    """One cross-modality block: attention to the other modality, to the own one, and an MLP.

    Args:
        config: The configuration.

    Source: the reference's LxmertXLayer.
    """

    def __init__(self, config: LxmertConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        sizes = lxmert_sizes(config)
        self.width = sizes.width
        self.visual_attention = CrossAttention(sizes, name="visual_attention")
        self.lang_self_att = PostNormAttention(sizes, name="lang_self_att")
        self.visn_self_att = PostNormAttention(sizes, name="visn_self_att")
        self.lang_mlp = PostNormMLP(sizes, name="lang_mlp")
        self.visn_mlp = PostNormMLP(sizes, name="visn_mlp")

    def build(self, *shapes: Shape) -> None:
        attentions = self.visual_attention, self.lang_self_att, self.visn_self_att
        for layer in (*attentions, self.lang_mlp, self.visn_mlp):
            layer.build((None, None, self.width))
        self.built = True

    def call(
        self,
        language: Tensor,
        vision: Tensor,
        language_masked: Tensor | None = None,
        vision_masked: Tensor | None = None,
        output_attentions: bool = False,
        training: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Apply the block.

        Args:
            language: (B, T, D).
            vision: (B, N, D).
            language_masked: Mask of the words, see `tfzoo.layers.masks`.
            vision_masked: Mask of the objects.
            output_attentions: Return the attention weights of words to objects.

        Returns:
            (B, T, D), (B, N, D) and the attention weights (B, H, T, N), or () where they are not
            asked for.
        """
        language, vision, weights = self.visual_attention(
            language, vision, language_masked, vision_masked, output_attentions=output_attentions
        )
        language, _ = self.lang_self_att(language, masked=language_masked)
        vision, _ = self.visn_self_att(vision, masked=vision_masked)
        return self.lang_mlp(language), self.visn_mlp(vision), weights


class TFLxmertEncoder(keras.layers.Layer):
    """The three encoders: of words, of objects, and of both together.

    Args:
        config: The configuration.

    Source: the reference's LxmertEncoder.
    """

    def __init__(self, config: LxmertConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        sizes = lxmert_sizes(config)
        self.width = sizes.width
        self.visn_fc = TFLxmertVisualFeatureEncoder(config, name="visn_fc")
        self.layer = [BertLayer(sizes, name=f"layer_{i}") for i in range(config.l_layers)]
        self.r_layers = [BertLayer(sizes, name=f"r_layer_{i}") for i in range(config.r_layers)]
        self.x_layers = [
            TFLxmertXLayer(config, name=f"x_layer_{i}") for i in range(config.x_layers)
        ]

    def build(self, *shapes: Shape) -> None:
        for layer in (self.visn_fc, *self.layer, *self.r_layers, *self.x_layers):
            layer.build((None, None, self.width))
        self.built = True

    def call(
        self,
        language: Tensor,
        visual_feats: Tensor,
        visual_pos: Tensor,
        language_masked: Tensor | None = None,
        vision_masked: Tensor | None = None,
        output_attentions: bool = False,
        training: bool = False,
    ) -> tuple[tuple[Tensor, ...], ...]:
        """Apply all layers.

        Args:
            language: (B, T, D), embedded words.
            visual_feats: (B, N, F), features.
            visual_pos: (B, N, 4) with default sizes, boxes.
            language_masked: Mask of the words, see `tfzoo.layers.masks`.
            vision_masked: Mask of the objects.
            output_attentions: Return the attention weights.

        Returns:
            The output of each layer for words and for objects, and the attention weights of words,
            of objects and of words to objects, which are () each where they are not asked for.
        """
        vision = self.visn_fc(visual_feats, visual_pos)
        words, word_weights = _run(self.layer, language, language_masked, output_attentions)
        objects, object_weights = _run(self.r_layers, vision, vision_masked, output_attentions)
        language, vision = (words or [language])[-1], (objects or [vision])[-1]
        cross_weights = []
        for layer in self.x_layers:
            language, vision, weights = layer(
                language,
                vision,
                language_masked,
                vision_masked,
                output_attentions=output_attentions,
            )
            words.append(language)
            objects.append(vision)
            cross_weights.append(weights)
        if not output_attentions:
            return tuple(words), tuple(objects), (), (), ()
        return tuple(map(tuple, (words, objects, word_weights, object_weights, cross_weights)))


def _run(
    layers: list[BertLayer], x: Tensor, masked: Tensor | None, output_attentions: bool
) -> tuple[list[Tensor], list[Tensor]]:
    """The output and the attention weights of each layer of a stack."""
    states, all_weights = [], []
    for layer in layers:
        x, weights = layer(x, masked=masked, output_attentions=output_attentions)
        states.append(x)
        all_weights.append(weights)
    return states, all_weights


# ---- heads
class Transform(keras.layers.Layer):
    """What predictions of words and objects begin with: norm(activation(x W + b))."""

    def __init__(self, sizes: BertSizes, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = sizes.width
        self.dense = linear(sizes, sizes.width, "dense", get_activation(sizes.activation))
        self.norm = sizes.norm("norm")

    def build(self, input_shape: Shape = None) -> None:
        self.dense.build((None, None, self.width))
        self.norm.build((None, None, self.width))
        self.built = True

    def call(self, x: Tensor) -> Tensor:
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

    def build(self, input_shape: Shape = None) -> None:
        self.transform.build()
        rows = self._embeddings().word_embeddings.input_dim
        self.bias = self.add_weight(shape=(rows,), initializer="zeros", name="bias")
        self.built = True

    def call(self, x: Tensor) -> Tensor:
        """Score words, (B, T, D) -> (B, T, vocabulary)."""
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

    def set_output_embeddings(self, value: Tensor) -> None:
        """Use another table (vocabulary, D), which also embeds the words that come in."""
        self.get_output_embeddings().embeddings.assign(value)

    def get_bias(self) -> dict[str, Tensor]:
        """The bias of the scores, `{"bias": (vocabulary,)}`."""
        return {"bias": self.bias}

    def set_bias(self, value: Mapping[str, Tensor]) -> None:
        """Set what `get_bias` gives; its length may differ, and must be the table's in the end."""
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

    def build(self, input_shape: Shape = None) -> None:
        self.predictions.build()
        self.seq_relationship.build((None, self.width))
        self.built = True

    def call(self, language: Tensor, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Score words and match, (B, T, D) and (B, D) -> (B, T, vocabulary) and (B, 2)."""
        return self.predictions(language), self.seq_relationship(pooled)


class ObjectHead(keras.layers.Layer):
    """Predictions of each visual task that is on."""

    def __init__(self, config: LxmertConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        sizes = lxmert_sizes(config)
        self.width = sizes.width
        self.transform = Transform(sizes, name="transform")
        self.decoder_dict = {
            task: linear(sizes, units, f"decoder_{task}")
            for task, units in config.visual_losses.items()
        }

    def build(self, input_shape: Shape = None) -> None:
        self.transform.build()
        for layer in self.decoder_dict.values():
            layer.build((None, None, self.width))
        self.built = True

    def call(self, vision: Tensor) -> dict[str, Tensor]:
        """Predict each task, (B, N, D) -> (B, N, classes or F) by task."""
        x = self.transform(vision)
        return {task: layer(x) for task, layer in self.decoder_dict.items()}


class AnswerHead(keras.layers.Layer):
    """Scores of the answers; its activation is GELU, whatever the config says."""

    def __init__(self, config: LxmertConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        sizes = lxmert_sizes(config)
        self.width = sizes.width
        self.dense = linear(sizes, 2 * sizes.width, "dense", gelu)
        self.norm = sizes.norm("norm")
        self.out = linear(sizes, config.num_qa_labels, "out")

    def build(self, input_shape: Shape = None) -> None:
        self.dense.build((None, self.width))
        for layer in (self.norm, self.out):
            layer.build((None, 2 * self.width))
        self.built = True

    def call(self, pooled: Tensor) -> Tensor:
        """Map (B, D) to (B, answers)."""
        return self.out(self.norm(self.dense(pooled)))
