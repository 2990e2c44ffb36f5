"""LXMERT: texts and the objects of an image, for questions about images.

Paper: Tan, Bansal, "LXMERT: Learning Cross-Modality Encoder Representations from Transformers",
2019 (arXiv:1908.07490).
"""

from tfzoo.registry import Family

FAMILY = Family(
    package=__name__,
    title="LXMERT",
    paper="arXiv:1908.07490",
    modules={
        "config": ("LxmertConfig",),
        "model": (
            "TFLxmertPreTrainedModel",
            "TFLxmertModel",
            "TFLxmertMainLayer",
            "TFLxmertForQuestionAnswering",
            "TFLxmertModelOutput",
            "TFLxmertForQuestionAnsweringOutput",
        ),
        "pretraining": ("TFLxmertForPreTraining", "TFLxmertForPreTrainingOutput"),
        "layers": ("TFLxmertEncoder", "TFLxmertVisualFeatureEncoder", "TFLxmertXLayer"),
        "tokenizer": ("LxmertTokenizer", "LxmertTokenizerFast"),
    },
    configs={"lxmert": "LxmertConfig"},
    auto={
        "TFAutoModel": {"lxmert": "TFLxmertModel"},
        "TFAutoModelForPreTraining": {"lxmert": "TFLxmertForPreTraining"},
        "TFAutoModelForQuestionAnswering": {"lxmert": "TFLxmertForQuestionAnswering"},
        "AutoTokenizer": {"lxmert": "LxmertTokenizerFast"},
    },
    checkpoints=(
        "unc-nlp/lxmert-base-uncased",
        "unc-nlp/lxmert-vqa-uncased",
        "unc-nlp/lxmert-gqa-uncased",
    ),
)

__all__ = list(FAMILY.classes)
__getattr__ = FAMILY.load
