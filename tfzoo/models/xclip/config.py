"""Configurations of X-CLIP."""

from __future__ import annotations

from typing import Any

from tfzoo.core.config import PretrainedConfig, TextVisionConfig
from tfzoo.core.fields import (
    count,
    field,
    identifier,
    name_or_function,
    non_negative,
    number,
    positive,
    probability,
)

__all__ = ["XCLIPConfig", "XCLIPTextConfig", "XCLIPVisionConfig"]

_ACTIVATION = "Activation of the MLPs: quick_gelu, gelu, relu, selu, gelu_new, or a function."


class XCLIPTextConfig(PretrainedConfig):
    """Configuration of `TFXCLIPTextModel`, the text tower of X-CLIP.

    The defaults are those of `microsoft/xclip-base-patch32`. The ids of the special tokens are
    placeholders of the published files: the tokenizer has its own, and the model pools at the
    first of the largest ids, as CLIP does, whatever `eos_token_id` says.

    Source: Ni et al. 2022, arXiv:2208.02816.

    Example:
        >>> from tfzoo import TFXCLIPTextModel, XCLIPTextConfig
        >>> configuration = XCLIPTextConfig(num_hidden_layers=1)
        >>> model = TFXCLIPTextModel(configuration)
        >>> model.config.hidden_size
        512
    """

    model_type = "xclip_text_model"
    base_config_key = "text_config"

    vocab_size: int = field(49408, "Entries of the vocabulary.", positive)
    hidden_size: int = field(512, "Width D of the encoder.", positive)
    intermediate_size: int = field(2048, "Width of the hidden layer of each MLP.", positive)
    num_hidden_layers: int = field(12, "Layers L of the encoder.", count)
    num_attention_heads: int = field(8, "Attention heads H of each layer.", positive)
    max_position_embeddings: int = field(77, "Longest text, in tokens.", positive)
    hidden_act: str = field("quick_gelu", _ACTIVATION, name_or_function)
    layer_norm_eps: float = field(1e-5, "Epsilon of the layer norms.", non_negative)
    attention_dropout: float = field(0.0, "Dropout of attention weights.", probability)
    initializer_range: float = field(
        0.02, "Kept for the file; CLIP's own rules initialise the weights.", non_negative
    )
    initializer_factor: float = field(
        1.0, "Scale of a lone tower's initial weights; a whole model has its own.", non_negative
    )
    pad_token_id: int = field(1, "Placeholder, see above.", identifier)
    bos_token_id: int = field(0, "Placeholder, see above.", identifier)
    eos_token_id: int = field(2, "Placeholder, see above.", identifier)


class XCLIPVisionConfig(PretrainedConfig):
    """Configuration of `TFXCLIPVisionModel`, the cross-frame vision tower, and of the transformer
    that integrates its frames (the fields `mit_...`).

    The defaults are those of `microsoft/xclip-base-patch32`.

    Source: Ni et al. 2022, arXiv:2208.02816.

    Example:
        >>> from tfzoo import TFXCLIPVisionModel, XCLIPVisionConfig
        >>> configuration = XCLIPVisionConfig(num_hidden_layers=1)
        >>> model = TFXCLIPVisionModel(configuration)
        >>> model.config.num_frames
        8
    """

    model_type = "xclip_vision_model"
    base_config_key = "vision_config"

    hidden_size: int = field(768, "Width D of the encoder.", positive)
    intermediate_size: int = field(3072, "Width of the hidden layer of each MLP.", positive)
    num_hidden_layers: int = field(12, "Layers L of the encoder.", count)
    num_attention_heads: int = field(12, "Attention heads H of each layer.", positive)
    mit_hidden_size: int = field(
        512, "Width of the integration transformer, equal to `projection_dim`.", positive
    )
    mit_intermediate_size: int = field(2048, "Width of its MLPs' hidden layer.", positive)
    mit_num_hidden_layers: int = field(1, "Its layers.", count)
    mit_num_attention_heads: int = field(8, "Its attention heads.", positive)
    num_channels: int = field(3, "Channels of a frame.", positive)
    image_size: int = field(224, "Height and width of a frame, in pixels.", positive)
    patch_size: int = field(32, "Height and width of a patch, in pixels.", positive)
    num_frames: int = field(8, "Frames of a clip.", positive)
    hidden_act: str = field("quick_gelu", _ACTIVATION, name_or_function)
    layer_norm_eps: float = field(1e-5, "Epsilon of the layer norms.", non_negative)
    attention_dropout: float = field(0.0, "Dropout of attention weights.", probability)
    initializer_range: float = field(0.02, "Std of the initial patch embeddings.", non_negative)
    initializer_factor: float = field(
        1.0, "Scale of a lone tower's initial weights; a whole model has its own.", non_negative
    )
    drop_path_rate: float = field(
        0.0, "Stochastic depth rate of the message attention, the same in every layer.", probability
    )

    def validate(self) -> None:
        super().validate()
        if self.patch_size > self.image_size:
            self.reject("patch_size", f"at most image_size {self.image_size}")


class XCLIPConfig(TextVisionConfig):
    """Configuration of `TFXCLIPModel`.

    The defaults are those of `microsoft/xclip-base-patch32`. Old files may hold
    `text_config_dict` or `vision_config_dict`: where given, these replace `text_config` and
    `vision_config` as a whole, defaults included.

    Source: Ni et al. 2022, arXiv:2208.02816.

    Example:
        >>> from tfzoo import XCLIPConfig, XCLIPTextConfig, XCLIPVisionConfig
        >>> config = XCLIPConfig.from_text_vision_configs(
        ...     XCLIPTextConfig(), XCLIPVisionConfig(num_frames=16))
        >>> config.vision_config.num_frames, config.projection_dim
        (16, 512)
    """

    model_type = "xclip"
    sub_configs = {"text_config": XCLIPTextConfig, "vision_config": XCLIPVisionConfig}

    text_config: Any = field(None, "An `XCLIPTextConfig`, its fields as a dict, or None.")
    vision_config: Any = field(None, "An `XCLIPVisionConfig`, its fields as a dict, or None.")
    projection_dim: int = field(512, "Width P of the space that videos and texts share.", positive)
    prompt_layers: int = field(2, "Layers of the video-specific prompt generator.", count)
    prompt_alpha: float = field(0.1, "Initial weight of the prompts.", number)
    prompt_hidden_act: str = field("quick_gelu", _ACTIVATION, name_or_function)
    prompt_num_attention_heads: int = field(8, "Heads of the prompt generator.", positive)
    prompt_attention_dropout: float = field(
        0.0, "Dropout of its attention weights and inside its MLPs.", probability
    )
    prompt_projection_dropout: float = field(
        0.0, "Dropout after its attention's projection.", probability
    )
    logit_scale_init_value: float = field(
        2.6592, "Initial logarithm of the scale of the logits.", number
    )

    def __init__(self, /, *args: Any, **kwargs: Any) -> None:
        for name in self.sub_configs:
            if (old := kwargs.pop(f"{name}_dict", None)) is not None:
                kwargs[name] = old
        super().__init__(*args, **kwargs)
        self.initializer_factor = getattr(self, "initializer_factor", 1.0)
