"""VideoMAE's processor of videos, which the checkpoints of TimeSformer and X-CLIP name."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from tfzoo.core.fields import field
from tfzoo.preprocessing import image as im
from tfzoo.preprocessing.image import Size
from tfzoo.preprocessing.processor import (
    BaseImageProcessor,
    filter_field,
    number_field,
    pair_field,
    per_channel_field,
    switch_field,
)
from tfzoo.preprocessing.video import ReadsVideos

__all__ = ["VideoMAEImageProcessor"]


def _frame_size(size: Any) -> dict[str, int]:
    size = im.size_dict(size, square=False)
    if "longest_edge" in size:
        raise ValueError(f"size: expected shortest_edge, or height and width, got {size}.")
    return size


class VideoMAEImageProcessor(ReadsVideos, BaseImageProcessor):
    """Videos to `pixel_values`: resize, centre crop, rescale, normalise each frame.

    The crop does not follow `size`: for 336-pixel inputs set both, also where a checkpoint's file
    has `size` alone. Without `return_tensors` a video is a list of frames.

    Source: `VideoMAEImageProcessor` of transformers 4.57 (the Pillow path), equal bit for bit.

    Example:
        >>> processor = VideoMAEImageProcessor()
        >>> inputs = processor("clip.mp4", num_frames=8, return_tensors="tf")
        >>> inputs.pixel_values.shape
        TensorShape([1, 8, 3, 224, 224])
        >>> frames = [np.zeros((180, 320, 3), np.uint8)] * 8
        >>> processor(frames, crop_size=64, return_tensors="np").pixel_values.shape
        (1, 8, 3, 64, 64)
    """

    accepted_types = (
        "VideoMAEFeatureExtractor",
        "VideoMAEVideoProcessor",  # transformers 5 has one for each family
        "TimesformerVideoProcessor",
    )

    do_resize: bool = switch_field(True, "Whether to resize.")
    size: Size | None = field(
        {"shortest_edge": 224},
        '{"shortest_edge": s} or one number keeps the aspect ratio, {"height": h, "width": w} does '
        "not.",
        convert=_frame_size,
        optional=True,
    )
    resample: int = filter_field(2, "Pillow's number of the filter; 2 is bilinear.")
    do_center_crop: bool = switch_field(
        True, "Whether to cut out the middle; smaller frames get a border of zeros."
    )
    crop_size: Size | None = pair_field(224, "crop_size")
    do_rescale: bool = switch_field(True, "Whether to multiply by `rescale_factor`.")
    rescale_factor: float = number_field(1 / 255, "The factor, 1/255 for pixels of 0..255.")
    do_normalize: bool = switch_field(
        True, "Whether to subtract `image_mean` and divide by `image_std`."
    )
    image_mean: float | Sequence[float] | None = per_channel_field(im.STANDARD_MEAN)
    image_std: float | Sequence[float] | None = per_channel_field(im.STANDARD_STD)

    def video_pixels(
        self, frames: list[np.ndarray], settings: SimpleNamespace, layout: str
    ) -> np.ndarray | list[np.ndarray]:
        if len({(frame.shape, frame.dtype) for frame in frames}) == 1:
            return im.scale_as_set(np.stack(frames), settings, layout)
        return [im.scale_as_set(frame, settings, layout) for frame in frames]
