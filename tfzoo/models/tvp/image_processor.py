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
    BatchFeature,
    filter_field,
    number_field,
    pair_field,
    per_channel_field,
    switch_field,
)
from tfzoo.preprocessing.video import ReadsVideos, make_batched_videos, resized_frames

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
    smaller frames is black; padding comes last, with values that no longer are pixels.

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
            return_tensors: "np" for arrays, "tf" for tensors, None for a list of arrays, one for
                each video; then videos may have different numbers of frames.
            data_format: Layout of the result, "channels_first" or "channels_last"; None keeps the
                input's.
            input_data_format: Layout of the frames; default: inferred, and then grey frames and
                frames with transparency become RGB. Where it is given, all channels are kept.
            num_frames: For paths: how many frames to read. As the next two, as the configuration
                of the checkpoint says that the processor was loaded from.
            sampling: For paths: how to choose them, see `tfzoo.io.choose_indices`; "spread" where
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
        equal = return_tensors is not None
        batch = make_batched_videos(videos, equal_lengths=equal, **reading)
        pixels = []
        for frames in batch:
            layout = data_format or input_data_format or im.layout_of(frames[0])
            frames = resized_frames(frames, settings, input_data_format)
            pixels.append(_video(frames, settings, layout))
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


def _video(frames: list[np.ndarray], settings: SimpleNamespace, layout: str) -> np.ndarray:
    """(T, C, height, width) or (T, height, width, C)."""
    if len({(frame.shape, frame.dtype) for frame in frames}) == 1:
        return _pixels(np.stack(frames), settings, layout)
    results = [_pixels(frame, settings, layout) for frame in frames]
    shapes = sorted({result.shape for result in results})
    if len(shapes) > 1:
        raise ValueError(
            f"The frames of one video need one size, got results of shapes {shapes}. Pad, crop or "
            "resize them to one size."
        )
    return np.stack(results)


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
