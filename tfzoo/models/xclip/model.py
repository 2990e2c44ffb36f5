"""X-CLIP: the two towers in one space (Ni et al. 2022, arXiv:2208.02816)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from tfzoo.core.config import ConfigError
from tfzoo.core.inputs import Input, InputTable
from tfzoo.layers.clip import spread
from tfzoo.layers.linear import Linear
from tfzoo.layers.norm import LayerNorm
from tfzoo.modeling.clip_inputs import TEXT_INPUTS, check_frames, check_text, pooled_output
from tfzoo.modeling.training import ContrastiveMixin
from tfzoo.models.xclip.config import XCLIPConfig
from tfzoo.models.xclip.layers import (
    MultiframeIntegrationTransformer,
    PromptGenerator,
    text_tower,
    vision_tower,
)
from tfzoo.models.xclip.outputs import TFXCLIPOutput
from tfzoo.models.xclip.towers import VIDEOS, TFXCLIPPreTrainedModel

if TYPE_CHECKING:
    from tfzoo.models.xclip.zero_shot import ZeroShotVideoClassifier

__all__ = ["TFXCLIPModel", "TFXCLIPPreTrainedModel"]


class TFXCLIPModel(ContrastiveMixin, TFXCLIPPreTrainedModel):
    """X-CLIP: how well does each text describe each video?

    The number of frames is the config's: the reference mixes the frames of different videos
    without a word where another number happens to divide, so any other is refused here.

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

    config_class = XCLIPConfig
    inputs_table = (TEXT_INPUTS[0], VIDEOS, *TEXT_INPUTS[1:])
    main_output = "logits_per_video"

    def setup(self, config: XCLIPConfig) -> None:
        """Make the sublayers."""
        vision = config.vision_config
        if config.projection_dim != vision.mit_hidden_size:
            raise ConfigError(
                "XCLIPConfig.projection_dim must equal vision_config.mit_hidden_size, got "
                f"{config.projection_dim} and {vision.mit_hidden_size}."
            )
        self.text_model = text_tower(config.text_config)
        self.vision_model = vision_tower(vision)
        self.visual_projection = self._projection(vision.hidden_size, "visual_projection")
        self.text_projection = self._projection(config.text_config.hidden_size, "text_projection")
        self.prompts_visual_layernorm = LayerNorm(
            epsilon=vision.layer_norm_eps, name="prompts_visual_layernorm"
        )
        self.mit = MultiframeIntegrationTransformer(vision, name="mit")
        self.prompts_generator = PromptGenerator(config, name="prompts_generator")

    def _spread(self, width: int) -> keras.initializers.Initializer:
        return spread(self.config.initializer_factor * width**-0.5)

    def _projection(self, width: int, name: str) -> Linear:
        return Linear(
            self.config.projection_dim,
            use_bias=False,
            kernel_initializer=self._spread(width),
            name=name,
        )

    def build_layers(self) -> None:
        """Create the weights."""
        config = self.config
        width = config.vision_config.hidden_size
        for layer in (self.text_model, self.vision_model, self.mit, self.prompts_generator):
            layer.build()
        self.visual_projection.build((None, width))
        self.text_projection.build((None, config.text_config.hidden_size))
        self.prompts_visual_layernorm.build((None, None, width))
        self.prompts_visual_projection = self.add_weight(
            shape=(width, config.projection_dim),
            initializer=self._spread(width),
            name="prompts_visual_projection",
        )
        self.logit_scale = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(config.logit_scale_init_value),
            name="logit_scale",
        )

    def check_inputs(self, inputs: Mapping[str, Any]) -> None:
        """Refuse wrong inputs.

        Raises:
            ValueError: A wrong number or size of frames, texts too long, ids outside the
                vocabulary, or numbers of texts and videos that make no pairs for a loss.
        """
        super().check_inputs(inputs)
        owner, shape = type(self).__name__, inputs["pixel_values"].shape
        check_text(owner, inputs, self.config.text_config)
        check_frames(
            owner,
            shape,
            self.config.vision_config,
            bool(inputs.get("interpolate_pos_encoding")),
        )

    def call(
        self,
        input_ids: Any,
        pixel_values: Any,
        attention_mask: Any = None,
        position_ids: Any = None,
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
            position_ids: (Q, N) or (1, N), places; 0, 1, 2, ... where None.
            return_loss: Return the contrastive loss; needs as many texts as videos.
            output_attentions: Return the attention maps; the config's choice where None.
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
        self, pixel_values: Any, interpolate_pos_encoding: bool, **flags: Any
    ) -> tuple[Any, Any]:
        """What the vision tower and the integration transformer return."""
        config = self.config.vision_config
        images = ops.reshape(pixel_values, (-1, config.num_channels, *ops.shape(pixel_values)[3:]))
        vision = self.vision_model(
            images, interpolate_pos_encoding=interpolate_pos_encoding, **flags
        )
        # Shapes by the input's videos and the config's frames: another number of frames fails.
        shape = (ops.shape(pixel_values)[0], config.num_frames, self.config.projection_dim)
        frames = ops.reshape(self.visual_projection(vision[1]), shape)
        return vision, self.mit(frames, **flags)

    def _compare_all(self, text: Any, video: Any, frames: Any) -> dict[str, Any]:
        """As `compare`; of several replicas each compares its own with those of all."""
        texts, first = self.of_all_replicas(text)
        compared = self.compare(texts, video, frames)
        if texts is not text:
            logits, _ = self.of_all_replicas(compared["logits_per_video"])
            own = slice(first, first + ops.shape(text)[0])
            compared["logits_per_text"] = ops.transpose(logits)[own]
        return compared

    def compare(self, text: Any, video: Any, frames: Any) -> dict[str, Any]:
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
        video, text = _unit(video), _unit(text)
        scaled = ops.cast(ops.exp(self.logit_scale), text.dtype) * text
        logits = ops.squeeze(ops.matmul(scaled, ops.expand_dims(video, -1)), -1)
        return {
            "logits_per_video": logits,
            "logits_per_text": ops.transpose(logits),
            "text_embeds": text,
            "video_embeds": video,
        }

    def _visual_prompts(self, frames: Any) -> Any:
        """(B T, 1 + N, D) -> (B, N, P): the patches in the common space, meant over time."""
        patches = self.prompts_visual_layernorm(frames[:, 1:])
        count, width = ops.shape(patches)[1:]
        patches = ops.reshape(patches, (-1, self.config.vision_config.num_frames, count, width))
        # The mean stands before the projection, which is linear: fewer products.
        return ops.matmul(
            ops.mean(patches, axis=1), ops.cast(self.prompts_visual_projection, patches.dtype)
        )

    def get_text_features(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        position_ids: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """The texts in the common space, before any video's prompts and not of length 1.

        Args:
            input_ids: (Q, N), token ids, or a dict, list or tuple of the inputs.
            attention_mask: (Q, N), 1 for tokens and 0 for padding.
            position_ids: (Q, N) or (1, N), places.
            output_attentions: Without effect, as in the reference.
            output_hidden_states: Without effect, as in the reference.
            return_dict: Without effect, as in the reference.

        Returns:
            (Q, P).

        Raises:
            ValueError: No texts, texts too long, or ids outside the vocabulary.

        Example:
            >>> from tfzoo import TFXCLIPModel, XCLIPConfig
            >>> tower = {"num_hidden_layers": 1}
            >>> model = TFXCLIPModel(XCLIPConfig(text_config=tower, vision_config=tower))
            >>> model.get_text_features(np.array([[49406, 320, 49407]])).shape
            TensorShape([1, 512])
        """
        owner = f"{type(self).__name__}.get_text_features"
        others = {"attention_mask": attention_mask, "position_ids": position_ids}
        inputs = _bind(TEXT_INPUTS, owner, input_ids, others, self.config)
        check_text(owner, inputs, self.config.text_config)
        return self.text_projection(self.text_model(**inputs)[1])

    def get_video_features(
        self,
        pixel_values: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        interpolate_pos_encoding: bool = False,
    ) -> Any:
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
        self, pixel_values: Any, interpolate_pos_encoding: bool = False
    ) -> tuple[Any, Any]:
        """What `compare` needs of videos.

        Args:
            pixel_values: (B, T, C, height, width), or a dict with it.
            interpolate_pos_encoding: Take frames of another size than the config's.

        Returns:
            Videos (B, P) and frames (B T, 1 + N, D).

        Raises:
            ValueError: No videos, or a wrong number or size of frames.
        """
        owner = f"{type(self).__name__}.get_video_features"
        pixels = _bind((VIDEOS,), owner, pixel_values, {}, self.config)["pixel_values"]
        check_frames(owner, pixels.shape, self.config.vision_config, interpolate_pos_encoding)
        vision, mit = self._encode_frames(pixels, interpolate_pos_encoding)
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
        from tfzoo.models.xclip.zero_shot import ZeroShotVideoClassifier

        return ZeroShotVideoClassifier(self, labels, template, tokenizer)

    def get_input_embeddings(self) -> Any:
        """The layer that embeds the tokens."""
        return self.text_model.embeddings.token_embedding


def _unit(x: Any) -> Any:
    """Vectors of length 1. As in the reference, nothing guards against a length of 0."""
    squares = ops.square(ops.cast(x, "float32"))  # their sum would overflow in float16
    return x / ops.cast(ops.sqrt(ops.sum(squares, axis=-1, keepdims=True)), x.dtype)


def _bind(
    rows: tuple[Input, ...], owner: str, first: Any, others: dict[str, Any], config: XCLIPConfig
) -> dict[str, Any]:
    """The inputs of a method, in any of the forms that a model takes."""
    table = InputTable(rows, [row.name for row in rows], owner)
    inputs = table.bind(() if first is None else (first,), others)
    table.check(inputs, config)
    return {name: value for name, value in inputs.items() if value is not None}
