"""From a batch of images to its features, one image after the other."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from tfzoo.preprocessing import image as im
from tfzoo.preprocessing.image_batch import flatten_images, open_image
from tfzoo.preprocessing.processor import BatchFeature
from tfzoo.preprocessing.single_steps import SingleSteps, check_formats, in_layout, layout_of

__all__ = ["ImageFeatures", "last_step", "warn_if_rescaled"]


class ImageFeatures(SingleSteps):
    """Base of the processors that treat each image of a batch alone."""

    def _features(
        self,
        images: Any,
        one: Callable[[np.ndarray], np.ndarray],
        return_tensors: str | None,
        data_format: str | None,
        input_data_format: str | None,
    ) -> BatchFeature:
        """Apply `one` to each image, channels last; files are read when their turn comes."""
        check_formats(data_format, input_data_format)
        pixels = []
        for item in flatten_images(images):
            image = open_image(item)
            layout = data_format or input_data_format or layout_of(image)
            image = im.to_channels_last(image, input_data_format)
            result = in_layout(one(image), layout)
            pixels.append(result.copy() if np.may_share_memory(result, image) else result)
        return BatchFeature({"pixel_values": pixels}, return_tensors)


def last_step(steps: Mapping[str, Any]) -> Callable[[np.ndarray], np.ndarray]:
    """What rescales and normalises an image, channels last, as a processor's settings say."""
    return partial(
        im.rescale_and_normalize,
        factor=steps["rescale_factor"] if steps["do_rescale"] else None,
        mean=steps["image_mean"] if steps["do_normalize"] else None,
        std=steps["image_std"],
        data_format=im.CHANNELS_LAST,
    )


def warn_if_rescaled(image: np.ndarray, do_rescale: bool) -> None:
    """Tell a user whose image holds fractions that they are about to be scaled down."""
    if do_rescale and im.looks_rescaled([image]):
        warnings.warn(
            "An image holds floats within 0..1 and is about to be rescaled once more. Set "
            "do_rescale=False if it is scaled already.",
            stacklevel=5,
        )
