"""LXMERT's encoders (Tan and Bansal 2019, arXiv:1908.07490)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfzoo.layers.attention import attend
from tfzoo.layers.bert import BertLayer, BertSizes, PostNormAttention, PostNormMLP
from tfzoo.layers.drop_path import dropout
from tfzoo.layers.linear import Linear
from tfzoo.models.lxmert.config import LxmertConfig

__all__ = [
    "Encoded",
    "TFLxmertEncoder",
    "TFLxmertVisualFeatureEncoder",
    "TFLxmertXLayer",
    "lxmert_sizes",
]

# Hidden states of words and of objects, and the attentions of words, of objects and of words to
# objects, each a tuple with an entry for each layer.
Encoded = tuple[tuple[Any, ...], tuple[Any, ...], tuple[Any, ...], tuple[Any, ...], tuple[Any, ...]]


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
        spread=config.initializer_range,
    )


class TFLxmertVisualFeatureEncoder(keras.layers.Layer):
    """Embeds objects: the mean of their features and their places, each projected and normed.

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

        def projection(name: str) -> Linear:
            return Linear(sizes.width, kernel_initializer=sizes.initializer(), name=name)

        self.visn_fc, self.box_fc = projection("visn_fc"), projection("box_fc")
        self.visn_layer_norm = sizes.norm("visn_layer_norm")
        self.box_layer_norm = sizes.norm("box_layer_norm")
        self.dropout = dropout(sizes.dropout)

    def build(self, *shapes: Any) -> None:
        """Create the weights; their sizes are the config's."""
        self.visn_fc.build((None, None, self.feature_dim))
        self.box_fc.build((None, None, self.box_dim))
        for layer in (self.visn_layer_norm, self.box_layer_norm):
            layer.build((None, None, self.visn_fc.units))
        self.built = True

    def call(self, visual_feats: Any, visual_pos: Any, training: bool = False) -> Any:
        """Embed objects.

        Args:
            visual_feats: (B, N, F), features.
            visual_pos: (B, N, 4) with default sizes, places.

        Returns:
            (B, N, D).
        """
        features = self.visn_layer_norm(self.visn_fc(visual_feats))
        places = self.box_layer_norm(self.box_fc(visual_pos))
        return self.dropout((features + places) * 0.5)


class CrossAttention(PostNormAttention):
    """Words attend to objects, and objects to words, with the same weights.

    Each projection runs once, on the words and objects of a sample in a row.

    Args:
        sizes: Sizes and settings.
    """

    def call(
        self,
        language: Any,
        vision: Any,
        language_masked: Any = None,
        vision_masked: Any = None,
        output_attentions: bool = False,
        training: bool = False,
    ) -> tuple[Any, Any, Any]:
        """Let each modality attend to the other one, both as they come in.

        Args:
            language: (B, T, D).
            vision: (B, N, D).
            language_masked: How often each word is hidden, see `tfzoo.layers.masks`.
            vision_masked: How often each object is hidden.
            output_attentions: Return the maps of words to objects.

        Returns:
            (B, T, D), (B, N, D) and the attention maps (B, H, T, N), or () where they are not
            asked for.
        """
        words = ops.shape(language)[1]
        both = ops.concatenate([language, vision], axis=1)
        query, key, value = (self._heads(f(both)) for f in (self.query, self.key, self.value))
        of_words, of_objects = slice(None, words), slice(words, None)

        def context(own: slice, other: slice, masked: Any) -> tuple[Any, Any]:
            rows = query[:, :, own], key[:, :, other], value[:, :, other]
            return attend(*rows, masked, self.attention_dropout)

        seen, maps = context(of_words, of_objects, vision_masked)
        read, _ = context(of_objects, of_words, language_masked)
        attended = ops.transpose(ops.concatenate([seen, read], axis=2), (0, 2, 1, 3))
        attended = ops.reshape(attended, ops.shape(both))
        both = self.norm(self.dropout(self.out(attended)) + both)
        return both[:, of_words], both[:, of_objects], maps if output_attentions else ()


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

    def build(self, *shapes: Any) -> None:
        """Create the weights; their sizes are the config's."""
        attentions = self.visual_attention, self.lang_self_att, self.visn_self_att
        for layer in (*attentions, self.lang_mlp, self.visn_mlp):
            layer.build((None, None, self.width))
        self.built = True

    def call(
        self,
        language: Any,
        vision: Any,
        language_masked: Any = None,
        vision_masked: Any = None,
        output_attentions: bool = False,
        training: bool = False,
    ) -> tuple[Any, Any, Any]:
        """Apply the block.

        Args:
            language: (B, T, D).
            vision: (B, N, D).
            language_masked: How often each word is hidden, see `tfzoo.layers.masks`.
            vision_masked: How often each object is hidden.
            output_attentions: Return the maps of words to objects.

        Returns:
            (B, T, D), (B, N, D) and the attention maps (B, H, T, N), or () where they are not
            asked for.
        """
        language, vision, maps = self.visual_attention(
            language, vision, language_masked, vision_masked, output_attentions=output_attentions
        )
        language, _ = self.lang_self_att(language, masked=language_masked)
        vision, _ = self.visn_self_att(vision, masked=vision_masked)
        return self.lang_mlp(language), self.visn_mlp(vision), maps


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

    def build(self, *shapes: Any) -> None:
        """Create the weights; their sizes are the config's."""
        for layer in (self.visn_fc, *self.layer, *self.r_layers, *self.x_layers):
            layer.build((None, None, self.width))
        self.built = True

    def call(
        self,
        language: Any,
        visual_feats: Any,
        visual_pos: Any,
        language_masked: Any = None,
        vision_masked: Any = None,
        output_attentions: bool = False,
        training: bool = False,
    ) -> Encoded:
        """Apply all layers.

        Args:
            language: (B, T, D), embedded words.
            visual_feats: (B, N, F), features.
            visual_pos: (B, N, 4) with default sizes, places.
            language_masked: How often each word is hidden, see `tfzoo.layers.masks`.
            vision_masked: How often each object is hidden.
            output_attentions: Return the attention maps.

        Returns:
            The output of each layer for words and for objects, and the attention maps of words, of
            objects and of words to objects; the maps are () each where they are not asked for.
        """
        vision = self.visn_fc(visual_feats, visual_pos)
        words, word_maps = _run(self.layer, language, language_masked, output_attentions)
        objects, object_maps = _run(self.r_layers, vision, vision_masked, output_attentions)
        language, vision = (words or [language])[-1], (objects or [vision])[-1]
        cross_maps = []
        for layer in self.x_layers:
            language, vision, maps = layer(
                language,
                vision,
                language_masked,
                vision_masked,
                output_attentions=output_attentions,
            )
            words.append(language)
            objects.append(vision)
            cross_maps.append(maps)
        all_maps = (word_maps, object_maps, cross_maps) if output_attentions else ((), (), ())
        return tuple(words), tuple(objects), *map(tuple, all_maps)


def _run(
    layers: list[BertLayer], x: Any, masked: Any, output_attentions: bool
) -> tuple[list[Any], list[Any]]:
    """The output and the attention maps of each layer of a stack."""
    states, all_maps = [], []
    for layer in layers:
        x, maps = layer(x, masked=masked, output_attentions=output_attentions)
        states.append(x)
        all_maps.append(maps)
    return states, all_maps
