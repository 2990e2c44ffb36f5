"""What X-CLIP serves: which of some texts a clip shows."""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfzoo.core.inputs import InputTable
from tfzoo.export.answers import checked_ids, probabilities, ranked
from tfzoo.export.endpoint import Endpoint, ServingError
from tfzoo.export.fitting import check_head
from tfzoo.export.graph.clip_texts import bank_inputs, checked_bank, text_inputs
from tfzoo.export.graph.videos import clip_inputs, clip_reader
from tfzoo.export.options import ServingOptions
from tfzoo.modeling.clip_inputs import check_frames
from tfzoo.models.xclip.model import TFXCLIPModel
from tfzoo.models.xclip.towers import VIDEOS
from tfzoo.preprocessing.videomae import VideoMAEImageProcessor

__all__ = ["OPTIONS", "endpoints"]

OPTIONS = frozenset({"labels", "top_k", "max_pixels"})


def endpoints(model: Any, processor: Any, options: ServingOptions) -> list[Endpoint]:
    """The signatures of an X-CLIP model.

    Args:
        model: A `TFXCLIPModel`.
        processor: Its `XCLIPProcessor`; without labels its `VideoMAEImageProcessor` will do.
        options: `labels`, the texts that `classify_frames` chooses from; `top_k`; `max_pixels` of
            a frame.

    Returns:
        `classify_frames` if there are labels, whose texts are encoded here, once for all;
        `encode_texts`, and `classify_frames_with_texts`, which takes what that gave.

    Raises:
        ServingError: Another model or processor, or labels that the model cannot take.
    """
    check_head(model, TFXCLIPModel)
    vision = model.config.vision_config

    def check(spec: tf.TensorSpec) -> None:
        owner = type(model).__name__
        InputTable((VIDEOS,), ["pixel_values"], owner).check({spec.name: spec}, model.config)
        check_frames(owner, spec.shape, vision, interpolate=False)

    read = clip_reader(processor, VideoMAEImageProcessor, vision.num_frames, check, options)

    def score(frames: tf.Tensor, texts: tf.Tensor) -> tf.Tensor:
        video, states = model.encode_videos(read(frames))
        outputs = model.compare(tf.cast(texts, video.dtype), video, states)
        return probabilities(outputs["logits_per_video"])

    served = [_with_texts(model, score, options), _encode_texts(model)]
    if options.labels is None:
        return served
    return [_classify_frames(model, processor, score, options), *served]


def _classify_frames(
    model: TFXCLIPModel, processor: Any, score: Any, options: ServingOptions
) -> Endpoint:
    """`classify_frames`: encoded frames -> labels, scores."""
    bank = _encoded(model, processor, options.labels)

    def classify_frames(frames: tf.Tensor) -> dict[str, tf.Tensor]:
        odds = score(frames, tf.constant(bank))
        labels, scores = ranked(odds, options.labels, options.top_k)
        return {"labels": labels, "scores": scores}

    return Endpoint(
        "classify_frames", classify_frames, *clip_inputs(model.config.vision_config.num_frames)
    )


def _encoded(model: TFXCLIPModel, processor: Any, labels: Any) -> np.ndarray:
    """The labels' texts, (Q, P) float32."""
    tokenizer = getattr(processor, "tokenizer", None)
    if tokenizer is None:
        raise ServingError(
            "The labels of X-CLIP are texts, which a tokenizer must read: pass an XCLIPProcessor, "
            f"got a {type(processor).__name__}."
        )
    with warnings.catch_warnings():  # of what the model then refuses
        warnings.filterwarnings("ignore", "A text has .* tokens, the model takes")
        try:
            classifier = model.zero_shot_classifier(labels, tokenizer=tokenizer)
        except ValueError as error:
            raise ServingError(f"labels: {error}") from error
    return keras.ops.convert_to_numpy(keras.ops.cast(classifier.text_features, "float32"))


def _with_texts(model: TFXCLIPModel, score: Any, options: ServingOptions) -> Endpoint:
    """`classify_frames_with_texts`: encoded frames, and texts and their names -> labels, scores."""
    config = model.config

    def classify_frames_with_texts(
        frames: tf.Tensor, text_features: tf.Tensor, labels: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        message = "text_features: expected one or more texts for each clip, as many as labels, got"
        bank = checked_bank(text_features, labels, tf.shape(frames)[0], message)
        best, places = tf.math.top_k(
            score(frames, bank), tf.minimum(options.top_k, tf.shape(bank)[1])
        )
        return {"labels": tf.gather(labels, places, batch_dims=1), "scores": best}

    texts = bank_inputs("text_features", "labels", config.projection_dim)
    clip = clip_inputs(config.vision_config.num_frames)
    specs, example = (one | two for one, two in zip(clip, texts, strict=True))
    return Endpoint("classify_frames_with_texts", classify_frames_with_texts, specs, example)


def _encode_texts(model: TFXCLIPModel) -> Endpoint:
    """`encode_texts`: ids -> text_features, a row for each text."""
    config = model.config.text_config

    def encode_texts(input_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        ids = checked_ids(input_ids, config.vocab_size, config.max_position_embeddings)
        features = model.get_text_features(ids)
        return {"text_features": tf.cast(features, tf.float32)}

    return Endpoint("encode_texts", encode_texts, *text_inputs(config))
