"""OWLv2's two towers in one space (Minderer et al. 2023, arXiv:2306.09683)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
from keras import ops

from tfzoo.core.inputs import Input, InputTable
from tfzoo.core.outputs import ModelOutput
from tfzoo.layers.clip import spread
from tfzoo.layers.linear import Linear
from tfzoo.modeling.clip_inputs import check_frames, check_text, pooled_output
from tfzoo.modeling.training import ContrastiveMixin
from tfzoo.models.owlv2.config import OwlConfig, Owlv2Config
from tfzoo.models.owlv2.layers import text_tower, unit, vision_tower
from tfzoo.models.owlv2.outputs import TFOwlv2Output
from tfzoo.models.owlv2.towers import QUERIES, TFOwlv2PreTrainedModel, images_input

__all__ = ["IMAGES", "TFOwlv2Model", "TFOwlv2PreTrainedModel", "bind", "check_images"]

IMAGES = images_input("pixel_values", "vision_config.")


def check_images(owner: str, shape: Any, config: OwlConfig, interpolate: Any) -> None:
    """Refuse images of another size, see `check_frames`."""
    check_frames(owner, shape, config.vision_config, bool(interpolate), exact=False)


def bind(
    rows: tuple[Input, ...], owner: str, first: Any, others: dict[str, Any], config: OwlConfig
) -> dict[str, Any]:
    """The checked inputs of a method, in any of the forms that a model takes."""
    table = InputTable(rows, [row.name for row in rows], owner)
    inputs = table.bind(() if first is None else (first,), others)
    table.check(inputs, config)
    return {name: value for name, value in inputs.items() if value is not None}


class TFOwlv2Model(ContrastiveMixin, TFOwlv2PreTrainedModel):
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

    config_class = Owlv2Config
    inputs_table = (QUERIES[0], IMAGES, QUERIES[1])
    main_output = "logits_per_image"
    output_class: ClassVar[type[ModelOutput]] = TFOwlv2Output

    def setup(self, config: OwlConfig) -> None:
        """Make the sublayers."""
        self.text_model = text_tower(config.text_config)
        self.vision_model = vision_tower(config.vision_config)
        self.visual_projection = self._projection(config.vision_config.hidden_size, "visual")
        self.text_projection = self._projection(config.text_config.hidden_size, "text")

    def _projection(self, width: int, name: str) -> Linear:
        return Linear(
            self.config.projection_dim,
            use_bias=False,
            kernel_initializer=spread(self.config.initializer_factor * width**-0.5),
            name=f"{name}_projection",
        )

    def build_layers(self) -> None:
        """Create the weights."""
        self.text_model.build()
        self.vision_model.build()
        self.visual_projection.build((None, self.config.vision_config.hidden_size))
        self.text_projection.build((None, self.config.text_config.hidden_size))
        self.logit_scale = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(self.config.logit_scale_init_value),
            name="logit_scale",
        )

    def check_inputs(self, inputs: Mapping[str, Any]) -> None:
        """Refuse wrong inputs.

        Raises:
            ValueError: Images of another size, texts too long, or ids outside the vocabulary.
        """
        super().check_inputs(inputs)
        owner, interpolate = type(self).__name__, inputs.get("interpolate_pos_encoding")
        check_text(owner, inputs, self.config.text_config)
        check_images(owner, inputs["pixel_values"].shape, self.config, interpolate)

    def call(
        self,
        input_ids: Any,
        pixel_values: Any,
        attention_mask: Any = None,
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
            output_attentions: Return the attention maps; the config's choice where None.
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
        input_ids: Any = None,
        attention_mask: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """The texts in the common space, not of length 1.

        Args:
            input_ids: (Q, N), token ids, or a dict, list or tuple of the inputs.
            attention_mask: (Q, N), 1 for tokens and 0 for padding.
            output_attentions: Without effect, as in the reference.
            output_hidden_states: Without effect, as in the reference.
            return_dict: Without effect, as in the reference.

        Returns:
            (Q, P).

        Raises:
            ValueError: No texts, texts too long, or ids outside the vocabulary.
        """
        owner = f"{type(self).__name__}.get_text_features"
        others = {"attention_mask": attention_mask}
        inputs = bind(QUERIES, owner, input_ids, others, self.config)
        check_text(owner, inputs, self.config.text_config)
        return self.text_projection(self.text_model(**inputs)[1])

    def get_image_features(
        self,
        pixel_values: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        interpolate_pos_encoding: bool = False,
    ) -> Any:
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
        owner = f"{type(self).__name__}.get_image_features"
        pixels = bind((IMAGES,), owner, pixel_values, {}, self.config)["pixel_values"]
        check_images(owner, pixels.shape, self.config, interpolate_pos_encoding)
        vision = self.vision_model(pixels, interpolate_pos_encoding=interpolate_pos_encoding)
        return self.visual_projection(vision[1])

    def get_input_embeddings(self) -> Any:
        """The layer that embeds the tokens."""
        return self.text_model.embeddings.token_embedding
