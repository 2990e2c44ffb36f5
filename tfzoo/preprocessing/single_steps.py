"""Steps of preprocessing on one image of any layout, as image processors offer them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from tfzoo.preprocessing import image as im
from tfzoo.preprocessing.processor import BaseImageProcessor

__all__ = [
    "SingleSteps",
    "Size",
    "check_formats",
    "height_and_width",
    "in_layout",
    "layout_of",
    "step",
]

Size = int | Sequence[int] | dict[str, int]


class SingleSteps(BaseImageProcessor):
    """The steps that every processor has."""

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


def step(
    function: Callable[[np.ndarray], np.ndarray],
    image: Any,
    data_format: str | None,
    input_data_format: str | None,
) -> np.ndarray:
    """Apply a function of images with channels last to one image of any layout."""
    check_formats(data_format, input_data_format)
    layout = data_format or input_data_format or layout_of(image)
    result = function(im.to_channels_last(image, input_data_format))
    return in_layout(result, layout).copy()  # never a view of the user's own pixels


def check_formats(data_format: str | None, input_data_format: str | None) -> None:
    """Refuse unknown layouts."""
    for name, value in (("data_format", data_format), ("input_data_format", input_data_format)):
        if value not in (im.CHANNELS_FIRST, im.CHANNELS_LAST, None):
            raise ValueError(
                f"{name}: expected 'channels_first', 'channels_last' or None, got {value!r}."
            )


def layout_of(image: Any) -> str:
    """The layout that an image came in."""
    if isinstance(image, Image.Image) or np.ndim(image) != 3:
        return im.CHANNELS_LAST
    return im.infer_data_format(image.shape, (1, 3, 4))


def in_layout(image: np.ndarray, layout: str) -> np.ndarray:
    """An image with channels last, in a layout."""
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
