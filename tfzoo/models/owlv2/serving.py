"""Signatures of OWLv2 and OWL-ViT: boxes of the things in an image that some texts name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfzoo.core.inputs import InputTable
from tfzoo.export.endpoint import Endpoint, ServingError, ServingOptions, check_head
from tfzoo.export.graph.answers import checked_bank, checked_ids, example_ids, stored_texts
from tfzoo.export.graph.detections import corners_in_pixels, detections
from tfzoo.export.graph.images import example_image
from tfzoo.export.graph.preprocessing import fitting_preprocessing
from tfzoo.models.owlv2.detection import QueryBank, TFOwlv2ForObjectDetection
from tfzoo.models.owlv2.model import IMAGES
from tfzoo.models.owlv2.owlvit import TFOwlViTForObjectDetection
from tfzoo.models.owlv2.processor import Owlv2ImageProcessor, OwlViTImageProcessor

__all__ = ["OPTIONS", "endpoints"]

Detector = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]
OPTIONS = frozenset({"queries", "threshold", "iou_threshold", "max_detections", "max_pixels"})


def endpoints(
    model: TFOwlv2ForObjectDetection, processor: Any, options: ServingOptions
) -> list[Endpoint]:
    """The signatures of an OWLv2 or OWL-ViT detector.

    Each box counts for the text that describes it best, as on the host. Boxes are clipped to the
    image and then dropped where they overlap a better box of the same text, as in TensorFlow's
    Object Detection API; boxes of different texts may overlap.

    Args:
        model: A `TFOwlv2ForObjectDetection` or `TFOwlViTForObjectDetection`.
        processor: Its processor; its image processor is enough without `queries`.
        options: `queries`, what `detect_image` looks for; `threshold`, `iou_threshold`,
            `max_detections`; `max_pixels` of an image.

    Returns:
        `detect_image` if there are queries, which are encoded here, once and for all;
        `encode_queries`, and `detect_image_with_queries`, which takes its vectors.

    Raises:
        ServingError: Another model or processor, or queries that the model cannot take.
    """
    check_head(model, TFOwlv2ForObjectDetection, TFOwlViTForObjectDetection)
    detect = _detector(model, processor, options)
    served = [_with_queries(model, detect), _encode_queries(model)]
    if options.queries is None:
        return served
    return [_detect_image(model, processor, detect, options), *served]


def _detector(
    model: TFOwlv2ForObjectDetection, processor: Any, options: ServingOptions
) -> Detector:
    """Make the function from images, queries (1 or B, Q, P) and names (1 or B, Q) to the answer."""
    owner, is_vit = type(model).__name__, isinstance(model, TFOwlViTForObjectDetection)
    kind = OwlViTImageProcessor if is_vit else Owlv2ImageProcessor

    def check(size: tuple[int, int]) -> None:
        spec = tf.TensorSpec((None, 3, *size), tf.float32)
        model.check_table(InputTable((IMAGES,), ["pixel_values"], owner), {"pixel_values": spec})

    if model.config.vision_config.num_channels != 3:
        raise ServingError(f"{owner} takes other images than those of three channels.")
    prepare = fitting_preprocessing(processor, kind, options.max_pixels, check)
    is_square = getattr(processor, "image_processor", processor).square_canvas

    def detect(image: tf.Tensor, embeds: tf.Tensor, names: tf.Tensor) -> dict[str, tf.Tensor]:
        pixels, sizes = prepare.images(image)
        grid, _ = model.image_embedder(pixels)
        features = tf.reshape(grid, (-1, grid.shape[1] * grid.shape[2], grid.shape[3]))
        counts = tf.reduce_any(embeds != 0, axis=-1)  # a row of zeros is padding
        logits, _ = model.class_predictor(features, tf.cast(embeds, features.dtype), counts)
        boxes = model.box_predictor(features, grid)
        return detections(logits, corners_in_pixels(boxes, sizes, is_square), names, options)

    return detect


def _detect_image(
    model: TFOwlv2ForObjectDetection, processor: Any, detect: Detector, options: ServingOptions
) -> Endpoint:
    """`detect_image`: encoded images -> boxes, scores, classes and their names."""
    queries = list(options.queries)
    bank = stored_texts("queries", processor, lambda t: model.encode_queries(queries, t))
    embeds, names = _rows(bank).numpy()[None], [queries]

    def detect_image(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return detect(image, tf.constant(embeds), tf.constant(names))

    return Endpoint.of("detect_image", detect_image, image=[example_image()])


def _rows(bank: QueryBank) -> tf.Tensor:
    """(Q, P) float32, zeros for queries that are padding."""
    return tf.where(bank.valid[:, None], tf.cast(bank.embeds, tf.float32), 0)


def _with_queries(model: TFOwlv2ForObjectDetection, detect: Detector) -> Endpoint:
    """`detect_image_with_queries`: the same for queries that come with each image."""

    def detect_image_with_queries(
        image: tf.Tensor, query_embeds: tf.Tensor, query_names: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        message = (
            "query_embeds: expected one or more queries for each image, as many as query_names, got"
        )
        bank = checked_bank(query_embeds, query_names, tf.shape(image)[0], message)
        return detect(image, bank, query_names)

    return Endpoint.of(
        "detect_image_with_queries",
        detect_image_with_queries,
        image=[example_image()],
        query_embeds=np.eye(2, model.config.projection_dim, dtype="float32")[None],
        query_names=[[b"one", b"another"]],
    )


def _encode_queries(model: TFOwlv2ForObjectDetection) -> Endpoint:
    """`encode_queries`: ids -> query_embeds, a row for each query."""
    config = model.config.text_config

    def encode_queries(input_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        ids = checked_ids(input_ids, config.vocab_size, config.max_position_embeddings)
        bank = model.encode_queries(ids)
        return {"query_embeds": _rows(bank)}

    return Endpoint.of("encode_queries", encode_queries, input_ids=example_ids(config))
