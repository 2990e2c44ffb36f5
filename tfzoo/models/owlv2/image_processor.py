"""The image processors of OWLv2 and OWL-ViT: images in, boxes in pixels out."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from tfzoo.core.warn import warn
from tfzoo.models.owlv2.postprocessing import Detections, OwlPostProcessing, Sizes
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
from tfzoo.preprocessing.resize import antialiased_resize

__all__ = ["OwlImageProcessor", "OwlViTImageProcessor", "Owlv2ImageProcessor"]

_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class OwlImageProcessor(OwlPostProcessing, ImageFeatures):
    """What both have in common: the steps before the model and those after it."""


class Owlv2ImageProcessor(OwlImageProcessor):
    """Images to `pixel_values`: rescale, pad to a square, resize, normalise.

    transformers 5 pads with 0 and does not write that into its files: give `pad_value=0.0` for a
    checkpoint that was saved or fine-tuned with it. `save_pretrained` here writes the field.

    Source: `Owlv2ImageProcessor` of transformers 4.57 (the slow one), equal to 1e-5.

    Example:
        >>> processor = Owlv2ImageProcessor()
        >>> processor("photo.jpg", return_tensors="tf").pixel_values.shape
        TensorShape([1, 3, 960, 960])
        >>> images = [np.zeros((48, 64, 3), np.uint8), np.zeros((64, 48, 3), np.uint8)]
        >>> processor(images, size=96, return_tensors="np").pixel_values.shape
        (2, 3, 96, 96)
    """

    square_canvas = True
    call_fields = (
        "do_pad",
        "do_resize",
        "size",
        "do_rescale",
        "rescale_factor",
        "do_normalize",
        "image_mean",
        "image_std",
        "pad_value",
    )

    do_rescale: bool = switch_field(True, "Whether to multiply by `rescale_factor`.")
    rescale_factor: float = number_field(1 / 255, "The factor, 1/255 for pixels of 0..255.")
    do_pad: bool = switch_field(True, "Whether to pad to a square, at the bottom and on the right.")
    do_resize: bool = switch_field(True, "Whether to resize.")
    size: Size | None = pair_field(960)
    resample: int = filter_field(
        2, "Without effect, as in the reference, which resizes as `antialiased_resize` does."
    )
    do_normalize: bool = switch_field(
        True, "Whether to subtract `image_mean` and divide by `image_std`."
    )
    image_mean: float | Sequence[float] | None = per_channel_field(_CLIP_MEAN, "CLIP's")
    image_std: float | Sequence[float] | None = per_channel_field(_CLIP_STD, "CLIP's")
    pad_value: float = number_field(
        0.5,
        "Value of the padding, on the scale after `rescale_factor`: 0.5 is the documented grey, "
        "0.0 the black of transformers 5 and of the original model.",
        keyword_only=True,
    )

    def _steps(self, image: np.ndarray, settings: SimpleNamespace) -> np.ndarray:
        factor = settings.rescale_factor if settings.do_rescale else None
        image = im.rescale_and_normalize(image, factor=factor, data_format=im.CHANNELS_LAST)
        if settings.do_pad:
            image = _pad(image, settings.pad_value)
        if settings.do_resize:
            image = antialiased_resize(image, tuple(settings.size.values()))
        if settings.do_normalize:
            image = im.normalize(image, settings.image_mean, settings.image_std)
        return image

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
        target = tuple(height_and_width(size).values())
        sigma = anti_aliasing_sigma if anti_aliasing else 0.0
        if sigma is not None:
            sigma = tuple(np.broadcast_to(sigma, 2).tolist())
        return step(
            lambda x: antialiased_resize(x, target, sigma), image, data_format, input_data_format
        )


def _pad(image: np.ndarray, value: float) -> np.ndarray:
    """Add rows below or columns on the right, until the image is a square."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise TypeError(f"pad_value: expected a number, got {value!r}.")
    height, width, channels = image.shape
    side = max(height, width)
    if height == width:
        return image
    im.check_canvas(side, side)
    padded = np.full((side, side, channels), value, image.dtype)
    padded[:height, :width] = image
    return padded


class OwlViTImageProcessor(OwlImageProcessor):
    """Images to `pixel_values`: resize (which may distort), crop, rescale, normalise.

    `rescale` is an old name of `do_rescale`, for files.

    Source: `OwlViTImageProcessor` of transformers 4.57 (the Pillow path), equal bit for bit.

    Example:
        >>> processor = OwlViTImageProcessor()
        >>> processor("photo.jpg", return_tensors="np").pixel_values.shape
        (1, 3, 768, 768)
        >>> images = [np.zeros((48, 64, 3), np.uint8), np.zeros((64, 48, 3), np.uint8)]
        >>> processor(images, size=96, return_tensors="np").pixel_values.shape
        (2, 3, 96, 96)
    """

    accepted_types = ("OwlViTFeatureExtractor",)
    square_canvas = False

    do_resize: bool = switch_field(True, "Whether to resize.")
    size: Size | None = pair_field(768)
    resample: int = filter_field(3, "Pillow's number of the filter; 3 is bicubic.")
    do_center_crop: bool = switch_field(
        False, "Whether to cut out the middle; smaller images get a border of zeros."
    )
    crop_size: Size | None = pair_field(768, "crop_size")
    do_rescale: bool = switch_field(True, "Whether to multiply by `rescale_factor`.")
    rescale_factor: float = number_field(1 / 255, "The factor, 1/255 for pixels of 0..255.")
    do_normalize: bool = switch_field(
        True, "Whether to subtract `image_mean` and divide by `image_std`."
    )
    image_mean: float | Sequence[float] | None = per_channel_field(_CLIP_MEAN, "CLIP's")
    image_std: float | Sequence[float] | None = per_channel_field(_CLIP_STD, "CLIP's")

    def __init__(self, /, *args: Any, **kwargs: Any) -> None:
        if "rescale" in kwargs:
            kwargs["do_rescale"] = kwargs.pop("rescale")
        super().__init__(*args, **kwargs)

    def _steps(self, image: np.ndarray, settings: SimpleNamespace) -> np.ndarray:
        if settings.do_resize:
            image = im.resize(image, tuple(settings.size.values()), settings.resample)
        if settings.do_center_crop:
            image = im.center_crop(image, tuple(settings.crop_size.values()))
        return im.scale_as_set(image, settings, im.CHANNELS_LAST)

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

    def post_process(self, outputs: Any, target_sizes: Sizes) -> Detections:
        """All boxes, whatever their probability: the old method of the reference, which warns.

        Args:
            outputs: See `post_process_object_detection`; that with `threshold=0` is the method to
                use.
            target_sizes: (B, 2), height and width of each original image in pixels.

        Returns:
            B dicts `scores` (N,), `labels` (N,), `boxes` (N, 4).

        Raises:
            TypeError: `outputs` lacks what is needed.
            ValueError: Shapes that do not fit, or not as many `target_sizes` as images.
        """
        warn(
            "post_process is the old name of post_process_object_detection with threshold=0.",
            FutureWarning,
        )
        if target_sizes is None:
            raise ValueError("target_sizes: expected (height, width) of each image, got None.")
        return self.post_process_object_detection(outputs, -1.0, target_sizes)
