"""The task that a checkpoint is taken for, and what all tasks have in common."""

from __future__ import annotations

import dataclasses

import pytest

import tfzoo
from tfzoo.tasks import task_for


@pytest.mark.parametrize(
    ("config", "task"),
    [
        (tfzoo.TimesformerConfig(), "VideoClassification"),
        (tfzoo.XCLIPConfig(), "ZeroShotVideo"),
        (tfzoo.Owlv2Config(), "ZeroShotObjectDetection"),
        (tfzoo.OwlViTConfig(), "ZeroShotObjectDetection"),
        (tfzoo.TvpConfig(), "VideoGrounding"),
        (tfzoo.PerceiverConfig(architectures=["PerceiverForMaskedLM"]), "FillMask"),
        (tfzoo.PerceiverConfig(architectures=["PerceiverForOpticalFlow"]), "OpticalFlow"),
        (
            tfzoo.PerceiverConfig(architectures=["PerceiverForImageClassificationFourier"]),
            "ImageClassification",
        ),
    ],
)
def test_the_configuration_decides(config: tfzoo.PretrainedConfig, task: str) -> None:
    found = task_for(config)
    assert found.__name__ == task
    assert found.does
    assert found.inputs
    assert all(field.kw_only for field in dataclasses.fields(found)[2:])


@pytest.mark.parametrize("config", [tfzoo.LxmertConfig(), tfzoo.PerceiverConfig()])
def test_others_are_refused(config: tfzoo.PretrainedConfig) -> None:
    with pytest.raises(tfzoo.ConfigError, match="TFAutoModelForVideoClassification has no class"):
        task_for(config).model_class(config)
