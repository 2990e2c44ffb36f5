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
    BatchFeature,
    filter_field,
    number_field,
    pair_field,
    per_channel_field,
    switch_field,
)
from tfzoo.preprocessing.video import ReadsVideos, make_batched_videos, resized_frames

__all__ = ["VideoMAEImageProcessor"]


def _frame_size(size: Any) -> dict[str, int]:
    size = im.size_dict(size, square=False)
    if "longest_edge" in size:
        raise ValueError(f"size: expected shortest_edge, or height and width, got {size}.")
    return size


class VideoMAEImageProcessor(ReadsVideos, BaseImageProcessor):
    """Videos to `pixel_values`: resize, centre crop, rescale, normalise each frame.

    The crop does not follow `size`: for 336-pixel inputs set both, also where a checkpoint's file
    has `size` alone.

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

    def preprocess(
        self,
        videos: Any,
        settings: SimpleNamespace,
        return_tensors: str | None = None,
        data_format: str | None = im.CHANNELS_FIRST,
        input_data_format: str | None = None,
        *,
        num_frames: int | None = None,
        sampling: str | None = None,
        frame_sample_rate: int | None = None,
        rng: Any = None,
    ) -> BatchFeature:
        """Prepare one video or a batch.

        Args:
            videos: Paths, images, arrays or lists of them, see `make_batched_videos`. Values of
                0..255, or floats of 0..1 with `do_rescale=False`.
            settings: Fields for this call; None takes the processor's own value.
            return_tensors: "np" for arrays, "tf" for tensors, None for nested lists of arrays.
            data_format: Layout of the result, "channels_first" or "channels_last"; None keeps the
                input's.
            input_data_format: Layout of the frames; default: inferred, and then grey frames and
                frames with transparency become RGB. Where it is given, all channels are kept.
            num_frames: For paths: how many frames to read. As the next two, as the configuration
                of the checkpoint says that the processor was loaded from.
            sampling: For paths: how to choose them, see `tfzoo.io.choose_indices`; "uniform" where
                nothing says it.
            frame_sample_rate: For paths: the distance between frames.
            rng: For paths: the source of random clips.

        Returns:
            `pixel_values` (B, T, C, height, width), float32 if rescaled or normalised.

        Raises:
            TypeError: Something that is not a video.
            ValueError: Shapes, values, sizes or lengths that do not fit; the message says which.
        """
        im.check_formats(data_format=data_format, input_data_format=input_data_format)
        reading = {
            "num_frames": num_frames,
            "sampling": sampling,
            "frame_sample_rate": frame_sample_rate,
            "rng": rng,
            "default": self.frame_choice,
        }
        pixels = []
        for frames in make_batched_videos(videos, **reading):
            layout = data_format or input_data_format or im.layout_of(frames[0])
            frames = resized_frames(frames, settings, input_data_format)
            pixels.append(_video(frames, settings, layout))
        if return_tensors is None:
            return BatchFeature({"pixel_values": [list(video) for video in pixels]})
        if len(pixels) == 1 and isinstance(pixels[0], np.ndarray):
            return BatchFeature({"pixel_values": pixels[0][None]}, return_tensors)  # no copy
        return BatchFeature({"pixel_values": pixels}, return_tensors)


def _video(
    frames: list[np.ndarray], settings: SimpleNamespace, layout: str
) -> np.ndarray | list[np.ndarray]:
    """(T, C, height, width), or a list of frames whose sizes differ."""
    if len({(frame.shape, frame.dtype) for frame in frames}) == 1:
        return im.scale_as_set(np.stack(frames), settings, layout)
    return [im.scale_as_set(frame, settings, layout) for frame in frames]
