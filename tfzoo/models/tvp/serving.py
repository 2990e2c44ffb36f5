"""TVP's signature: the seconds of a video that a sentence describes."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfzoo.export.endpoint import (
    Endpoint,
    ServingOptions,
    check_head,
    check_processor,
    check_tokenizer,
)
from tfzoo.export.graph.answers import checked, checked_ids, checked_sizes
from tfzoo.export.graph.images import example_image
from tfzoo.export.graph.preprocessing import fitting_preprocessing
from tfzoo.models.tvp.inputs import VIDEOS, check_videos
from tfzoo.models.tvp.model import TFTvpForVideoGrounding
from tfzoo.models.tvp.processor import TvpImageProcessor, TvpProcessor

__all__ = ["OPTIONS", "endpoints"]

OPTIONS = frozenset({"max_pixels"})

_QUERY, _DURATION = "a person sits", 10.0  # of the example


def endpoints(
    model: TFTvpForVideoGrounding, processor: TvpProcessor, options: ServingOptions
) -> list[Endpoint]:
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
    check_head(model, TFTvpForVideoGrounding)
    check_processor(model, processor, TvpProcessor)
    check_tokenizer(processor.tokenizer, model.config.vocab_size)
    return [_ground(model, processor, options)]


def _ground(
    model: TFTvpForVideoGrounding, processor: TvpProcessor, options: ServingOptions
) -> Endpoint:
    """`ground`: encoded frames, ids and the video's duration -> seconds (start, end)."""
    config = model.config
    ids = np.array([processor.tokenizer(_QUERY).input_ids], "int64")
    ids = ids[:, : config.max_position_embeddings]

    # Prompts of one frame serve any number of frames, and a moment needs two.
    num_frames = config.fixed_frames or max(config.num_frames, 2)

    def check(size: tuple[int, int]) -> None:
        spec = tf.TensorSpec((None, num_frames, 3, *size), tf.float32, "pixel_values")
        VIDEOS.check(spec, config, type(model).__name__)
        check_videos(type(model).__name__, tuple(spec.shape), config, interpolate=False)

    prepare = fitting_preprocessing(processor, TvpImageProcessor, options.max_pixels, check)

    def ground(
        frames: tf.Tensor, input_ids: tf.Tensor, attention_mask: tf.Tensor, duration: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        ids = checked_ids(input_ids, config.vocab_size, config.max_position_embeddings)
        text = checked_sizes({"input_ids": ids, "attention_mask": attention_mask}, "input_ids")
        is_length = tf.reduce_all(duration > 0)
        seconds = checked(duration, is_length, "duration: expected seconds above 0, got", duration)
        pixels = prepare.videos(frames, num_frames)
        outputs = model(**text, pixel_values=pixels, training=False, return_dict=True)
        return {"seconds": tf.cast(outputs.logits, tf.float32) * seconds[:, None]}

    return Endpoint.of(
        "ground",
        ground,
        frames=[[example_image()] * num_frames],
        input_ids=ids,
        attention_mask=np.ones_like(ids),
        duration=np.array([_DURATION], "float32"),
    )
