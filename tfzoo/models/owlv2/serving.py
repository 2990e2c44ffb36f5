"""What OWLv2 and OWL-ViT serve: where in an image the things are that some texts name."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import tensorflow as tf

from tfzoo.export.answers import checked_ids
from tfzoo.export.endpoint import Endpoint, ServingError
from tfzoo.export.fitting import check_head
from tfzoo.export.graph.clip_texts import bank_inputs, checked_bank, text_inputs
from tfzoo.export.graph.detections import corners_in_pixels, detections
from tfzoo.export.graph.images import example_image
from tfzoo.export.graph.preprocessing import graph_preprocessing
from tfzoo.export.options import ServingOptions
from tfzoo.models.owlv2.detection import QueryBank, TFOwlv2ForObjectDetection
from tfzoo.models.owlv2.model import check_images
from tfzoo.models.owlv2.owlvit import TFOwlViTForObjectDetection
from tfzoo.models.owlv2.processor import Owlv2ImageProcessor, OwlViTImageProcessor

__all__ = ["OPTIONS", "endpoints"]

OPTIONS = frozenset({"queries", "threshold", "iou_threshold", "max_detections", "max_pixels"})


def endpoints(model: Any, processor: Any, options: ServingOptions) -> list[Endpoint]:
    """The signatures of an OWLv2 or OWL-ViT detector.

    Of each box only the text counts that describes it best, as on the host. Boxes are clipped to
    the image, and then the weaker ones of a text are dropped where they overlap a better one of
    the same text, as in TensorFlow's Object Detection API: boxes of different texts may overlap.

    Args:
        model: A `TFOwlv2ForObjectDetection` or `TFOwlViTForObjectDetection`.
        processor: Its processor; without `queries` its image processor will do.
        options: `queries`, what `detect_image` looks for; `threshold`, `iou_threshold`,
            `max_detections`; `max_pixels` of an image.

    Returns:
        `detect_image` if there are queries, which are encoded here, once for all;
        `encode_queries`, and `detect_image_with_queries`, which takes what that gave.

    Raises:
        ServingError: Another model or processor, or queries that the model cannot take.
    """
    check_head(model, TFOwlv2ForObjectDetection, TFOwlViTForObjectDetection)
    detect = _detector(model, processor, options)
    served = [_with_queries(model, detect), _encode_queries(model)]
    if options.queries is None:
        return served
    return [_detect_image(model, processor, detect, options), *served]


def _detector(model: TFOwlv2ForObjectDetection, processor: Any, options: ServingOptions) -> Any:
    """From encoded images, queries (1 or B, Q, P) and their names (1 or B, Q) to the answer."""
    owner, is_vit = type(model).__name__, isinstance(model, TFOwlViTForObjectDetection)
    images = getattr(processor, "image_processor", processor)
    kind = OwlViTImageProcessor if is_vit else Owlv2ImageProcessor
    if not isinstance(images, kind):
        raise ServingError(
            f"The images of {owner} are prepared by a {kind.__name__}, got a "
            f"{type(processor).__name__}: it is another model's."
        )
    if model.config.vision_config.num_channels != 3:
        raise ServingError(f"{owner} takes other images than those of three channels.")
    prepare = graph_preprocessing(images, options.max_pixels)
    try:
        check_images(owner, prepare.size, model.config, interpolate=False)
    except ValueError as error:
        raise ServingError(f"The processor does not fit the model. {error}") from error

    def detect(image: tf.Tensor, embeds: tf.Tensor, names: tf.Tensor) -> dict[str, tf.Tensor]:
        pixels, sizes = prepare.images(image)
        grid, _ = model.image_embedder(pixels)
        features = tf.reshape(grid, (-1, grid.shape[1] * grid.shape[2], grid.shape[3]))
        counts = tf.reduce_any(embeds != 0, axis=-1)  # a row of zeros is padding
        logits, _ = model.class_predictor(features, tf.cast(embeds, features.dtype), counts)
        boxes = model.box_predictor(features, grid)
        return detections(
            logits, corners_in_pixels(boxes, sizes, images.square_canvas), names, options
        )

    return detect


def _image() -> tuple[dict[str, tf.TensorSpec], dict[str, np.ndarray]]:
    spec = tf.TensorSpec([None], tf.string, "image")
    return {"image": spec}, {"image": np.array([example_image()], object)}


def _detect_image(
    model: TFOwlv2ForObjectDetection, processor: Any, detect: Any, options: ServingOptions
) -> Endpoint:
    """`detect_image`: encoded images -> boxes, scores, classes and their names."""
    tokenizer = getattr(processor, "tokenizer", None)
    if tokenizer is None:
        raise ServingError(
            "queries are texts, which a tokenizer must read: pass the model's whole processor, got "
            f"a {type(processor).__name__}."
        )
    with warnings.catch_warnings():  # of what the model then refuses
        warnings.filterwarnings("ignore", "A text has .* tokens, the model takes")
        try:
            bank = model.encode_queries(list(options.queries), tokenizer)
        except ValueError as error:
            raise ServingError(f"queries: {error}") from error
    embeds, names = _rows(bank).numpy()[None], [list(options.queries)]

    def detect_image(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return detect(image, tf.constant(embeds), tf.constant(names))

    return Endpoint("detect_image", detect_image, *_image())


def _rows(bank: QueryBank) -> tf.Tensor:
    """(Q, P) float32, zeros for queries that are padding."""
    return tf.where(bank.valid[:, None], tf.cast(bank.embeds, tf.float32), 0)


def _with_queries(model: TFOwlv2ForObjectDetection, detect: Any) -> Endpoint:
    """`detect_image_with_queries`: the same for queries that come with each image."""

    def detect_image_with_queries(
        image: tf.Tensor, query_embeds: tf.Tensor, query_names: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        message = (
            "query_embeds: expected one or more queries for each image, as many as query_names, got"
        )
        bank = checked_bank(query_embeds, query_names, tf.shape(image)[0], message)
        return detect(image, bank, query_names)

    texts = bank_inputs("query_embeds", "query_names", model.config.projection_dim)
    specs, example = (one | two for one, two in zip(_image(), texts, strict=True))
    return Endpoint("detect_image_with_queries", detect_image_with_queries, specs, example)


def _encode_queries(model: TFOwlv2ForObjectDetection) -> Endpoint:
    """`encode_queries`: ids -> query_embeds, a row for each query."""
    config = model.config.text_config

    def encode_queries(input_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        ids = checked_ids(input_ids, config.vocab_size, config.max_position_embeddings)
        bank = model.encode_queries(ids)
        return {"query_embeds": _rows(bank)}

    return Endpoint("encode_queries", encode_queries, *text_inputs(config))
