"""TVP's image processor: the frames of videos, as large as the visual prompts."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from tfzoo.io.image_reader import to_rgb
from tfzoo.preprocessing import image as im
from tfzoo.preprocessing.padding import (
    check_fill,
    pad_mode_name,
    pad_right_and_bottom,
    padded_size,
)
from tfzoo.preprocessing.processor import BatchFeature
from tfzoo.preprocessing.single_steps import (
    SingleSteps,
    Size,
    check_formats,
    height_and_width,
    layout_of,
    step,
)
from tfzoo.preprocessing.video import make_batched_videos

__all__ = ["TvpImageProcessor"]

Fill = float | Iterable[float]


class TvpImageProcessor(SingleSteps):
    """Videos to `pixel_values`: each frame is resized, cropped, scaled, padded and made BGR.

    The published checkpoints crop and rescale nothing: their means and deviations are those of
    pixels of 0..255. The middle is cut out before the pixels are scaled, so that the border of
    zeros around smaller frames is black; padding comes last, with values that no longer are pixels.

    Args:
        do_resize: Whether to resize.
        size: {"longest_edge": s} or {"shortest_edge": s} keep the aspect ratio (the longest edge
            decides if both are there), {"height": h, "width": w} does not. Default: longest edge
            448.
        resample: Pillow's number of the filter; 2 is bilinear.
        do_center_crop: Whether to cut out the middle; smaller frames get a border of zeros.
        crop_size: {"height": h, "width": w} or one number for both. Default 448.
        do_rescale: Whether to multiply by `rescale_factor`.
        rescale_factor: Default 1/255.
        do_pad: Whether to pad at the right and at the bottom.
        pad_size: {"height": h, "width": w} or one number for both. Default 448.
        constant_values: What to fill with if `pad_mode` is "constant": a number; or (before,
            after), of which the second counts; or such a pair for rows and one for columns.
        pad_mode: "constant", "reflect", "replicate" or "symmetric".
        do_normalize: Whether to subtract `image_mean` and divide by `image_std`.
        do_flip_channel_order: Whether RGB becomes BGR, which the checkpoints expect.
        image_mean: One number or one for each channel, in the order RGB. Default 0.5.
        image_std: One number or one for each channel, in the order RGB. Default 0.5.
        **kwargs: Kept as attributes, and written with the fields.

    Raises:
        ValueError: A size, mode or fill that is none.

    Source: `TvpImageProcessor` of transformers 4.57 (the Pillow path), equal bit for bit.

    Example:
        >>> processor = TvpImageProcessor()
        >>> processor("clip.mp4", num_frames=2, return_tensors="tf").pixel_values.shape
        TensorShape([1, 2, 3, 448, 448])
    """

    accepted_types = ("TvpFeatureExtractor", "TvpImageProcessorFast")

    def __init__(
        self,
        do_resize: bool = True,
        size: dict[str, int] | None = None,
        resample: int = 2,
        do_center_crop: bool = True,
        crop_size: Size | None = None,
        do_rescale: bool = True,
        rescale_factor: float = 1 / 255,
        do_pad: bool = True,
        pad_size: Size | None = None,
        constant_values: Fill = 0,
        pad_mode: str = "constant",
        do_normalize: bool = True,
        do_flip_channel_order: bool = True,
        image_mean: float | Sequence[float] | None = None,
        image_std: float | Sequence[float] | None = None,
        **kwargs: Any,
    ) -> None:
        size = _edges({"longest_edge": 448} if size is None else size)
        crop_size = height_and_width(448 if crop_size is None else crop_size, "crop_size")
        pad_size = padded_size(448 if pad_size is None else pad_size)
        pad_mode, _ = pad_mode_name(pad_mode), check_fill(constant_values)
        image_mean = list(im.STANDARD_MEAN) if image_mean is None else image_mean
        image_std = list(im.STANDARD_STD) if image_std is None else image_std
        self._set_fields(locals())

    def preprocess(
        self,
        videos: Any,
        do_resize: bool | None = None,
        size: dict[str, int] | None = None,
        resample: int | None = None,
        do_center_crop: bool | None = None,
        crop_size: Size | None = None,
        do_rescale: bool | None = None,
        rescale_factor: float | None = None,
        do_pad: bool | None = None,
        pad_size: Size | None = None,
        constant_values: Fill | None = None,
        pad_mode: str | None = None,
        do_normalize: bool | None = None,
        do_flip_channel_order: bool | None = None,
        image_mean: float | Sequence[float] | None = None,
        image_std: float | Sequence[float] | None = None,
        return_tensors: str | None = None,
        data_format: str | None = im.CHANNELS_FIRST,
        input_data_format: str | None = None,
        *,
        num_frames: int | None = None,
        sampling: str = "spread",
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
            do_pad: See there.
            pad_size: See there.
            constant_values: See there.
            pad_mode: See there.
            do_normalize: See there.
            do_flip_channel_order: See there.
            image_mean: See there.
            image_std: See there.
            return_tensors: "np" for arrays, "tf" for tensors, None for a list of arrays, one for
                each video; then videos may have different numbers of frames.
            data_format: Layout of the result, "channels_first" or "channels_last"; None keeps the
                input's.
            input_data_format: Layout of the frames; default: inferred, and then grey frames and
                frames with transparency become RGB. Named, their channels stay as they are.
            num_frames: For paths: how many frames to read, the model's `config.num_frames`.
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
            >>> processor = TvpImageProcessor(do_center_crop=False)
            >>> pixels = processor(frames, return_tensors="np").pixel_values
            >>> pixels.shape, pixels[0, 0, 0, 0, 0], pixels[0, 0, 0, 447, 447]
            ((1, 8, 3, 448, 448), np.float32(-1.0), np.float32(0.0))
        """
        check_formats(data_format, input_data_format)
        steps = _checked(self._merge(locals()), data_format, input_data_format)
        reading = {"sampling": sampling, "frame_sample_rate": frame_sample_rate, "rng": rng}
        equal = return_tensors is not None
        batch = make_batched_videos(videos, num_frames=num_frames, equal_lengths=equal, **reading)
        pixels = [_video(frames, steps) for frames in batch]
        if len(pixels) == 1 and return_tensors is not None:
            return BatchFeature({"pixel_values": pixels[0][None]}, return_tensors)  # no copy
        return BatchFeature({"pixel_values": pixels}, return_tensors)

    def resize(
        self,
        image: Any,
        size: dict[str, int],
        resample: int = 2,
        data_format: str | None = None,
        input_data_format: str | None = None,
    ) -> np.ndarray:
        """Resize one image with Pillow.

        Args:
            image: A Pillow image, array or tensor.
            size: As in the constructor.
            resample: Pillow's number of the filter; 2 is bilinear.
            data_format: Layout of the result; default: the input's.
            input_data_format: Layout of the input; default: inferred.

        Returns:
            The image, uint8, or float32 in 0..1 for values within 0..1.
        """
        edges = _edges(size)

        def resized(pixels: np.ndarray) -> np.ndarray:
            return im.resize(pixels, _target(*pixels.shape[:2], edges), resample)

        return step(resized, image, data_format, input_data_format)

    def center_crop(
        self,
        image: Any,
        size: Size,
        data_format: str | None = None,
        input_data_format: str | None = None,
    ) -> np.ndarray:
        """Cut the middle out of one image; where it is smaller, zeros surround it.

        Args:
            image: A Pillow image, array or tensor.
            size: {"height": h, "width": w}, or one number for both.
            data_format: Layout of the result; default: the input's.
            input_data_format: Layout of the input; default: inferred.

        Returns:
            The image, of the input's dtype.
        """
        target = tuple(height_and_width(size).values())
        return step(lambda x: im.center_crop(x, target), image, data_format, input_data_format)

    def pad_image(
        self,
        image: Any,
        pad_size: Size,
        constant_values: Fill = 0,
        pad_mode: str = "constant",
        data_format: str | None = None,
        input_data_format: str | None = None,
    ) -> np.ndarray:
        """Make one image larger at the right and at the bottom.

        Args:
            image: A Pillow image, array or tensor.
            pad_size: As in the constructor, and so the other arguments.
            constant_values: See there.
            pad_mode: See there.
            data_format: Layout of the result; default: the input's.
            input_data_format: Layout of the input; default: inferred.

        Returns:
            The image, of the input's dtype.

        Raises:
            ValueError: The image is larger than that.
        """
        size = padded_size(pad_size)
        return step(
            lambda x: pad_right_and_bottom(x, size, pad_mode, constant_values),
            image,
            data_format,
            input_data_format,
        )


def _edges(size: Any) -> dict[str, int]:
    """A size to resize to, as a dict."""
    if isinstance(size, (int, np.integer)):
        raise ValueError(
            f"size: {size} could be either edge: give {{'longest_edge': {size}}}, "
            f"{{'shortest_edge': {size}}}, or height and width."
        )
    return im.size_dict(size)


def _target(height: int, width: int, size: dict[str, int]) -> tuple[int, int]:
    """(height, width) of a frame once it is resized."""
    if "longest_edge" in size:
        edge = size["longest_edge"]  # the other one is cut to an integer, not rounded
        if height >= width:
            return edge, int(edge * (width / height))
        return int(edge * (height / width)), edge
    if "shortest_edge" in size:
        return im.shortest_edge_size(height, width, size["shortest_edge"])
    return size["height"], size["width"]


def _checked(
    steps: dict[str, Any], data_format: str | None, input_data_format: str | None
) -> SimpleNamespace:
    """The steps of one call, with their sizes in one form."""
    crop = height_and_width(steps["crop_size"], "crop_size")
    steps |= {
        "size": _edges(steps["size"]),
        "crop_size": (crop["height"], crop["width"]),
        "pad_size": padded_size(steps["pad_size"]),
        "pad_mode": pad_mode_name(steps["pad_mode"]),
    }
    return SimpleNamespace(**steps, data_format=data_format, input_data_format=input_data_format)


def _video(frames: list[Any], steps: SimpleNamespace) -> np.ndarray:
    """(T, C, height, width) or (T, height, width, C)."""
    layout = steps.data_format or steps.input_data_format or layout_of(frames[0])
    frames = [_open_frame(frame, steps) for frame in frames]
    arrays = [frame for frame in frames if isinstance(frame, np.ndarray)]
    if steps.do_rescale and arrays and im.looks_rescaled(arrays):
        warnings.warn(
            "The frames are floats within 0..1 and are about to be rescaled once more. "
            "Set do_rescale=False if they are scaled already.",
            stacklevel=4,
        )
    frames = [_resize_and_crop(frame, steps) for frame in frames]
    if len({(frame.shape, frame.dtype) for frame in frames}) == 1:
        return _pixels(np.stack(frames), steps, layout)
    results = [_pixels(frame, steps, layout) for frame in frames]
    shapes = sorted({result.shape for result in results})
    if len(shapes) > 1:
        raise ValueError(
            f"The frames of one video need one size, got results of shapes {shapes}. Pad, crop or "
            "resize them to one size."
        )
    return np.stack(results)


def _open_frame(frame: Any, steps: SimpleNamespace) -> np.ndarray | Image.Image:
    """A Pillow image stays one until it is resized."""
    if isinstance(frame, Image.Image) and steps.do_resize:
        return to_rgb(frame)
    return im.to_channels_last(frame, steps.input_data_format)


def _resize_and_crop(frame: np.ndarray | Image.Image, steps: SimpleNamespace) -> np.ndarray:
    if steps.do_resize:
        height, width = frame.size[::-1] if isinstance(frame, Image.Image) else frame.shape[:2]
        frame = im.resize(frame, _target(height, width, steps.size), steps.resample)
    return im.center_crop(frame, steps.crop_size) if steps.do_center_crop else frame


def _pixels(frames: np.ndarray, steps: SimpleNamespace, layout: str) -> np.ndarray:
    """What is done with the values: scaling, padding, order of the channels."""
    if steps.do_normalize and np.issubdtype(frames.dtype, np.floating) and not steps.do_rescale:
        frames = frames.astype(np.float32)
    pixels = im.rescale_and_normalize(
        frames,
        factor=steps.rescale_factor if steps.do_rescale else None,
        mean=steps.image_mean if steps.do_normalize else None,
        std=steps.image_std,
        data_format=layout,
    )
    if steps.do_flip_channel_order:
        pixels = np.flip(pixels, -3 if layout == im.CHANNELS_FIRST else -1)
    if steps.do_pad:
        fill = steps.constant_values
        pixels = pad_right_and_bottom(pixels, steps.pad_size, steps.pad_mode, fill, layout)
    return np.ascontiguousarray(pixels)
