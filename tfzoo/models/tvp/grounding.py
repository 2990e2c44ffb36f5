"""TVP's grounding head: when in a video does what a sentence says happen?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from keras import ops

from tfzoo.core.inputs import Input, InputTable
from tfzoo.core.keras_compat import set_trainable
from tfzoo.models.tvp.config import TvpConfig
from tfzoo.models.tvp.inputs import HEAD_MASK, QUERIES, VIDEOS, check_queries, check_videos
from tfzoo.models.tvp.layers import GroundingHead, bert_sizes
from tfzoo.models.tvp.losses import TvpLoss, mean_loss, span_labels
from tfzoo.models.tvp.model import TFTvpModel, TFTvpPreTrainedModel
from tfzoo.models.tvp.outputs import TFTvpVideoGroundingOutput

__all__ = ["EncodedVideo", "TFTvpForVideoGrounding"]

_LABELS = Input(
    "labels", "structure", None, "(batch, 3): duration, start and end in seconds.", optional=True
)


class EncodedVideo(NamedTuple):
    """Encoded videos, for `ground`.

    Attributes:
        tokens: (B, cells, D).
    """

    tokens: Any


class TFTvpForVideoGrounding(TFTvpPreTrainedModel):
    """TVP with a head that predicts a span of time.

    In the reference batches of more than one video, labels (B, 3) and `framedownpad` fail; here
    they work as documented, a batch as its samples one by one.

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

    def setup(self, config: TvpConfig) -> None:
        """Make the sublayers."""
        self.model = TFTvpModel(config, name="model")
        self.video_grounding_head = GroundingHead(bert_sizes(config), name="video_grounding_head")

    def build_layers(self) -> None:
        """Create the weights of the head; the base model has its own already."""
        self.video_grounding_head.build()

    def base_model(self) -> TFTvpModel:
        """The model without a head."""
        return self.model

    def call(
        self,
        input_ids: Any,
        pixel_values: Any,
        attention_mask: Any = None,
        labels: Any = None,
        head_mask: Any = None,
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
            head_mask: (H,) or (L, H), weights of the attention heads; 1 where None.
            output_attentions: Return the attention maps; the config's choice where None.
            output_hidden_states: Return all hidden states; the config's choice where None.
            return_dict: Return an output object rather than a tuple; the config's where None.
            interpolate_pos_encoding: Resize prompts around the frames, and tables of positions
                that are too short, to frames of another size.
            training: Whether dropout acts, and batch norms that are live use the batch.

        Returns:
            See `TFTvpVideoGroundingOutput`; the processor's `post_process_video_grounding` makes
            seconds of it.

        Raises:
            ValueError: Wrong inputs, see `check_inputs`; or labels that are no spans.
        """
        video = self.model.encode(pixel_values, interpolate_pos_encoding, training)
        outputs = self._ground(
            video, input_ids, attention_mask, head_mask, output_attentions, output_hidden_states
        )
        if labels is None:
            return outputs
        loss = self._span_losses(labels, outputs["logits"])["loss"]
        return TFTvpVideoGroundingOutput(loss=loss, **outputs)

    def _ground(self, video: Any, *queries: Any) -> TFTvpVideoGroundingOutput:
        outputs = self.model.fuse(video, *queries)
        return TFTvpVideoGroundingOutput(
            logits=self.video_grounding_head(outputs["pooler_output"]),
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
        return_dict, inputs = super()._bind(args, kwargs)
        if inputs.get("labels") is not None:
            inputs["labels"] = span_labels(inputs["labels"], inputs["input_ids"].shape[0])
        return return_dict, inputs

    # ---- training
    def _span_losses(self, labels: Any, logits: Any) -> dict[str, Any]:
        """(B,) losses: the weighted sum, and its parts without their weights."""
        parts = TvpLoss()(logits, labels)
        total = (
            parts["iou"]
            + self.config.distance_loss_weight * parts["distance"]
            + self.config.duration_loss_weight * parts["duration"]
        )
        return {"loss": total, **{f"loss_{name}": part for name, part in parts.items()}}

    def compute_output_loss(self, labels: Any, outputs: Any, sample_weight: Any) -> dict[str, Any]:
        """The means over the batch of the loss and its parts, see `TvpLoss`."""
        losses = self._span_losses(labels, outputs["logits"])
        return {name: mean_loss(values, sample_weight) for name, values in losses.items()}

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """As in all models; the output's `loss` is one of each sample, which is no loss to Keras.

        Raises:
            ValueError: No loss was compiled and no labels were given, or some without a use.
        """
        return super().compute_loss(x, y, self._without_loss(y_pred), sample_weight, training)

    def freeze(self, part: str | None = None, *, statistics: bool = False) -> None:
        """Leave a part of the model as it is in training; call it before `compile`.

        Batch norms that train use the statistics of each batch and move their own towards them,
        as in the reference. Those of frozen parts, and all of them with `statistics=True`, use
        their moving statistics and leave them as they are, which suits small batches.

        Args:
            part: `"all_but_prompts"` trains the visual and text prompts alone, as the paper does
                on top of a trained model; `"backbone"` leaves the ResNet as it is; None nothing.
            statistics: Whether the statistics of all batch norms are frozen; their scales and
                shifts train all the same.

        Raises:
            ValueError: Another part.
        """
        if part not in ("all_but_prompts", "backbone", None):
            raise ValueError(f"freeze takes 'all_but_prompts', 'backbone' or None, got {part!r}.")
        base = self.model
        fused = (base.embeddings, base.visual_embeddings, base.encoder, base.pooler)
        layers = (*fused, base.vision_model, self.video_grounding_head)
        set_trainable(part != "all_but_prompts", *layers)
        if part == "backbone":
            set_trainable(False, base.vision_model.backbone)
        for norm in base.vision_model.backbone.batch_norms():
            norm.live = not statistics

    # ---- videos that are encoded once
    def encode_video(
        self, pixel_values: Any, *, interpolate_pos_encoding: bool = False
    ) -> EncodedVideo:
        """Encode videos once, for many calls of `ground`.

        Args:
            pixel_values: (B, T, C, height, width), or a dict with it.
            interpolate_pos_encoding: Take frames of another size than the config's.

        Returns:
            The encoded videos; most of the work is done by then.

        Raises:
            ValueError: No videos, or a number or size of frames that does not fit.

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
        self, queries: Any, video: EncodedVideo, tokenizer: Any = None
    ) -> TFTvpVideoGroundingOutput:
        """Find the span of each query.

        Args:
            queries: `input_ids` (Q, N), or a dict of the inputs; or a list of sentences.
            video: What `encode_video` gave, of one video or of Q.
            tokenizer: The tokenizer or processor of the sentences.

        Returns:
            As the model's call with the video of each query.

        Raises:
            ValueError: No queries, sentences without a tokenizer, texts too long, ids outside the
                vocabulary, or a number of videos that is neither 1 nor Q.
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

    def _inputs(self, rows: tuple[Input, ...], owner: str, given: Any) -> dict[str, Any]:
        """The inputs of a method: the first of them alone, or a dict that may hold more."""
        names = [row.name for row in rows]
        is_dict = hasattr(given, "keys")
        given = {n: given[n] for n in names if n in given} if is_dict else {names[0]: given}
        table = InputTable(rows, names, owner)
        inputs = table.bind((given,), {})
        table.check(inputs, self.config)
        return {name: ops.convert_to_tensor(value) for name, value in inputs.items()}


def _are_sentences(queries: Any) -> bool:
    is_list = isinstance(queries, Sequence) and not isinstance(queries, bytes)
    return isinstance(queries, str) or (
        is_list and len(queries) > 0 and all(isinstance(query, str) for query in queries)
    )


def _tokenized(sentences: Any, tokenizer: Any, owner: str) -> Mapping[str, Any]:
    if tokenizer is None:
        raise ValueError(f"{owner}: sentences need a tokenizer: pass tokenizer=.")
    tokenizer = getattr(tokenizer, "tokenizer", tokenizer)
    sentences = [sentences] if isinstance(sentences, str) else list(sentences)
    if empty := [i for i, sentence in enumerate(sentences) if not sentence.strip()]:
        raise ValueError(f"{owner}: sentence {empty[0]} is empty.")
    return tokenizer(sentences, padding=True, return_token_type_ids=False, return_tensors="np")
