"""TimeSformer: space-time attention for video classification.

Paper: Bertasius, Wang, Torresani, "Is Space-Time Attention All You Need for Video
Understanding?", 2021 (arXiv:2102.05095).
"""

from tfzoo.registry import Family

FAMILY = Family(
    package=__name__,
    title="TimeSformer",
    paper="arXiv:2102.05095",
    modules={
        "config": ("TimesformerConfig",),
        "model": (
            "TFTimesformerPreTrainedModel",
            "TFTimesformerModel",
            "TFTimesformerForVideoClassification",
        ),
        "image_processor": ("VideoMAEImageProcessor",),
    },
    configs={"timesformer": "TimesformerConfig"},
    auto={
        "TFAutoModel": {"timesformer": "TFTimesformerModel"},
        "TFAutoModelForVideoClassification": {"timesformer": "TFTimesformerForVideoClassification"},
        "AutoImageProcessor": {
            "timesformer": "VideoMAEImageProcessor",
            "videomae": "VideoMAEImageProcessor",
            "xclip": "VideoMAEImageProcessor",
        },
    },
    aliases={
        "VideoMAEFeatureExtractor": "VideoMAEImageProcessor",
        "VideoMAEImageProcessorFast": "VideoMAEImageProcessor",
        "VideoMAEVideoProcessor": "VideoMAEImageProcessor",
        "TimesformerVideoProcessor": "VideoMAEImageProcessor",
    },
    checkpoints=tuple(
        f"facebook/timesformer-{size}-finetuned-{data}"
        for size in ("base", "hr", "large")
        for data in ("k400", "k600", "ssv2")
    ),
)

__all__ = list(FAMILY.classes)
__getattr__ = FAMILY.load
