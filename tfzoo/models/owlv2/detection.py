"""OWLv2's detector: of what a text names, or an image shows (Minderer et al. 2023)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from keras import ops

from tfzoo.core.config import ConfigError
from tfzoo.core.inputs import Input
from tfzoo.core.outputs import ModelOutput, TFBaseModelOutputWithPooling
from tfzoo.core.types import Tensor
from tfzoo.layers.clip import first_maximum, unit
from tfzoo.layers.norm import LayerNorm
from tfzoo.losses.detection.loss import detection_loss, prepare_targets
from tfzoo.losses.detection.targets import same_shape
from tfzoo.modeling.clip import images_input, pooled_output
from tfzoo.models.owlv2.config import OwlConfig
from tfzoo.models.owlv2.guided import check_boxes, check_counts, choose_queries, to_corners
from tfzoo.models.owlv2.layers import BoxHead, ClassHead, box_bias
from tfzoo.models.owlv2.model import IMAGES, QUERIES, TFOwlv2Model, TFOwlv2PreTrainedModel

__all__ = [
    "QueryBank",
    "TFOwlv2ForObjectDetection",
    "TFOwlv2ImageGuidedObjectDetectionOutput",
    "TFOwlv2ObjectDetectionOutput",
]

_LABELS = Input(
    "labels",
    "structure",
    None,
    "Boxes and the queries that they show, see `TFOwlv2ForObjectDetection.call`.",
    optional=True,
)
_GUIDED_INPUTS = (IMAGES, images_input("query_pixel_values", "vision_config."))
_STRATEGIES = ("iou", "objectness")


class TFOwlv2ObjectDetectionOutput(ModelOutput):
    """Output of `TFOwlv2ForObjectDetection`, of B images with Q queries and N patches each.

    Each patch predicts one box.

    Attributes:
        loss: Scalar, present when labels were given.
        loss_dict: The parts of the loss by name, present when labels were given.
        logits: (B, N, Q), float32; the sigmoid is the score of a box for a query.
        objectness_logits: (B, N), whether a box holds any object; absent in OWL-ViT.
        pred_boxes: (B, N, 4), centre x, centre y, width, height as fractions of the model's image.
        text_embeds: (B, Q, P), of length 1.
        image_embeds: (B, rows, columns, D), the features of the patches.
        class_embeds: (B, N, D of the text tower), of length 1.
        text_model_output: Output of the text tower; absent where a bank of queries was given.
        vision_model_output: Output of the vision tower.
    """

    loss: Tensor | None
    loss_dict: dict[str, Tensor] | None
    logits: Tensor
    objectness_logits: Tensor | None
    pred_boxes: Tensor
    text_embeds: Tensor
    image_embeds: Tensor
    class_embeds: Tensor
    text_model_output: TFBaseModelOutputWithPooling | None
    vision_model_output: TFBaseModelOutputWithPooling


class TFOwlv2ImageGuidedObjectDetectionOutput(ModelOutput):
    """Output of `image_guided_detection`.

    Attributes:
        logits: (B, N, 1), the sigmoid is the similarity of a box to the query.
        image_embeds: (B, rows, columns, D), the features of the patches.
        query_image_embeds: The same of the query images.
        target_pred_boxes: (B, N, 4), centre x, centre y, width, height as fractions of the image.
        query_pred_boxes: The same of the query images.
        class_embeds: (B, N, D of the text tower), of length 1.
        text_model_output: Always absent.
        vision_model_output: Output of the vision tower on the target images.
        query_indices: (B,), the box of each query image that became the query.
    """

    logits: Tensor
    image_embeds: Tensor
    query_image_embeds: Tensor
    target_pred_boxes: Tensor
    query_pred_boxes: Tensor
    class_embeds: Tensor
    text_model_output: TFBaseModelOutputWithPooling | None
    vision_model_output: TFBaseModelOutputWithPooling
    query_indices: Tensor

    def plain_tuple(self) -> tuple[Any, ...]:
        """The reference's layout: both feature maps, both sets of boxes, then the logits."""
        first = ("image_embeds", "query_image_embeds", "target_pred_boxes", "query_pred_boxes")
        last = ("logits", "class_embeds", "vision_model_output")
        return type(self)((name, self[name]) for name in (*first, *last)).to_tuple()


class QueryBank(NamedTuple):
    """Encoded queries, for `detect`.

    Attributes:
        embeds: (Q, P), of length 1.
        valid: (Q,), booleans; False for queries that are padding.
    """

    embeds: Tensor
    valid: Tensor


class TFOwlv2ForObjectDetection(TFOwlv2PreTrainedModel):
    """OWLv2's detector: every patch predicts a box, its similarity to each query, and objectness.

    `freeze("text")` before `compile` leaves the text tower as it is in training,
    `freeze("backbone")` both towers, and `freeze(None)` nothing.

    Args:
        config: The configuration; `projection_dim` must be the text tower's width.
        **kwargs: `name`, `dtype`, `trainable` as in `keras.Model`.

    Raises:
        ConfigError: `projection_dim` is not `text_config.hidden_size`.

    Source: the reference's Owlv2ForObjectDetection.

    Example:
        >>> from tfzoo import Owlv2Config, TFOwlv2ForObjectDetection
        >>> tower = {"num_hidden_layers": 1}
        >>> config = Owlv2Config(text_config=tower, vision_config={**tower, "image_size": 32})
        >>> model = TFOwlv2ForObjectDetection(config)
        >>> outputs = model(
        ...     input_ids=np.array([[49406, 320, 49407], [49406, 518, 49407]]),
        ...     pixel_values=np.zeros((1, 3, 32, 32), "float32"))
        >>> outputs.logits.shape, outputs.pred_boxes.shape
        (TensorShape([1, 4, 2]), TensorShape([1, 4, 4]))
    """

    inputs_table = (QUERIES[0], IMAGES, QUERIES[1], _LABELS)
    main_output = "logits"
    component_losses = ("loss_class", "loss_bbox", "loss_giou", "loss_objectness")
    base_class: ClassVar[type[TFOwlv2Model]] = TFOwlv2Model
    base_model_prefix = "owlv2"
    has_objectness: ClassVar[bool] = True
    parts = {
        "text": r"^owl\w+\.(text_model|text_projection)$",
        "backbone": r"^owl\w+\.(text_model|text_projection|vision_model)$",
    }
    output_class: ClassVar[type[ModelOutput]] = TFOwlv2ObjectDetectionOutput
    guided_output_class: ClassVar[type[ModelOutput]] = TFOwlv2ImageGuidedObjectDetectionOutput

    def setup(self, config: OwlConfig) -> None:
        vision, text = config.vision_config, config.text_config
        if config.projection_dim != text.hidden_size:
            raise ConfigError(
                f"{type(config).__name__}.projection_dim must equal text_config.hidden_size for "
                f"detection, got {config.projection_dim} and {text.hidden_size}."
            )
        width, factor = vision.hidden_size, config.initializer_factor
        base = self.base_class(config, name=self.base_model_prefix)
        setattr(self, self.base_model_prefix, base)
        self.class_head = ClassHead(width, text.hidden_size, factor, name="class_head")
        self.box_head = BoxHead(width, 4, factor, name="box_head")
        if self.has_objectness:
            self.objectness_head = BoxHead(width, 1, factor, name="objectness_head")
        self.layer_norm = LayerNorm(epsilon=vision.layer_norm_eps, name="layer_norm")

    def build_layers(self) -> None:
        self.class_head.build()
        self.box_head.build()
        if self.has_objectness:
            self.objectness_head.build()
        self.layer_norm.build((None, None, self.config.vision_config.hidden_size))

    @property
    def base(self) -> TFOwlv2Model:
        """The two towers. Keras's own files hold their weights under this name."""
        return self.base_model

    def unused_weights(self) -> list[Any]:
        # those that compare whole images with texts
        return [*self.base_model.visual_projection.weights, self.base_model.logit_scale]

    def check_inputs(self, inputs: Mapping[str, Any]) -> None:
        inputs = self._flat_queries(inputs)
        super().check_inputs(inputs)
        queries, images = inputs["input_ids"].shape[0], inputs["pixel_values"].shape[0]
        if None not in (queries, images) and (queries < images or queries % images):
            raise ValueError(
                f"{type(self).__name__}: input_ids hold {queries} queries for {images} images; "
                "each image needs as many queries as the others, the first image's first. The "
                "processor pads nested lists of texts."
            )

    def prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        inputs = self._flat_queries(inputs)
        if inputs.get("labels") is not None:
            count = inputs["input_ids"].shape[0], inputs["pixel_values"].shape[0]
            queries = None if None in count else count[0] // count[1]
            inputs["labels"] = prepare_targets(inputs["labels"], queries)
        return inputs

    def divided_inputs(
        self, inputs: dict[str, Any], labels: Any, *, paired: bool
    ) -> tuple[dict[str, Any], Any]:
        divided, images = dict(inputs), getattr(inputs.get("pixel_values"), "shape", (0,))[0]
        for name in (row.name for row in QUERIES):
            queries, length = getattr(inputs.get(name), "shape", (0, 0, 0))[:2]
            if images and queries != images and queries % images == 0:
                divided[name] = ops.reshape(inputs[name], (images, -1, length))
        if isinstance(divided.get("labels"), list):
            divided["labels"] = prepare_targets(divided["labels"])
        return divided, prepare_targets(labels) if isinstance(labels, list) else labels

    def _flat_queries(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs, with the queries of each image, (B, Q, N), in one row, (B Q, N)."""
        flat, images = dict(inputs), getattr(inputs.get("pixel_values"), "shape", (None,))
        for name in (row.name for row in QUERIES):
            shape = getattr(inputs.get(name), "shape", ())
            if len(shape) != 3:
                continue
            if not same_shape(shape[:1], images[:1]):
                raise ValueError(
                    f"{type(self).__name__}: {name} (B, Q, N) must have one row for each image, "
                    f"got {tuple(shape)} and pixel_values {tuple(images)}."
                )
            flat[name] = ops.reshape(inputs[name], (-1, ops.shape(inputs[name])[-1]))
        return flat

    def call(
        self,
        input_ids: Tensor,
        pixel_values: Tensor,
        attention_mask: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        interpolate_pos_encoding: bool = False,
        labels: Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]] | None = None,
        training: bool = False,
    ) -> TFOwlv2ObjectDetectionOutput:
        """Find what the queries name.

        Args:
            input_ids: (B Q, N), the queries of the first image, then those of the second, ...; or
                (B, Q, N), which Keras and `tf.distribute` can divide. A query whose first id is 0
                is padding and scores nowhere.
            pixel_values: (B, C, height, width), floats.
            attention_mask: Like `input_ids`, 1 for tokens and 0 for padding; no padding where None.
            output_attentions: Return the attention weights; the config's choice where None.
            output_hidden_states: Return all hidden states; the config's choice where None.
            return_dict: Return an output object rather than a tuple; the config's where None.
            interpolate_pos_encoding: Take images of another size than the config's.
            labels: `{"boxes": (B, M, 4), "class_labels": (B, M)}`, boxes by centre x, centre y,
                width and height as fractions of the model's image, and the index of the query that
                each shows, -1 for padding; or a list of such dicts, one for each image.
            training: Whether dropout acts.

        Returns:
            See `TFOwlv2ObjectDetectionOutput`; a processor's `post_process_object_detection`
            makes boxes in pixels of it.

        Raises:
            ValueError: Images of another size, queries too long, ids outside the vocabulary, or a
                number of queries that the images do not divide.
        """
        flags = {
            "output_attentions": output_attentions,
            "output_hidden_states": output_hidden_states,
        }
        base, images = self.base_model, ops.shape(pixel_values)[0]
        text = base.text_model(input_ids, attention_mask, **flags)
        embeds = unit(base.text_projection(text[1]))
        embeds = ops.reshape(embeds, (images, -1, self.config.projection_dim))
        valid = ops.reshape(ops.greater(input_ids[:, 0], 0), (images, -1))
        outputs = self._detect(
            pixel_values, embeds, valid, interpolate_pos_encoding, pooled_output(text), **flags
        )
        if labels is None:
            return outputs
        parts = self.compute_output_loss(labels, outputs, None)
        return self.output_class(loss=parts.pop("loss"), loss_dict=parts, **outputs)

    def compute_output_loss(
        self,
        labels: Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]],
        outputs: ModelOutput,
        sample_weight: Tensor | None,
    ) -> dict[str, Tensor]:
        return detection_loss(
            outputs["logits"],
            outputs.get("objectness_logits"),
            outputs["pred_boxes"],
            prepare_targets(labels, outputs["logits"].shape[-1]),
            sample_weight=sample_weight,
            on_device=self._in_step and bool(self.jit_compile),
        )

    def _detect(
        self,
        pixel_values: Tensor,
        embeds: Tensor,
        valid: Tensor,
        interpolate: bool,
        text_output: TFBaseModelOutputWithPooling | None = None,
        **flags: bool | None,
    ) -> TFOwlv2ObjectDetectionOutput:
        """All heads, for queries (B or 1, Q, P) of which `valid` (B or 1, Q) count."""
        feature_map, vision = self.image_embedder(pixel_values, interpolate, **flags)
        features = _flat(feature_map)
        logits, class_embeds = self.class_head(features, embeds, valid)
        return self.output_class(
            logits=logits,
            objectness_logits=self.objectness_predictor(features) if self.has_objectness else None,
            pred_boxes=self.box_predictor(features, feature_map),
            text_embeds=embeds,
            image_embeds=feature_map,
            class_embeds=class_embeds,
            text_model_output=text_output,
            vision_model_output=vision,
        )

    # ---- parts of the model, by the reference's names
    def image_embedder(
        self, pixel_values: Tensor, interpolate_pos_encoding: bool = False, **flags: bool | None
    ) -> tuple[Tensor, TFBaseModelOutputWithPooling]:
        """The features of an image's patches.

        Args:
            pixel_values: (B, C, height, width).
            interpolate_pos_encoding: Take images of another size than the config's.
            **flags: `output_attentions`, `output_hidden_states`.

        Returns:
            (B, rows, columns, D), and the output of the vision tower.
        """
        tower, vision = self.base_model.vision_model, self.config.vision_config
        encoded = tower(pixel_values, interpolate_pos_encoding=interpolate_pos_encoding, **flags)
        tokens = tower.post_layernorm(encoded[0])
        features = self.layer_norm(tokens[:, 1:] * tokens[:, :1])
        if interpolate_pos_encoding:
            grid = (size // vision.patch_size for size in ops.shape(pixel_values)[2:])
        else:
            grid = (vision.image_size // vision.patch_size,) * 2
        shape = (ops.shape(features)[0], *grid, vision.hidden_size)
        return ops.reshape(features, shape), pooled_output(encoded)

    def objectness_predictor(self, image_features: Tensor) -> Tensor:
        """Whether each patch's box holds any object; it does not train the features.

        Args:
            image_features: (B, N, D).

        Returns:
            (B, N), logits.
        """
        return self.objectness_head(ops.stop_gradient(image_features))[..., 0]

    def box_predictor(
        self, image_feats: Tensor, feature_map: Tensor, interpolate_pos_encoding: bool = False
    ) -> Tensor:
        """The box of each patch.

        Args:
            image_feats: (B, N, D).
            feature_map: (B, rows, columns, D), the same in its grid.
            interpolate_pos_encoding: Without effect: the grid is the feature map's.

        Returns:
            (B, N, 4), centre x, centre y, width, height as fractions of the image.
        """
        rows, columns = feature_map.shape[1:3]
        boxes = self.box_head(image_feats)
        return ops.sigmoid(boxes + ops.cast(box_bias(rows, columns), boxes.dtype))

    def class_predictor(
        self,
        image_feats: Tensor,
        query_embeds: Tensor | None = None,
        query_mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Similarity of each patch to each query.

        Args:
            image_feats: (B, N, D).
            query_embeds: (B, Q, P); without them there is nothing to compare with.
            query_mask: (B, Q), booleans, which of them count.

        Returns:
            Logits (B, N, Q) and the patches' embeddings, of length 1; without queries zeros
            (B, N, D) and the embeddings as they are, as in the reference.
        """
        if query_embeds is None:
            return ops.zeros_like(image_feats), self.class_head.embed(image_feats)
        return self.class_head(image_feats, query_embeds, query_mask)

    # ---- queries that are encoded once
    def encode_queries(
        self, texts: Sequence[str] | Tensor | Mapping[str, Tensor], tokenizer: Any = None
    ) -> QueryBank:
        """Encode queries once, for many calls of `detect`.

        Args:
            texts: A list of texts; or `input_ids` (Q, N), or a dict of the inputs.
            tokenizer: The tokenizer or processor of the texts; that beside the checkpoint where
                None.

        Returns:
            The bank.

        Raises:
            ValueError: No texts, no tokenizer, texts too long, or ids outside the vocabulary.
        """
        base, owner = self.base_model, f"{type(self).__name__}.encode_queries"
        if isinstance(texts, str) or (
            isinstance(texts, Sequence) and all(isinstance(text, str) for text in texts)
        ):
            texts = self._tokenized(texts, tokenizer, owner)
        inputs = self.bind_inputs("encode_queries", QUERIES, texts)
        embeds = unit(base.text_projection(base.text_model(**inputs)[1]))
        return QueryBank(embeds, ops.greater(ops.convert_to_tensor(inputs["input_ids"])[:, 0], 0))

    def _tokenized(self, texts: Sequence[str], tokenizer: Any, owner: str) -> dict[str, Any]:
        if isinstance(texts, str) or not texts:
            raise ValueError(f"{owner}: expected a list of one or more texts, got {texts!r}.")
        tokenizer = self.tokenizer_for(tokenizer)
        limit = self.config.text_config.max_position_embeddings
        for text, ids in zip(
            texts, tokenizer(list(texts), truncation=False).input_ids, strict=True
        ):
            if len(ids) > limit:
                raise ValueError(
                    f"{owner}: {text!r} has {len(ids)} tokens, the model takes {limit}."
                )
        return dict(
            tokenizer(list(texts), padding="max_length", max_length=limit, return_tensors="np")
        )

    def detect(
        self,
        pixel_values: Tensor | Mapping[str, Tensor],
        queries: QueryBank,
        *,
        interpolate_pos_encoding: bool = False,
    ) -> TFOwlv2ObjectDetectionOutput:
        """Find in each image what a bank of queries names.

        Args:
            pixel_values: (B, C, height, width), or a dict with it.
            queries: What `encode_queries` gave.
            interpolate_pos_encoding: Take images of another size than the config's.

        Returns:
            As the model's call with these queries for each image, `text_embeds` (1, Q, P).

        Raises:
            ValueError: No images, or images of another size.
        """
        inputs = self.bind_inputs("detect", (IMAGES,), pixel_values, interpolate_pos_encoding)
        embeds, valid = (ops.expand_dims(part, 0) for part in queries)
        return self._detect(inputs["pixel_values"], embeds, valid, interpolate_pos_encoding)

    # ---- queries that are images
    def image_guided_detection(
        self,
        pixel_values: Tensor | Mapping[str, Tensor] | None = None,
        query_pixel_values: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        interpolate_pos_encoding: bool = False,
        query_boxes: Tensor | None = None,
        strategy: str = "iou",
    ) -> TFOwlv2ImageGuidedObjectDetectionOutput | tuple[Any, ...]:
        """Find what the query images show.

        Args:
            pixel_values: (B or 1, C, height, width), images to search, or a dict of both inputs.
            query_pixel_values: (B or 1, C, height, width), one query image for each.
            output_attentions: Return the attention weights; the config's choice where None.
            output_hidden_states: Return all hidden states; the config's choice where None.
            return_dict: Return an output object rather than a tuple; the config's where None.
            interpolate_pos_encoding: Take images of another size than the config's.
            query_boxes: (B or 1, 4), where the object is in its query image: x0, y0, x1, y1 as
                fractions of the model's image (for OWLv2, pixels divided by the longer side of the
                image, since its processor pads to a square). The whole image where None.
            strategy: `"iou"`, the reference's rule: of the boxes that overlap the query box most,
                the one least similar to the mean of all. `"objectness"`: the box most likely to
                hold an object (OWLv2 only; newer releases of the reference do this).

        Returns:
            The guided output; `query_indices` (B,) says which of `query_pred_boxes` was chosen. As
            a tuple `image_embeds`, `query_image_embeds`, `target_pred_boxes`, `query_pred_boxes`,
            `logits`, `class_embeds` and `vision_model_output`, as in the reference.

        Raises:
            ValueError: Missing images, images of another size or number, boxes outside [0, 1],
                without an area or where the model sees nothing, an unknown strategy, or objectness
                where the model has none.
        """
        owner, config = f"{type(self).__name__}.image_guided_detection", self.config
        self._check_strategy(owner, strategy, query_boxes)
        inputs = self.bind_inputs(
            "image_guided_detection",
            _GUIDED_INPUTS,
            pixel_values,
            interpolate_pos_encoding,
            query_pixel_values=query_pixel_values,
        )
        boxes = check_boxes(query_boxes, owner)
        check_counts(owner, inputs["pixel_values"], inputs["query_pixel_values"], boxes)
        flags = {
            "output_attentions": _choice(output_attentions, config.output_attentions),
            "output_hidden_states": _choice(output_hidden_states, config.output_hidden_states),
        }
        query_map, _ = self.image_embedder(inputs["query_pixel_values"], interpolate_pos_encoding)
        feature_map, vision = self.image_embedder(
            inputs["pixel_values"], interpolate_pos_encoding, **flags
        )
        query, index, query_boxes = self._choose(query_map, boxes, strategy)
        features = _flat(feature_map)
        logits, class_embeds = self.class_head(features, query)
        outputs = self.guided_output_class(
            logits=logits,
            image_embeds=feature_map,
            query_image_embeds=query_map,
            target_pred_boxes=self.box_predictor(features, feature_map),
            query_pred_boxes=query_boxes,
            class_embeds=class_embeds,
            vision_model_output=vision,
            query_indices=index,
        )
        return outputs if _choice(return_dict, config.return_dict) else outputs.plain_tuple()

    def _check_strategy(self, owner: str, strategy: str, query_boxes: Tensor | None) -> None:
        if strategy not in _STRATEGIES:
            raise ValueError(f"{owner}: strategy must be one of {_STRATEGIES}, got {strategy!r}.")
        if strategy == "objectness" and not self.has_objectness:
            raise ValueError(f"{owner}: this model has no objectness; use strategy='iou'.")
        if strategy == "objectness" and query_boxes is not None:
            raise ValueError(f"{owner}: query_boxes need strategy='iou'.")

    def _choose(
        self, query_map: Tensor, query_boxes: Tensor, strategy: str
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Embeddings (B, 1, P) of the chosen boxes, their indices (B,), and all boxes (B, N, 4)."""
        features = _flat(query_map)
        boxes, embeds = self.box_predictor(features, query_map), self.class_head.embed(features)
        if strategy == "objectness":
            index = first_maximum(self.objectness_predictor(features))
        else:
            index = choose_queries(embeds, to_corners(boxes), query_boxes)
        query = ops.take_along_axis(embeds, index[:, None, None], axis=1)
        return query, index, boxes


def _choice(value: bool | None, default: bool) -> bool:
    return default if value is None else value


def _flat(feature_map: Tensor) -> Tensor:
    """(B, rows, columns, D) -> (B, rows columns, D)."""
    return ops.reshape(feature_map, (ops.shape(feature_map)[0], -1, feature_map.shape[-1]))
