"""VideoMAE's processor of videos, which the checkpoints of TimeSformer and X-CLIP name."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from tfzoo.io.image_reader import to_rgb
from tfzoo.preprocessing import image as im
from tfzoo.preprocessing.processor import BaseImageProcessor, BatchFeature
from tfzoo.preprocessing.video import make_batched_videos

__all__ = ["VideoMAEImageProcessor"]

Size = int | Sequence[int] | dict[str, int]


class VideoMAEImageProcessor(BaseImageProcessor):
    """Videos to `pixel_values`: resize, centre crop, rescale, normalise each frame.

    Args:
        do_resize: Whether to resize.
        size: {"shortest_edge": s} keeps the aspect ratio, {"height": h, "width": w} does not; a
            number is a shortest edge. Default {"shortest_edge": 224}.
        resample: Pillow's number of the filter; 2 is bilinear.
        do_center_crop: Whether to cut out the middle; smaller frames get a border of zeros.
        crop_size: {"height": h, "width": w} or one number. Default 224 x 224. It does not follow
            `size`: for 336-pixel inputs set both, also where a checkpoint's file has `size` alone.
        do_rescale: Whether to multiply by `rescale_factor`.
        rescale_factor: Default 1/255.
        do_normalize: Whether to subtract `image_mean` and divide by `image_std`.
        image_mean: One number or one for each channel. Default 0.5.
        image_std: One number or one for each channel. Default 0.5.
        **kwargs: Kept as attributes, and written with the fields.

    Source: `VideoMAEImageProcessor` of transformers 4.57 (the Pillow path), equal bit for bit.

    Example:
        >>> processor = VideoMAEImageProcessor()
        >>> inputs = processor("clip.mp4", num_frames=8, return_tensors="tf")
        >>> inputs.pixel_values.shape
        TensorShape([1, 8, 3, 224, 224])
    """

    accepted_types = ("VideoMAEFeatureExtractor", "VideoMAEImageProcessorFast")

    def __init__(
        self,
        do_resize: bool = True,
        size: Size | None = None,
        resample: int = 2,
        do_center_crop: bool = True,
        crop_size: Size | None = None,
        do_rescale: bool = True,
        rescale_factor: float = 1 / 255,
        do_normalize: bool = True,
        image_mean: float | Sequence[float] | None = None,
        image_std: float | Sequence[float] | None = None,
        **kwargs: Any,
    ) -> None:
        size = im.size_dict({"shortest_edge": 224} if size is None else size, square=False)
        crop_size = im.size_dict(224 if crop_size is None else crop_size, name="crop_size")
        image_mean = list(im.STANDARD_MEAN) if image_mean is None else image_mean
        image_std = list(im.STANDARD_STD) if image_std is None else image_std
        self._set_fields(locals())

    def preprocess(
        self,
        videos: Any,
        do_resize: bool | None = None,
        size: Size | None = None,
        resample: int | None = None,
        do_center_crop: bool | None = None,
        crop_size: Size | None = None,
        do_rescale: bool | None = None,
        rescale_factor: float | None = None,
        do_normalize: bool | None = None,
        image_mean: float | Sequence[float] | None = None,
        image_std: float | Sequence[float] | None = None,
        return_tensors: str | None = None,
        data_format: str | None = im.CHANNELS_FIRST,
        input_data_format: str | None = None,
        *,
        num_frames: int | None = None,
        sampling: str = "uniform",
        frame_sample_rate: int = 1,
        rng: Any = None,
    ) -> BatchFeature:
        """Prepare one video or a batch; an argument left at None takes the processor's own value.

        Args:
            videos: Paths, images, arrays or lists of them, see `make_batched_videos`. Values of
                0..255, or floats of 0..1 with `do_rescale=False`.
            do_resize: As in the constructor, like all arguments up to `image_std`.
            size: See there.
            resample: See there.
            do_center_crop: See there.
            crop_size: See there.
            do_rescale: See there.
            rescale_factor: See there.
            do_normalize: See there.
            image_mean: See there.
            image_std: See there.
            return_tensors: "np" for arrays, "tf" for tensors, None for nested lists of arrays.
            data_format: Layout of the result, "channels_first" or "channels_last"; None keeps the
                input's.
            input_data_format: Layout of the frames; default: inferred, and then grey frames and
                frames with transparency become RGB. Named, their channels stay as they are.
            num_frames: For paths: how many frames to read.
            sampling: For paths: how to choose them, see `tfzoo.io.choose_indices`.
            frame_sample_rate: For paths: the distance of the frames, see there.
            rng: For paths: the source of random clips, see there.

        Returns:
            `pixel_values` (B, T, C, height, width), float32 if rescaled or normalised.

        Raises:
            TypeError: Something that is no video.
            ValueError: Shapes, values, sizes or lengths that do not fit; the message says which.

        Example:
            >>> frames = [np.zeros((180, 320, 3), np.uint8)] * 8
            >>> VideoMAEImageProcessor()(frames, return_tensors="np").pixel_values.shape
            (1, 8, 3, 224, 224)
        """
        steps = _checked(self._merge(locals()), data_format, input_data_format)
        reading = {"sampling": sampling, "frame_sample_rate": frame_sample_rate, "rng": rng}
        batch = make_batched_videos(videos, num_frames=num_frames, **reading)
        pixels = [_video(frames, steps) for frames in batch]
        if return_tensors is None:
            return BatchFeature({"pixel_values": [list(video) for video in pixels]})
        if len(pixels) == 1 and isinstance(pixels[0], np.ndarray):
            return BatchFeature({"pixel_values": pixels[0][None]}, return_tensors)  # no copy
        return BatchFeature({"pixel_values": pixels}, return_tensors)


def _checked(
    steps: dict[str, Any], data_format: str | None, input_data_format: str | None
) -> SimpleNamespace:
    """The steps of one call, with their sizes as dicts."""
    size = im.size_dict(steps["size"], square=False)
    crop = im.size_dict(steps["crop_size"], name="crop_size")
    if "longest_edge" in size:
        raise ValueError(f"size: expected shortest_edge, or height and width, got {size}.")
    if "height" not in crop:
        raise ValueError(f"crop_size: expected height and width, got {crop}.")
    for name, value in (("data_format", data_format), ("input_data_format", input_data_format)):
        if value not in (im.CHANNELS_FIRST, im.CHANNELS_LAST, None):
            raise ValueError(
                f"{name}: expected 'channels_first', 'channels_last' or None, got {value!r}."
            )
    steps |= {"size": size, "crop_size": (crop["height"], crop["width"])}
    return SimpleNamespace(**steps, data_format=data_format, input_data_format=input_data_format)


def _video(frames: list[Any], steps: SimpleNamespace) -> np.ndarray | list[np.ndarray]:
    """(T, C, height, width), or a list where the frames' sizes differ to the end."""
    layout = steps.data_format or steps.input_data_format or _layout(frames[0])
    frames = [_open_frame(frame, steps) for frame in frames]
    arrays = [frame for frame in frames if isinstance(frame, np.ndarray)]
    if steps.do_rescale and arrays and im.looks_rescaled(arrays):
        warnings.warn(
            "The frames are floats within 0..1 and are about to be rescaled once more. "
            "Set do_rescale=False if they are scaled already.",
            stacklevel=4,
        )
    frames = [_resize_and_crop(frame, steps) for frame in frames]
    arguments = {
        "factor": steps.rescale_factor if steps.do_rescale else None,
        "mean": steps.image_mean if steps.do_normalize else None,
        "std": steps.image_std,
        "data_format": layout,
    }
    if len({(frame.shape, frame.dtype) for frame in frames}) == 1:
        return im.rescale_and_normalize(np.stack(frames), **arguments)
    return [im.rescale_and_normalize(frame, **arguments) for frame in frames]


def _layout(frame: Any) -> str:
    """The layout that a frame came in."""
    if isinstance(frame, Image.Image) or frame.ndim == 2:
        return im.CHANNELS_LAST
    return im.infer_data_format(frame.shape, (1, 3, 4))


def _open_frame(frame: Any, steps: SimpleNamespace) -> np.ndarray | Image.Image:
    """A Pillow image stays one until it is resized."""
    if isinstance(frame, Image.Image) and steps.do_resize:
        return to_rgb(frame)
    return im.to_channels_last(frame, steps.input_data_format)


def _resize_and_crop(frame: np.ndarray | Image.Image, steps: SimpleNamespace) -> np.ndarray:
    if steps.do_resize:
        height, width = frame.size[::-1] if isinstance(frame, Image.Image) else frame.shape[:2]
        if "shortest_edge" in steps.size:
            size = im.shortest_edge_size(height, width, steps.size["shortest_edge"])
        else:
            size = (steps.size["height"], steps.size["width"])
        frame = im.resize(frame, size, steps.resample)
    return im.center_crop(frame, steps.crop_size) if steps.do_center_crop else frame
