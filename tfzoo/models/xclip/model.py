"""X-CLIP: videos and texts in one space (Ni et al. 2022, arXiv:2208.02816)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import keras
from keras import ops

from tfzoo.core.config import ConfigError
from tfzoo.core.outputs import ModelOutput, TFBaseModelOutputWithPooling
from tfzoo.core.types import Tensor
from tfzoo.layers.clip import Tower, normal, unit
from tfzoo.layers.norm import LayerNorm
from tfzoo.modeling.clip import (
    TEXT_INPUTS,
    ClipModel,
    ClipPreTrainedModel,
    ClipTextModel,
    ClipVisionModel,
    images_input,
    pooled_output,
)
from tfzoo.models.xclip.config import XCLIPConfig, XCLIPTextConfig, XCLIPVisionConfig
from tfzoo.models.xclip.layers import (
    CrossFrameBlock,
    MultiframeIntegrationTransformer,
    PromptGenerator,
)
from tfzoo.models.xclip.zero_shot import ZeroShotVideoClassifier

__all__ = [
    "VIDEOS",
    "TFXCLIPModel",
    "TFXCLIPOutput",
    "TFXCLIPPreTrainedModel",
    "TFXCLIPTextModel",
    "TFXCLIPVisionModel",
]

VIDEOS = images_input(
    prefix="vision_config.",
    axes=("videos", "vision_config.num_frames"),
    description="Clips as the processor gives them.",
)


class TFXCLIPOutput(ModelOutput):
    """Output of `TFXCLIPModel`, of B videos and Q texts.

    Attributes:
        loss: Scalar, the contrastive loss, present when asked for.
        logits_per_video: (B, Q), scaled similarities; a softmax over the last axis ranks the texts.
        logits_per_text: (Q, B), the same transposed.
        text_embeds: (B, Q, P), the texts with each video's prompts, of length 1.
        video_embeds: (B, P), of length 1.
        text_model_output: Output of the text tower, see `TFXCLIPTextModel`.
        vision_model_output: Output of the vision tower, see `TFXCLIPVisionModel`.
        mit_output: Output of the integration transformer: `last_hidden_state` (B, T, P),
            `pooler_output` (B, P), `hidden_states`, `attentions` (B, H, T, T).
    """

    loss: Tensor | None
    logits_per_video: Tensor
    logits_per_text: Tensor
    text_embeds: Tensor
    video_embeds: Tensor
    text_model_output: TFBaseModelOutputWithPooling
    vision_model_output: TFBaseModelOutputWithPooling
    mit_output: TFBaseModelOutputWithPooling

    def plain_tuple(self) -> tuple[Any, ...]:
        """All but `mit_output`, which the reference's tuples do not have."""
        return self.to_tuple()[:-1]


class TFXCLIPPreTrainedModel(ClipPreTrainedModel):
    """Base class of the X-CLIP models."""

    config_class = XCLIPConfig

    def vision_block(self, config: XCLIPVisionConfig) -> Callable[..., keras.layers.Layer]:
        return partial(
            CrossFrameBlock, num_frames=config.num_frames, drop_path_rate=config.drop_path_rate
        )


class TFXCLIPTextModel(TFXCLIPPreTrainedModel, ClipTextModel):
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


class TFXCLIPVisionModel(TFXCLIPPreTrainedModel, ClipVisionModel):
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
    inputs_table = (
        images_input(axes=("frames",), description="Frames of clips, one clip after the other."),
    )

    def check_inputs(self, inputs: Mapping[str, Any]) -> None:
        super().check_inputs(inputs)
        count, size = inputs["pixel_values"].shape[0], self.config.num_frames
        if count is not None and count % size:
            raise ValueError(
                f"{type(self).__name__}: pixel_values must hold whole clips of {size} frames "
                f"(num_frames), got {count} frames."
            )


class TFXCLIPModel(TFXCLIPPreTrainedModel, ClipModel):
    """X-CLIP: how well does each text describe each video?

    The number of frames is the config's. Any other is refused: the reference silently mixes the
    frames of different videos where another number happens to divide.

    Training: `compile(optimizer)` and `fit` on pairs, the i-th text with the i-th video, uses the
    contrastive loss.

    Args:
        config: The configuration.
        **kwargs: `name`, `dtype`, `trainable` as in `keras.Model`.

    Raises:
        ConfigError: `projection_dim` is not `vision_config.mit_hidden_size`.

    Source: the reference's XCLIPModel.

    Example:
        >>> from tfzoo import TFXCLIPModel, XCLIPConfig
        >>> tower = {"num_hidden_layers": 1}
        >>> model = TFXCLIPModel(XCLIPConfig(text_config=tower, vision_config=tower))
        >>> outputs = model(
        ...     input_ids=np.array([[49406, 320, 49407], [49406, 518, 49407]]),
        ...     pixel_values=np.zeros((1, 8, 3, 224, 224), "float32"))
        >>> outputs.logits_per_video.shape  # a softmax over the texts gives probabilities
        TensorShape([1, 2])
    """

    inputs_table = (TEXT_INPUTS[0], VIDEOS, *TEXT_INPUTS[1:])
    main_output = "logits_per_video"

    def setup(self, config: XCLIPConfig) -> None:
        vision = config.vision_config
        if config.projection_dim != vision.mit_hidden_size:
            raise ConfigError(
                "XCLIPConfig.projection_dim must equal vision_config.mit_hidden_size, got "
                f"{config.projection_dim} and {vision.mit_hidden_size}."
            )
        super().setup(config)
        self.prompts_visual_layernorm = LayerNorm(
            epsilon=vision.layer_norm_eps, name="prompts_visual_layernorm"
        )
        self.mit = MultiframeIntegrationTransformer(vision, config.initializer_factor, name="mit")
        self.prompts_generator = PromptGenerator(config, name="prompts_generator")

    def build_comparison(self) -> None:
        width = self.config.vision_config.hidden_size
        self.mit.build()
        self.prompts_generator.build()
        self.prompts_visual_layernorm.build((None, None, width))
        self.prompts_visual_projection = self.add_weight(
            shape=(width, self.config.projection_dim),
            initializer=normal(self.config.initializer_factor * width**-0.5),
            name="prompts_visual_projection",
        )
        super().build_comparison()

    def call(
        self,
        input_ids: Tensor,
        pixel_values: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        return_loss: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        interpolate_pos_encoding: bool = False,
        return_dict: bool | None = None,
        training: bool = False,
    ) -> TFXCLIPOutput:
        """Compare every text with every video.

        Args:
            input_ids: (Q, N), token ids.
            pixel_values: (B, T, C, height, width), T the config's number of frames.
            attention_mask: (Q, N), 1 for tokens and 0 for padding; no padding where None.
            position_ids: (Q, N) or (1, N), positions; 0, 1, 2, ... where None.
            return_loss: Return the contrastive loss; needs as many texts as videos.
            output_attentions: Return the attention weights; the config's choice where None.
            output_hidden_states: Return all hidden states; the config's choice where None.
            interpolate_pos_encoding: Take frames of another size than the config's.
            return_dict: Return an output object rather than a tuple; the config's where None.
            training: Whether dropout and stochastic depth act.

        Returns:
            See `TFXCLIPOutput`.

        Raises:
            ValueError: A wrong number or size of frames, texts too long, ids outside the
                vocabulary, or a loss for unequal numbers of texts and videos.
        """
        flags = {
            "output_attentions": output_attentions,
            "output_hidden_states": output_hidden_states,
        }
        text = self.text_model(input_ids, attention_mask, position_ids, **flags)
        vision, mit = self._encode_frames(pixel_values, interpolate_pos_encoding, **flags)
        outputs = TFXCLIPOutput(
            **self._compare_all(self.text_projection(text[1]), mit[1], vision[0]),
            text_model_output=pooled_output(text),
            vision_model_output=pooled_output(vision),
            mit_output=pooled_output(mit),
        )
        if not return_loss:
            return outputs
        return TFXCLIPOutput(loss=self.compute_output_loss(None, outputs, None), **outputs)

    def _encode_frames(
        self, pixel_values: Tensor, interpolate_pos_encoding: bool, **flags: bool | None
    ) -> tuple[Tower, Tower]:
        """What the vision tower and the integration transformer return."""
        config = self.config.vision_config
        images = ops.reshape(pixel_values, (-1, config.num_channels, *ops.shape(pixel_values)[3:]))
        vision = self.vision_model(
            images, interpolate_pos_encoding=interpolate_pos_encoding, **flags
        )
        # The input's videos and the config's frames: another number of frames fails here.
        shape = (ops.shape(pixel_values)[0], config.num_frames, self.config.projection_dim)
        frames = ops.reshape(self.visual_projection(vision[1]), shape)
        return vision, self.mit(frames, **flags)

    def _compare_all(self, text: Tensor, video: Tensor, frames: Tensor) -> dict[str, Tensor]:
        """As `compare`; of several replicas each compares its own with those of all."""
        texts, first = self.of_all_replicas(text)
        compared = self.compare(texts, video, frames)
        if texts is not text:
            logits, _ = self.of_all_replicas(compared["logits_per_video"])
            own = slice(first, first + ops.shape(text)[0])
            compared["logits_per_text"] = ops.transpose(logits)[own]
        return compared

    def compare(self, text: Tensor, video: Tensor, frames: Tensor) -> dict[str, Tensor]:
        """The second half of the model: prompts, and the similarities of videos and texts.

        Args:
            text: (Q, P), as `get_text_features` gives them; or (B, Q, P), other texts for each
                video.
            video: (B, P), as `get_video_features` gives them.
            frames: (B T, 1 + N, D), last hidden state of the vision tower.

        Returns:
            `logits_per_video` (B, Q), `logits_per_text` (Q, B), `text_embeds` (B, Q, P) and
            `video_embeds` (B, P).
        """
        text = text if len(text.shape) == 3 else ops.expand_dims(text, 0)
        text = text + self.prompts_generator(text, self._visual_prompts(frames))
        count, width = ops.shape(text)[1], self.config.projection_dim
        text = ops.broadcast_to(text, (ops.shape(video)[0], count, width))
        video, text = unit(video), unit(text)
        scaled = ops.cast(ops.exp(self.logit_scale), text.dtype) * text
        logits = ops.squeeze(ops.matmul(scaled, ops.expand_dims(video, -1)), -1)
        return {
            "logits_per_video": logits,
            "logits_per_text": ops.transpose(logits),
            "text_embeds": text,
            "video_embeds": video,
        }

    def _visual_prompts(self, frames: Tensor) -> Tensor:
        """(B T, 1 + N, D) -> (B, N, P): patches in the common space, averaged over time."""
        patches = self.prompts_visual_layernorm(frames[:, 1:])
        count, width = ops.shape(patches)[1:]
        patches = ops.reshape(patches, (-1, self.config.vision_config.num_frames, count, width))
        # The mean stands before the projection, which is linear: fewer products.
        return ops.matmul(
            ops.mean(patches, axis=1), ops.cast(self.prompts_visual_projection, patches.dtype)
        )

    def get_video_features(
        self,
        pixel_values: Tensor | Mapping[str, Tensor] | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        interpolate_pos_encoding: bool = False,
    ) -> Tensor:
        """The videos in the common space, not of length 1.

        Args:
            pixel_values: (B, T, C, height, width), or a dict with it.
            output_attentions: Without effect, as in the reference.
            output_hidden_states: Without effect, as in the reference.
            return_dict: Without effect, as in the reference.
            interpolate_pos_encoding: Take frames of another size than the config's.

        Returns:
            (B, P).

        Raises:
            ValueError: No videos, or a wrong number or size of frames.

        Example:
            >>> from tfzoo import TFXCLIPModel, XCLIPConfig
            >>> tower = {"num_hidden_layers": 1}
            >>> model = TFXCLIPModel(XCLIPConfig(text_config=tower, vision_config=tower))
            >>> model.get_video_features(np.zeros((1, 8, 3, 224, 224), "float32")).shape
            TensorShape([1, 512])
        """
        return self.encode_videos(pixel_values, interpolate_pos_encoding)[0]

    def encode_videos(
        self,
        pixel_values: Tensor | Mapping[str, Tensor] | None,
        interpolate_pos_encoding: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """What `compare` needs of videos.

        Args:
            pixel_values: (B, T, C, height, width), or a dict with it.
            interpolate_pos_encoding: Take frames of another size than the config's.

        Returns:
            Videos (B, P) and frames (B T, 1 + N, D).

        Raises:
            ValueError: No videos, or a wrong number or size of frames.
        """
        inputs = self.bind_inputs(
            "get_video_features", (VIDEOS,), pixel_values, interpolate_pos_encoding
        )
        vision, mit = self._encode_frames(inputs["pixel_values"], interpolate_pos_encoding)
        return mit[1], vision[0]

    def zero_shot_classifier(
        self, labels: Sequence[str], template: str = "{}", tokenizer: Any = None
    ) -> ZeroShotVideoClassifier:
        """A classifier of videos whose classes are the given texts, encoded once.

        Args:
            labels: Names of the classes.
            template: Sentence with `{}` where the label goes, e.g. `"a video of {}"`.
            tokenizer: The tokenizer or processor; that beside the checkpoint where None.

        Returns:
            The classifier, see `ZeroShotVideoClassifier`.

        Raises:
            ValueError: No labels, a template without `{}`, no tokenizer, or one that does not
                belong to the model.
        """
        return ZeroShotVideoClassifier(self, labels, template, tokenizer)
