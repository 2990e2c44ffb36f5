"""TVP without a head (Zhang et al. 2023, arXiv:2303.04995)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from tfzoo.core.outputs import TFBaseModelOutputWithPooling
from tfzoo.layers.bert import BertEmbeddings
from tfzoo.layers.drop_path import dropout
from tfzoo.layers.masks import padding_mask
from tfzoo.modeling.base import TFPreTrainedModel
from tfzoo.models.tvp.config import TvpConfig
from tfzoo.models.tvp.inputs import HEAD_MASK, QUERIES, VIDEOS, check_queries, check_videos
from tfzoo.models.tvp.layers import (
    Encoder,
    Pooler,
    VisionModel,
    VisualEmbeddings,
    bert_sizes,
    in_blocks,
)
from tfzoo.models.tvp.prompters import make_prompter

__all__ = ["TFTvpModel", "TFTvpPreTrainedModel"]

_PROMPT_TOKENS = 10
_BLOCK_PIXELS = 8 * 448 * 448  # of the frames that are encoded at once; larger is not faster


class TFTvpPreTrainedModel(TFPreTrainedModel):
    """Base class of the TVP models."""

    config_class = TvpConfig

    def base_model(self) -> TFTvpModel:
        """The model without a head; no property, which Keras would follow when it saves."""
        return self

    def check_inputs(self, inputs: Mapping[str, Any]) -> None:
        """Refuse wrong inputs.

        Raises:
            ValueError: A number or size of frames that does not fit, texts too long, ids outside
                the vocabulary, weights for another number of heads, or unequal batches.
        """
        super().check_inputs(inputs)
        owner, pixels = type(self).__name__, inputs["pixel_values"]
        interpolate = bool(inputs.get("interpolate_pos_encoding"))
        check_videos(owner, pixels.shape, self.config, interpolate)
        check_queries(owner, inputs, self.config)
        batches = inputs["input_ids"].shape[0], pixels.shape[0]
        if None not in batches and batches[0] != batches[1]:
            raise ValueError(
                f"{owner}: {batches[0]} texts for {batches[1]} videos; each video needs one text. "
                "Several texts on one video: TFTvpForVideoGrounding's encode_video and ground."
            )

    def _unused(self) -> list[Any]:
        """Weights that no output depends on; checkpoints hold them all the same."""
        base = self.base_model()
        unused = list(base.visual_embeddings.position_embeddings.weights)
        if not base.visual_prompter.is_used:
            unused += base.visual_prompter.weights
        for stage in base.vision_model.backbone.stages[base.vision_model.map :]:
            unused += stage.weights
        return unused

    @property
    def trainable_weights(self) -> list[Any]:
        """The weights that the outputs depend on."""
        unused = {id(weight) for weight in self._unused()}
        return [w for w in super().trainable_weights if id(w) not in unused]

    @property
    def trainable_variables(self) -> list[Any]:
        """The same as `trainable_weights`; Keras asks for either."""
        return self.trainable_weights

    def get_input_embeddings(self) -> Any:
        """The layer that embeds the tokens."""
        return self.base_model().embeddings.word_embeddings


class TFTvpModel(TFTvpPreTrainedModel):
    """TVP: prompted frames through a ResNet, then frames, text and prompts through one encoder.

    The mean over the frames is taken before the encoder, whose tokens are 10 learnt text prompts,
    the text, and the cells of the grid of the frames.

    Args:
        config: The configuration.
        **kwargs: `name`, `dtype`, `trainable` as in `keras.Model`.

    Source: the reference's TvpModel, which takes one video at a time; here batches are taken, too.

    Example:
        >>> from tfzoo import TFTvpModel, TvpConfig
        >>> config = TvpConfig(
        ...     num_frames=2, max_img_size=64, visual_prompt_size=8, num_hidden_layers=1,
        ...     backbone_config={"model_type": "resnet", "depths": [1], "hidden_sizes": [16]})
        >>> model = TFTvpModel(config)
        >>> outputs = model(
        ...     input_ids=np.array([[101, 2711, 102]]),
        ...     pixel_values=np.zeros((1, 2, 3, 64, 64), "float32"))
        >>> outputs.last_hidden_state.shape  # 10 prompts, 3 tokens, 8 x 8 cells
        TensorShape([1, 77, 768])
    """

    inputs_table = (QUERIES[0], VIDEOS, QUERIES[1], HEAD_MASK)
    main_output = "pooler_output"

    def setup(self, config: TvpConfig) -> None:
        """Make the sublayers."""
        sizes, texts = bert_sizes(config), config.max_position_embeddings
        self.vision_model = VisionModel(config, name="vision_model")
        self.embeddings = BertEmbeddings(
            sizes,
            config.vocab_size,
            texts,
            config.type_vocab_size,
            padding=(config.pad_token_id, None, None),
            name="embeddings",
        )
        self.visual_embeddings = VisualEmbeddings(
            sizes,
            config.max_grid_row_position_embeddings,
            config.max_grid_col_position_embeddings,
            texts,
            name="visual_embeddings",
        )
        self.encoder = Encoder(sizes, config.num_hidden_layers, name="encoder")
        self.pooler = Pooler(sizes, name="pooler")
        self.visual_prompter = make_prompter(config, "visual_prompter")
        self.dropout = dropout(config.hidden_dropout_prob)

    def build_layers(self) -> None:
        """Create the weights."""
        width = self.config.hidden_size
        for layer in (
            self.vision_model,
            self.embeddings,
            self.visual_embeddings,
            self.visual_prompter,
        ):
            layer.build(None)
        for layer in (self.encoder, self.pooler):
            layer.build((None, None, width))
        self.text_prompt = self.add_weight(
            shape=(1, _PROMPT_TOKENS, width),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
            name="text_prompt",
        )

    def call(
        self,
        input_ids: Any,
        pixel_values: Any,
        attention_mask: Any = None,
        head_mask: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        interpolate_pos_encoding: bool = False,
        training: bool = False,
    ) -> TFBaseModelOutputWithPooling:
        """Encode videos, each with its text.

        Args:
            input_ids: (B, N), token ids.
            pixel_values: (B, T, C, height, width), floats; T the config's `num_frames`, and both
                sides its `max_img_size`.
            attention_mask: (B, N), 1 for tokens and 0 for padding; no padding where None.
            head_mask: (H,) or (L, H), weights of the attention heads; 1 where None.
            output_attentions: Return the attention maps; the config's choice where None.
            output_hidden_states: Return all hidden states; the config's choice where None.
            return_dict: Return an output object rather than a tuple; the config's where None.
            interpolate_pos_encoding: Resize prompts around the frames, and tables of positions
                that are too short, to frames of another size.
            training: Whether dropout acts, and batch norms that are live use the batch.

        Returns:
            `last_hidden_state` (B, 10 + N + cells, D): prompts, text, and the grid row by row;
            `pooler_output` (B, D), a projection of the first prompt; `hidden_states`;
            `attentions`.

        Raises:
            ValueError: Wrong inputs, see `check_inputs`.
        """
        video = self.encode(pixel_values, interpolate_pos_encoding, training)
        return self.fuse(
            video, input_ids, attention_mask, head_mask, output_attentions, output_hidden_states
        )

    def encode(
        self, pixel_values: Any, interpolate_pos_encoding: bool = False, training: bool = False
    ) -> Any:
        """The first half: videos to tokens. No text has a part in it.

        Args:
            pixel_values: (B, T, C, height, width).
            interpolate_pos_encoding: Take frames of another size than the config's.
            training: As in `call`.

        Returns:
            (B, cells, D).
        """
        pixels = ops.cast(pixel_values, self.compute_dtype)
        frames = self.visual_prompter.num_frames
        if pixels.shape[1] == 1 and frames > 1 and self.visual_prompter.is_used:
            pixels = ops.repeat(pixels, frames, axis=1)  # a picture: each prompt acts on it
        grid = self._grid(pixels, interpolate_pos_encoding, training)
        return self.visual_embeddings(grid, interpolate=interpolate_pos_encoding, training=training)

    def _grid(self, pixels: Any, interpolate: bool, training: bool) -> Any:
        """(B, T, C, height, width) -> (B, rows, columns, D), meant over the frames.

        In inference some frames are encoded at a time, or their activations would take several
        times the memory of the weights.
        """
        batch, length, *size = ops.shape(pixels)
        frames = ops.reshape(pixels, (batch * length, *size))
        known = None not in pixels.shape[3:]
        block = max(_BLOCK_PIXELS // (size[1] * size[2]), 1) if known else 1
        if training or (isinstance(batch * length, int) and batch * length <= block):
            prompted = self.visual_prompter(pixels, interpolate=interpolate)
            grids = self.vision_model(ops.reshape(prompted, ops.shape(frames)), training=training)
        else:

            def encode(rows: Any) -> Any:
                some = ops.take(frames, rows, axis=0)
                return self.vision_model(
                    self.visual_prompter(some, rows % length, interpolate=interpolate)
                )

            sides = [self.vision_model.grid(side) for side in pixels.shape[3:]]
            shape = (*sides, self.config.hidden_size)
            grids = in_blocks(encode, batch * length, block, shape, self.compute_dtype)
        return ops.mean(ops.reshape(grids, (batch, length, *ops.shape(grids)[1:])), axis=1)

    def fuse(
        self,
        video: Any,
        input_ids: Any,
        attention_mask: Any = None,
        head_mask: Any = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> TFBaseModelOutputWithPooling:
        """The second half: videos that are tokens, and texts, to one vector for each pair.

        Args:
            video: (B, cells, D), as `encode` gives it; a batch of 1 serves all texts.
            input_ids: (B, N), token ids.
            attention_mask: (B, N), 1 for tokens and 0 for padding; no padding where None.
            head_mask: (H,) or (L, H).
            output_attentions: Return the attention maps.
            output_hidden_states: Return all hidden states.

        Returns:
            As `call`.
        """
        text = self.embeddings(input_ids)
        batch, cells = ops.shape(text)[0], ops.shape(video)[1]
        video = ops.broadcast_to(video, (batch, *ops.shape(video)[1:]))
        prompt = ops.cast(self.text_prompt, text.dtype)
        prompt = ops.broadcast_to(prompt, (batch, *prompt.shape[1:]))
        masked = None
        if attention_mask is not None:
            tokens = ops.cast(attention_mask, "float32")
            ones = (ops.ones((batch, n), tokens.dtype) for n in (_PROMPT_TOKENS, cells))
            masked = padding_mask(ops.concatenate([next(ones), tokens, next(ones)], axis=1))
        x = ops.concatenate([prompt, text, video], axis=1)
        x, states, maps = self.encoder(x, masked, head_mask)
        return TFBaseModelOutputWithPooling(
            last_hidden_state=self.dropout(x),
            pooler_output=self.dropout(self.pooler(x)),
            hidden_states=states if output_hidden_states else None,
            attentions=maps if output_attentions else None,
        )
