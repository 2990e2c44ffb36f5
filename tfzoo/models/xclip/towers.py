"""The two towers of X-CLIP as models of their own (Ni et al. 2022, arXiv:2208.02816)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfzoo.core.inputs import Input
from tfzoo.core.outputs import TFBaseModelOutputWithPooling
from tfzoo.modeling.base import TFPreTrainedModel
from tfzoo.modeling.clip_inputs import TEXT_INPUTS, check_frames, check_text, pooled_output
from tfzoo.models.xclip.config import XCLIPConfig, XCLIPTextConfig, XCLIPVisionConfig
from tfzoo.models.xclip.layers import text_tower, vision_tower

__all__ = [
    "VIDEOS",
    "TFXCLIPPreTrainedModel",
    "TFXCLIPTextModel",
    "TFXCLIPVisionModel",
]

VIDEOS = Input(
    "pixel_values",
    "float32",
    ("videos", "vision_config.num_frames", "vision_config.num_channels", "height", "width"),
    "Clips as the processor gives them.",
    exported=(
        "videos",
        "vision_config.num_frames",
        "vision_config.num_channels",
        "vision_config.image_size",
        "vision_config.image_size",
    ),
)
_FRAMES = Input(
    "pixel_values",
    "float32",
    ("frames", "num_channels", "height", "width"),
    "Frames of clips, one clip after the other.",
    exported=("frames", "num_channels", "image_size", "image_size"),
)


class TFXCLIPPreTrainedModel(TFPreTrainedModel):
    """Base class of the X-CLIP models."""

    config_class = XCLIPConfig


class TFXCLIPTextModel(TFXCLIPPreTrainedModel):
    """The text tower of X-CLIP, a causal transformer.

    Args:
        config: The configuration of the text tower.
        **kwargs: `name`, `dtype`, `trainable` as in `keras.Model`.

    Source: the reference's XCLIPTextModel.

    Example:
        >>> from tfzoo import TFXCLIPTextModel, XCLIPTextConfig
        >>> model = TFXCLIPTextModel(XCLIPTextConfig(vocab_size=100, num_hidden_layers=1))
        >>> outputs = model(input_ids=np.array([[98, 5, 7, 99]]))
        >>> outputs.last_hidden_state.shape, outputs.pooler_output.shape
        (TensorShape([1, 4, 512]), TensorShape([1, 512]))
    """

    config_class = XCLIPTextConfig
    inputs_table = TEXT_INPUTS
    main_output = "pooler_output"

    def setup(self, config: XCLIPTextConfig) -> None:
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
        position_ids: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool = False,
    ) -> TFBaseModelOutputWithPooling:
        """Encode texts.

        Args:
            input_ids: (B, N), token ids; N at most `max_position_embeddings`.
            attention_mask: (B, N), 1 for tokens and 0 for padding; no padding where None.
            position_ids: (B, N) or (1, N), places; 0, 1, 2, ... where None.
            output_attentions: Return the attention maps; the config's choice where None.
            output_hidden_states: Return all hidden states; the config's choice where None.
            return_dict: Return an output object rather than a tuple; the config's where None.
            training: Whether dropout acts.

        Returns:
            `last_hidden_state` (B, N, D) after the final norm; `pooler_output` (B, D), its row at
            the first of the largest ids, which is CLIP's end of text; `hidden_states`,
            `attentions`.

        Raises:
            ValueError: Texts too long, or ids outside the vocabulary.
        """
        return pooled_output(
            self.text_model(
                input_ids,
                attention_mask,
                position_ids,
                output_attentions=output_attentions,
                output_hidden_states=output_hidden_states,
            )
        )

    def get_input_embeddings(self) -> Any:
        """The layer that embeds the tokens."""
        return self.text_model.embeddings.token_embedding


class TFXCLIPVisionModel(TFXCLIPPreTrainedModel):
    """The vision tower of X-CLIP, in which the frames of a clip exchange messages.

    It takes frames, not clips: each `num_frames` consecutive rows of the batch make a clip.

    Args:
        config: The configuration of the vision tower.
        **kwargs: `name`, `dtype`, `trainable` as in `keras.Model`.

    Source: the reference's XCLIPVisionModel.

    Example:
        >>> from tfzoo import TFXCLIPVisionModel, XCLIPVisionConfig
        >>> model = TFXCLIPVisionModel(XCLIPVisionConfig(num_hidden_layers=1))
        >>> frames = np.zeros((8, 3, 224, 224), "float32")
        >>> model(pixel_values=frames).last_hidden_state.shape
        TensorShape([8, 50, 768])
    """

    config_class = XCLIPVisionConfig
    inputs_table = (_FRAMES,)
    main_output = "pooler_output"

    def setup(self, config: XCLIPVisionConfig) -> None:
        """Make the tower."""
        self.vision_model = vision_tower(config)

    def build_layers(self) -> None:
        """Create the weights."""
        self.vision_model.build()

    def check_inputs(self, inputs: Mapping[str, Any]) -> None:
        """Refuse wrong inputs.

        Raises:
            ValueError: Frames of another size, or a number of them that makes no whole clips.
        """
        super().check_inputs(inputs)
        owner, config, shape = type(self).__name__, self.config, inputs["pixel_values"].shape
        check_frames(owner, shape, config, bool(inputs.get("interpolate_pos_encoding")))
        if shape[0] is not None and shape[0] % config.num_frames:
            raise ValueError(
                f"{owner}: pixel_values must hold whole clips of {config.num_frames} frames "
                f"(num_frames), got {shape[0]} frames."
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
        """Encode the frames of clips.

        Args:
            pixel_values: (B T, C, height, width), floats, the frames of each clip in order.
            output_attentions: Return the attention maps; the config's choice where None.
            output_hidden_states: Return all hidden states; the config's choice where None.
            return_dict: Return an output object rather than a tuple; the config's where None.
            interpolate_pos_encoding: Take frames of another size than the config's.
            training: Whether dropout and stochastic depth act.

        Returns:
            `last_hidden_state` (B T, 1 + N, D) without a norm; `pooler_output` (B T, D), the
            normed class token; `hidden_states`; `attentions` (B T, H, 2 + N, 2 + N), the message
            token last.

        Raises:
            ValueError: Frames of another size, or a number of them that makes no whole clips.
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
