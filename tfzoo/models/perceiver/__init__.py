"""Perceiver IO: one engine for any input and any output.

Paper: Jaegle, Borgeaud, Alayrac, Doersch, Ionescu, Ding, Koppula, Zoran, Brock, Shelhamer, Hénaff,
Botvinick, Zisserman, Vinyals, Carreira, "Perceiver IO: A General Architecture for Structured Inputs
& Outputs", 2022 (arXiv:2107.14795).
"""

from tfzoo.registry import Family, lazy_getattr

FAMILY = Family(
    package=__name__,
    title="Perceiver IO",
    paper="arXiv:2107.14795",
    modules={
        "config": ("PerceiverConfig",),
        "model": ("TFPerceiverPreTrainedModel", "TFPerceiverModel"),
        "heads": (
            "TFPerceiverForImageClassificationConvProcessing",
            "TFPerceiverForImageClassificationFourier",
            "TFPerceiverForImageClassificationLearned",
            "TFPerceiverForMaskedLM",
            "TFPerceiverForMultimodalAutoencoding",
            "TFPerceiverForOpticalFlow",
            "TFPerceiverForSequenceClassification",
            "autoencoding_labels",
        ),
        "preprocessors": (
            "TFPerceiverAudioPreprocessor",
            "TFPerceiverMultimodalPreprocessor",
            "TFPerceiverOneHotPreprocessor",
            "TFPerceiverTextPreprocessor",
        ),
        "image_preprocessor": ("TFPerceiverImagePreprocessor",),
        "decoder": ("TFPerceiverBasicDecoder", "TFPerceiverProjectionDecoder"),
        "decoder_heads": ("TFPerceiverClassificationDecoder", "TFPerceiverOpticalFlowDecoder"),
        "decoder_multimodal": (
            "TFPerceiverBasicVideoAutoencodingDecoder",
            "TFPerceiverMultimodalDecoder",
        ),
        "postprocessors": (
            "TFPerceiverAudioPostprocessor",
            "TFPerceiverClassificationPostprocessor",
            "TFPerceiverMultimodalPostprocessor",
            "TFPerceiverProjectionPostprocessor",
        ),
        "outputs": (
            "TFPerceiverClassifierOutput",
            "TFPerceiverDecoderOutput",
            "TFPerceiverMaskedLMOutput",
            "TFPerceiverModelOutput",
        ),
        "tasks": ("FilledText", "classify_image", "fill_mask"),
        "autoencoding": ("DecodedVideo", "autoencode_video"),
        "flow": ("compute_flow", "flow_patches"),
        "tokenizer": ("PerceiverTokenizer",),
        "image_processor": ("PerceiverFeatureExtractor", "PerceiverImageProcessor"),
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
__getattr__ = lazy_getattr(FAMILY)
