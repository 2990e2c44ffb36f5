"""Image processors that treat each image alone, and their steps one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from tfzoo.preprocessing import image as im
from tfzoo.preprocessing.image import Size
from tfzoo.preprocessing.image_batch import flatten_images, open_image
from tfzoo.preprocessing.processor import BaseImageProcessor, BatchFeature

__all__ = ["ImageFeatures", "SingleSteps", "step"]


class SingleSteps(BaseImageProcessor):
    """The steps that a processor offers on one image."""

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
        target = tuple(im.height_and_width(size).values())
        return step(lambda x: im.resize(x, target, resample), image, data_format, input_data_format)

    def rescale(
        self,
        image: Any,
        scale: float,
        data_format: str | None = None,
        input_data_format: str | None = None,
    ) -> np.ndarray:
        """Multiply the pixels of one image.

        Args:
            image: A Pillow image, array or tensor.
            scale: The factor, such as 1/255.
            data_format: Layout of the result; default: the input's.
            input_data_format: Layout of the input; default: inferred.

        Returns:
            The image, float32.
        """
        return step(lambda x: im.rescale(x, scale), image, data_format, input_data_format)

    def normalize(
        self,
        image: Any,
        mean: float | Sequence[float],
        std: float | Sequence[float],
        data_format: str | None = None,
        input_data_format: str | None = None,
    ) -> np.ndarray:
        """Subtract `mean` from one image and divide by `std`.

        Args:
            image: A Pillow image, array or tensor.
            mean: One number or one for each channel.
            std: One number or one for each channel.
            data_format: Layout of the result; default: the input's.
            input_data_format: Layout of the input; default: inferred.

        Returns:
            The image, float.
        """
        return step(lambda x: im.normalize(x, mean, std), image, data_format, input_data_format)


class ImageFeatures(SingleSteps):
    """Base of the processors of images; a family writes what happens to one of them, `_steps`."""

    def _steps(self, image: np.ndarray, settings: SimpleNamespace) -> np.ndarray:
        """Prepare one image (height, width, C) with the settings of a call."""
        raise TypeError(f"{type(self).__name__} has no steps; use a family's processor.")

    def preprocess(
        self,
        images: Any,
        settings: SimpleNamespace,
        return_tensors: str | None = None,
        data_format: str | None = im.CHANNELS_FIRST,
        input_data_format: str | None = None,
    ) -> BatchFeature:
        """Prepare one image or a batch.

        Args:
            images: Paths, Pillow images, arrays, tensors or (nested) lists of them, see
                `flatten_images`. Values of 0..255, or floats of 0..1 with `do_rescale=False`.
            settings: Fields for this call; None takes the processor's own value.
            return_tensors: "np" for arrays, "tf" for tensors, None for a list of arrays.
            data_format: Layout of the result, "channels_first" or "channels_last"; None keeps the
                input's.
            input_data_format: Layout of the images; default: inferred, and then grey images and
                images with transparency become RGB. Where it is given, all channels are kept.

        Returns:
            `pixel_values` (B, C, height, width), float32 if rescaled or normalised (float64 for
            float64 images that are resized by OWLv2 and not rescaled).

        Raises:
            TypeError: Something that is not an image.
            ValueError: Shapes, values or sizes that do not fit; the message says which.
        """
        im.check_formats(data_format=data_format, input_data_format=input_data_format)
        pixels = []
        for number, item in enumerate(flatten_images(images)):
            image = open_image(item)  # files are read when their turn comes
            layout = data_format or input_data_format or im.layout_of(image)
            image = im.to_channels_last(image, input_data_format, f"image {number}")
            if settings.do_rescale:
                im.warn_if_rescaled([image])
            result = im.in_layout(self._steps(image, settings), layout)
            pixels.append(result.copy() if np.may_share_memory(result, image) else result)
        return BatchFeature({"pixel_values": pixels}, return_tensors)


def step(
    function: Callable[[np.ndarray], np.ndarray],
    image: Any,
    data_format: str | None,
    input_data_format: str | None,
) -> np.ndarray:
    """Apply a function of images (height, width, C) to one image of any layout."""
    im.check_formats(data_format=data_format, input_data_format=input_data_format)
    layout = data_format or input_data_format or im.layout_of(image)
    result = function(im.to_channels_last(image, input_data_format))
    return im.in_layout(result, layout).copy()  # never a view of the user's own pixels
