"""OWL-ViT: OWLv2's predecessor, without objectness (Minderer et al. 2022, arXiv:2205.06230)."""

from __future__ import annotations

from tfzoo.core.fields import field, positive
from tfzoo.models.owlv2.config import OwlConfig, OwlTextConfig, OwlVisionConfig
from tfzoo.models.owlv2.detection import (
    TFOwlv2ForObjectDetection,
    TFOwlv2ImageGuidedObjectDetectionOutput,
    TFOwlv2ObjectDetectionOutput,
)
from tfzoo.models.owlv2.model import (
    TFOwlv2Model,
    TFOwlv2Output,
    TFOwlv2PreTrainedModel,
    TFOwlv2TextModel,
    TFOwlv2VisionModel,
)

__all__ = [
    "OwlViTConfig",
    "OwlViTTextConfig",
    "OwlViTVisionConfig",
    "TFOwlViTForObjectDetection",
    "TFOwlViTImageGuidedObjectDetectionOutput",
    "TFOwlViTModel",
    "TFOwlViTObjectDetectionOutput",
    "TFOwlViTOutput",
    "TFOwlViTPreTrainedModel",
    "TFOwlViTTextModel",
    "TFOwlViTVisionModel",
]


class OwlViTTextConfig(OwlTextConfig):
    """Configuration of `TFOwlViTTextModel`."""

    model_type = "owlvit_text_model"


class OwlViTVisionConfig(OwlVisionConfig):
    """Configuration of `TFOwlViTVisionModel`."""

    model_type = "owlvit_vision_model"

    patch_size: int = field(32, "Height and width of a patch, in pixels.", positive)


class OwlViTConfig(OwlConfig):
    """Configuration of `TFOwlViTModel` and `TFOwlViTForObjectDetection`."""

    model_type = "owlvit"
    sub_configs = {"text_config": OwlViTTextConfig, "vision_config": OwlViTVisionConfig}


class TFOwlViTOutput(TFOwlv2Output):
    """Output of `TFOwlViTModel`, see `TFOwlv2Output`."""


class TFOwlViTObjectDetectionOutput(TFOwlv2ObjectDetectionOutput):
    """Output of `TFOwlViTForObjectDetection`, without `objectness_logits`."""


class TFOwlViTImageGuidedObjectDetectionOutput(TFOwlv2ImageGuidedObjectDetectionOutput):
    """Output of OWL-ViT's `image_guided_detection`."""


class TFOwlViTPreTrainedModel(TFOwlv2PreTrainedModel):
    """Base class of the OWL-ViT models."""

    config_class = OwlViTConfig
    base_model_type = "owlvit"


class TFOwlViTTextModel(TFOwlViTPreTrainedModel, TFOwlv2TextModel):
    """The text tower of OWL-ViT, see `TFOwlv2TextModel`."""

    config_class = OwlViTTextConfig


class TFOwlViTVisionModel(TFOwlViTPreTrainedModel, TFOwlv2VisionModel):
    """The vision tower of OWL-ViT, see `TFOwlv2VisionModel`."""

    config_class = OwlViTVisionConfig


class TFOwlViTModel(TFOwlViTPreTrainedModel, TFOwlv2Model):
    """OWL-ViT without its detector, see `TFOwlv2Model`."""

    output_class = TFOwlViTOutput


class TFOwlViTForObjectDetection(TFOwlViTPreTrainedModel, TFOwlv2ForObjectDetection):
    """OWL-ViT's detector, see `TFOwlv2ForObjectDetection`; it does not predict objectness.

    Source: the reference's OwlViTForObjectDetection.
    """

    base_class = TFOwlViTModel
    base_model_prefix = "owlvit"
    has_objectness = False
    component_losses = ("loss_class", "loss_bbox", "loss_giou")
    output_class = TFOwlViTObjectDetectionOutput
    guided_output_class = TFOwlViTImageGuidedObjectDetectionOutput
