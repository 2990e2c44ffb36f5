"""Perceiver's image processor, and the patches that its optical flow model takes."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from tfzoo.core.warn import warn
from tfzoo.preprocessing import image as im
from tfzoo.preprocessing.image import Size, height_and_width
from tfzoo.preprocessing.image_features import ImageFeatures, step
from tfzoo.preprocessing.processor import (
    filter_field,
    number_field,
    pair_field,
    per_channel_field,
    switch_field,
)

__all__ = ["PerceiverFeatureExtractor", "PerceiverImageProcessor", "flow_patches"]


class PerceiverImageProcessor(ImageFeatures):
    """Images to `pixel_values`: cut out the middle, resize (which may distort), rescale, normalise.

    The crop depends on the image: of its shorter edge it keeps `size / crop_size`, 224 / 256 by
    default, and so makes a square of almost any image.

    Source: `PerceiverImageProcessor` of transformers 4.57 (the Pillow path), equal bit for bit.

    Example:
        >>> processor = PerceiverImageProcessor()
        >>> processor("photo.jpg", return_tensors="np").pixel_values.shape
        (1, 3, 224, 224)
        >>> images = [np.zeros((48, 64, 3), np.uint8), np.zeros((64, 48, 3), np.uint8)]
        >>> processor(images, size=96, return_tensors="np").pixel_values.shape
        (2, 3, 96, 96)
    """

    accepted_types = ("PerceiverFeatureExtractor",)

    do_center_crop: bool = switch_field(True, "Whether to cut out the middle.")
    crop_size: Size | None = pair_field(
        256, "crop_size", "`size` is to the cut as `crop_size` is to the shorter edge"
    )
    do_resize: bool = switch_field(True, "Whether to resize.")
    size: Size | None = pair_field(224)
    resample: int = filter_field(3, "Pillow's number of the filter; 3 is bicubic.")
    do_rescale: bool = switch_field(True, "Whether to multiply by `rescale_factor`.")
    rescale_factor: float = number_field(1 / 255, "The factor, 1/255 for pixels of 0..255.")
    do_normalize: bool = switch_field(
        True, "Whether to subtract `image_mean` and divide by `image_std`."
    )
    image_mean: float | Sequence[float] | None = per_channel_field(
        (0.485, 0.456, 0.406),
        "ImageNet's, as in the published checkpoints (the reference's documentation names another)",
    )
    image_std: float | Sequence[float] | None = per_channel_field(
        (0.229, 0.224, 0.225), "ImageNet's"
    )

    def _steps(self, image: np.ndarray, settings: SimpleNamespace) -> np.ndarray:
        size = tuple(settings.size.values())
        if settings.do_center_crop:
            image = _crop(image, tuple(settings.crop_size.values()), size)
        if settings.do_resize:
            image = im.resize(image, size, settings.resample)
        return im.scale_as_set(image, settings, im.CHANNELS_LAST)

    def center_crop(
        self,
        image: Any,
        crop_size: Size,
        size: Size | None = None,
        data_format: str | None = None,
        input_data_format: str | None = None,
    ) -> np.ndarray:
        """Cut the middle out of one image; where it is smaller, zeros surround it.

        Args:
            image: A Pillow image, array or tensor.
            crop_size: {"height": h, "width": w}, or one number for both.
            size: The size after resizing, in the same form; default: the processor's. The cut has
                `size / crop_size` of the image's shorter edge.
            data_format: Layout of the result; default: the input's.
            input_data_format: Layout of the input; default: inferred.

        Returns:
            The image, of the input's dtype.

        Raises:
            ValueError: An image or sizes that do not fit.
        """
        target = tuple(height_and_width(self.size if size is None else size).values())
        crop = tuple(height_and_width(crop_size, "crop_size").values())
        return step(lambda x: _crop(x, crop, target), image, data_format, input_data_format)


class PerceiverFeatureExtractor(PerceiverImageProcessor):
    """The old name of `PerceiverImageProcessor`; it warns.

    Example:
        >>> PerceiverFeatureExtractor(size=64)("photo.jpg", return_tensors="np").pixel_values.shape
        (1, 3, 64, 64)
    """

    accepted_types = ("PerceiverImageProcessor",)

    def __init__(self, /, *args: Any, **kwargs: Any) -> None:
        warn(
            "PerceiverFeatureExtractor is the old name of PerceiverImageProcessor; use that.",
            FutureWarning,
        )
        super().__init__(*args, **kwargs)


def _crop(image: np.ndarray, crop: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Cut out the middle: of the shorter edge the part that `size` is of `crop`."""
    shorter = min(image.shape[:2])
    cut = tuple(int(target / whole * shorter) for target, whole in zip(size, crop, strict=True))
    if min(cut) < 1:
        raise ValueError(
            f"An image of {image.shape[0]} x {image.shape[1]} pixels would be cut to nothing by "
            f"crop_size {crop} with size {size}."
        )
    return im.center_crop(image, cut)


def flow_patches(frames: np.ndarray) -> np.ndarray:
    """The inputs of the optical flow model: around each pixel of a frame the 3 x 3 pixels.

    Args:
        frames: (T, height, width, 3), values of 0 to 255.

    Returns:
        (T, 27, height, width) float32 in -1 to 1: row by row, each pixel's three channels
        together; zeros beyond the border.

    Raises:
        ValueError: Another shape.

    Example:
        >>> patches = flow_patches(np.full((2, 4, 5, 3), 255, np.uint8))
        >>> patches.shape, patches[0, :, 0, 0].reshape(3, 3, 3)[..., 0].tolist()
        ((2, 27, 4, 5), [[0.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 1.0, 1.0]])
    """
    frames = np.asarray(frames)
    if frames.ndim != 4 or frames.shape[-1] != 3:
        raise ValueError(f"frames: expected (T, height, width, 3), got shape {frames.shape}.")
    count, height, width = frames.shape[:3]
    scaled = frames.astype("float32") / np.float32(255) * np.float32(2) - np.float32(1)
    padded = np.pad(scaled.transpose(0, 3, 1, 2), ((0, 0), (0, 0), (1, 1), (1, 1)))
    patches = np.empty((count, 27, height, width), "float32")
    for place in range(9):
        row, column = divmod(place, 3)
        shifted = padded[:, :, row : row + height, column : column + width]
        patches[:, 3 * place : 3 * place + 3] = shifted
    return patches
