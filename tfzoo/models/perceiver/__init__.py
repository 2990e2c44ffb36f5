"""Perceiver IO: one engine for any input and any output.

Paper: Jaegle, Borgeaud, Alayrac, Doersch, Ionescu, Ding, Koppula, Zoran, Brock, Shelhamer, Hénaff,
Botvinick, Zisserman, Vinyals, Carreira, "Perceiver IO: A General Architecture for Structured Inputs
& Outputs", 2022 (arXiv:2107.14795).
"""

from tfzoo.registry import Family

FAMILY = Family(
    package=__name__,
    title="Perceiver IO",
    paper="arXiv:2107.14795",
    modules={
        "config": ("PerceiverConfig",),
        "model": (
            "TFPerceiverPreTrainedModel",
            "TFPerceiverModel",
            "TFPerceiverClassifierOutput",
            "TFPerceiverMaskedLMOutput",
            "TFPerceiverModelOutput",
        ),
        "heads.language": ("TFPerceiverForMaskedLM", "TFPerceiverForSequenceClassification"),
        "heads.vision": (
            "TFPerceiverForImageClassificationConvProcessing",
            "TFPerceiverForImageClassificationFourier",
            "TFPerceiverForImageClassificationLearned",
            "TFPerceiverForOpticalFlow",
        ),
        "heads.multimodal": (
            "TFPerceiverForMultimodalAutoencoding",
            "TFPerceiverMultimodalDecoder",
            "TFPerceiverMultimodalPreprocessor",
            "autoencoding_labels",
        ),
        "preprocessors": (
            "TFPerceiverAbstractPreprocessor",
            "TFPerceiverAudioPreprocessor",
            "TFPerceiverImagePreprocessor",
            "TFPerceiverOneHotPreprocessor",
            "TFPerceiverTextPreprocessor",
        ),
        "decoders": (
            "TFPerceiverAbstractDecoder",
            "TFPerceiverBasicDecoder",
            "TFPerceiverBasicVideoAutoencodingDecoder",
            "TFPerceiverClassificationDecoder",
            "TFPerceiverDecoderOutput",
            "TFPerceiverOpticalFlowDecoder",
            "TFPerceiverProjectionDecoder",
        ),
        "postprocessors": (
            "TFPerceiverAbstractPostprocessor",
            "TFPerceiverAudioPostprocessor",
            "TFPerceiverClassificationPostprocessor",
            "TFPerceiverMultimodalPostprocessor",
            "TFPerceiverProjectionPostprocessor",
        ),
        "tokenizer": ("PerceiverTokenizer",),
        "image_processor": ("PerceiverFeatureExtractor", "PerceiverImageProcessor", "flow_patches"),
    },
    configs={"perceiver": "PerceiverConfig"},
    auto={
        "TFAutoModel": {"perceiver": "TFPerceiverModel"},
        "TFAutoModelForMaskedLM": {"perceiver": "TFPerceiverForMaskedLM"},
        "TFAutoModelForSequenceClassification": {
            "perceiver": "TFPerceiverForSequenceClassification"
        },
        "TFAutoModelForImageClassification": {
            "perceiver": (
                "TFPerceiverForImageClassificationLearned",
                "TFPerceiverForImageClassificationFourier",
                "TFPerceiverForImageClassificationConvProcessing",
            )
        },
        "AutoTokenizer": {"perceiver": "PerceiverTokenizer"},
        "AutoImageProcessor": {"perceiver": "PerceiverImageProcessor"},
    },
    checkpoints=(
        "deepmind/language-perceiver",
        "deepmind/vision-perceiver-learned",
        "deepmind/vision-perceiver-fourier",
        "deepmind/vision-perceiver-conv",
        "deepmind/optical-flow-perceiver",
        "deepmind/multimodal-perceiver",
    ),
)

__all__ = list(FAMILY.classes)
__getattr__ = FAMILY.load
