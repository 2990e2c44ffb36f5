"""Configuration of Perceiver IO."""

from __future__ import annotations

from typing import Any

from tfzoo.core.config import PretrainedConfig
from tfzoo.core.fields import (
    Constraint,
    boolean,
    count,
    field,
    name_or_function,
    non_negative,
    one_of,
    positive,
    probability,
)

__all__ = ["PerceiverConfig"]


def _sizes(number: int) -> Constraint:
    """Constraint: a list of `number` positive integers."""
    return Constraint(
        f"a list of {number} positive integers",
        lambda v: isinstance(v, (list, tuple)) and len(v) == number and all(map(positive.holds, v)),
    )


_channels = Constraint("a positive integer or None", lambda v: v is None or positive.holds(v))


class PerceiverConfig(PretrainedConfig):
    """Configuration of the Perceiver models.

    The defaults are those of `deepmind/language-perceiver`.

    Source: Jaegle et al. 2022, "Perceiver IO: A General Architecture for Structured Inputs &
    Outputs", arXiv:2107.14795.

    Example:
        >>> from tfzoo import PerceiverConfig
        >>> configuration = PerceiverConfig(num_latents=32, num_labels=3)
        >>> configuration.d_latents, configuration.num_labels
        (1280, 3)
    """

    model_type = "perceiver"

    num_latents: int = field(256, "Number of latent vectors.", positive)
    d_latents: int = field(1280, "Width D of the latent vectors.", positive)
    d_model: int = field(
        768, "Width of the inputs: of embedded text, and where there is no preprocessor.", positive
    )
    num_blocks: int = field(1, "How often the self-attention layers are applied.", count)
    num_self_attends_per_block: int = field(26, "Self-attention layers L of a block.", count)
    num_self_attention_heads: int = field(8, "Heads H of each self-attention layer.", positive)
    num_cross_attention_heads: int = field(8, "Heads H of the encoder's cross-attention.", positive)
    qk_channels: int | None = field(
        None,
        "Width of queries and keys in the encoder; None follows the layer's inputs.",
        _channels,
    )
    v_channels: int | None = field(
        None, "Width of the values in the encoder; None is that of the keys.", _channels
    )
    cross_attention_shape_for_attention: str = field(
        "kv",
        "Whose width the keys of the encoder's cross-attention have, the inputs' (kv) or the "
        "latents' (q).",
        one_of("kv", "q"),
    )
    self_attention_widening_factor: int = field(
        1, "Hidden width of the self-attention layers' MLPs over that of the latents.", positive
    )
    cross_attention_widening_factor: int = field(
        1, "Hidden width of the cross-attention layer's MLP over that of the latents.", positive
    )
    hidden_act: str = field(
        "gelu",
        "Activation of the MLPs: gelu, relu, selu, gelu_new, or a function.",
        name_or_function,
    )
    attention_probs_dropout_prob: float = field(0.1, "Dropout of attention weights.", probability)
    initializer_range: float = field(
        0.02, "Standard deviation of the normal initialiser.", non_negative
    )
    layer_norm_eps: float = field(
        1e-12, "Without effect: all norms have 1e-5, as in the reference.", non_negative
    )
    use_query_residual: bool = field(
        True, "Add the latents to the result of the encoder's cross-attention.", boolean
    )
    vocab_size: int = field(262, "Ids of the text: 256 bytes and 6 special tokens.", positive)
    max_position_embeddings: int = field(2048, "Positions of a text.", positive)
    image_size: int = field(56, "Height and width of the images, in pixels.", positive)
    train_size: list[int] = field(
        [368, 496], "Height and width of the optical flow model's frames.", _sizes(2)
    )
    num_frames: int = field(16, "Frames of the multimodal model's videos.", positive)
    audio_samples_per_frame: int = field(1920, "Audio samples for each video frame.", positive)
    samples_per_patch: int = field(16, "Audio samples in a patch.", positive)
    output_shape: list[int] = field(
        [1, 16, 224, 224], "Batch, frames, height and width of the decoded video.", _sizes(4)
    )
    output_num_channels: int = field(
        512, "Channels of the multimodal decoder's outputs before they are projected.", positive
    )
    _label_trainable_num_channels: int = field(
        1024, "Width of the multimodal decoder's query of the label.", positive
    )

    def to_dict(self) -> dict[str, Any]:
        label = self._label_trainable_num_channels
        return {**super().to_dict(), "_label_trainable_num_channels": label}
