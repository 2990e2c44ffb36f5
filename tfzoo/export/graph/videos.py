"""Clips given as encoded frames: what the video models' signatures share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfzoo.export.endpoint import ServingError
from tfzoo.export.graph.images import example_image
from tfzoo.export.graph.preprocessing import graph_preprocessing
from tfzoo.export.options import ServingOptions
from tfzoo.preprocessing.processor import BaseImageProcessor

__all__ = ["clip_inputs", "clip_reader"]


def clip_reader(
    processor: Any,
    kind: type[BaseImageProcessor],
    num_frames: int,
    check: Callable[[tf.TensorSpec], None],
    options: ServingOptions,
) -> Callable[[tf.Tensor], tf.Tensor]:
    """From encoded frames to `pixel_values`.

    Args:
        processor: An image processor, or a processor that holds one.
        kind: The class that it must have.
        num_frames: T, the frames of each clip.
        check: Refuses, by a `ValueError`, a spec of `pixel_values` that the model cannot take.
        options: `max_pixels` of a frame.

    Returns:
        From (B, T) strings to (B, T, 3, height, width) float32.

    Raises:
        ServingError: A processor of another class, or one whose frames the model cannot take.
    """
    images = getattr(processor, "image_processor", processor)
    if not isinstance(images, kind):
        raise ServingError(
            f"The frames of this model are prepared by a {kind.__name__}, got a "
            f"{type(processor).__name__}: it is another model's."
        )
    prepare = graph_preprocessing(images, options.max_pixels)
    try:
        check(tf.TensorSpec((None, num_frames, 3, *prepare.size), tf.float32, "pixel_values"))
    except ValueError as error:
        raise ServingError(f"The processor does not fit the model. {error}") from error
    return lambda frames: prepare.videos(frames, num_frames)


def clip_inputs(num_frames: int) -> tuple[dict[str, tf.TensorSpec], dict[str, np.ndarray]]:
    """The spec of `frames`, and an example.

    Args:
        num_frames: T.

    Returns:
        Specs of (B, T) strings, where a wrong T is left to the graph, which says what it expects;
        and a clip of grey frames.

    Example:
        >>> specs, example = clip_inputs(8)
        >>> specs["frames"].shape, example["frames"].shape
        (TensorShape([None, None]), (1, 8))
    """
    spec = tf.TensorSpec([None, None], tf.string, "frames")
    return {"frames": spec}, {"frames": np.array([[example_image()] * num_frames], object)}
