"""The layers of X-CLIP (Ni et al. 2022, arXiv:2208.02816)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfzoo.core.types import Shape, Tensor
from tfzoo.layers.attention import MultiHeadAttention
from tfzoo.layers.clip import ClipBlock, ClipEncoder, ClipSizes, Tower, normal
from tfzoo.layers.drop_path import DropPath
from tfzoo.layers.linear import Linear
from tfzoo.layers.mlp import MLP
from tfzoo.layers.norm import LayerNorm
from tfzoo.models.xclip.config import XCLIPConfig, XCLIPVisionConfig

__all__ = [
    "CrossFrameBlock",
    "MultiframeIntegrationTransformer",
    "PromptGenerator",
    "PromptGeneratorLayer",
]


class CrossFrameBlock(ClipBlock):
    """A block of the vision tower: each frame sees one more token, a message from all frames.

    Every block computes the messages from the class tokens of a clip's frames, which attend to
    each other; the frame's attention sees its message, which is dropped afterwards.

    Args:
        sizes: Sizes and settings.
        num_frames: T, consecutive rows of the batch that make one clip.
        drop_path_rate: Stochastic depth rate of the attention between messages.

    Source: section 3.2 of the paper, "cross-frame attention".
    """

    def __init__(
        self, sizes: ClipSizes, num_frames: int, drop_path_rate: float, **kwargs: Any
    ) -> None:
        super().__init__(sizes, **kwargs)
        self.num_frames, self.width = num_frames, sizes.width
        self.message_fc = Linear(
            sizes.width,
            kernel_initializer=normal(sizes.factor),
            name="message_fc",
        )
        self.message_ln = sizes.norm("message_ln")
        self.message_attn = sizes.attention("message_attn")
        self.drop_path = DropPath(drop_path_rate)

    def build(self, input_shape: Shape) -> None:
        for layer in (self.message_fc, self.message_ln, self.message_attn):
            layer.build(input_shape)
        super().build(input_shape)

    def _messages(self, x: Tensor) -> Tensor:
        """(B T, N, D) -> (B T, 1, D)."""
        messages = ops.reshape(self.message_fc(x[:, 0]), (-1, self.num_frames, self.width))
        attended, _ = self.message_attn(self.message_ln(messages))
        return ops.reshape(messages + self.drop_path(attended), (-1, 1, self.width))

    def attend(
        self, x: Tensor, masked: Tensor | None, output_attentions: bool
    ) -> tuple[Tensor, Any]:
        """What attention adds to (B T, N, D), and its weights (B T, H, N + 1, N + 1)."""
        tokens = ops.concatenate([x, self._messages(x)], axis=1)
        attended, weights = super().attend(tokens, masked, output_attentions)
        return attended[:, :-1], weights


class MultiframeIntegrationTransformer(keras.layers.Layer):
    """Frames to one video: a small transformer over time, and the mean of its frames.

    Args:
        config: Configuration of the vision tower; its fields `mit_...` count.
        factor: Factor of the std of fresh weights.

    Source: section 3.2 of the paper, "multi-frame integration".
    """

    def __init__(self, config: XCLIPVisionConfig, factor: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config, self.factor = config, factor
        self.encoder = ClipEncoder(ClipSizes.of(config, factor, "mit_"), name="encoder")

    def build(self, input_shape: Shape = None) -> None:
        shape = (1, self.config.num_frames, self.config.mit_hidden_size)
        self.position_embedding = self.add_weight(
            shape=shape,
            initializer=normal(self.factor),
            name="position_embedding",
        )
        self.encoder.build(shape)
        self.built = True

    def call(
        self,
        frames: Tensor,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
        training: bool = False,
    ) -> Tower:
        """Integrate the frames of each clip.

        Args:
            frames: (B, T, P).

        Returns:
            (B, T, P), its mean over time (B, P), hidden states, attention weights. The positions
            are not part of the residual.
        """
        x = frames + ops.cast(self.position_embedding, frames.dtype)
        x, states, weights = self.encoder(
            x, output_attentions=output_attentions, output_hidden_states=output_hidden_states
        )
        x = x + frames
        return x, ops.mean(x, axis=1), states, weights


class PromptGeneratorLayer(keras.layers.Layer):
    """One layer of the prompt generator: texts attend to a video's patches, then an MLP.

    Args:
        config: The model's configuration.
    """

    def __init__(self, config: XCLIPConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        width, epsilon = config.projection_dim, config.text_config.layer_norm_eps
        std = config.initializer_factor
        self.width = width
        self.norm1 = LayerNorm(epsilon=epsilon, name="norm1")
        self.cross_attn = MultiHeadAttention(
            width,
            config.prompt_num_attention_heads,
            qkv_bias=False,
            attention_dropout=config.prompt_attention_dropout,
            dropout=config.prompt_projection_dropout,
            in_initializer=normal(std),
            out_initializer=normal(std),
            name="cross_attn",
        )
        self.norm3 = LayerNorm(epsilon=epsilon, name="norm3")
        self.mlp = MLP(
            4 * width,
            width,
            config.prompt_hidden_act,
            kernel_initializer=(normal(std), normal(std)),
            hidden_dropout=config.prompt_attention_dropout,
            name="mlp",
        )

    def build(self, input_shape: Shape = None) -> None:
        for layer in (self.norm1, self.cross_attn, self.norm3, self.mlp):
            layer.build((None, None, self.width))
        self.built = True

    def call(self, text: Tensor, visual: Tensor, training: bool = False) -> Tensor:
        """Apply the layer.

        Args:
            text: (B, Q, P), or (1, Q, P) for texts that no video has changed yet.
            visual: (B, N, P).

        Returns:
            (B, Q, P).
        """
        text = text + self.cross_attn(self.norm1(text), visual)[0]
        return text + self.mlp(self.norm3(text))


class PromptGenerator(keras.layers.Layer):
    """Video-specific prompts: what a video's patches add to each text.

    Args:
        config: The model's configuration.

    Source: section 3.3 of the paper, "video-specific prompting".
    """

    def __init__(self, config: XCLIPConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config
        self.layernorm = LayerNorm(epsilon=config.vision_config.layer_norm_eps, name="layernorm")
        self.decoder = [
            PromptGeneratorLayer(config, name=f"layer_{i}") for i in range(config.prompt_layers)
        ]

    def build(self, input_shape: Shape = None) -> None:
        width = self.config.projection_dim
        self.alpha = self.add_weight(
            shape=(width,),
            initializer=keras.initializers.Constant(self.config.prompt_alpha),
            name="alpha",
        )
        for layer in (self.layernorm, *self.decoder):
            layer.build((None, None, width))
        self.built = True

    def call(self, text: Tensor, visual: Tensor, training: bool = False) -> Tensor:
        """Make the prompts.

        Args:
            text: (1, Q, P), the same texts for all videos: what they have in common is computed
                once.
            visual: (B, N, P).

        Returns:
            (B, Q, P), or (1, Q, P) without any layer.
        """
        visual = self.layernorm(visual)
        for layer in self.decoder:
            text = layer(text, visual)
        return ops.cast(self.alpha, text.dtype) * text
