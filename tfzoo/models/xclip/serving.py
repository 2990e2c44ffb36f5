"""X-CLIP's signatures: which of some texts describes a clip."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tfzoo.core.inputs import InputTable
from tfzoo.export.endpoint import Endpoint, ServingOptions, check_head
from tfzoo.export.graph.answers import (
    checked_bank,
    checked_ids,
    example_ids,
    probabilities,
    ranked,
    stored_texts,
)
from tfzoo.export.graph.images import example_image
from tfzoo.export.graph.preprocessing import fitting_preprocessing
from tfzoo.models.xclip.model import VIDEOS, TFXCLIPModel
from tfzoo.models.xclip.processor import XCLIPProcessor
from tfzoo.preprocessing.videomae import VideoMAEImageProcessor

__all__ = ["OPTIONS", "endpoints"]

Scorer = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
OPTIONS = frozenset({"labels", "top_k", "max_pixels"})


def endpoints(
    model: TFXCLIPModel,
    processor: XCLIPProcessor | VideoMAEImageProcessor,
    options: ServingOptions,
) -> list[Endpoint]:
    """The signatures of an X-CLIP model.

    Args:
        model: A `TFXCLIPModel`.
        processor: Its `XCLIPProcessor`; its `VideoMAEImageProcessor` is enough without labels.
        options: `labels`, the texts that `classify_frames` chooses from; `top_k`; `max_pixels` of
            a frame.

    Returns:
        `classify_frames` if there are labels, whose texts are encoded here, once and for all;
        `encode_texts`, and `classify_frames_with_texts`, which takes its vectors.

    Raises:
        ServingError: Another model or processor, or labels that the model cannot take.
    """
    check_head(model, TFXCLIPModel)
    vision = model.config.vision_config

    def check(size: tuple[int, int]) -> None:
        table = InputTable((VIDEOS,), ["pixel_values"], type(model).__name__)
        shape = (None, vision.num_frames, 3, *size)
        model.check_table(table, {"pixel_values": tf.TensorSpec(shape, tf.float32)})

    prepare = fitting_preprocessing(processor, VideoMAEImageProcessor, options.max_pixels, check)

    def score(frames: tf.Tensor, texts: tf.Tensor) -> tf.Tensor:
        video, states = model.encode_videos(prepare.videos(frames, vision.num_frames))
        outputs = model.compare(tf.cast(texts, video.dtype), video, states)
        return probabilities(outputs["logits_per_video"])

    served = [_with_texts(model, score, options), _encode_texts(model)]
    if options.labels is None:
        return served
    return [_classify_frames(model, processor, score, options), *served]


def _classify_frames(
    model: TFXCLIPModel,
    processor: XCLIPProcessor | VideoMAEImageProcessor,
    score: Scorer,
    options: ServingOptions,
) -> Endpoint:
    """`classify_frames`: encoded frames -> labels, scores."""
    classifier = stored_texts(
        "labels", processor, lambda t: model.zero_shot_classifier(options.labels, tokenizer=t)
    )
    bank = keras.ops.convert_to_numpy(keras.ops.cast(classifier.text_features, "float32"))

    def classify_frames(frames: tf.Tensor) -> dict[str, tf.Tensor]:
        labels, scores = ranked(score(frames, tf.constant(bank)), options.labels, options.top_k)
        return {"labels": labels, "scores": scores}

    return Endpoint.of("classify_frames", classify_frames, frames=_clip(model))


def _clip(model: TFXCLIPModel) -> list[list[bytes]]:
    return [[example_image()] * model.config.vision_config.num_frames]


def _with_texts(model: TFXCLIPModel, score: Scorer, options: ServingOptions) -> Endpoint:
    """`classify_frames_with_texts`: encoded frames, and texts and their names -> labels, scores."""

    def classify_frames_with_texts(
        frames: tf.Tensor, text_features: tf.Tensor, labels: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        message = "text_features: expected one or more texts for each clip, as many as labels, got"
        bank = checked_bank(text_features, labels, tf.shape(frames)[0], message)
        best, places = tf.math.top_k(
            score(frames, bank), tf.minimum(options.top_k, tf.shape(bank)[1])
        )
        return {"labels": tf.gather(labels, places, batch_dims=1), "scores": best}

    return Endpoint.of(
        "classify_frames_with_texts",
        classify_frames_with_texts,
        frames=_clip(model),
        text_features=np.eye(2, model.config.projection_dim, dtype="float32")[None],
        labels=[[b"one", b"another"]],
    )


def _encode_texts(model: TFXCLIPModel) -> Endpoint:
    """`encode_texts`: ids -> text_features, a row for each text."""
    config = model.config.text_config

    def encode_texts(input_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        ids = checked_ids(input_ids, config.vocab_size, config.max_position_embeddings)
        features = model.get_text_features(ids)
        return {"text_features": tf.cast(features, tf.float32)}

    return Endpoint.of("encode_texts", encode_texts, input_ids=example_ids(config))
