"""OWL-ViT: OWLv2's predecessor, without objectness (Minderer et al. 2022, arXiv:2205.06230)."""

from __future__ import annotations

from tfzoo.core.config import field, positive
from tfzoo.models.owlv2.config import OwlConfig, OwlTextConfig, OwlVisionConfig
from tfzoo.models.owlv2.detection import TFOwlv2ForObjectDetection
from tfzoo.models.owlv2.model import TFOwlv2Model
from tfzoo.models.owlv2.outputs import (
    TFOwlViTImageGuidedObjectDetectionOutput,
    TFOwlViTObjectDetectionOutput,
    TFOwlViTOutput,
)
from tfzoo.models.owlv2.towers import (
    TFOwlv2PreTrainedModel,
    TFOwlv2TextModel,
    TFOwlv2VisionModel,
)

__all__ = [
    "OwlViTConfig",
    "OwlViTTextConfig",
    "OwlViTVisionConfig",
    "TFOwlViTForObjectDetection",
    "TFOwlViTModel",
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

    config_class = OwlViTConfig
    output_class = TFOwlViTOutput


class TFOwlViTForObjectDetection(TFOwlViTPreTrainedModel, TFOwlv2ForObjectDetection):
    """OWL-ViT's detector, see `TFOwlv2ForObjectDetection`; it has no objectness.

    Source: the reference's OwlViTForObjectDetection.
    """

    config_class = OwlViTConfig
    base_class = TFOwlViTModel
    base_name = "owlvit"
    has_objectness = False
    component_losses = ("loss_class", "loss_bbox", "loss_giou")
    output_class = TFOwlViTObjectDetectionOutput
    guided_output_class = TFOwlViTImageGuidedObjectDetectionOutput
