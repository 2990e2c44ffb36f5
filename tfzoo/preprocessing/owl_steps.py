"""What the image processors of OWLv2 and OWL-ViT share."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from tfzoo.preprocessing import image as im
from tfzoo.preprocessing.image_batch import flatten_images, open_image
from tfzoo.preprocessing.owl_postprocess import OwlPostProcessing
from tfzoo.preprocessing.processor import BaseImageProcessor, BatchFeature

__all__ = [
    "CLIP_MEAN",
    "CLIP_STD",
    "OwlImageProcessor",
    "Size",
    "height_and_width",
    "step",
    "warn_if_rescaled",
]

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

Size = int | Sequence[int] | dict[str, int]


class OwlImageProcessor(OwlPostProcessing, BaseImageProcessor):
    """What both have in common: single steps, and the way from a batch to its features."""

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

    def _features(
        self,
        images: Any,
        one: Callable[[np.ndarray], np.ndarray],
        return_tensors: str | None,
        data_format: str | None,
        input_data_format: str | None,
    ) -> BatchFeature:
        """Apply `one` to each image, channels last; files are read when their turn comes."""
        _check_formats(data_format, input_data_format)
        pixels = []
        for item in flatten_images(images):
            image = open_image(item)
            layout = data_format or input_data_format or _layout(image)
            image = im.to_channels_last(image, input_data_format)
            result = _in_layout(one(image), layout)
            pixels.append(result.copy() if np.may_share_memory(result, image) else result)
        return BatchFeature({"pixel_values": pixels}, return_tensors)


def step(
    function: Callable[[np.ndarray], np.ndarray],
    image: Any,
    data_format: str | None,
    input_data_format: str | None,
) -> np.ndarray:
    """Apply a function of images with channels last to one image of any layout."""
    _check_formats(data_format, input_data_format)
    layout = data_format or input_data_format or _layout(image)
    result = function(im.to_channels_last(image, input_data_format))
    return _in_layout(result, layout).copy()  # never a view of the user's own pixels


def _check_formats(data_format: str | None, input_data_format: str | None) -> None:
    """Refuse unknown layouts."""
    for name, value in (("data_format", data_format), ("input_data_format", input_data_format)):
        if value not in (im.CHANNELS_FIRST, im.CHANNELS_LAST, None):
            raise ValueError(
                f"{name}: expected 'channels_first', 'channels_last' or None, got {value!r}."
            )


def _layout(image: Any) -> str:
    """The layout that an image came in."""
    if isinstance(image, Image.Image) or np.ndim(image) != 3:
        return im.CHANNELS_LAST
    return im.infer_data_format(image.shape, (1, 3, 4))


def _in_layout(image: np.ndarray, layout: str) -> np.ndarray:
    return np.ascontiguousarray(image.transpose(2, 0, 1) if layout == im.CHANNELS_FIRST else image)


def height_and_width(size: Size, name: str = "size") -> dict[str, int]:
    """A size as {"height": h, "width": w}.

    Raises:
        ValueError: It is something else, such as {"shortest_edge": s}.
    """
    size = im.size_dict(size, name=name)
    if "height" not in size:
        raise ValueError(f"{name}: expected height and width, got {size}.")
    return size


def warn_if_rescaled(image: np.ndarray, do_rescale: bool) -> None:
    """Tell a user whose image holds fractions that they are about to be scaled down."""
    if do_rescale and im.looks_rescaled([image]):
        warnings.warn(
            "An image holds floats within 0..1 and is about to be rescaled once more. Set "
            "do_rescale=False if it is scaled already.",
            stacklevel=5,
        )
