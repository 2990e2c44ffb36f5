"""Configuration of LXMERT."""

from __future__ import annotations

from typing import Any

from tfzoo.core.config import ConfigError, PretrainedConfig
from tfzoo.core.fields import (
    boolean,
    count,
    field,
    name_or_function,
    non_negative,
    positive,
    probability,
)

__all__ = ["PYTORCH_EPSILON", "LxmertConfig"]

PYTORCH_EPSILON = 1e-12  # of all layer norms of PyTorch's classes, whatever the config says


class LxmertConfig(PretrainedConfig):
    """Configuration of the LXMERT models.

    The defaults are those of `unc-nlp/lxmert-base-uncased`. The attribute `num_hidden_layers`, a
    dict of the encoders' numbers of layers, is there for the file; one that is given is kept as it
    is, and the models only read `l_layers`, `x_layers` and `r_layers`.

    Source: Tan and Bansal 2019, arXiv:1908.07490.

    Example:
        >>> from tfzoo import LxmertConfig
        >>> config = LxmertConfig(num_qa_labels=3129)
        >>> config.num_hidden_layers
        {'vision': 5, 'cross_encoder': 5, 'language': 9}
    """

    model_type = "lxmert"

    vocab_size: int = field(30522, "Entries of the vocabulary.", positive)
    hidden_size: int = field(768, "Width D of all encoders and of the pooler.", positive)
    num_attention_heads: int = field(12, "Attention heads H of each layer.", positive)
    num_qa_labels: int = field(9500, "Number of answers.", positive)
    num_object_labels: int = field(1600, "Number of object classes.", positive)
    num_attr_labels: int = field(400, "Number of attributes.", positive)
    intermediate_size: int = field(3072, "Width of the hidden layer of each MLP.", positive)
    hidden_act: str = field(
        "gelu",
        "Activation of the MLPs: gelu, relu, silu, gelu_new, or a function.",
        name_or_function,
    )
    hidden_dropout_prob: float = field(
        0.1, "Dropout of embeddings and of the results of attention and MLPs.", probability
    )
    attention_probs_dropout_prob: float = field(0.1, "Dropout of attention weights.", probability)
    max_position_embeddings: int = field(512, "Longest text, in tokens.", positive)
    type_vocab_size: int = field(2, "Values that `token_type_ids` can take.", positive)
    initializer_range: float = field(0.02, "Standard deviation of initial weights.", non_negative)
    layer_norm_eps: float = field(
        1e-12, "Epsilon of the layer norms; the PyTorch classes always use 1e-12.", non_negative
    )
    l_layers: int = field(9, "Layers of the language encoder.", count)
    x_layers: int = field(5, "Layers of the cross-modality encoder.", count)
    r_layers: int = field(5, "Layers of the vision encoder.", count)
    visual_feat_dim: int = field(2048, "Width F of an object's features.", positive)
    visual_pos_dim: int = field(4, "Numbers that give an object's position.", positive)
    visual_loss_normalizer: float = field(
        6.67, "Factor of each loss of the visual tasks.", non_negative
    )
    task_matched: bool = field(
        True, "Pretraining: predict whether the sentence fits the image.", boolean
    )
    task_mask_lm: bool = field(True, "Pretraining: predict the masked words.", boolean)
    task_obj_predict: bool = field(True, "Pretraining: predict the masked objects.", boolean)
    task_qa: bool = field(True, "Pretraining: answer the question.", boolean)
    visual_obj_loss: bool = field(True, "Predict the objects' classes.", boolean)
    visual_attr_loss: bool = field(True, "Predict the objects' attributes.", boolean)
    visual_feat_loss: bool = field(True, "Predict the objects' features.", boolean)

    def __init__(self, /, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not hasattr(self, "num_hidden_layers"):
            self.num_hidden_layers = {
                "vision": self.r_layers,
                "cross_encoder": self.x_layers,
                "language": self.l_layers,
            }

    @property
    def visual_losses(self) -> dict[str, int]:
        """Width of the predictions of each visual task in use: `obj`, `attr`, `feat`."""
        tasks = {
            "obj": (self.visual_obj_loss, self.num_object_labels),
            "attr": (self.visual_attr_loss, self.num_attr_labels),
            "feat": (self.visual_feat_loss, self.visual_feat_dim),
        }
        return {name: width for name, (is_on, width) in tasks.items() if is_on}

    def validate(self) -> None:
        super().validate()
        for name in ("l_layers", "r_layers"):
            if getattr(self, name) + self.x_layers == 0:
                raise ConfigError(
                    f"LxmertConfig: {name} and x_layers are both 0, which leaves "
                    f"{'language' if name == 'l_layers' else 'vision'} without any output."
                )
