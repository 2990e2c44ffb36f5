"""OWLv2's two towers in one space (Minderer et al. 2023, arXiv:2306.09683)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from keras import ops

from tfzoo.core.outputs import ModelOutput, TFBaseModelOutputWithPooling
from tfzoo.core.types import Tensor
from tfzoo.layers.clip import unit
from tfzoo.modeling.clip import (
    TEXT_INPUTS,
    ClipModel,
    ClipPreTrainedModel,
    ClipTextModel,
    ClipVisionModel,
    images_input,
    pooled_output,
)
from tfzoo.models.owlv2.config import Owlv2Config, Owlv2TextConfig, Owlv2VisionConfig

__all__ = [
    "IMAGES",
    "QUERIES",
    "TFOwlv2Model",
    "TFOwlv2Output",
    "TFOwlv2PreTrainedModel",
    "TFOwlv2TextModel",
    "TFOwlv2VisionModel",
]

QUERIES = TEXT_INPUTS[:2]  # ids and mask, without positions
IMAGES = images_input(prefix="vision_config.")


class TFOwlv2Output(ModelOutput):
    """Output of `TFOwlv2Model`, of B images and Q texts.

    Attributes:
        loss: Scalar, the contrastive loss, present when asked for.
        logits_per_image: (B, Q), scaled similarities.
        logits_per_text: (Q, B), the same transposed.
        text_embeds: (Q, P), of length 1.
        image_embeds: (B, P), of length 1.
        text_model_output: Output of the text tower.
        vision_model_output: Output of the vision tower.
    """

    loss: Tensor | None
    logits_per_image: Tensor
    logits_per_text: Tensor
    text_embeds: Tensor
    image_embeds: Tensor
    text_model_output: TFBaseModelOutputWithPooling
    vision_model_output: TFBaseModelOutputWithPooling


class TFOwlv2PreTrainedModel(ClipPreTrainedModel):
    """Base class of the OWLv2 models."""

    config_class = Owlv2Config
    exact_size = False


class TFOwlv2TextModel(TFOwlv2PreTrainedModel, ClipTextModel):
    """The text tower of OWLv2, a causal transformer.

    Args:
        config: The configuration of the text tower.
        **kwargs: `name`, `dtype`, `trainable` as in `keras.Model`.

    Source: the reference's Owlv2TextModel.

    Example:
        >>> from tfzoo import Owlv2TextConfig, TFOwlv2TextModel
        >>> model = TFOwlv2TextModel(Owlv2TextConfig(vocab_size=100, num_hidden_layers=1))
        >>> outputs = model(input_ids=np.array([[98, 5, 7, 99]]))
        >>> outputs.last_hidden_state.shape, outputs.pooler_output.shape
        (TensorShape([1, 4, 512]), TensorShape([1, 512]))
    """

    config_class = Owlv2TextConfig
    inputs_table = QUERIES

    def call(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool = False,
    ) -> TFBaseModelOutputWithPooling:
        return super().call(
            input_ids,
            attention_mask,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
        )


class TFOwlv2VisionModel(TFOwlv2PreTrainedModel, ClipVisionModel):
    """The vision tower of OWLv2.

    Args:
        config: The configuration of the vision tower.
        **kwargs: `name`, `dtype`, `trainable` as in `keras.Model`.

    Source: the reference's Owlv2VisionModel.

    Example:
        >>> from tfzoo import Owlv2VisionConfig, TFOwlv2VisionModel
        >>> model = TFOwlv2VisionModel(Owlv2VisionConfig(image_size=32, num_hidden_layers=1))
        >>> model(pixel_values=np.zeros((1, 3, 32, 32), "float32")).last_hidden_state.shape
        TensorShape([1, 5, 768])
    """

    config_class = Owlv2VisionConfig


class TFOwlv2Model(TFOwlv2PreTrainedModel, ClipModel):
    """OWLv2 without its detector: how well does each text describe each image?

    The published checkpoints were made for detection; their `visual_projection` was never
    trained, so the similarities of whole images mean nothing before training.

    Training: `compile(optimizer)` and `fit` on pairs, the i-th text with the i-th image, uses the
    contrastive loss.

    Args:
        config: The configuration.
        **kwargs: `name`, `dtype`, `trainable` as in `keras.Model`.

    Source: the reference's Owlv2Model.

    Example:
        >>> from tfzoo import Owlv2Config, TFOwlv2Model
        >>> tower = {"num_hidden_layers": 1}
        >>> config = Owlv2Config(text_config=tower, vision_config={**tower, "image_size": 32})
        >>> outputs = TFOwlv2Model(config)(
        ...     input_ids=np.array([[49406, 320, 49407], [49406, 518, 49407]]),
        ...     pixel_values=np.zeros((1, 3, 32, 32), "float32"))
        >>> outputs.logits_per_image.shape
        TensorShape([1, 2])
    """

    inputs_table = (QUERIES[0], IMAGES, QUERIES[1])
    text_inputs = QUERIES
    text_outputs = ("text_embeds", "text_model_output")
    main_output = "logits_per_image"
    output_class: ClassVar[type[ModelOutput]] = TFOwlv2Output

    def call(
        self,
        input_ids: Tensor,
        pixel_values: Tensor,
        attention_mask: Tensor | None = None,
        return_loss: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_base_image_embeds: bool | None = None,
        return_dict: bool | None = None,
        interpolate_pos_encoding: bool = False,
        training: bool = False,
    ) -> TFOwlv2Output:
        """Compare every text with every image.

        Args:
            input_ids: (Q, N), token ids.
            pixel_values: (B, C, height, width), floats.
            attention_mask: (Q, N), 1 for tokens and 0 for padding; no padding where None.
            return_loss: Return the contrastive loss; needs as many texts as images.
            output_attentions: Return the attention weights; the config's choice where None.
            output_hidden_states: Return all hidden states; the config's choice where None.
            return_base_image_embeds: Without effect, as in the reference.
            return_dict: Return an output object rather than a tuple; the config's where None.
            interpolate_pos_encoding: Take images of another size than the config's.
            training: Whether dropout acts.

        Returns:
            See `TFOwlv2Output`.

        Raises:
            ValueError: Wrong inputs, or a loss for unequal numbers of texts and images.
        """
        flags = {
            "output_attentions": output_attentions,
            "output_hidden_states": output_hidden_states,
        }
        text = self.text_model(input_ids, attention_mask, **flags)
        vision = self.vision_model(
            pixel_values, interpolate_pos_encoding=interpolate_pos_encoding, **flags
        )
        text_embeds = unit(self.text_projection(text[1]))
        image_embeds = unit(self.visual_projection(vision[1]))
        scale = ops.cast(ops.exp(self.logit_scale), text_embeds.dtype)
        texts, images = (self.of_all_replicas(x)[0] for x in (text_embeds, image_embeds))
        outputs = self.output_class(
            logits_per_image=ops.matmul(image_embeds, ops.transpose(texts)) * scale,
            logits_per_text=ops.matmul(text_embeds, ops.transpose(images)) * scale,
            text_embeds=text_embeds,
            image_embeds=image_embeds,
            text_model_output=pooled_output(text),
            vision_model_output=pooled_output(vision),
        )
        if not return_loss:
            return outputs
        return self.output_class(loss=self.compute_output_loss(None, outputs, None), **outputs)

    def get_text_features(
        self,
        input_ids: Tensor | Mapping[str, Tensor] | Sequence[Tensor] | None = None,
        attention_mask: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Tensor:
        return super().get_text_features(input_ids, attention_mask)

    def get_image_features(
        self,
        pixel_values: Tensor | Mapping[str, Tensor] | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        interpolate_pos_encoding: bool = False,
    ) -> Tensor:
        """The images in the common space, not of length 1.

        Args:
            pixel_values: (B, C, height, width), or a dict with it.
            output_attentions: Without effect, as in the reference.
            output_hidden_states: Without effect, as in the reference.
            return_dict: Without effect, as in the reference.
            interpolate_pos_encoding: Take images of another size than the config's.

        Returns:
            (B, P).

        Raises:
            ValueError: No images, or images of another size.
        """
        inputs = self.bind_inputs(
            "get_image_features", (IMAGES,), pixel_values, interpolate_pos_encoding
        )
        vision = self.vision_model(
            inputs["pixel_values"], interpolate_pos_encoding=interpolate_pos_encoding
        )
        return self.visual_projection(vision[1])
