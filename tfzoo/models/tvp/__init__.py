"""TVP: where in a video does what a sentence says happen?

Paper: Zhang, Chen, Jia, Liu, Ding, "Text-Visual Prompting for Efficient 2D Temporal Video
Grounding", 2023 (arXiv:2303.04995).
"""

from tfzoo.registry import Family

FAMILY = Family(
    package=__name__,
    title="TVP",
    paper="arXiv:2303.04995",
    modules={
        "config": ("ResNetConfig", "TvpConfig"),
        "model": (
            "EncodedVideo",
            "TFTvpForVideoGrounding",
            "TFTvpModel",
            "TFTvpPreTrainedModel",
            "TFTvpVideoGroundingOutput",
        ),
        "losses": ("TvpLoss",),
        "image_processor": ("TvpImageProcessor",),
        "processor": ("BertTokenizer", "BertTokenizerFast", "TvpProcessor"),
    },
    configs={"tvp": "TvpConfig"},
    auto={
        "TFAutoModel": {"tvp": "TFTvpModel"},
        "TFAutoModelForVideoGrounding": {"tvp": "TFTvpForVideoGrounding"},
        "AutoImageProcessor": {"tvp": "TvpImageProcessor"},
        "AutoProcessor": {"tvp": "TvpProcessor"},
        "AutoTokenizer": {"tvp": "BertTokenizerFast"},
    },
    aliases={"TvpImageProcessorFast": "TvpImageProcessor"},
    checkpoints=("Intel/tvp-base", "Intel/tvp-base-ANet", "Jiqing/tiny-random-tvp"),
)

__all__ = list(FAMILY.classes)
__getattr__ = FAMILY.load
