"""What TVP serves: the seconds of a video in which happens what a sentence says."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfzoo.export.answers import checked, checked_ids, checked_sizes
from tfzoo.export.endpoint import Endpoint, ServingError
from tfzoo.export.fitting import check_head, check_tokenizer
from tfzoo.export.graph.videos import clip_inputs, clip_reader
from tfzoo.export.options import ServingOptions
from tfzoo.models.tvp.grounding import TFTvpForVideoGrounding
from tfzoo.models.tvp.inputs import VIDEOS, check_videos
from tfzoo.models.tvp.processor import TvpImageProcessor, TvpProcessor

__all__ = ["OPTIONS", "endpoints"]

OPTIONS = frozenset({"max_pixels"})

_QUERY, _DURATION = "a person sits", 10.0  # of the example


def endpoints(model: Any, processor: Any, options: ServingOptions) -> list[Endpoint]:
    """The signatures of a TVP model.

    Args:
        model: A `TFTvpForVideoGrounding`.
        processor: Its `TvpProcessor`.
        options: `max_pixels` of a frame.

    Returns:
        `ground`.

    Raises:
        ServingError: Another model or processor, or one whose frames the model cannot take.
    """
    name = type(model).__name__
    check_head(model, TFTvpForVideoGrounding)
    if not isinstance(processor, TvpProcessor):
        raise ServingError(
            f"{name} is served with a TvpProcessor, got a {type(processor).__name__}."
        )
    check_tokenizer(processor.tokenizer, model.config.vocab_size)
    return [_ground(model, processor, options)]


def _ground(
    model: TFTvpForVideoGrounding, processor: TvpProcessor, options: ServingOptions
) -> Endpoint:
    """`ground`: encoded frames, ids and the video's duration -> seconds (start, end)."""
    config = model.config
    ids = np.array([processor.tokenizer(_QUERY).input_ids], "int64")
    ids = ids[:, : config.max_position_embeddings]

    def check(spec: tf.TensorSpec) -> None:
        VIDEOS.check(spec, config, type(model).__name__)
        check_videos(type(model).__name__, tuple(spec.shape), config, interpolate=False)

    # prompts of one frame serve any number of them, and a moment needs two
    num_frames = config.fixed_frames or max(config.num_frames, 2)
    read = clip_reader(processor, TvpImageProcessor, num_frames, check, options)

    def ground(
        frames: tf.Tensor, input_ids: tf.Tensor, attention_mask: tf.Tensor, duration: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        ids = checked_ids(input_ids, config.vocab_size, config.max_position_embeddings)
        text = checked_sizes({"input_ids": ids, "attention_mask": attention_mask}, "input_ids")
        is_length = tf.reduce_all((duration > 0) & tf.math.is_finite(duration))
        seconds = checked(duration, is_length, "duration: expected seconds above 0, got", duration)
        outputs = model(**text, pixel_values=read(frames), training=False, return_dict=True)
        return {"seconds": tf.cast(outputs.logits, tf.float32) * seconds[:, None]}

    specs, example = clip_inputs(num_frames)
    text = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    specs |= {name: tf.TensorSpec([None, None], tf.int64, name) for name in text}
    specs["duration"] = tf.TensorSpec([None], tf.float32, "duration")
    example |= {**text, "duration": np.array([_DURATION], "float32")}
    return Endpoint("ground", ground, specs, example)
