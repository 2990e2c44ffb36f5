"""Perceiver's image processor."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfzoo.preprocessing import image as im
from tfzoo.preprocessing.image_features import ImageFeatures, last_step, warn_if_rescaled
from tfzoo.preprocessing.processor import BatchFeature
from tfzoo.preprocessing.single_steps import Size, height_and_width, step

__all__ = ["PerceiverFeatureExtractor", "PerceiverImageProcessor"]

_MEAN = (0.485, 0.456, 0.406)  # of ImageNet
_STD = (0.229, 0.224, 0.225)


class PerceiverImageProcessor(ImageFeatures):
    """Images to `pixel_values`: cut out the middle, resize (which may distort), rescale, normalise.

    The crop depends on the image: of its shorter edge it keeps `size / crop_size`, 224 / 256 by
    default, and so makes a square of almost any image.

    Args:
        do_center_crop: Whether to cut out the middle.
        crop_size: {"height": h, "width": w}, or one number for both; `size` is to the cut as
            `crop_size` is to the shorter edge. Default 256.
        do_resize: Whether to resize.
        size: {"height": h, "width": w}, or one number for both. Default 224.
        resample: Pillow's number of the filter; 3 is bicubic.
        do_rescale: Whether to multiply by `rescale_factor`.
        rescale_factor: Default 1/255.
        do_normalize: Whether to subtract `image_mean` and divide by `image_std`.
        image_mean: One number or one for each channel. Default: ImageNet's, as in the published
            checkpoints (the documentation names another).
        image_std: One number or one for each channel. Default: ImageNet's.
        **kwargs: Kept as attributes, and written with the fields.

    Source: `PerceiverImageProcessor` of transformers 4.57 (the Pillow path), equal bit for bit.

    Example:
        >>> processor = PerceiverImageProcessor()
        >>> processor("photo.jpg", return_tensors="np").pixel_values.shape
        (1, 3, 224, 224)
    """

    accepted_types = ("PerceiverFeatureExtractor", "PerceiverImageProcessorFast")

    def __init__(
        self,
        do_center_crop: bool = True,
        crop_size: Size | None = None,
        do_resize: bool = True,
        size: Size | None = None,
        resample: int = 3,
        do_rescale: bool = True,
        rescale_factor: float = 1 / 255,
        do_normalize: bool = True,
        image_mean: float | Sequence[float] | None = None,
        image_std: float | Sequence[float] | None = None,
        **kwargs: Any,
    ) -> None:
        crop_size = height_and_width(256 if crop_size is None else crop_size, "crop_size")
        size = height_and_width(224 if size is None else size)
        image_mean = list(_MEAN) if image_mean is None else image_mean
        image_std = list(_STD) if image_std is None else image_std
        self._set_fields(locals())

    def preprocess(
        self,
        images: Any,
        do_center_crop: bool | None = None,
        crop_size: Size | None = None,
        do_resize: bool | None = None,
        size: Size | None = None,
        resample: int | None = None,
        do_rescale: bool | None = None,
        rescale_factor: float | None = None,
        do_normalize: bool | None = None,
        image_mean: float | Sequence[float] | None = None,
        image_std: float | Sequence[float] | None = None,
        return_tensors: str | None = None,
        data_format: str | None = im.CHANNELS_FIRST,
        input_data_format: str | None = None,
    ) -> BatchFeature:
        """Prepare one image or a batch; an argument left at None takes the processor's own value.

        Args:
            images: Paths, Pillow images, arrays, tensors or (nested) lists of them, see
                `flatten_images`. Values of 0..255, or floats of 0..1 with `do_rescale=False`.
            do_center_crop: As in the constructor, like all arguments up to `image_std`.
            crop_size: See there.
            do_resize: See there.
            size: See there.
            resample: See there.
            do_rescale: See there.
            rescale_factor: See there.
            do_normalize: See there.
            image_mean: See there.
            image_std: See there.
            return_tensors: "np" for arrays, "tf" for tensors, None for a list of arrays.
            data_format: Layout of the result, "channels_first" or "channels_last"; None keeps the
                input's.
            input_data_format: Layout of the images; default: inferred, and then grey images and
                images with transparency become RGB. Named, their channels stay as they are.

        Returns:
            `pixel_values` (B, C, height, width), float32 if rescaled or normalised.

        Raises:
            TypeError: Something that is no image.
            ValueError: Shapes, values or sizes that do not fit; the message says which.

        Example:
            >>> photos = [np.zeros((48, 64, 3), np.uint8), np.zeros((64, 48, 3), np.uint8)]
            >>> PerceiverImageProcessor()(photos, size=96, return_tensors="np").pixel_values.shape
            (2, 3, 96, 96)
        """
        steps = self._merge(locals())
        size = tuple(height_and_width(steps["size"]).values())
        crop = tuple(height_and_width(steps["crop_size"], "crop_size").values())
        finish = last_step(steps)

        def one(image: np.ndarray) -> np.ndarray:
            warn_if_rescaled(image, steps["do_rescale"])
            image = _crop(image, crop, size) if steps["do_center_crop"] else image
            image = im.resize(image, size, steps["resample"]) if steps["do_resize"] else image
            return finish(image)

        return self._features(images, one, return_tensors, data_format, input_data_format)

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

    def resize(
        self,
        image: Any,
        size: Size,
        resample: int = 3,
        data_format: str | None = None,
        input_data_format: str | None = None,
    ) -> np.ndarray:
        """Resize one image with Pillow.

        Args:
            image: A Pillow image, array or tensor.
            size: {"height": h, "width": w}, or one number for both.
            resample: Pillow's number of the filter; 3 is bicubic.
            data_format: Layout of the result; default: the input's.
            input_data_format: Layout of the input; default: inferred.

        Returns:
            The image, uint8, or float32 in 0..1 for values within 0..1.

        Raises:
            ValueError: An image or a size that does not fit.
        """
        target = tuple(height_and_width(size).values())
        return step(lambda x: im.resize(x, target, resample), image, data_format, input_data_format)


class PerceiverFeatureExtractor(PerceiverImageProcessor):
    """The old name of `PerceiverImageProcessor`, the same but for a warning.

    Args:
        *args: Of `PerceiverImageProcessor`.
        **kwargs: Of `PerceiverImageProcessor`.

    Example:
        >>> PerceiverFeatureExtractor(size=64)("photo.jpg", return_tensors="np").pixel_values.shape
        (1, 3, 64, 64)
    """

    accepted_types = ("PerceiverImageProcessor", "PerceiverImageProcessorFast")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warnings.warn(
            "PerceiverFeatureExtractor is the old name of PerceiverImageProcessor; use that.",
            FutureWarning,
            stacklevel=2,
        )
        super().__init__(*args, **kwargs)

    @classmethod
    def field_names(cls) -> tuple[str, ...]:
        """The fields of `PerceiverImageProcessor`."""
        return PerceiverImageProcessor.field_names()


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
