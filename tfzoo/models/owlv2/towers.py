"""The two towers of OWLv2 as models of their own (Minderer et al. 2023, arXiv:2306.09683)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras import ops

from tfzoo.core.inputs import Input
from tfzoo.core.outputs import TFBaseModelOutputWithPooling
from tfzoo.losses.detection.targets import same_shape
from tfzoo.modeling.base import TFPreTrainedModel
from tfzoo.modeling.clip_inputs import TEXT_INPUTS, check_frames, check_text, pooled_output
from tfzoo.models.owlv2.config import OwlTextConfig, Owlv2Config, Owlv2TextConfig, Owlv2VisionConfig
from tfzoo.models.owlv2.layers import text_tower, vision_tower

__all__ = [
    "QUERIES",
    "TFOwlv2PreTrainedModel",
    "TFOwlv2TextModel",
    "TFOwlv2VisionModel",
    "flat_queries",
    "images_input",
]

QUERIES = TEXT_INPUTS[:2]  # ids and mask; OWLv2 takes no positions


def flat_queries(owner: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Bring the queries of each image, (B, Q, N), into one row, (B Q, N); others stay as they are.

    Args:
        owner: Name of the model, for the error.
        inputs: The inputs by name.

    Raises:
        ValueError: Queries (B, Q, N) of another number of images than there are.
    """
    flat, images = dict(inputs), getattr(inputs.get("pixel_values"), "shape", (None,))
    for name in (row.name for row in QUERIES):
        shape = getattr(inputs.get(name), "shape", ())
        if len(shape) != 3:
            continue
        if not same_shape(shape[:1], images[:1]):
            raise ValueError(
                f"{owner}: {name} (B, Q, N) must have one row for each image, got {tuple(shape)} "
                f"and pixel_values {tuple(images)}."
            )
        flat[name] = ops.reshape(inputs[name], (-1, ops.shape(inputs[name])[-1]))
    return flat


def images_input(name: str, prefix: str = "", optional: bool = False) -> Input:
    """The row of an input of images.

    Args:
        name: The input's name.
        prefix: Where the vision tower's configuration stands in the model's.
        optional: Whether the head works without it.
    """
    channels, side = f"{prefix}num_channels", f"{prefix}image_size"
    return Input(
        name,
        "float32",
        ("images", channels, "height", "width"),
        "Images as the processor gives them.",
        optional=optional,
        exported=None if optional else ("images", channels, side, side),
    )


class TFOwlv2PreTrainedModel(TFPreTrainedModel):
    """Base class of the OWLv2 models."""

    config_class = Owlv2Config


class TFOwlv2TextModel(TFOwlv2PreTrainedModel):
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
    main_output = "pooler_output"

    def setup(self, config: OwlTextConfig) -> None:
        """Make the tower."""
        self.text_model = text_tower(config)

    def build_layers(self) -> None:
        """Create the weights."""
        self.text_model.build()

    def check_inputs(self, inputs: Mapping[str, Any]) -> None:
        """Refuse wrong inputs, see `check_text`."""
        super().check_inputs(inputs)
        check_text(type(self).__name__, inputs, self.config)

    def call(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool = False,
    ) -> TFBaseModelOutputWithPooling:
        """Encode texts.

        Args:
            input_ids: (B, N), token ids; N at most `max_position_embeddings`.
            attention_mask: (B, N), 1 for tokens and 0 for padding; no padding where None.
            output_attentions: Return the attention maps; the config's choice where None.
            output_hidden_states: Return all hidden states; the config's choice where None.
            return_dict: Return an output object rather than a tuple; the config's where None.
            training: Whether dropout acts.

        Returns:
            `last_hidden_state` (B, N, D) after the final norm; `pooler_output` (B, D), its row at
            the first of the largest ids, the end of the text; `hidden_states`, `attentions`.

        Raises:
            ValueError: Texts too long, or ids outside the vocabulary.
        """
        return pooled_output(
            self.text_model(
                input_ids,
                attention_mask,
                output_attentions=output_attentions,
                output_hidden_states=output_hidden_states,
            )
        )

    def get_input_embeddings(self) -> Any:
        """The layer that embeds the tokens."""
        return self.text_model.embeddings.token_embedding


class TFOwlv2VisionModel(TFOwlv2PreTrainedModel):
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
    inputs_table = (images_input("pixel_values"),)
    main_output = "pooler_output"

    def setup(self, config: Any) -> None:
        """Make the tower."""
        self.vision_model = vision_tower(config)

    def build_layers(self) -> None:
        """Create the weights."""
        self.vision_model.build()

    def check_inputs(self, inputs: Mapping[str, Any]) -> None:
        """Refuse wrong inputs, see `check_frames`."""
        super().check_inputs(inputs)
        check_frames(
            type(self).__name__,
            inputs["pixel_values"].shape,
            self.config,
            bool(inputs.get("interpolate_pos_encoding")),
            exact=False,
        )

    def call(
        self,
        pixel_values: Any,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        interpolate_pos_encoding: bool = False,
        training: bool = False,
    ) -> TFBaseModelOutputWithPooling:
        """Encode images.

        Args:
            pixel_values: (B, C, height, width), floats.
            output_attentions: Return the attention maps; the config's choice where None.
            output_hidden_states: Return all hidden states; the config's choice where None.
            return_dict: Return an output object rather than a tuple; the config's where None.
            interpolate_pos_encoding: Take images of another size than the config's.
            training: Whether dropout acts.

        Returns:
            `last_hidden_state` (B, 1 + N, D) without a norm; `pooler_output` (B, D), the normed
            class token; `hidden_states`, `attentions`.

        Raises:
            ValueError: Images of another size.
        """
        return pooled_output(
            self.vision_model(
                pixel_values,
                interpolate_pos_encoding=interpolate_pos_encoding,
                output_attentions=output_attentions,
                output_hidden_states=output_hidden_states,
            )
        )

    def get_input_embeddings(self) -> Any:
        """The layer that embeds the patches."""
        return self.vision_model.embeddings.patch_embedding
