"""Configurations of OWLv2, and what those of OWL-ViT share with them."""

from __future__ import annotations

from typing import Any

from tfzoo.core.config import PretrainedConfig, TextVisionConfig
from tfzoo.core.fields import (
    boolean,
    count,
    field,
    identifier,
    name_or_function,
    non_negative,
    number,
    positive,
    probability,
)

__all__ = [
    "OwlConfig",
    "OwlTextConfig",
    "OwlVisionConfig",
    "Owlv2Config",
    "Owlv2TextConfig",
    "Owlv2VisionConfig",
]

_ACTIVATION = "Activation of the MLPs: quick_gelu, gelu, relu, selu, gelu_new, or a function."


class OwlTextConfig(PretrainedConfig):
    """Configuration of the text tower of OWLv2 and OWL-ViT; use the class of one of them."""

    base_config_key = "text_config"

    vocab_size: int = field(49408, "Entries of the vocabulary.", positive)
    hidden_size: int = field(512, "Width D of the encoder.", positive)
    intermediate_size: int = field(2048, "Width of the hidden layer of each MLP.", positive)
    num_hidden_layers: int = field(12, "Layers L of the encoder.", count)
    num_attention_heads: int = field(8, "Attention heads H of each layer.", positive)
    max_position_embeddings: int = field(16, "Longest text, in tokens.", positive)
    hidden_act: str = field("quick_gelu", _ACTIVATION, name_or_function)
    layer_norm_eps: float = field(1e-5, "Epsilon of the layer norms.", non_negative)
    attention_dropout: float = field(0.0, "Dropout of attention weights.", probability)
    initializer_range: float = field(
        0.02, "Kept for the file; CLIP's own rules initialise the weights.", non_negative
    )
    initializer_factor: float = field(
        1.0, "Scale of a lone tower's initial weights; a whole model has its own.", non_negative
    )
    pad_token_id: int = field(
        0, "Id of padding; a query that starts with it does not count.", identifier
    )
    bos_token_id: int = field(49406, "Id that begins a text.", identifier)
    eos_token_id: int = field(49407, "Id that ends a text.", identifier)


class OwlVisionConfig(PretrainedConfig):
    """Configuration of the vision tower of OWLv2 and OWL-ViT; use the class of one of them."""

    base_config_key = "vision_config"

    hidden_size: int = field(768, "Width D of the encoder.", positive)
    intermediate_size: int = field(3072, "Width of the hidden layer of each MLP.", positive)
    num_hidden_layers: int = field(12, "Layers L of the encoder.", count)
    num_attention_heads: int = field(12, "Attention heads H of each layer.", positive)
    num_channels: int = field(3, "Channels of an image.", positive)
    image_size: int = field(768, "Height and width of an image, in pixels.", positive)
    patch_size: int = field(16, "Height and width of a patch, in pixels.", positive)
    hidden_act: str = field("quick_gelu", _ACTIVATION, name_or_function)
    layer_norm_eps: float = field(1e-5, "Epsilon of the layer norms.", non_negative)
    attention_dropout: float = field(0.0, "Dropout of attention weights.", probability)
    initializer_range: float = field(0.02, "Std of the initial patch embeddings.", non_negative)
    initializer_factor: float = field(
        1.0, "Scale of a lone tower's initial weights; a whole model has its own.", non_negative
    )

    def validate(self) -> None:
        super().validate()
        if self.patch_size > self.image_size:
            self.reject("patch_size", f"at most image_size {self.image_size}")


class OwlConfig(TextVisionConfig):
    """Configuration of OWLv2 and OWL-ViT; use the class of one of them."""

    text_config: Any = field(None, "Configuration of the text tower, its fields, or None.")
    vision_config: Any = field(None, "Configuration of the vision tower, its fields, or None.")
    projection_dim: int = field(512, "Width P of the space that texts and images share.", positive)
    logit_scale_init_value: float = field(
        2.6592, "Initial logarithm of the scale of the logits.", number
    )
    return_dict: bool = field(True, "Return an output object rather than a tuple.", boolean)

    def __init__(self, /, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initializer_factor = getattr(self, "initializer_factor", 1.0)


class Owlv2TextConfig(OwlTextConfig):
    """Configuration of `TFOwlv2TextModel`, the text tower of OWLv2.

    Source: Minderer et al. 2023, arXiv:2306.09683.

    Example:
        >>> from tfzoo import Owlv2TextConfig, TFOwlv2TextModel
        >>> configuration = Owlv2TextConfig(num_hidden_layers=1)
        >>> TFOwlv2TextModel(configuration).config.max_position_embeddings
        16
    """

    model_type = "owlv2_text_model"


class Owlv2VisionConfig(OwlVisionConfig):
    """Configuration of `TFOwlv2VisionModel`, the vision tower of OWLv2.

    The default image size is 768; the published checkpoints have 960 (base) and 1008 (large).

    Source: Minderer et al. 2023, arXiv:2306.09683.

    Example:
        >>> from tfzoo import Owlv2VisionConfig, TFOwlv2VisionModel
        >>> configuration = Owlv2VisionConfig(num_hidden_layers=1)
        >>> TFOwlv2VisionModel(configuration).config.image_size
        768
    """

    model_type = "owlv2_vision_model"


class Owlv2Config(OwlConfig):
    """Configuration of `TFOwlv2Model` and `TFOwlv2ForObjectDetection`.

    Source: Minderer et al. 2023, arXiv:2306.09683.

    Example:
        >>> from tfzoo import Owlv2Config, Owlv2TextConfig, Owlv2VisionConfig
        >>> config = Owlv2Config.from_text_vision_configs(
        ...     Owlv2TextConfig(), Owlv2VisionConfig(image_size=960))
        >>> config.vision_config.image_size, config.projection_dim
        (960, 512)
    """

    model_type = "owlv2"
    sub_configs = {"text_config": Owlv2TextConfig, "vision_config": Owlv2VisionConfig}
