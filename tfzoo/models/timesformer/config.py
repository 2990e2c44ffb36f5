"""Configuration of TimeSformer."""

from __future__ import annotations

from tfzoo.core.config import PretrainedConfig
from tfzoo.core.fields import (
    boolean,
    count,
    field,
    name_or_function,
    non_negative,
    positive,
    probability,
)

__all__ = ["ATTENTION_TYPES", "TimesformerConfig"]

ATTENTION_TYPES = ("divided_space_time", "space_only", "joint_space_time")


class TimesformerConfig(PretrainedConfig):
    """Configuration of `TFTimesformerModel` and `TFTimesformerForVideoClassification`.

    The defaults are those of `facebook/timesformer-base-finetuned-k600`.

    Source: Bertasius et al. 2021, arXiv:2102.05095.

    Example:
        >>> from tfzoo import TimesformerConfig, TFTimesformerModel
        >>> configuration = TimesformerConfig(num_hidden_layers=2)
        >>> model = TFTimesformerModel(configuration)
        >>> model.config.num_hidden_layers
        2
    """

    model_type = "timesformer"

    image_size: int = field(224, "Height and width of a frame, in pixels.", positive)
    patch_size: int = field(16, "Height and width of a patch, in pixels.", positive)
    num_channels: int = field(3, "Channels of a frame.", positive)
    num_frames: int = field(8, "Frames of a clip.", positive)
    hidden_size: int = field(768, "Width D of the encoder.", positive)
    num_hidden_layers: int = field(12, "Layers L of the encoder.", count)
    num_attention_heads: int = field(12, "Attention heads H of each layer.", positive)
    intermediate_size: int = field(3072, "Width of the hidden layer of each MLP.", positive)
    hidden_act: str = field(
        "gelu",
        "Activation of the MLPs: gelu, relu, selu, gelu_new, or a function.",
        name_or_function,
    )
    hidden_dropout_prob: float = field(0.0, "Dropout of embeddings and projections.", probability)
    attention_probs_dropout_prob: float = field(0.0, "Dropout of attention weights.", probability)
    initializer_range: float = field(
        0.02, "Standard deviation of the truncated normal initialiser.", non_negative
    )
    layer_norm_eps: float = field(1e-6, "Epsilon of the layer norms.", non_negative)
    qkv_bias: bool = field(True, "Give the query, key and value projections a bias.", boolean)
    attention_type: str = field(
        "divided_space_time",
        "divided_space_time, space_only or joint_space_time; checked when a model is built.",
    )
    drop_path_rate: float = field(
        0, "Stochastic depth rate of the last layer; it grows linearly from 0.", probability
    )

    def validate(self) -> None:
        super().validate()
        if self.patch_size > self.image_size:
            self.reject("patch_size", f"at most image_size {self.image_size}")
