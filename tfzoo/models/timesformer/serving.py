"""What TimeSformer serves: the label of a clip, given as its frames."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfzoo.export.answers import class_names, probabilities, ranked
from tfzoo.export.endpoint import Endpoint, ServingError
from tfzoo.export.fitting import check_head
from tfzoo.export.graph.videos import clip_inputs, clip_reader
from tfzoo.export.options import ServingOptions
from tfzoo.models.timesformer.image_processor import VideoMAEImageProcessor
from tfzoo.models.timesformer.model import TFTimesformerForVideoClassification

__all__ = ["OPTIONS", "endpoints"]

OPTIONS = frozenset({"labels", "top_k", "max_pixels"})


def endpoints(model: Any, processor: Any, options: ServingOptions) -> list[Endpoint]:
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
    model: TFTimesformerForVideoClassification, processor: Any, options: ServingOptions
) -> Endpoint:
    """`classify_frames`: encoded frames -> labels, scores."""
    config, owner = model.config, type(model).__name__
    names = class_names(options, config.num_labels, config.id2label, owner)

    def check(spec: tf.TensorSpec) -> None:
        model.check_inputs({"pixel_values": spec})

    read = clip_reader(processor, VideoMAEImageProcessor, config.num_frames, check, options)
    independent = config.problem_type == "multi_label_classification"

    def classify_frames(frames: tf.Tensor) -> dict[str, tf.Tensor]:
        logits = model(pixel_values=read(frames), training=False, return_dict=True).logits
        if config.attention_type == "space_only":  # it has logits for each frame
            shape = (-1, config.num_frames, config.num_labels)
            logits = tf.reduce_mean(tf.reshape(logits, shape), axis=1)
        labels, scores = ranked(probabilities(logits, independent), names, options.top_k)
        return {"labels": labels, "scores": scores}

    return Endpoint("classify_frames", classify_frames, *clip_inputs(config.num_frames))
