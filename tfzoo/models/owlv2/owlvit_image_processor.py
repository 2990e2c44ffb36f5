"""OWL-ViT's image processor: images in, boxes in pixels out."""

from __future__ import annotations

import warnings
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
from tfzoo.models.owlv2.postprocessing import Detections
from tfzoo.preprocessing import image as im
from tfzoo.preprocessing.image_features import last_step
from tfzoo.preprocessing.processor import BatchFeature

__all__ = ["OwlViTImageProcessor"]


class OwlViTImageProcessor(OwlImageProcessor):
    """Images to `pixel_values`: resize (which may distort), crop, rescale, normalise.

    Args:
        do_resize: Whether to resize.
        size: {"height": h, "width": w}, or one number for both. Default 768.
        resample: Pillow's number of the filter; 3 is bicubic.
        do_center_crop: Whether to cut out the middle; smaller images get a border of zeros.
        crop_size: As `size`. Default 768.
        do_rescale: Whether to multiply by `rescale_factor`.
        rescale_factor: Default 1/255.
        do_normalize: Whether to subtract `image_mean` and divide by `image_std`.
        image_mean: One number or one for each channel. Default: CLIP's.
        image_std: One number or one for each channel. Default: CLIP's.
        **kwargs: Kept as attributes, and written with the fields; `rescale` is the old name of
            `do_rescale`.

    Source: `OwlViTImageProcessor` of transformers 4.57 (the Pillow path), equal bit for bit.

    Example:
        >>> processor = OwlViTImageProcessor()
        >>> processor("photo.jpg", return_tensors="np").pixel_values.shape
        (1, 3, 768, 768)
    """

    accepted_types = ("OwlViTFeatureExtractor", "OwlViTImageProcessorFast")
    square_canvas = False

    def __init__(
        self,
        do_resize: bool = True,
        size: Size | None = None,
        resample: int = 3,
        do_center_crop: bool = False,
        crop_size: Size | None = None,
        do_rescale: bool = True,
        rescale_factor: float = 1 / 255,
        do_normalize: bool = True,
        image_mean: float | Sequence[float] | None = None,
        image_std: float | Sequence[float] | None = None,
        **kwargs: Any,
    ) -> None:
        do_rescale = kwargs.pop("rescale", do_rescale)
        size = height_and_width(768 if size is None else size)
        crop_size = height_and_width(768 if crop_size is None else crop_size, "crop_size")
        image_mean = list(CLIP_MEAN) if image_mean is None else image_mean
        image_std = list(CLIP_STD) if image_std is None else image_std
        self._set_fields(locals())

    def preprocess(
        self,
        images: Any,
        do_resize: bool | None = None,
        size: Size | None = None,
        resample: int | None = None,
        do_center_crop: bool | None = None,
        crop_size: Size | None = None,
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
            do_resize: As in the constructor, like all arguments up to `image_std`.
            size: See there.
            resample: See there.
            do_center_crop: See there.
            crop_size: See there.
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
            >>> OwlViTImageProcessor()(photos, size=96, return_tensors="np").pixel_values.shape
            (2, 3, 96, 96)
        """
        steps = self._merge(locals())
        size = tuple(height_and_width(steps["size"]).values())
        crop = tuple(height_and_width(steps["crop_size"], "crop_size").values())
        finish = last_step(steps)

        def one(image: np.ndarray) -> np.ndarray:
            warn_if_rescaled(image, steps["do_rescale"])
            image = im.resize(image, size, steps["resample"]) if steps["do_resize"] else image
            image = im.center_crop(image, crop) if steps["do_center_crop"] else image
            return finish(image)

        return self._features(images, one, return_tensors, data_format, input_data_format)

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
        """
        target = tuple(height_and_width(size).values())
        return step(lambda x: im.resize(x, target, resample), image, data_format, input_data_format)

    def center_crop(
        self,
        image: Any,
        crop_size: Size,
        data_format: str | None = None,
        input_data_format: str | None = None,
    ) -> np.ndarray:
        """Cut the middle out of one image; where it is smaller, zeros surround it.

        Args:
            image: A Pillow image, array or tensor.
            crop_size: {"height": h, "width": w}, or one number for both.
            data_format: Layout of the result; default: the input's.
            input_data_format: Layout of the input; default: inferred.

        Returns:
            The image, of the input's dtype.
        """
        target = tuple(height_and_width(crop_size, "crop_size").values())
        return step(lambda x: im.center_crop(x, target), image, data_format, input_data_format)

    def post_process(self, outputs: Any, target_sizes: Any) -> Detections:
        """All boxes, however unlikely: the documented method of old, which warns.

        Args:
            outputs: As of `post_process_object_detection`, with `threshold=0` the method to use.
            target_sizes: (B, 2), height and width of each original image in pixels.

        Returns:
            B dicts `scores` (N,), `labels` (N,), `boxes` (N, 4).

        Raises:
            TypeError: `outputs` lacks what is needed.
            ValueError: Shapes that do not fit, another number of `target_sizes` than images.
        """
        warnings.warn(
            "post_process is the old name of post_process_object_detection with threshold=0.",
            FutureWarning,
            stacklevel=2,
        )
        if target_sizes is None:
            raise ValueError("target_sizes: expected (height, width) of each image, got None.")
        return self.post_process_object_detection(outputs, -1.0, target_sizes)
