"""OWLv2 and OWL-ViT: open-vocabulary detection, of what a text names or an image shows.

Papers: Minderer, Gritsenko, Houlsby, "Scaling Open-Vocabulary Object Detection", 2023
(arXiv:2306.09683); Minderer et al., "Simple Open-Vocabulary Object Detection with Vision
Transformers", 2022 (arXiv:2205.06230).
"""

from tfzoo.registry import Family


def _kinds(pattern: str) -> dict[str, str]:
    return {kind: pattern.format(name) for kind, name in (("owlv2", "Owlv2"), ("owlvit", "OwlViT"))}


FAMILY = Family(
    package=__name__,
    title="OWLv2",
    paper="arXiv:2306.09683",
    modules={
        "config": ("Owlv2Config", "Owlv2TextConfig", "Owlv2VisionConfig"),
        "model": (
            "TFOwlv2PreTrainedModel",
            "TFOwlv2Model",
            "TFOwlv2Output",
            "TFOwlv2TextModel",
            "TFOwlv2VisionModel",
        ),
        "detection": (
            "TFOwlv2ForObjectDetection",
            "TFOwlv2ObjectDetectionOutput",
            "TFOwlv2ImageGuidedObjectDetectionOutput",
        ),
        "owlvit": (
            "OwlViTConfig",
            "OwlViTTextConfig",
            "OwlViTVisionConfig",
            "TFOwlViTPreTrainedModel",
            "TFOwlViTModel",
            "TFOwlViTTextModel",
            "TFOwlViTVisionModel",
            "TFOwlViTForObjectDetection",
            "TFOwlViTOutput",
            "TFOwlViTObjectDetectionOutput",
            "TFOwlViTImageGuidedObjectDetectionOutput",
        ),
        "image_processor": ("Owlv2ImageProcessor", "OwlViTImageProcessor"),
        "processor": ("Owlv2Processor", "OwlViTProcessor"),
    },
    configs={
        **_kinds("{}Config"),
        "owlv2_text_model": "Owlv2TextConfig",
        "owlv2_vision_model": "Owlv2VisionConfig",
        "owlvit_text_model": "OwlViTTextConfig",
        "owlvit_vision_model": "OwlViTVisionConfig",
    },
    auto={
        "TFAutoModel": {
            **_kinds("TF{}Model"),
            "owlv2_text_model": "TFOwlv2TextModel",
            "owlv2_vision_model": "TFOwlv2VisionModel",
            "owlvit_text_model": "TFOwlViTTextModel",
            "owlvit_vision_model": "TFOwlViTVisionModel",
        },
        "TFAutoModelForZeroShotObjectDetection": _kinds("TF{}ForObjectDetection"),
        "AutoProcessor": _kinds("{}Processor"),
        "AutoImageProcessor": _kinds("{}ImageProcessor"),
        "AutoTokenizer": {"owlv2": "CLIPTokenizerFast", "owlvit": "CLIPTokenizerFast"},
    },
    aliases={
        "Owlv2ImageProcessorFast": "Owlv2ImageProcessor",
        "OwlViTImageProcessorFast": "OwlViTImageProcessor",
        "OwlViTFeatureExtractor": "OwlViTImageProcessor",
    },
    checkpoints=(
        *(
            f"google/owlv2-{size}{kind}"
            for size in ("base-patch16", "large-patch14")
            for kind in ("", "-ensemble", "-finetuned")
        ),
        "google/owlvit-base-patch32",
        "google/owlvit-base-patch16",
        "google/owlvit-large-patch14",
    ),
)

__all__ = list(FAMILY.classes)
__getattr__ = FAMILY.load
