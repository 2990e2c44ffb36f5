"""TVP's image processor: the frames of videos, as large as the visual prompts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from tfzoo.core.fields import field
from tfzoo.io.sampling import FrameChoice
from tfzoo.preprocessing import image as im
from tfzoo.preprocessing.image import Size, height_and_width
from tfzoo.preprocessing.image_features import SingleSteps, step
from tfzoo.preprocessing.padding import (
    check_fill,
    pad_mode_name,
    pad_right_and_bottom,
    padded_size,
)
from tfzoo.preprocessing.processor import (
    filter_field,
    number_field,
    pair_field,
    per_channel_field,
    switch_field,
)
from tfzoo.preprocessing.video import ReadsVideos

__all__ = ["TvpImageProcessor"]

Fill = float | Iterable[float]


def _edges(size: Size) -> dict[str, int]:
    """A size to resize to, as a dict."""
    if isinstance(size, (int, np.integer)):
        raise ValueError(
            f"size: {size} could be either edge: give {{'longest_edge': {size}}}, "
            f"{{'shortest_edge': {size}}}, or height and width."
        )
    return im.size_dict(size)


def _fill(values: Fill) -> Fill:
    check_fill(values)
    return values


class TvpImageProcessor(ReadsVideos, SingleSteps):
    """Videos to `pixel_values`: each frame is resized, cropped, scaled, padded and made BGR.

    The published checkpoints neither crop nor rescale: their means and standard deviations are
    those of pixels of 0..255. The crop comes before the scaling, so that the border of zeros around
    smaller frames is black; padding comes last, with values that no longer are pixels. Without
    `return_tensors` each video is an array, and they may have different numbers of frames.

    Raises:
        ValueError: An invalid size, mode or fill.

    Source: `TvpImageProcessor` of transformers 4.57 (the Pillow path), equal bit for bit.

    Example:
        >>> processor = TvpImageProcessor()
        >>> processor("clip.mp4", num_frames=2, return_tensors="tf").pixel_values.shape
        TensorShape([1, 2, 3, 448, 448])
        >>> frames = [np.zeros((180, 320, 3), np.uint8)] * 8
        >>> pixels = processor(frames, do_center_crop=False, return_tensors="np").pixel_values
        >>> pixels.shape, pixels[0, 0, 0, 0, 0], pixels[0, 0, 0, 447, 447]
        ((1, 8, 3, 448, 448), np.float32(-1.0), np.float32(0.0))
    """

    accepted_types = ("TvpFeatureExtractor",)
    default_choice = FrameChoice(sampling="spread")
    gives_lists = False
    least_frames = 2  # a moment needs two, and prompts of one frame are those of all frames

    do_resize: bool = switch_field(True, "Whether to resize.")
    size: dict[str, int] | None = field(
        {"longest_edge": 448},
        '{"longest_edge": s} or {"shortest_edge": s} keeps the aspect ratio (the longest edge '
        'decides if both are given), {"height": h, "width": w} does not.',
        convert=_edges,
        optional=True,
    )
    resample: int = filter_field(2, "Pillow's number of the filter; 2 is bilinear.")
    do_center_crop: bool = switch_field(
        True, "Whether to cut out the middle; smaller frames get a border of zeros."
    )
    crop_size: Size | None = pair_field(448, "crop_size")
    do_rescale: bool = switch_field(True, "Whether to multiply by `rescale_factor`.")
    rescale_factor: float = number_field(1 / 255, "The factor, 1/255 for pixels of 0..255.")
    do_pad: bool = switch_field(True, "Whether to pad on the right and at the bottom.")
    pad_size: Size | None = field(
        {"height": 448, "width": 448},
        '{"height": h, "width": w}, one of both, or one number for both.',
        convert=padded_size,
        optional=True,
    )
    constant_values: Fill = field(
        0,
        'What to fill with if `pad_mode` is "constant": a number; or (before, after), of which the '
        "second counts; or such a pair for rows and one for columns.",
        convert=_fill,
    )
    pad_mode: str = field(
        "constant", '"constant", "reflect", "replicate" or "symmetric".', convert=pad_mode_name
    )
    do_normalize: bool = switch_field(
        True, "Whether to subtract `image_mean` and divide by `image_std`."
    )
    do_flip_channel_order: bool = switch_field(
        True, "Whether RGB becomes BGR, which the checkpoints expect."
    )
    image_mean: float | Sequence[float] | None = per_channel_field(im.STANDARD_MEAN, "in RGB order")
    image_std: float | Sequence[float] | None = per_channel_field(im.STANDARD_STD, "in RGB order")

    def video_pixels(
        self, frames: list[np.ndarray], settings: SimpleNamespace, layout: str
    ) -> np.ndarray:
        if len({(frame.shape, frame.dtype) for frame in frames}) == 1:
            return _pixels(np.stack(frames), settings, layout)
        results = [_pixels(frame, settings, layout) for frame in frames]
        shapes = sorted({result.shape for result in results})
        if len(shapes) > 1:
            raise ValueError(
                f"The frames of one video need one size, got results of shapes {shapes}. Pad, crop "
                "or resize them to one size."
            )
        return np.stack(results)

    def resize(
        self,
        image: Any,
        size: dict[str, int],
        resample: int = 2,
        data_format: str | None = None,
        input_data_format: str | None = None,
    ) -> np.ndarray:
        """Resize one image with Pillow; `size` is as in the constructor, the filter bilinear."""
        edges = _edges(size)

        def resized(pixels: np.ndarray) -> np.ndarray:
            return im.resize(pixels, im.target_size(*pixels.shape[:2], edges), resample)

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
        """Pad one image on the right and at the bottom.

        Args:
            image: A Pillow image, array or tensor.
            pad_size: As in the constructor.
            constant_values: As in the constructor.
            pad_mode: As in the constructor.
            data_format: Layout of the result; default: the input's.
            input_data_format: Layout of the input; default: inferred.

        Returns:
            The image, of the input's dtype.

        Raises:
            ValueError: The image is larger than `pad_size`.
        """
        size = padded_size(pad_size)
        return step(
            lambda x: pad_right_and_bottom(x, size, pad_mode, constant_values),
            image,
            data_format,
            input_data_format,
        )


def _pixels(frames: np.ndarray, settings: SimpleNamespace, layout: str) -> np.ndarray:
    """What is done with the values: scaling, order of the channels, padding."""
    if settings.do_normalize and np.issubdtype(frames.dtype, np.floating):
        frames = frames if settings.do_rescale else frames.astype(np.float32)
    pixels = im.scale_as_set(frames, settings, layout)
    if settings.do_flip_channel_order:
        pixels = np.flip(pixels, -3 if layout == im.CHANNELS_FIRST else -1)
    if settings.do_pad:
        fill = settings.constant_values
        pixels = pad_right_and_bottom(pixels, settings.pad_size, settings.pad_mode, fill, layout)
    return np.ascontiguousarray(pixels)
