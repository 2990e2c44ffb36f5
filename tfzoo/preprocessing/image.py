"""What happens to one image on its way into a model.

Every function gives the same bits as the Pillow path of the reference's image processors. Images
are channels-last here, (height, width, C); only the input and the result may be channels-first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from tfzoo.core.warn import warn
from tfzoo.io.image_reader import to_rgb
from tfzoo.io.limits import CANVAS_PIXELS, RESIZED_PIXELS

__all__ = [
    "CANVAS_LIMIT",
    "CHANNELS_FIRST",
    "CHANNELS_LAST",
    "RESIZE_LIMIT",
    "MAX_EDGE",
    "NO_CHANNELS",
    "STANDARD_MEAN",
    "STANDARD_STD",
    "Size",
    "as_array",
    "center_crop",
    "check_canvas",
    "check_formats",
    "check_resize",
    "height_and_width",
    "in_layout",
    "infer_data_format",
    "is_image",
    "layout_of",
    "looks_rescaled",
    "normalize",
    "rescale",
    "rescale_and_normalize",
    "resize",
    "resize_fits",
    "scale_as_set",
    "size_dict",
    "target_size",
    "to_channels_last",
    "warn_if_rescaled",
]

Size = int | Sequence[int] | dict[str, int]

CHANNELS_FIRST = "channels_first"
CHANNELS_LAST = "channels_last"
NO_CHANNELS = "none"  # of grey images (height, width)
STANDARD_MEAN = (0.5, 0.5, 0.5)
STANDARD_STD = (0.5, 0.5, 0.5)
_LEAST_STD = 1e-30  # what float32 can still divide pixels by

#: What is said, in Python and in served graphs, of sizes that would take all memory.
RESIZE_LIMIT = (
    f"An image may have up to {RESIZED_PIXELS} pixels once it is resized, and {CANVAS_PIXELS} in "
    "between; its height and width, and those that it would be resized to, are"
)
CANVAS_LIMIT = (
    f"An image may have up to {CANVAS_PIXELS} pixels once it is padded; its height and width would "
    "be"
)
MAX_EDGE = 2**14  # pixels; no model takes more, and a file must not ask for all memory

_SIZE_KEYS = (
    {"height", "width"},
    {"shortest_edge"},
    {"shortest_edge", "longest_edge"},
    {"longest_edge"},
)


def is_image(value: Any) -> bool:
    """Whether `value` is a Pillow image or an array (or tensor) of 2 or 3 axes."""
    return isinstance(value, Image.Image) or getattr(value, "ndim", None) in (2, 3)


def as_array(value: Any) -> np.ndarray:
    """A numpy array of an array or of a tensor of any framework.

    Raises:
        TypeError: Something else, or an array that does not hold real numbers.
    """
    if not hasattr(value, "__array__"):
        raise TypeError(f"Expected a Pillow image or an array, got {type(value).__name__}.")
    array = np.asarray(value)
    if array.dtype == bool:
        return array.astype(np.uint8)
    if not (np.issubdtype(array.dtype, np.integer) or np.issubdtype(array.dtype, np.floating)):
        raise TypeError(f"Expected pixels as integers or floats, got dtype {array.dtype}.")
    return array


def infer_data_format(shape: Sequence[int], channels: Sequence[int] = (1, 3)) -> str:
    """Tell from the last three axes which of them holds the channels.

    Args:
        shape: (..., C, height, width) or (..., height, width, C).
        channels: Sizes that a channel axis may have. If both axes fit, the first one wins.

    Returns:
        "channels_first" or "channels_last".

    Raises:
        ValueError: Neither axis fits.

    Example:
        >>> infer_data_format((3, 480, 640))
        'channels_first'
    """
    if shape[-3] in channels:
        return CHANNELS_FIRST
    if shape[-1] in channels:
        return CHANNELS_LAST
    raise ValueError(
        f"Expected an axis of {' or '.join(map(str, channels))} channels first or last in the "
        f"image, got shape {tuple(shape)}. Name the axis with input_data_format."
    )


def check_formats(**formats: str | None) -> None:
    """Refuse unknown layouts, given by the names of their arguments.

    Raises:
        ValueError: One is neither "channels_first", "channels_last" nor None; nor "none", of an
            input.
    """
    for name, value in formats.items():
        known = [CHANNELS_FIRST, CHANNELS_LAST]
        known += [NO_CHANNELS] if name == "input_data_format" else []
        if value is not None and value not in known:
            raise ValueError(
                f"{name}: expected {', '.join(map(repr, known))} or None, got {value!r}."
            )


def layout_of(image: Any) -> str:
    """The layout that an image came in."""
    if isinstance(image, Image.Image) or np.ndim(image) != 3:
        return CHANNELS_LAST
    return infer_data_format(image.shape, (1, 3, 4))


def in_layout(image: np.ndarray, layout: str) -> np.ndarray:
    """An image (height, width, C) in a layout, contiguous."""
    return np.ascontiguousarray(image.transpose(2, 0, 1) if layout == CHANNELS_FIRST else image)


def to_channels_last(
    image: Any, input_data_format: str | None = None, name: str = "image"
) -> np.ndarray:
    """Turn any image into an array with channels last.

    Without `input_data_format` the result has three channels: grey images are repeated and
    transparency is dropped. With it, all channels are kept, for models of another number.

    Args:
        image: Pillow image of any mode, or an array or tensor (height, width), (height, width, C)
            or (C, height, width).
        input_data_format: "channels_first" or "channels_last"; or "none" for (height, width),
            which is repeated as where nothing is given. Default: inferred. Ignored for Pillow
            images.
        name: What to call it in messages.

    Returns:
        (height, width, C), of the input's dtype; uint8 for a Pillow image.

    Raises:
        TypeError: Not an image.
        ValueError: A shape without a channel axis, an empty image, an unknown format, or pixels
            that are NaN or infinite.

    Example:
        >>> to_channels_last(np.zeros((3, 4, 6), np.uint8)).shape
        (4, 6, 3)
    """
    if isinstance(image, Image.Image):
        return np.asarray(to_rgb(image))
    array = as_array(image)
    if input_data_format == NO_CHANNELS:
        if array.ndim != 2:
            raise ValueError(
                f"input_data_format='none' is for images (height, width), got an array of shape "
                f"{array.shape}."
            )
        input_data_format = None
    if array.ndim not in (2, 3) or not array.size:
        raise ValueError(
            f"Expected an image (height, width), (height, width, C) or (C, height, width), got an "
            f"array of shape {array.shape}."
        )
    if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
        raise ValueError(f"{name}: expected finite pixels, got NaN or infinity.")
    if array.ndim == 2:
        array = array[..., None]
        return array if input_data_format else np.repeat(array, 3, axis=-1)
    if input_data_format is not None:
        return _channels_last(array, input_data_format)
    sizes = (1, 3) if {array.shape[0], array.shape[-1]} & {1, 3} else (1, 3, 4)
    array = _channels_last(array, infer_data_format(array.shape, sizes))
    return np.repeat(array, 3, axis=-1) if array.shape[-1] == 1 else array[..., :3]


def _channels_last(array: np.ndarray, data_format: str) -> np.ndarray:
    if data_format not in (CHANNELS_FIRST, CHANNELS_LAST):
        raise ValueError(
            f"Expected {CHANNELS_FIRST!r} or {CHANNELS_LAST!r} as data format, got {data_format!r}."
        )
    return array if data_format == CHANNELS_LAST else array.transpose(1, 2, 0)


def height_and_width(size: Size, name: str = "size") -> dict[str, int]:
    """A size as {"height": h, "width": w}.

    Raises:
        ValueError: It is something else, such as {"shortest_edge": s}.
    """
    size = size_dict(size, name=name)
    if "height" not in size:
        raise ValueError(f"{name}: expected height and width, got {size}.")
    return {"height": size["height"], "width": size["width"]}  # in this order


def size_dict(size: Any, *, square: bool = True, name: str = "size") -> dict[str, int]:
    """Bring a size, in its old or new form, into the form of a dict.

    Args:
        size: A dict with the keys height and width, or shortest_edge and / or longest_edge; or
            (height, width); or one number.
        square: Whether one number k means {"height": k, "width": k}, else {"shortest_edge": k}.
        name: The argument's name, for messages.

    Returns:
        A new dict of integers.

    Raises:
        ValueError: Other keys, or a number that is not a positive integer up to `MAX_EDGE`.

    Example:
        >>> size_dict(224, square=False)
        {'shortest_edge': 224}
    """
    if isinstance(size, (int, np.integer)):
        size = {"height": size, "width": size} if square else {"shortest_edge": size}
    elif isinstance(size, (tuple, list)) and len(size) == 2:
        size = {"height": size[0], "width": size[1]}
    if isinstance(size, Mapping):  # newer files also name what is not set
        size = {key: value for key, value in size.items() if value is not None}
    if not isinstance(size, Mapping) or set(size) not in _SIZE_KEYS:
        raise ValueError(
            f"{name}: expected a number, (height, width), or a dict with the keys height and "
            f"width, or shortest_edge, or longest_edge, got {size!r:.200}."
        )
    for key, value in size.items():
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name}[{key!r}]: expected a positive integer, got {value!r:.100}.")
        if value > MAX_EDGE:
            raise ValueError(f"{name}[{key!r}]: expected at most {MAX_EDGE:,} pixels, got {value}.")
    return {key: int(value) for key, value in size.items()}


def target_size(height: int, width: int, size: Mapping[str, int]) -> tuple[int, int]:
    """Size of an image of (height, width) once it is resized to a `size_dict`.

    Edges keep the aspect ratio, with the other side truncated, not rounded. If both are given, the
    longest decides.

    Example:
        >>> target_size(427, 640, {"shortest_edge": 224})
        (224, 335)
    """
    if "longest_edge" in size:
        edge = size["longest_edge"]
        if height >= width:
            return edge, int(edge * (width / height))
        return int(edge * (height / width)), edge
    if "shortest_edge" in size:
        edge = size["shortest_edge"]
        if width <= height:
            return int(edge * height / width), edge
        return edge, int(edge * width / height)
    return size["height"], size["width"]


def resize_fits(before: Sequence[Any], after: Sequence[Any]) -> Any:
    """Whether an image can be resized within the limits of `RESIZE_LIMIT`.

    A thin image becomes large where its shorter edge is enlarged, or one axis before the other.

    Args:
        before: Height and width, numbers or scalar tensors of int64.
        after: The new ones.

    Example:
        >>> resize_fits((480, 640), (224, 298)), resize_fits((1, 65535), (224, 14679840))
        (True, False)
    """
    (height, width), (new_height, new_width) = before, after
    return (
        (new_height * new_width <= RESIZED_PIXELS)
        & (height * width <= CANVAS_PIXELS)
        & (new_height * width <= CANVAS_PIXELS)
        & (height * new_width <= CANVAS_PIXELS)
    )


def check_resize(before: Sequence[int], after: Sequence[int]) -> None:
    """Refuse what `resize_fits` does not let through.

    Raises:
        ValueError: One of the sizes is too large.
    """
    if not resize_fits(before, after):
        raise ValueError(f"{RESIZE_LIMIT} {tuple(before)} and {tuple(after)}.")


def check_canvas(height: int, width: int) -> None:
    """Refuse to pad an image to more than `tfzoo.io.limits.CANVAS_PIXELS`.

    Raises:
        ValueError: They are more.
    """
    if height * width > CANVAS_PIXELS:
        raise ValueError(f"{CANVAS_LIMIT} {height} and {width}.")


def resize(image: Any, size: tuple[int, int], resample: int = 2) -> np.ndarray:
    """Resize with Pillow, in uint8.

    An array of another dtype is brought to uint8 first: integer values within 0..255 are cast;
    values within 0..1 are scaled by 255, truncated, and the result is scaled back.

    Args:
        image: (height, width, C), or a Pillow image in RGB.
        size: New (height, width).
        resample: Pillow's number of the filter (0 nearest, 1 Lanczos, 2 bilinear, 3 bicubic, 4
            box, 5 Hamming).

    Returns:
        (new height, new width, C) uint8, or float32 in 0..1 for values within 0..1.

    Raises:
        ValueError: Values outside both ranges; a number of channels or a filter Pillow lacks; sizes
            that `check_resize` refuses.

    Example:
        >>> resize(np.zeros((4, 6, 3), np.uint8), (2, 3)).shape
        (2, 3, 3)
    """
    height, width = size
    if height < 1 or width < 1:
        raise ValueError(f"The image would be resized to nothing: (height, width) = {size}.")
    is_pillow = isinstance(image, Image.Image)
    check_resize(image.size[::-1] if is_pillow else image.shape[:2], size)
    scaled = not is_pillow and _is_unit_range(image)
    if not is_pillow:
        image = _to_pillow(rescale(image, 255) if scaled else image)
    resized = np.asarray(image.resize((width, height), resample=resample))
    resized = resized[..., None] if resized.ndim == 2 else resized
    return rescale(resized, 1 / 255) if scaled else resized


def _to_pillow(image: np.ndarray) -> Image.Image:
    image = image.astype(np.uint8, copy=False)
    image = image[..., 0] if image.shape[-1] == 1 else image
    try:
        return Image.fromarray(image)
    except TypeError as error:
        raise ValueError(
            f"Pillow resizes images of 1 to 4 channels, got {image.shape[-1]}."
        ) from error


def _is_unit_range(image: np.ndarray) -> bool:
    """Whether pixels are fractions in 0..1 (False: integers in 0..255)."""
    if image.dtype == np.uint8:
        return False
    low, high = image.min(), image.max()
    # The first row alone decides for most images of fractions.
    if _all_integers(image[0]) and _all_integers(image):
        if low >= 0 and high <= 255:
            return False
        raise ValueError(f"Expected integer pixels within 0..255, got values of {low}..{high}.")
    if low >= 0 and high <= 1:
        return True
    raise ValueError(
        f"Expected pixels as integers within 0..255 or as fractions within 0..1, got fractions of "
        f"{low}..{high}. Scale them first, or set do_resize=False."
    )


def _all_integers(values: np.ndarray) -> bool:
    with np.errstate(invalid="ignore"):  # NaN and infinity are not integers
        return bool(np.allclose(values, values.astype(int)))


def center_crop(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Cut `size` out of the middle; where the image is smaller, zeros surround it.

    Args:
        image: (height, width, C).
        size: (crop height, crop width).

    Returns:
        (crop height, crop width, C), a view where nothing had to be added.

    Example:
        >>> center_crop(np.ones((5, 5, 3)), (3, 3)).shape
        (3, 3, 3)
    """
    height, width = image.shape[:2]
    crop_height, crop_width = size
    top, left = (height - crop_height) // 2, (width - crop_width) // 2
    part = image[max(0, top) :, max(0, left) :][:crop_height, :crop_width]
    if part.shape[:2] == (crop_height, crop_width):
        return part
    check_canvas(crop_height, crop_width)
    padded = np.zeros((crop_height, crop_width, image.shape[2]), image.dtype)
    padded[max(0, -top) :, max(0, -left) :][: part.shape[0], : part.shape[1]] = part
    return padded


def rescale(image: np.ndarray, factor: float) -> np.ndarray:
    """Multiply in float64, then round to float32.

    Example:
        >>> rescale(np.array([255], np.uint8), 1 / 255)
        array([1.], dtype=float32)
    """
    return (image.astype(np.float64) * factor).astype(np.float32)


def normalize(image: np.ndarray, mean: Any, std: Any) -> np.ndarray:
    """(image - mean) / std for each channel, in the image's float dtype (float32 for integers).

    Args:
        image: (..., C).
        mean: One number, or one for each channel.
        std: One number, or one for each channel.

    Returns:
        (..., C), float.

    Raises:
        ValueError: Another number of values than channels, or a `std` of 0.

    Example:
        >>> normalize(np.full((1, 1, 3), 0.5, np.float32), 0.5, 0.5)
        array([[[0., 0., 0.]]], dtype=float32)
    """
    if not np.issubdtype(image.dtype, np.floating):
        image = image.astype(np.float32)
    channels = image.shape[-1]
    mean = _per_channel(mean, channels, image.dtype, "image_mean")
    std = _per_channel(std, channels, image.dtype, "image_std")
    if (np.abs(std) < _LEAST_STD).any():
        raise ValueError(
            f"image_std: expected values other than 0 ({_LEAST_STD:g} at least), got "
            f"{std.tolist()}."
        )
    return (image - mean) / std


def _per_channel(values: Any, channels: int, dtype: np.dtype, name: str) -> np.ndarray:
    array = np.asarray(values, dtype=dtype)
    if array.shape not in ((), (channels,)):
        raise ValueError(
            f"{name}: expected one number or {channels}, one for each channel, got {values!r:.200}."
        )
    return np.broadcast_to(array, (channels,))


def rescale_and_normalize(
    images: np.ndarray,
    *,
    factor: float | None = None,
    mean: Any = None,
    std: Any = None,
    data_format: str = CHANNELS_FIRST,
) -> np.ndarray:
    """`rescale`, then `normalize`, then the layout, for a whole stack of images at once.

    A uint8 pixel has 256 possible values, so their results are computed once per channel and
    looked up: the same bits in a fraction of the time.

    Args:
        images: (..., height, width, C).
        factor: Factor of `rescale`; None skips it.
        mean: Mean of `normalize`; None skips it.
        std: Standard deviation of `normalize`.
        data_format: Layout of the result.

    Returns:
        (..., C, height, width) or (..., height, width, C), contiguous.

    Example:
        >>> rescale_and_normalize(np.zeros((2, 4, 6, 3), np.uint8), factor=1 / 255).shape
        (2, 3, 4, 6)
    """

    def compute(pixels: np.ndarray) -> np.ndarray:
        pixels = pixels if factor is None else rescale(pixels, factor)
        return pixels if mean is None else normalize(pixels, mean, std)

    first = data_format == CHANNELS_FIRST
    if images.dtype != np.uint8:
        result = compute(images)
        return np.ascontiguousarray(np.moveaxis(result, -1, -3) if first else result)
    channels = images.shape[-1]
    table = compute(np.repeat(np.arange(256, dtype=np.uint8)[:, None], channels, axis=1))
    shape = (*images.shape[:-3], channels, *images.shape[-3:-1]) if first else images.shape
    result = np.empty(shape, table.dtype)
    for channel in range(channels):
        target = result[..., channel, :, :] if first else result[..., channel]
        target[...] = table[:, channel][images[..., channel]]
    return result


def scale_as_set(images: np.ndarray, settings: SimpleNamespace, data_format: str) -> np.ndarray:
    """`rescale_and_normalize` as the settings of an image processor say."""
    return rescale_and_normalize(
        images,
        factor=settings.rescale_factor if settings.do_rescale else None,
        mean=settings.image_mean if settings.do_normalize else None,
        std=settings.image_std,
        data_format=data_format,
    )


def looks_rescaled(images: Sequence[np.ndarray]) -> bool:
    """Whether all `images` are floats within 0..1, so that a rescale would be one too many."""
    return all(
        np.issubdtype(image.dtype, np.floating) and image.min() >= 0 and image.max() <= 1
        for image in images
    )


def warn_if_rescaled(images: Sequence[np.ndarray]) -> None:
    """Warn users whose pixels are fractions that these are about to be scaled down."""
    if images and looks_rescaled(images):
        warn(
            "Pixels are floats within 0..1 and are about to be rescaled once more. Set "
            "do_rescale=False if they are scaled already.",
        )
