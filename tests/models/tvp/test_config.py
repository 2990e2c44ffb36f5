"""TVP's configurations and that of its ResNet."""

from __future__ import annotations

from typing import Any

import pytest

import tfzoo
from tests.models.tvp.cases import BACKBONE
from tfzoo.core.config import ConfigError


def test_backbone_as_dict_object_or_nothing() -> None:
    fields = {**BACKBONE, "out_features": ["stage2"]}
    one = tfzoo.TvpConfig(backbone_config=fields, num_frames=5)
    backbone = tfzoo.ResNetConfig.from_dict(fields)
    assert one == tfzoo.TvpConfig.from_backbone_config(backbone, num_frames=5)
    assert one == tfzoo.TvpConfig.from_dict(one.to_dict())
    plain = one.to_dict()
    assert plain["model_type"] == "tvp"
    assert plain["backbone_config"]["model_type"] == "resnet"
    plain["backbone_config"]["depths"].append(9)  # a copy
    assert one.backbone_config.depths == [2, 1]
    default = tfzoo.TvpConfig().backbone_config
    assert (default.out_features, default.out_indices) == (["stage4"], [4])
    assert tfzoo.TvpConfig().type_vocab_size == 2


def test_files_of_published_checkpoints_are_read() -> None:
    """Keys without a use, and backbones that do not name their output."""
    found = tfzoo.TvpConfig.from_dict(
        {
            "model_type": "tvp",
            "backbone_config": {"model_type": "resnet", "downsample_in_bottleneck": True},
            "alpha": 1.0,
            "vp_type": "framepad",
            "max_text_length": 100,
            "backbone": None,
            "use_timm_backbone": False,
            "pad_token_id": 0,
        }
    )
    assert found.backbone_config.out_features == ["stage4"]
    assert found.alpha == 1.0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"backbone_config": {"depths": [1]}}, "model_type 'resnet', got model_type 'none at all'"),
        ({"backbone_config": {"model_type": "swin"}}, "must be a ResNet's.*got model_type 'swin'"),
        ({"backbone_config": tfzoo.TimesformerConfig()}, "got model_type 'timesformer'"),
        ({"use_timm_backbone": True}, "use_timm_backbone is not supported"),
        ({"backbone": "resnet50"}, "backbone is not supported"),
        ({"visual_prompter_type": "corner"}, "visual_prompter_type must be one of 'framepad'"),
        ({"visual_prompter_apply": "mix"}, "visual_prompter_apply must be one of 'add'"),
        ({"visual_prompt_size": 225}, "visual_prompt_size must be at most 224"),
        ({"num_attention_heads": 7}, "num_attention_heads must be a divisor of hidden_size 768"),
        ({"pad_token_id": 30522}, "pad_token_id must be below vocab_size"),
        ({"backbone_config": {**BACKBONE, "num_channels": 1}}, "num_channels must be 3"),
        (
            {"backbone_config": {**BACKBONE, "out_features": ["stage1", "stage2"]}},
            r"out_features must begin with a map of as many channels .* 20, got \['stage1', 's",
        ),
    ],
)
def test_wrong_configs_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tfzoo.TvpConfig(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"layer_type": "wide"}, "layer_type must be one of 'basic', 'bottleneck', got 'wide'"),
        ({"depths": [1, 2]}, r"depths must be as long as hidden_sizes, 4 numbers, got \[1, 2\]"),
        ({"hidden_sizes": [0] * 4}, "hidden_sizes must be a list of positive integers"),
        ({"hidden_sizes": [2] * 4}, "at least 4 with layer_type='bottleneck'"),
        ({"out_features": ["stage5"]}, r"out_features must be some of \['stem', 'stage1'"),
        ({"out_features": ["stage2", "stage1"]}, "in the order of"),
        ({"out_indices": [7]}, "out_indices must be indices of"),
        ({"out_indices": [1], "out_features": ["stage2"]}, r"those of out_features, \[2\]"),
    ],
)
def test_wrong_backbones_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tfzoo.ResNetConfig(**fields)


def test_indices_and_names_of_outputs_agree() -> None:
    assert tfzoo.ResNetConfig(out_indices=[-1]).out_features == ["stage4"]
    both = tfzoo.ResNetConfig(out_indices=(0, 2), out_features=["stem", "stage2"])
    assert both.out_indices == [0, 2]
