"""Configurations of TVP and of its backbone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tfzoo.core.config import ConfigError, PretrainedConfig
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

if TYPE_CHECKING:
    from tfzoo.layers.resnet import ResNetSizes

__all__ = ["ResNetConfig", "TvpConfig"]

_POSITIVES = Constraint(
    "a list of positive integers",
    lambda v: (
        isinstance(v, (list, tuple)) and len(v) > 0 and all(positive.holds(item) for item in v)
    ),
)
_LIST = Constraint("a list, or None", lambda v: v is None or isinstance(v, (list, tuple)))
_FRAMES = Constraint("a positive integer, or None", lambda v: v is None or positive.holds(v))
_ID = Constraint("an id, or None", lambda v: v is None or (type(v) is int and v >= 0))
# These make the reference load weights from elsewhere; a TVP checkpoint has those of its backbone.
_ELSEWHERE = ("backbone", "use_pretrained_backbone", "use_timm_backbone", "backbone_kwargs")


class ResNetConfig(PretrainedConfig):
    """Configuration of a ResNet as the backbone of another model.

    The defaults are those of ResNet-50. `out_features` and `out_indices` name the same stages
    by name and by number: either follows from the other, and both default to the last stage.

    Source: He et al. 2016, arXiv:1512.03385.

    Raises:
        ConfigError: Lists of different lengths, an unknown `layer_type`, or outputs that are not
            stages, are out of order, or disagree.

    Example:
        >>> from tfzoo import ResNetConfig
        >>> config = ResNetConfig(depths=[2, 2, 2, 2], out_features=["stage2", "stage4"])
        >>> config.stage_names[0], config.out_indices
        ('stem', [2, 4])
    """

    model_type = "resnet"

    num_channels: int = field(3, "Channels of an image.", positive)
    embedding_size: int = field(64, "Channels of the stem.", positive)
    hidden_sizes: list = field([256, 512, 1024, 2048], "Channels of each stage.", _POSITIVES)
    depths: list = field([3, 4, 6, 3], "Blocks of each stage.", _POSITIVES)
    layer_type: str = field(
        "bottleneck",
        "Blocks of three convolutions (bottleneck) or of two (basic).",
        one_of("basic", "bottleneck"),
    )
    hidden_act: str = field(
        "relu",
        "Activation of the stem and after each sum; inside the blocks it is a ReLU.",
        name_or_function,
    )
    downsample_in_first_stage: bool = field(
        False, "Whether the first stage also halves the resolution.", boolean
    )
    downsample_in_bottleneck: bool = field(
        False,
        "Whether a bottleneck strides in its first convolution rather than in its second.",
        boolean,
    )
    out_features: list = field(None, "Names of the feature maps that are used.", _LIST)
    out_indices: list = field(None, "Indices of the feature maps that are used.", _LIST)

    def __init__(self, /, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stage_names = ["stem", *(f"stage{i + 1}" for i in range(len(self.depths)))]
        self._align()

    def validate(self) -> None:
        super().validate()
        if len(self.depths) != len(self.hidden_sizes):
            self.reject("depths", f"as long as hidden_sizes, {len(self.hidden_sizes)} numbers")
        if self.layer_type == "bottleneck" and min(self.hidden_sizes) < 4:
            self.reject("hidden_sizes", "at least 4 with layer_type='bottleneck'")

    def _align(self) -> None:
        """Derive names from indices or indices from names."""
        names, count = self.stage_names, len(self.stage_names)
        indices = self.out_indices
        if indices is not None:
            if not all(type(i) is int and -count <= i < count for i in indices):
                self.reject("out_indices", f"indices of {names}")
            indices = [i % count for i in indices]
        if self.out_features is None:
            self.out_features = [names[i] for i in (indices or [count - 1])]
        if not self.out_features or any(name not in names for name in self.out_features):
            self.reject("out_features", f"some of {names}")
        own = [names.index(name) for name in self.out_features]
        if own != sorted(set(own)):
            self.reject("out_features", f"in the order of {names}, each once")
        if indices is not None and indices != own:
            self.reject("out_indices", f"those of out_features, {own}")
        self.out_indices = own

    @property
    def sizes(self) -> ResNetSizes:
        """What `tfzoo.layers.resnet` needs to know."""
        from tfzoo.layers.resnet import ResNetSizes  # here: configs are read without Keras

        return ResNetSizes(
            self.num_channels,
            self.embedding_size,
            tuple(self.hidden_sizes),
            tuple(self.depths),
            self.layer_type,
            self.hidden_act,
            self.downsample_in_first_stage,
            self.downsample_in_bottleneck,
        )


class TvpConfig(PretrainedConfig):
    """Configuration of `TFTvpModel` and `TFTvpForVideoGrounding`.

    The defaults are those of `Intel/tvp-base`, except that its backbone has
    `downsample_in_bottleneck=True`, while a `ResNetConfig` defaults to False.

    `backbone_config` is a `ResNetConfig`, its fields as a dict with `model_type="resnet"`, or None
    for the defaults. The model uses the first of its feature maps. Weights from elsewhere
    (`backbone`, `use_pretrained_backbone`, `use_timm_backbone`) are refused: the checkpoint
    also holds those of the backbone.

    Source: Zhang et al. 2023, arXiv:2303.04995.

    Example:
        >>> from tfzoo import ResNetConfig, TvpConfig
        >>> config = TvpConfig.from_backbone_config(ResNetConfig(), num_frames=16)
        >>> config.num_frames, config.to_dict()["backbone_config"]["depths"]
        (16, [3, 4, 6, 3])
    """

    model_type = "tvp"
    sub_configs = {"backbone_config": ResNetConfig}

    backbone_config: Any = field(None, "A `ResNetConfig`, its fields as a dict, or None.")
    distance_loss_weight: float = field(1.0, "Weight of the distance between the spans' centres.")
    duration_loss_weight: float = field(0.1, "Weight of the difference between the spans' lengths.")
    visual_prompter_type: str = field(
        "framepad",
        "Prompts around each frame (framepad) or at its bottom (framedownpad).",
        one_of("framepad", "framedownpad"),
    )
    visual_prompter_apply: str = field(
        "replace",
        "How prompts act, see `tfzoo.models.tvp.layers`.",
        one_of("add", "replace", "remove"),
    )
    visual_prompt_size: int = field(96, "Thickness of the prompts, in pixels.", positive)
    max_img_size: int = field(448, "Height and width of a frame, in pixels.", positive)
    num_frames: int = field(48, "Frames of a video.", positive)
    vocab_size: int = field(30522, "Entries of the vocabulary.", positive)
    hidden_size: int = field(768, "Width D of the encoder.", positive)
    intermediate_size: int = field(3072, "Width of the hidden layer of each MLP.", positive)
    num_hidden_layers: int = field(12, "Layers L of the encoder.", count)
    num_attention_heads: int = field(12, "Attention heads H of each layer.", positive)
    max_position_embeddings: int = field(512, "Longest text, in tokens.", positive)
    max_grid_col_position_embeddings: int = field(100, "Most columns of the grid.", positive)
    max_grid_row_position_embeddings: int = field(100, "Most rows of the grid.", positive)
    hidden_dropout_prob: float = field(0.1, "Dropout of hidden states.", probability)
    hidden_act: str = field(
        "gelu",
        "Activation of the MLPs: gelu, relu, selu, gelu_new, quick_gelu, or a function.",
        name_or_function,
    )
    layer_norm_eps: float = field(1e-12, "Epsilon of the layer norms.", non_negative)
    initializer_range: float = field(0.02, "Standard deviation of initial weights.", non_negative)
    attention_probs_dropout_prob: float = field(0.1, "Dropout of attention weights.", probability)
    type_vocab_size: int = field(2, "Token types; texts have the first.", positive)
    pad_token_id: int = field(None, "Id whose embedding is not trained.", _ID)

    def __init__(self, /, *args: Any, **kwargs: Any) -> None:
        for name in _ELSEWHERE:
            if kwargs.pop(name, None):
                raise ConfigError(
                    f"{type(self).__name__}.{name} is not supported: backbones are ResNets with "
                    "weights in TVP's own checkpoint. Describe it by backbone_config."
                )
        super().__init__(*args, **kwargs)

    def _sub_config(self, name: str, value: Any) -> PretrainedConfig:
        found = getattr(value, "model_type", None)
        if isinstance(value, Mapping):
            found = value.get("model_type", "none at all")
        if found not in (None, "resnet"):
            raise ConfigError(
                f"{type(self).__name__}.{name} must be a ResNet's, with model_type 'resnet', got "
                f"model_type {found!r}."
            )
        return super()._sub_config(name, value)

    def validate(self) -> None:
        super().validate()
        if self.hidden_size % self.num_attention_heads:
            self.reject("num_attention_heads", f"a divisor of hidden_size {self.hidden_size}")
        limit = self.max_img_size // (2 if self.visual_prompter_type == "framepad" else 1)
        if self.visual_prompt_size > limit:
            self.reject("visual_prompt_size", f"at most {limit} with these frames")
        if not _FRAMES.holds(getattr(self, "frame_num", None)):
            self.reject("frame_num", _FRAMES.description)
        if self.pad_token_id is not None and self.pad_token_id >= self.vocab_size:
            self.reject("pad_token_id", f"below vocab_size {self.vocab_size}")
        if isinstance(self.backbone_config, ResNetConfig):
            self._check_backbone(self.backbone_config)

    def _check_backbone(self, backbone: ResNetConfig) -> None:
        last = backbone.hidden_sizes[-1]
        if [backbone.embedding_size, *backbone.hidden_sizes][backbone.out_indices[0]] != last:
            raise ConfigError(
                f"{type(self).__name__}.backbone_config.out_features must begin with a map of as "
                f"many channels as the last stage has, {last}, got {backbone.out_features}."
            )
        if backbone.num_channels != 3 and self.visual_prompter_apply != "remove":
            raise ConfigError(
                f"{type(self).__name__}.backbone_config.num_channels must be 3, the channels of "
                f"the visual prompts, got {backbone.num_channels}."
            )

    @property
    def prompt_frames(self) -> int:
        """Frames of the visual prompts; some files call them `frame_num`."""
        old = getattr(self, "frame_num", None) if self.visual_prompter_type != "framepad" else None
        return self.num_frames if old is None else old

    @property
    def fixed_frames(self) -> int | None:
        """Frames that videos must have; None where the prompts fit any number."""
        fit_any = self.visual_prompter_apply == "remove" or self.prompt_frames == 1
        return None if fit_any else self.prompt_frames

    @classmethod
    def from_backbone_config(
        cls, backbone_config: ResNetConfig | Mapping[str, Any], **kwargs: Any
    ) -> TvpConfig:
        """Make a configuration from that of its backbone.

        Args:
            backbone_config: A `ResNetConfig`, or its fields as a dict.
            **kwargs: Further fields, e.g. `num_frames=16`.
        """
        return cls(backbone_config=backbone_config, **kwargs)
