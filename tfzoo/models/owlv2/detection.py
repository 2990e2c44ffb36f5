"""OWLv2's detector: what a text names, or an image shows (Minderer et al. 2023)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from keras import ops

from tfzoo.core.config import ConfigError
from tfzoo.core.inputs import Input
from tfzoo.core.keras_compat import set_trainable
from tfzoo.core.outputs import ModelOutput
from tfzoo.layers.norm import LayerNorm
from tfzoo.losses.detection.loss import detection_loss, prepare_targets
from tfzoo.modeling.clip_inputs import check_text, pooled_output
from tfzoo.models.owlv2.config import OwlConfig
from tfzoo.models.owlv2.guided import GuidedDetectionMixin
from tfzoo.models.owlv2.layers import BoxHead, ClassHead, box_bias, unit
from tfzoo.models.owlv2.model import IMAGES, TFOwlv2Model, bind, check_images
from tfzoo.models.owlv2.outputs import (
    TFOwlv2ImageGuidedObjectDetectionOutput,
    TFOwlv2ObjectDetectionOutput,
)
from tfzoo.models.owlv2.towers import QUERIES, TFOwlv2PreTrainedModel, flat_queries

__all__ = ["QueryBank", "TFOwlv2ForObjectDetection"]


_LABELS = Input(
    "labels",
    "structure",
    None,
    "Boxes and the queries that they show, see `TFOwlv2ForObjectDetection.call`.",
    optional=True,
)


class QueryBank(NamedTuple):
    """Encoded queries, for `detect`.

    Attributes:
        embeds: (Q, P), of length 1.
        valid: (Q,), booleans; False for queries that are padding.
    """

    embeds: Any
    valid: Any


class TFOwlv2ForObjectDetection(GuidedDetectionMixin, TFOwlv2PreTrainedModel):
    """OWLv2's detector: every patch predicts one box, its likeness to each query, and objectness.

    Args:
        config: The configuration; `projection_dim` must be the text tower's width.
        **kwargs: `name`, `dtype`, `trainable` as in `keras.Model`.

    Raises:
        ConfigError: `projection_dim` is another than `text_config.hidden_size`.

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
    base_class: ClassVar[type] = TFOwlv2Model
    base_name: ClassVar[str] = "owlv2"
    has_objectness: ClassVar[bool] = True
    output_class: ClassVar[type[ModelOutput]] = TFOwlv2ObjectDetectionOutput
    guided_output_class: ClassVar[type[ModelOutput]] = TFOwlv2ImageGuidedObjectDetectionOutput

    def setup(self, config: OwlConfig) -> None:
        """Make the sublayers."""
        vision, text = config.vision_config, config.text_config
        if config.projection_dim != text.hidden_size:
            raise ConfigError(
                f"{type(config).__name__}.projection_dim must equal text_config.hidden_size for "
                f"detection, got {config.projection_dim} and {text.hidden_size}."
            )
        width, factor = vision.hidden_size, config.initializer_factor
        setattr(self, self.base_name, self.base_class(config, name=self.base_name))
        self.class_head = ClassHead(width, text.hidden_size, factor, name="class_head")
        self.box_head = BoxHead(width, 4, factor, name="box_head")
        if self.has_objectness:
            self.objectness_head = BoxHead(width, 1, factor, name="objectness_head")
        self.layer_norm = LayerNorm(epsilon=vision.layer_norm_eps, name="layer_norm")

    def build_layers(self) -> None:
        """Create the weights of the heads; the towers have theirs already."""
        self.class_head.build()
        self.box_head.build()
        if self.has_objectness:
            self.objectness_head.build()
        self.layer_norm.build((None, None, self.config.vision_config.hidden_size))

    @property
    def base(self) -> TFOwlv2Model:
        """The two towers."""
        return getattr(self, self.base_name)

    def check_inputs(self, inputs: Mapping[str, Any]) -> None:
        """Refuse wrong inputs.

        Raises:
            ValueError: Images of another size, queries too long, ids outside the vocabulary, or a
                number of queries that the images do not divide.
        """
        super().check_inputs(inputs)
        owner, interpolate = type(self).__name__, inputs.get("interpolate_pos_encoding")
        check_text(owner, inputs, self.config.text_config)
        check_images(owner, inputs["pixel_values"].shape, self.config, interpolate)
        queries, images = inputs["input_ids"].shape[0], inputs["pixel_values"].shape[0]
        if None not in (queries, images) and (queries < images or queries % images):
            raise ValueError(
                f"{owner}: input_ids hold {queries} queries for {images} images; each image needs "
                "as many queries as the others, the first image's first. The processor pads nested "
                "lists of texts."
            )

    def call(
        self,
        input_ids: Any,
        pixel_values: Any,
        attention_mask: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        interpolate_pos_encoding: bool = False,
        labels: Any = None,
        training: bool = False,
    ) -> TFOwlv2ObjectDetectionOutput:
        """Find what the queries name.

        Args:
            input_ids: (B Q, N), the queries of the first image, then those of the second, ...; or
                (B, Q, N), which Keras and `tf.distribute` can divide. A query whose first id is 0
                is padding and scores nowhere.
            pixel_values: (B, C, height, width), floats.
            attention_mask: Like `input_ids`, 1 for tokens and 0 for padding; no padding where None.
            output_attentions: Return the attention maps; the config's choice where None.
            output_hidden_states: Return all hidden states; the config's choice where None.
            return_dict: Return an output object rather than a tuple; the config's where None.
            interpolate_pos_encoding: Take images of another size than the config's.
            labels: `{"boxes": (B, M, 4), "class_labels": (B, M)}`, boxes by centre x, centre y,
                width and height in parts of the model's image, and the index of the query that
                each shows, -1 for padding; or a list of such dicts, one for each image.
            training: Whether dropout acts.

        Returns:
            See `TFOwlv2ObjectDetectionOutput`; a processor's `post_process_object_detection`
            makes boxes in pixels of it.

        Raises:
            ValueError: Wrong inputs, see `check_inputs`.
        """
        flags = {
            "output_attentions": output_attentions,
            "output_hidden_states": output_hidden_states,
        }
        base, images = self.base, ops.shape(pixel_values)[0]
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

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
        kwargs = flat_queries(type(self).__name__, self._table.bind(args, kwargs))
        return_dict, inputs = super()._bind((), kwargs)
        if inputs.get("labels") is not None:
            count = inputs["input_ids"].shape[0], inputs["pixel_values"].shape[0]
            queries = None if None in count else count[0] // count[1]
            inputs["labels"] = prepare_targets(inputs["labels"], queries)
        return return_dict, inputs

    def compute_output_loss(self, labels: Any, outputs: Any, sample_weight: Any) -> dict[str, Any]:
        """The detection loss and its parts, see `tfzoo.losses.detection.loss.detection_loss`."""
        return detection_loss(
            outputs["logits"],
            outputs.get("objectness_logits"),
            outputs["pred_boxes"],
            prepare_targets(labels, outputs["logits"].shape[-1]),
            sample_weight=sample_weight,
            on_device=self._in_step and bool(self.jit_compile),
        )

    def freeze(self, part: str | None) -> None:
        """Leave a part of the model as it is in training; call it before `compile`.

        Args:
            part: `"text"` for the text tower, `"backbone"` for both towers, None for nothing.

        Raises:
            ValueError: Another part.
        """
        if part not in ("text", "backbone", None):
            raise ValueError(f"freeze takes 'text', 'backbone' or None, got {part!r}.")
        set_trainable(part is None, self.base.text_model, self.base.text_projection)
        set_trainable(part != "backbone", self.base.vision_model)

    @property
    def trainable_weights(self) -> list[Any]:
        """The weights that detection uses; those of whole images against texts are not."""
        unused = {id(w) for w in (*self.base.visual_projection.weights, self.base.logit_scale)}
        return [w for w in super().trainable_weights if id(w) not in unused]

    @property
    def trainable_variables(self) -> list[Any]:
        """The same as `trainable_weights`; Keras asks for either."""
        return self.trainable_weights

    def _detect(
        self,
        pixel_values: Any,
        embeds: Any,
        valid: Any,
        interpolate: bool,
        text_output: Any = None,
        **flags: Any,
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
        self, pixel_values: Any, interpolate_pos_encoding: bool = False, **flags: Any
    ) -> tuple[Any, Any]:
        """The features of an image's patches.

        Args:
            pixel_values: (B, C, height, width).
            interpolate_pos_encoding: Take images of another size than the config's.
            **flags: `output_attentions`, `output_hidden_states`.

        Returns:
            (B, rows, columns, D), and the output of the vision tower.
        """
        tower, vision = self.base.vision_model, self.config.vision_config
        encoded = tower(pixel_values, interpolate_pos_encoding=interpolate_pos_encoding, **flags)
        tokens = tower.post_layernorm(encoded[0])
        features = self.layer_norm(tokens[:, 1:] * tokens[:, :1])
        if interpolate_pos_encoding:
            grid = (size // vision.patch_size for size in ops.shape(pixel_values)[2:])
        else:
            grid = (vision.image_size // vision.patch_size,) * 2
        shape = (ops.shape(features)[0], *grid, vision.hidden_size)
        return ops.reshape(features, shape), pooled_output(encoded)

    def objectness_predictor(self, image_features: Any) -> Any:
        """Whether each patch's box holds any object; it does not train the features.

        Args:
            image_features: (B, N, D).

        Returns:
            (B, N), logits.
        """
        return self.objectness_head(ops.stop_gradient(image_features))[..., 0]

    def box_predictor(
        self, image_feats: Any, feature_map: Any, interpolate_pos_encoding: bool = False
    ) -> Any:
        """The box of each patch.

        Args:
            image_feats: (B, N, D).
            feature_map: (B, rows, columns, D), the same in its grid.
            interpolate_pos_encoding: Without effect: the grid is the feature map's.

        Returns:
            (B, N, 4), centre x, centre y, width, height in parts of the image.
        """
        rows, columns = feature_map.shape[1:3]
        boxes = self.box_head(image_feats)
        return ops.sigmoid(boxes + ops.cast(box_bias(rows, columns), boxes.dtype))

    def class_predictor(
        self, image_feats: Any, query_embeds: Any = None, query_mask: Any = None
    ) -> tuple[Any, Any]:
        """Likeness of each patch to each query.

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
    def encode_queries(self, texts: Any, tokenizer: Any = None) -> QueryBank:
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
        owner = f"{type(self).__name__}.encode_queries"
        if isinstance(texts, str) or (
            isinstance(texts, Sequence) and all(isinstance(text, str) for text in texts)
        ):
            texts = self._tokenized(texts, tokenizer, owner)
        inputs = bind(QUERIES, owner, texts, {}, self.config)
        check_text(owner, inputs, self.config.text_config)
        embeds = unit(self.base.text_projection(self.base.text_model(**inputs)[1]))
        return QueryBank(embeds, ops.greater(ops.convert_to_tensor(inputs["input_ids"])[:, 0], 0))

    def _tokenized(self, texts: Any, tokenizer: Any, owner: str) -> dict[str, Any]:
        if isinstance(texts, str) or not texts:
            raise ValueError(f"{owner}: expected a list of one or more texts, got {texts!r}.")
        if tokenizer is None:
            from tfzoo.text.clip_tokenizer import CLIPTokenizerFast

            if not self.config.name_or_path:
                raise ValueError(
                    f"{owner}: the model was not loaded from a checkpoint, so that its tokenizer "
                    "is unknown: pass tokenizer=."
                )
            tokenizer = CLIPTokenizerFast.from_pretrained(self.config.name_or_path)
        tokenizer = getattr(tokenizer, "tokenizer", tokenizer)
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
        self, pixel_values: Any, queries: QueryBank, *, interpolate_pos_encoding: bool = False
    ) -> TFOwlv2ObjectDetectionOutput:
        """Find what a bank of queries names, in each image.

        Args:
            pixel_values: (B, C, height, width), or a dict with it.
            queries: What `encode_queries` gave.
            interpolate_pos_encoding: Take images of another size than the config's.

        Returns:
            As the model's call with these queries for each image, `text_embeds` (1, Q, P).

        Raises:
            ValueError: No images, or images of another size.
        """
        owner = f"{type(self).__name__}.detect"
        pixels = bind((IMAGES,), owner, pixel_values, {}, self.config)["pixel_values"]
        check_images(owner, pixels.shape, self.config, interpolate_pos_encoding)
        embeds, valid = (ops.expand_dims(part, 0) for part in queries)
        return self._detect(pixels, embeds, valid, interpolate_pos_encoding)


def _flat(feature_map: Any) -> Any:
    """(B, rows, columns, D) -> (B, rows columns, D)."""
    return ops.reshape(feature_map, (ops.shape(feature_map)[0], -1, feature_map.shape[-1]))
