"""TimeSformer's signature: the label of a clip, given as its frames."""

from __future__ import annotations

import tensorflow as tf

from tfzoo.export.endpoint import (
    Endpoint,
    ServingError,
    ServingOptions,
    check_head,
    class_names,
)
from tfzoo.export.graph.answers import probabilities, ranked
from tfzoo.export.graph.images import example_image
from tfzoo.export.graph.preprocessing import fitting_preprocessing
from tfzoo.models.timesformer.image_processor import VideoMAEImageProcessor
from tfzoo.models.timesformer.model import TFTimesformerForVideoClassification

__all__ = ["OPTIONS", "endpoints"]

OPTIONS = frozenset({"labels", "top_k", "max_pixels"})


def endpoints(
    model: TFTimesformerForVideoClassification,
    processor: VideoMAEImageProcessor,
    options: ServingOptions,
) -> list[Endpoint]:
    """The signatures of a TimeSformer model.

    Args:
        model: A `TFTimesformerForVideoClassification`.
        processor: Its `VideoMAEImageProcessor`.
        options: `labels`, the classes by name, where the config's are not wanted; `top_k`;
            `max_pixels` of a frame.

    Returns:
        `classify_frames`.

    Raises:
        ServingError: Another model or processor, or names of another number of classes.
    """
    name = type(model).__name__
    check_head(model, TFTimesformerForVideoClassification)
    if not model.config.num_labels:
        raise ServingError(f"{name} with num_labels=0 has no classifier to serve.")
    if model.config.problem_type == "regression":
        raise ServingError(f"{name} with problem_type 'regression' has no labels to serve.")
    return [_classify_frames(model, processor, options)]


def _classify_frames(
    model: TFTimesformerForVideoClassification,
    processor: VideoMAEImageProcessor,
    options: ServingOptions,
) -> Endpoint:
    """`classify_frames`: encoded frames -> labels, scores."""
    config, owner = model.config, type(model).__name__
    names = class_names(options, config.num_labels, config.id2label, owner)

    def check(size: tuple[int, int]) -> None:
        shape = (None, config.num_frames, 3, *size)
        model.check_inputs({"pixel_values": tf.TensorSpec(shape, tf.float32, "pixel_values")})

    prepare = fitting_preprocessing(processor, VideoMAEImageProcessor, options.max_pixels, check)
    independent = config.problem_type == "multi_label_classification"

    def classify_frames(frames: tf.Tensor) -> dict[str, tf.Tensor]:
        pixels = prepare.videos(frames, config.num_frames)
        logits = model(pixel_values=pixels, training=False, return_dict=True).logits
        if config.attention_type == "space_only":  # which has logits for each frame
            shape = (-1, config.num_frames, config.num_labels)
            logits = tf.reduce_mean(tf.reshape(logits, shape), axis=1)
        labels, scores = ranked(probabilities(logits, independent), names, options.top_k)
        return {"labels": labels, "scores": scores}

    clip = [[example_image()] * config.num_frames]
    return Endpoint.of("classify_frames", classify_frames, frames=clip)
