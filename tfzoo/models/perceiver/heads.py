"""The ready-made models in one place: a preprocessor, the engine and a decoder for each task."""

from __future__ import annotations

from tfzoo.models.perceiver.language import (
    TFPerceiverForMaskedLM,
    TFPerceiverForSequenceClassification,
)
from tfzoo.models.perceiver.multimodal import (
    TFPerceiverForMultimodalAutoencoding,
    autoencoding_labels,
)
from tfzoo.models.perceiver.optical_flow import TFPerceiverForOpticalFlow
from tfzoo.models.perceiver.vision import (
    TFPerceiverForImageClassificationConvProcessing,
    TFPerceiverForImageClassificationFourier,
    TFPerceiverForImageClassificationLearned,
)

__all__ = [
    "TFPerceiverForImageClassificationConvProcessing",
    "TFPerceiverForImageClassificationFourier",
    "TFPerceiverForImageClassificationLearned",
    "TFPerceiverForMaskedLM",
    "TFPerceiverForMultimodalAutoencoding",
    "TFPerceiverForOpticalFlow",
    "TFPerceiverForSequenceClassification",
    "autoencoding_labels",
]
