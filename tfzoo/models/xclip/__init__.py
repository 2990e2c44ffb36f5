"""X-CLIP: videos and texts in one space, for recognising actions from their descriptions.

Paper: Ni, Peng, Chen, Zhang, Meng, Fu, Xiang, Ling, "Expanding Language-Image Pretrained Models
for General Video Recognition", 2022 (arXiv:2208.02816).
"""

from tfzoo.registry import Family

FAMILY = Family(
    package=__name__,
    title="X-CLIP",
    paper="arXiv:2208.02816",
    modules={
        "config": ("XCLIPConfig", "XCLIPTextConfig", "XCLIPVisionConfig"),
        "model": (
            "TFXCLIPPreTrainedModel",
            "TFXCLIPModel",
            "TFXCLIPOutput",
            "TFXCLIPTextModel",
            "TFXCLIPVisionModel",
        ),
        "zero_shot": ("ZeroShotVideoClassifier",),
        "processor": ("XCLIPProcessor", "CLIPTokenizer", "CLIPTokenizerFast"),
    },
    configs={
        "xclip": "XCLIPConfig",
        "xclip_text_model": "XCLIPTextConfig",
        "xclip_vision_model": "XCLIPVisionConfig",
    },
    auto={
        "TFAutoModel": {
            "xclip": "TFXCLIPModel",
            "xclip_text_model": "TFXCLIPTextModel",
            "xclip_vision_model": "TFXCLIPVisionModel",
        },
        "AutoProcessor": {"xclip": "XCLIPProcessor"},
        "AutoTokenizer": {"xclip": "CLIPTokenizerFast", "xclip_text_model": "CLIPTokenizerFast"},
    },
    checkpoints=(
        *(
            f"microsoft/xclip-base-patch{size}{frames}"
            for size in (32, 16)
            for frames in ("", "-16-frames")
        ),
        "microsoft/xclip-large-patch14",
        "microsoft/xclip-large-patch14-16-frames",
        "microsoft/xclip-base-patch16-kinetics-600",
        "microsoft/xclip-base-patch16-kinetics-600-16-frames",
        "microsoft/xclip-large-patch14-kinetics-600",
        *(
            f"microsoft/xclip-base-patch16-{data}-{shots}-shot"
            for data in ("hmdb", "ucf")
            for shots in (2, 4, 8, 16)
        ),
        "microsoft/xclip-base-patch16-zero-shot",
    ),
)

__all__ = list(FAMILY.classes)
__getattr__ = FAMILY.load
