"""TVP, without a head and with the one that finds the span of a sentence in a video.

Zhang et al. 2023, arXiv:2303.04995.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeGuard

import keras
from keras import ops

from tfzoo.core.inputs import Input, InputTable
from tfzoo.core.outputs import ModelOutput, TFBaseModelOutputWithPooling
from tfzoo.core.types import Tensor
from tfzoo.layers.attention import MultiHeadAttention
from tfzoo.layers.bert import BertEmbeddings
from tfzoo.layers.drop_path import dropout
from tfzoo.layers.masks import padding_mask
from tfzoo.modeling.base import TFPreTrainedModel
from tfzoo.models.tvp.config import TvpConfig
from tfzoo.models.tvp.inputs import HEAD_MASK, QUERIES, VIDEOS, check_queries, check_videos
from tfzoo.models.tvp.layers import (
    Encoder,
    GroundingHead,
    Pooler,
    VisionModel,
    VisualEmbeddings,
    bert_sizes,
    in_blocks,
    make_prompter,
)
from tfzoo.models.tvp.losses import TvpLoss, mean_loss, span_labels

__all__ = [
    "EncodedVideo",
    "TFTvpForVideoGrounding",
    "TFTvpModel",
    "TFTvpPreTrainedModel",
    "TFTvpVideoGroundingOutput",
]

_PROMPT_TOKENS = 10
_BLOCK_PIXELS = 8 * 448 * 448  # of the frames that are encoded at once; larger is not faster
_LABELS = Input(
    "labels", "structure", None, "(batch, 3): duration, start and end in seconds.", optional=True
)


class TFTvpPreTrainedModel(TFPreTrainedModel):
    """Base class of the TVP models."""

    config_class = TvpConfig
    config: TvpConfig
    base_model_prefix = "model"

    def check_inputs(self, inputs: Mapping[str, Any]) -> None:
        """Refuse wrong inputs.

        Raises:
            ValueError: A number or size of frames that does not fit, texts too long, ids outside
                the vocabulary, factors for another number of heads, or unequal batches.
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

    def unused_weights(self) -> Iterable[Tensor]:
        """Weights that no output depends on; checkpoints hold them all the same."""
        base = self.base_model
        unused = list(base.visual_embeddings.position_embeddings.weights)
        if not base.visual_prompter.is_used:
            unused += base.visual_prompter.weights
        for stage in base.vision_model.backbone.stages[base.vision_model.map :]:
            unused += stage.weights
        return unused

    def get_input_embeddings(self) -> keras.layers.Embedding:
        """The layer that embeds the tokens."""
        return self.base_model.embeddings.word_embeddings

    def word_embeddings(self) -> tuple[keras.layers.Layer, str]:
        return self.base_model.embeddings, "word_embeddings"

    def attention_layers(self) -> list[MultiHeadAttention]:
        return [layer.attention for layer in self.base_model.encoder.layer]


class TFTvpModel(TFTvpPreTrainedModel):
    """TVP: prompted frames through a ResNet, then frames, text and prompts through one encoder.

    The mean over the frames is taken before the encoder, whose tokens are 10 learnt text prompts,
    the text, and the cells of the grid of the frames.

    Args:
        config: The configuration.
        **kwargs: `name`, `dtype`, `trainable` as in `keras.Model`.

    Source: the reference's TvpModel, which takes one video at a time; here batches work as well.

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
        input_ids: Tensor,
        pixel_values: Tensor,
        attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
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
            head_mask: (H,) or (L, H), factors of the attention heads; 1 where None.
            output_attentions: Return the attention weights; the config's choice where None.
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
        self, pixel_values: Tensor, interpolate_pos_encoding: bool = False, training: bool = False
    ) -> Tensor:
        """The first half: videos to tokens, whatever the texts.

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
            pixels = ops.repeat(pixels, frames, axis=1)  # an image: each prompt acts on it
        grid = self._grid(pixels, interpolate_pos_encoding, training)
        return self.visual_embeddings(grid, interpolate=interpolate_pos_encoding, training=training)

    def _grid(self, pixels: Tensor, interpolate: bool, training: bool) -> Tensor:
        """(B, T, C, height, width) -> (B, rows, columns, D), averaged over the frames.

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

            def encode(rows: Tensor) -> Tensor:
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
        video: Tensor,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> TFBaseModelOutputWithPooling:
        """The second half: videos that are tokens, and texts, to one vector for each pair.

        Args:
            video: (B, cells, D), as `encode` gives it; a batch of 1 serves all texts.
            input_ids: (B, N), token ids.
            attention_mask: (B, N), 1 for tokens and 0 for padding; no padding where None.
            head_mask: As in `call`.
            output_attentions: Return the attention weights.
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
        x, states, attentions = self.encoder(x, masked, head_mask)
        return TFBaseModelOutputWithPooling(
            last_hidden_state=self.dropout(x),
            pooler_output=self.dropout(self.pooler(x)),
            hidden_states=states if output_hidden_states else None,
            attentions=attentions if output_attentions else None,
        )


class TFTvpVideoGroundingOutput(ModelOutput):
    """Output of `TFTvpForVideoGrounding`.

    Attributes:
        loss: (B,), the loss of each sample, present when labels were given; `fit` takes its mean.
        logits: (B, 2), start and end of the span as fractions of the video's duration.
        hidden_states: L + 1 tensors (B, N, D), the embeddings and each layer's output.
        attentions: L tensors (B, H, N, N), attention weights after the softmax.
    """

    loss: Tensor | None
    logits: Tensor
    hidden_states: tuple[Tensor, ...] | None
    attentions: tuple[Tensor, ...] | None


class EncodedVideo(NamedTuple):
    """Encoded videos, for `ground`.

    Attributes:
        tokens: (B, cells, D).
    """

    tokens: Tensor


class TFTvpForVideoGrounding(TFTvpPreTrainedModel):
    """TVP with a head that predicts a span of time.

    In the reference batches of more than one video, labels (B, 3) and `framedownpad` fail; here
    they work, and a batch gives what its samples give one by one.

    Training: `compile(optimizer)` and `fit` on inputs with labels uses the paper's loss, of
    which the parts are logged. See `freeze` for the prompts alone, and for batch norms.

    Args:
        config: The configuration.
        **kwargs: `name`, `dtype`, `trainable` as in `keras.Model`.

    Source: the reference's TvpForVideoGrounding.

    Example:
        >>> from tfzoo import TFTvpForVideoGrounding, TvpConfig
        >>> config = TvpConfig(
        ...     num_frames=2, max_img_size=64, visual_prompt_size=8, num_hidden_layers=1,
        ...     backbone_config={"model_type": "resnet", "depths": [1], "hidden_sizes": [16]})
        >>> model = TFTvpForVideoGrounding(config)
        >>> outputs = model(
        ...     input_ids=np.array([[101, 2711, 102]]),
        ...     pixel_values=np.zeros((1, 2, 3, 64, 64), "float32"),
        ...     labels=np.array([[30.0, 4.5, 9.0]]))
        >>> outputs.logits.shape, outputs.loss.shape
        (TensorShape([1, 2]), TensorShape([1]))
    """

    inputs_table = (QUERIES[0], VIDEOS, QUERIES[1], _LABELS, HEAD_MASK)
    main_output = "logits"
    component_losses = ("loss_iou", "loss_distance", "loss_duration")
    parts = {
        "all_but_prompts": r"^model\.(embeddings|visual_embeddings|encoder|pooler|vision_model)$"
        r"|^video_grounding_head$",
        "backbone": r"^model\.vision_model\.backbone$",
    }

    def setup(self, config: TvpConfig) -> None:
        self.model = TFTvpModel(config, name="model")
        self.video_grounding_head = GroundingHead(bert_sizes(config), name="video_grounding_head")

    def build_layers(self) -> None:
        self.video_grounding_head.build()

    def call(
        self,
        input_ids: Tensor,
        pixel_values: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        head_mask: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        interpolate_pos_encoding: bool = False,
        training: bool = False,
    ) -> TFTvpVideoGroundingOutput:
        """Find the span of each text in its video.

        Args:
            input_ids: (B, N), token ids.
            pixel_values: (B, T, C, height, width), floats; T the config's `num_frames`, and both
                sides its `max_img_size`.
            attention_mask: (B, N), 1 for tokens and 0 for padding; no padding where None.
            labels: (B, 3), duration, start and end in seconds; or three scalars or (B,) arrays.
            head_mask: (H,) or (L, H), factors of the attention heads; 1 where None.
            output_attentions: Return the attention weights; the config's choice where None.
            output_hidden_states: Return all hidden states; the config's choice where None.
            return_dict: Return an output object rather than a tuple; the config's where None.
            interpolate_pos_encoding: Resize prompts around the frames, and tables of positions
                that are too short, to frames of another size.
            training: Whether dropout acts, and batch norms that are live use the batch.

        Returns:
            See `TFTvpVideoGroundingOutput`; the processor's `post_process_video_grounding` makes
            seconds of it.

        Raises:
            ValueError: Wrong inputs, see `check_inputs`; or labels that are not spans.
        """
        video = self.model.encode(pixel_values, interpolate_pos_encoding, training)
        outputs = self._ground(
            video, input_ids, attention_mask, head_mask, output_attentions, output_hidden_states
        )
        if labels is None:
            return outputs
        loss = self._span_losses(labels, outputs["logits"])["loss"]
        return TFTvpVideoGroundingOutput(loss=loss, **outputs)

    def _ground(self, video: Tensor, *queries: Any) -> TFTvpVideoGroundingOutput:
        outputs = self.model.fuse(video, *queries)
        return TFTvpVideoGroundingOutput(
            logits=self.video_grounding_head(outputs["pooler_output"]),
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        if inputs.get("labels") is not None:
            inputs["labels"] = span_labels(inputs["labels"], inputs["input_ids"].shape[0])
        return inputs

    # ---- training
    def _span_losses(self, labels: Tensor, logits: Tensor) -> dict[str, Tensor]:
        """(B,) losses: the weighted sum, and its parts without their weights."""
        parts = TvpLoss()(logits, labels)
        total = (
            parts["iou"]
            + self.config.distance_loss_weight * parts["distance"]
            + self.config.duration_loss_weight * parts["duration"]
        )
        return {"loss": total, **{f"loss_{name}": part for name, part in parts.items()}}

    def compute_output_loss(
        self, labels: Tensor, outputs: ModelOutput, sample_weight: Tensor | None
    ) -> dict[str, Tensor]:
        """The means over the batch of the loss and its parts, see `TvpLoss`."""
        losses = self._span_losses(labels, outputs["logits"])
        return {name: mean_loss(values, sample_weight) for name, values in losses.items()}

    def freeze(self, part: str | None = None, *, statistics: bool = False) -> list[str]:
        """Leave a part of the model as it is in training; call it before `compile`.

        Batch norms that train use the statistics of each batch and move their own towards them,
        as in the reference. Those of frozen parts, and all of them with `statistics=True`, use
        their moving statistics and leave them as they are, which suits small batches.

        Args:
            part: `"all_but_prompts"` trains the visual and text prompts alone, as the paper does
                on top of a trained model; `"backbone"` leaves the ResNet as it is; None nothing;
                or a pattern as in `freeze_layers`.
            statistics: Whether the statistics of all batch norms are frozen; their scales and
                shifts train all the same.

        Returns:
            The paths of the layers that were frozen, without those inside them.

        Raises:
            ValueError: Another part.
        """
        frozen = super().freeze(part)
        for norm in self.model.vision_model.backbone.batch_norms():
            norm.live = not statistics
        return frozen

    # ---- videos that are encoded once
    def encode_video(
        self, pixel_values: Tensor | Mapping[str, Tensor], *, interpolate_pos_encoding: bool = False
    ) -> EncodedVideo:
        """Encode videos once, for many calls of `ground`.

        Args:
            pixel_values: (B, T, C, height, width), or a dict with it.
            interpolate_pos_encoding: Take frames of another size than the config's.

        Returns:
            The encoded videos; most of the work is done by then.

        Raises:
            ValueError: Videos are missing, or a number or size of frames that does not fit.

        Example:
            >>> from tfzoo import TFTvpForVideoGrounding, TvpConfig
            >>> config = TvpConfig(
            ...     num_frames=2, max_img_size=64, visual_prompt_size=8, num_hidden_layers=1,
            ...     backbone_config={"model_type": "resnet", "depths": [1], "hidden_sizes": [16]})
            >>> model = TFTvpForVideoGrounding(config)
            >>> video = model.encode_video(np.zeros((1, 2, 3, 64, 64), "float32"))
            >>> model.ground(np.array([[101, 2711, 102], [101, 2793, 102]]), video).logits.shape
            TensorShape([2, 2])
        """
        owner = f"{type(self).__name__}.encode_video"
        pixels = self._inputs((VIDEOS,), owner, pixel_values)["pixel_values"]
        check_videos(owner, pixels.shape, self.config, interpolate_pos_encoding)
        return EncodedVideo(self.model.encode(pixels, interpolate_pos_encoding))

    def ground(
        self,
        queries: Tensor | Mapping[str, Tensor] | Sequence[str],
        video: EncodedVideo,
        tokenizer: Any = None,
    ) -> TFTvpVideoGroundingOutput:
        """Find the span of each query.

        Args:
            queries: `input_ids` (Q, N), or a dict of the inputs; or a list of sentences.
            video: What `encode_video` gave, of one video or of Q.
            tokenizer: The tokenizer or processor of the sentences.

        Returns:
            As the model's call with the video of each query.

        Raises:
            ValueError: Queries are missing, sentences come without a tokenizer, texts are too long,
                ids lie outside the vocabulary, or the number of videos is neither 1 nor Q.
        """
        owner = f"{type(self).__name__}.ground"
        if _are_sentences(queries):
            queries = _tokenized(queries, tokenizer, owner)
        inputs = self._inputs(QUERIES, owner, queries)
        check_queries(owner, inputs, self.config)
        counts = inputs["input_ids"].shape[0], video.tokens.shape[0]
        if None not in counts and counts[1] not in (1, counts[0]):
            raise ValueError(
                f"{owner}: {counts[0]} queries for {counts[1]} videos; give one video, or one for "
                "each query."
            )
        return self._ground(video.tokens, inputs["input_ids"], inputs.get("attention_mask"))

    def _inputs(
        self, rows: tuple[Input, ...], owner: str, given: Tensor | Mapping[str, Tensor]
    ) -> dict[str, Any]:
        """The inputs of a method: the first of them alone, or a dict that may hold more."""
        names = [row.name for row in rows]
        is_dict = hasattr(given, "keys")
        given = {n: given[n] for n in names if n in given} if is_dict else {names[0]: given}
        table = InputTable(rows, names, owner)
        inputs = table.bind((given,), {})
        table.check(inputs, self.config)
        return {name: ops.convert_to_tensor(value) for name, value in inputs.items()}


def _are_sentences(queries: Any) -> TypeGuard[str | Sequence[str]]:
    is_list = isinstance(queries, Sequence) and not isinstance(queries, bytes)
    return isinstance(queries, str) or (
        is_list and len(queries) > 0 and all(isinstance(query, str) for query in queries)
    )


def _tokenized(sentences: str | Sequence[str], tokenizer: Any, owner: str) -> Mapping[str, Any]:
    if tokenizer is None:
        raise ValueError(f"{owner}: sentences need a tokenizer: pass tokenizer=.")
    tokenizer = getattr(tokenizer, "tokenizer", tokenizer)
    sentences = [sentences] if isinstance(sentences, str) else list(sentences)
    if empty := [i for i, sentence in enumerate(sentences) if not sentence.strip()]:
        raise ValueError(f"{owner}: sentence {empty[0]} is empty.")
    return tokenizer(sentences, padding=True, return_token_type_ids=False, return_tensors="np")
