"""What counts as images: paths, arrays, Pillow images and lists of them, as one flat list."""

from __future__ import annotations

import os
from typing import Any

from PIL import Image

from tfzoo.io.image_reader import read_image
from tfzoo.preprocessing.image import as_array, is_image

__all__ = ["flatten_images", "open_image"]


def flatten_images(images: Any) -> list[Any]:
    """Bring `images` to a flat list; pixels are left alone, files unread.

    Args:
        images: A path of an image file, its encoded bytes, a Pillow image, an array or tensor of 2
            or 3 axes; an array of 4 axes (a batch); or lists of all these, nested to any depth.

    Returns:
        One item for each image, in order.

    Raises:
        TypeError: Something else.
        ValueError: An empty list, or an array of another number of axes.

    Example:
        >>> len(flatten_images(["photo.jpg", [np.zeros((5, 8, 3, 32, 32))]]))
        Traceback (most recent call last):
        ...
        ValueError: Expected images as arrays of 2 to 4 axes, got shape (5, 8, 3, 32, 32).
        >>> len(flatten_images(["photo.jpg", [np.zeros((8, 3, 32, 32))]]))
        9
    """
    flat = _flatten(images)
    if not flat:
        raise ValueError("Expected at least one image, got an empty list.")
    return flat


def _flatten(images: Any) -> list[Any]:
    if isinstance(images, (str, bytes, os.PathLike)) or is_image(images):
        return [images]
    if isinstance(images, (list, tuple)):
        return [image for item in images for image in _flatten(item)]
    if isinstance(images, (int, float)) or not hasattr(images, "__array__"):
        raise TypeError(
            "Expected images as paths, Pillow images, arrays or lists of them, got "
            f"{type(images).__name__}."
        )
    array = as_array(images)
    if array.ndim != 4:
        raise ValueError(f"Expected images as arrays of 2 to 4 axes, got shape {array.shape}.")
    return list(array)


def open_image(image: Any) -> Any:
    """Read an item of `flatten_images` if it is a path or bytes; images are kept as they are.

    Returns:
        An upright Pillow image in RGB for a file; else the item.

    Raises:
        FileNotFoundError: No such file.
        ImageError: The file is not an image.

    Example:
        >>> open_image("photo.jpg").size
        (320, 213)
    """
    if isinstance(image, (str, bytes, os.PathLike)):
        return Image.fromarray(read_image(image))
    return image
