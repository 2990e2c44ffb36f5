"""The encoder: latents attend to the inputs once, and then to each other."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras

from tfzoo.core.config import ConfigError
from tfzoo.models.perceiver.config import PerceiverConfig
from tfzoo.models.perceiver.layers import AttentionSizes, PerceiverLayer, initializer

__all__ = ["Encoded", "Latents", "PerceiverEncoder"]


class Latents(keras.layers.Layer):
    """The latents that every sample starts from.

    Args:
        config: The configuration.
    """

    def __init__(self, config: PerceiverConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config

    def build(self, input_shape: Any = None) -> None:
        """Create the weights."""
        config = self.config
        self.latents = self.add_weight(
            shape=(config.num_latents, config.d_latents),
            initializer=initializer(config),
            name="latents",
        )
        self.built = True

    def call(self, inputs: Any = None) -> Any:
        """The latents, (1, latents, D): one batch serves all, so that they are projected once."""
        return self.latents[None]


class Encoded(NamedTuple):
    """What the encoder gives: the latents, and what was asked for of the rest."""

    last_hidden_state: Any
    hidden_states: tuple[Any, ...]
    attentions: tuple[Any, ...]
    cross_attentions: tuple[Any, ...]


class PerceiverEncoder(keras.layers.Layer):
    """One cross-attention layer, then the same list of self-attention layers, block after block.

    Args:
        config: The configuration.
        kv_dim: Width of the inputs.

    Raises:
        ConfigError: Widths that the heads do not divide.
    """

    def __init__(self, config: PerceiverConfig, kv_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config, width = config, config.d_latents
        for field in ("num_self_attention_heads", "num_cross_attention_heads"):
            if width % getattr(config, field):
                raise ConfigError(
                    f"d_latents {width} must be a multiple of {field} {getattr(config, field)}."
                )
        channels = (config.qk_channels, config.v_channels)
        across = AttentionSizes.resolve(
            width,
            kv_dim,
            *channels,
            config.num_cross_attention_heads,
            config.cross_attention_shape_for_attention,
        )
        self.cross_attention = PerceiverLayer(
            config,
            across,
            is_cross=True,
            widening_factor=config.cross_attention_widening_factor,
            use_query_residual=config.use_query_residual,
            name="cross_attention",
        )
        within = AttentionSizes.resolve(width, None, *channels, config.num_self_attention_heads)
        self.self_attends = [
            PerceiverLayer(
                config,
                within,
                widening_factor=config.self_attention_widening_factor,
                name=f"self_attend_{i}",
            )
            for i in range(config.num_self_attends_per_block)
        ]

    def build(self, input_shape: Any = None) -> None:
        """Create the weights; the sizes are known."""
        for layer in (self.cross_attention, *self.self_attends):
            layer.build()
        self.built = True

    def call(
        self,
        latents: Any,
        inputs: Any,
        masked: Any = None,
        head_mask: Any = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
        training: bool = False,
    ) -> Encoded:
        """Encode.

        Args:
            latents: (1, latents, D).
            inputs: (B, N, C).
            masked: How often each input is hidden, see `tfzoo.layers.masks`.
            head_mask: (layers, H), factors of the maps of self-attention. Each block takes the
                first rows, one for each of its layers.
            output_attentions: Return the attention maps.
            output_hidden_states: Return the latents between the layers.

        Returns:
            The latents (B, latents, D) and what was asked for.
        """
        hidden, cross_map = self.cross_attention(
            latents, inputs, masked, output_attentions=output_attentions
        )
        states, maps = [], []
        for _ in range(self.config.num_blocks):
            for i, layer in enumerate(self.self_attends):
                states.append(hidden)
                own = None if head_mask is None else head_mask[i]
                hidden, layer_map = layer(
                    hidden, head_mask=own, output_attentions=output_attentions
                )
                maps.append(layer_map)
            states.append(hidden)
        return Encoded(
            hidden,
            tuple(states) if output_hidden_states else (),
            tuple(maps) if output_attentions else (),
            (cross_map,) if output_attentions else (),
        )
