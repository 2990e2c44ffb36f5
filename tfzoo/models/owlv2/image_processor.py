"""OWLv2's image processor: images in, boxes in pixels out. OWL-ViT's stands beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfzoo.models.owlv2.image_steps import (
    CLIP_MEAN,
    CLIP_STD,
    OwlImageProcessor,
    Size,
    height_and_width,
    step,
    warn_if_rescaled,
)
from tfzoo.models.owlv2.owlvit_image_processor import OwlViTImageProcessor
from tfzoo.preprocessing import image as im
from tfzoo.preprocessing.processor import BatchFeature
from tfzoo.preprocessing.resize import antialiased_resize

__all__ = ["OwlViTImageProcessor", "Owlv2ImageProcessor"]


class Owlv2ImageProcessor(OwlImageProcessor):
    """Images to `pixel_values`: rescale, pad to a square, resize, normalise.

    Args:
        do_rescale: Whether to multiply by `rescale_factor`.
        rescale_factor: Default 1/255.
        do_pad: Whether to pad to a square, at the bottom and on the right.
        do_resize: Whether to resize.
        size: {"height": h, "width": w}, or one number for both. Default 960.
        resample: Without effect, as in the reference: it resizes in its own way, see
            `antialiased_resize`.
        do_normalize: Whether to subtract `image_mean` and divide by `image_std`.
        image_mean: One number or one for each channel. Default: CLIP's.
        image_std: One number or one for each channel. Default: CLIP's.
        pad_value: Value of the padding, on the scale after `rescale_factor`: 0.5 is the documented
            grey; transformers 5 pads with 0.0, as the original model does.
        **kwargs: Kept as attributes, and written with the fields.

    Source: `Owlv2ImageProcessor` of transformers 4.57 (the slow one), equal to 1e-5.

    Example:
        >>> processor = Owlv2ImageProcessor()
        >>> processor("photo.jpg", return_tensors="tf").pixel_values.shape
        TensorShape([1, 3, 960, 960])
    """

    accepted_types = ("Owlv2ImageProcessorFast",)
    square_canvas = True

    def __init__(
        self,
        do_rescale: bool = True,
        rescale_factor: float = 1 / 255,
        do_pad: bool = True,
        do_resize: bool = True,
        size: Size | None = None,
        resample: int = 2,
        do_normalize: bool = True,
        image_mean: float | Sequence[float] | None = None,
        image_std: float | Sequence[float] | None = None,
        *,
        pad_value: float = 0.5,
        **kwargs: Any,
    ) -> None:
        size = height_and_width(960 if size is None else size)
        image_mean = list(CLIP_MEAN) if image_mean is None else image_mean
        image_std = list(CLIP_STD) if image_std is None else image_std
        self._set_fields(locals())

    def preprocess(
        self,
        images: Any,
        do_pad: bool | None = None,
        do_resize: bool | None = None,
        size: Size | None = None,
        do_rescale: bool | None = None,
        rescale_factor: float | None = None,
        do_normalize: bool | None = None,
        image_mean: float | Sequence[float] | None = None,
        image_std: float | Sequence[float] | None = None,
        return_tensors: str | None = None,
        data_format: str | None = im.CHANNELS_FIRST,
        input_data_format: str | None = None,
        *,
        pad_value: float | None = None,
    ) -> BatchFeature:
        """Prepare one image or a batch; an argument left at None takes the processor's own value.

        Args:
            images: Paths, Pillow images, arrays, tensors or (nested) lists of them, see
                `flatten_images`. Values of 0..255, or floats of 0..1 with `do_rescale=False`.
            do_pad: As in the constructor, like all arguments up to `image_std`.
            do_resize: See there.
            size: See there.
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
            pad_value: See the constructor.

        Returns:
            `pixel_values` (B, C, height, width), float32 (float64 for float64 images that are not
            rescaled).

        Raises:
            TypeError: Something that is no image.
            ValueError: Shapes, values or sizes that do not fit; the message says which.

        Example:
            >>> photos = [np.zeros((48, 64, 3), np.uint8), np.zeros((64, 48, 3), np.uint8)]
            >>> Owlv2ImageProcessor()(photos, size=96, return_tensors="np").pixel_values.shape
            (2, 3, 96, 96)
        """
        steps = self._merge(locals())
        height, width = height_and_width(steps["size"]).values()
        factor = steps["rescale_factor"] if steps["do_rescale"] else None

        def one(image: np.ndarray) -> np.ndarray:
            warn_if_rescaled(image, steps["do_rescale"])
            image = im.rescale_and_normalize(image, factor=factor, data_format=im.CHANNELS_LAST)
            image = _pad(image, steps["pad_value"]) if steps["do_pad"] else image
            image = antialiased_resize(image, (height, width)) if steps["do_resize"] else image
            if steps["do_normalize"]:
                image = im.normalize(image, steps["image_mean"], steps["image_std"])
            return image

        return self._features(images, one, return_tensors, data_format, input_data_format)

    def pad(
        self,
        image: Any,
        data_format: str | None = None,
        input_data_format: str | None = None,
        *,
        pad_value: float | None = None,
    ) -> np.ndarray:
        """Pad one image to a square, at the bottom and on the right.

        Args:
            image: A Pillow image, array or tensor.
            data_format: Layout of the result; default: the input's.
            input_data_format: Layout of the input; default: inferred.
            pad_value: Default: the processor's. In an image of integers its fraction is lost, so
                that 0.5 is 0, as in the reference.

        Returns:
            The image, of the input's dtype.
        """
        value = self.pad_value if pad_value is None else pad_value
        return step(lambda x: _pad(x, value), image, data_format, input_data_format)

    def resize(
        self,
        image: Any,
        size: Size,
        anti_aliasing: bool = True,
        anti_aliasing_sigma: float | Sequence[float] | None = None,
        data_format: str | None = None,
        input_data_format: str | None = None,
    ) -> np.ndarray:
        """Resize one image, see `antialiased_resize`.

        Args:
            image: A Pillow image, array or tensor.
            size: {"height": h, "width": w}, or one number for both.
            anti_aliasing: Whether to blur before sampling where the image gets smaller.
            anti_aliasing_sigma: Standard deviations of the blur, one or (height, width), in pixels
                of the image. Default: from the sizes.
            data_format: Layout of the result; default: the input's.
            input_data_format: Layout of the input; default: inferred.

        Returns:
            The image, float.
        """
        height, width = height_and_width(size).values()
        sigma = anti_aliasing_sigma if anti_aliasing else 0.0
        if sigma is not None:
            sigma = tuple(np.broadcast_to(sigma, 2).tolist())

        def resized(pixels: np.ndarray) -> np.ndarray:
            return antialiased_resize(pixels, (height, width), sigma)

        return step(resized, image, data_format, input_data_format)


def _pad(image: np.ndarray, value: float) -> np.ndarray:
    """Add rows below or columns on the right, until the image is a square."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise TypeError(f"pad_value: expected a number, got {value!r}.")
    height, width, channels = image.shape
    side = max(height, width)
    if height == width:
        return image
    padded = np.full((side, side, channels), value, image.dtype)
    padded[:height, :width] = image
    return padded
