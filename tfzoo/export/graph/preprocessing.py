"""Encoded images to `pixel_values` inside a graph, as a checkpoint's processor prepares them.

Each processor becomes a chain of small steps, in its own order, of core TensorFlow operations that
any server can run.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfzoo.export.endpoint import ServingError
from tfzoo.export.graph.answers import checked
from tfzoo.export.graph.images import decode_image
from tfzoo.export.graph.resize import FILTERS, antialiased_resize, resize
from tfzoo.io.limits import CANVAS_PIXELS
from tfzoo.models.owlv2.image_processor import Owlv2ImageProcessor, OwlViTImageProcessor
from tfzoo.models.perceiver.image_processor import PerceiverImageProcessor
from tfzoo.models.tvp.processor import TvpImageProcessor
from tfzoo.preprocessing.image import (
    CANVAS_LIMIT,
    RESIZE_LIMIT,
    check_canvas,
    normalize,
    resize_fits,
    size_dict,
)
from tfzoo.preprocessing.padding import check_fill, padded_size
from tfzoo.preprocessing.videomae import VideoMAEImageProcessor

__all__ = ["GraphPreprocessing", "each_image", "fitting_preprocessing", "graph_preprocessing"]

Step = Callable[[tf.Tensor], tf.Tensor]
Size = tuple[int, int]

_AT_ONCE = 4  # images that are decoded in parallel; each needs memory


class GraphPreprocessing(NamedTuple):
    """A processor as operations of a graph.

    Attributes:
        steps: From an image (height, width, 3) uint8 to (*size, 3) float32, one after the other.
        size: Height and width of the result.
        max_pixels: Largest height times width of an image.
    """

    steps: tuple[Step, ...]
    size: Size
    max_pixels: int

    def one(self, image: tf.Tensor) -> tf.Tensor:
        """Prepare one decoded image: (height, width, 3) uint8 -> (3, *size) float32."""
        for step in self.steps:
            image = step(image)
        return tf.transpose(tf.ensure_shape(image, (*self.size, 3)), (2, 0, 1))

    def images(self, encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Decode and prepare a batch of images.

        Args:
            encoded: (B,) strings, JPEG or PNG; an empty batch or other bytes fail with
                `InvalidArgumentError`.

        Returns:
            `pixel_values` (B, 3, *size) float32, and the images' own sizes (B, 2) int32, height and
            width.
        """

        def prepare(one: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            image = decode_image(one, self.max_pixels)
            return self.one(image), tf.shape(image)[:2]

        pixels = tf.TensorSpec((3, *self.size), tf.float32)
        return each_image(prepare, encoded, (pixels, tf.TensorSpec((2,), tf.int32)))

    def videos(self, encoded: tf.Tensor, num_frames: int) -> tf.Tensor:
        """Decode and prepare a batch of videos, given as frames.

        Args:
            encoded: (B, T) strings, JPEG or PNG; another number of frames fails, see `images`.
            num_frames: T.

        Returns:
            `pixel_values` (B, T, 3, *size) float32.
        """
        count = tf.shape(encoded)[1]
        message = f"Expected {num_frames} frames of each video, got"
        encoded = checked(encoded, count == num_frames, message, count)
        pixels, _ = self.images(tf.reshape(encoded, (-1,)))
        return tf.reshape(pixels, (-1, num_frames, 3, *self.size))


def each_image(function: Callable[[tf.Tensor], Any], encoded: tf.Tensor, spec: Any) -> Any:
    """Apply a function to each image of a batch.

    Args:
        function: From the bytes of one image (a scalar string) to tensors.
        encoded: (B,) strings; an empty batch fails with `InvalidArgumentError`.
        spec: Specs of what the function returns.

    Returns:
        The tensors of all images, with an axis B in front.
    """
    message = "Expected at least one image, got an empty batch of shape"
    encoded = checked(encoded, tf.size(encoded) > 0, message, tf.shape(encoded))
    return tf.map_fn(function, encoded, fn_output_signature=spec, parallel_iterations=_AT_ONCE)


def graph_preprocessing(processor: Any, max_pixels: int = 2**26) -> GraphPreprocessing:
    """Bring an image processor with its settings into a graph.

    Args:
        processor: An image processor of tfzoo, or a processor that holds one.
        max_pixels: Largest height times width of an image.

    Raises:
        ServingError: A processor of another class, or settings that a graph of a fixed size cannot
            express.

    Example:
        >>> import pathlib, tfzoo
        >>> prepare = graph_preprocessing(tfzoo.VideoMAEImageProcessor())
        >>> photo = pathlib.Path("photo.jpg").read_bytes()
        >>> pixels, sizes = prepare.images(tf.constant([photo]))
        >>> pixels.shape, sizes.numpy().tolist()
        (TensorShape([1, 3, 224, 224]), [[213, 320]])
    """
    processor = getattr(processor, "image_processor", processor)
    for kind, make in _PROCESSORS.items():
        if isinstance(processor, kind):
            steps, size = make(processor)
            return GraphPreprocessing(tuple(steps), size, max_pixels)
    raise ServingError(
        f"A graph can prepare images as {', '.join(kind.__name__ for kind in _PROCESSORS)} do; "
        f"got a processor of class {type(processor).__name__}."
    )


def fitting_preprocessing(
    processor: Any, kind: type, max_pixels: int, check: Callable[[Size], None]
) -> GraphPreprocessing:
    """`graph_preprocessing` for a model, whose images it has to fit.

    Args:
        processor: An image processor, or a processor that holds one.
        kind: The class that the image processor must have.
        max_pixels: Largest height times width of an image.
        check: Raises `ValueError` for a height and width that the model cannot take.

    Raises:
        ServingError: A processor of another class, or one whose images the model cannot take.
    """
    if not isinstance(getattr(processor, "image_processor", processor), kind):
        raise ServingError(
            f"The images of this model are prepared by a {kind.__name__}, got a "
            f"{type(processor).__name__}: it is another model's."
        )
    prepare = graph_preprocessing(processor, max_pixels)
    try:
        check(prepare.size)
    except ValueError as error:
        raise ServingError(f"The processor does not fit the model. {error}") from error
    return prepare


# ---- the processors, each in its own order
def _videomae(p: VideoMAEImageProcessor | OwlViTImageProcessor) -> tuple[list[Step], Size]:
    size = size_dict(p.size, square=False)
    if "longest_edge" in size:
        raise ServingError(
            f"{type(p).__name__}: expected a size of shortest_edge, or height and width, got "
            f"{size}."
        )
    steps, out = _cropped(p, size)
    return steps, _fixed(p, out)


def _perceiver(p: PerceiverImageProcessor) -> tuple[list[Step], Size]:
    size, crop = size_dict(p.size), size_dict(p.crop_size)
    steps, out = _resized(p, size)
    if p.do_center_crop:
        shares = [size[edge] / crop[edge] for edge in ("height", "width")]
        steps.insert(0, partial(_crop_share, shares=shares))
    return [*steps, _scaling(p)], _fixed(p, out)


def _owlv2(p: Owlv2ImageProcessor) -> tuple[list[Step], Size]:
    if not p.do_rescale or not p.rescale_factor:
        raise ServingError(
            f"{type(p).__name__}: encoded images hold 0 to 255 and must be rescaled: set "
            "do_rescale, with a rescale_factor other than 0."
        )
    size, factor = size_dict(p.size), p.rescale_factor
    out = _fixed(p, (size["height"], size["width"]) if p.do_resize else None)

    def place(image: tf.Tensor) -> tf.Tensor:
        canvas = tf.shape(image)[:2]
        if p.do_pad:  # to a square
            canvas = tf.fill((2,), tf.reduce_max(canvas))
        image = _resizable(image, canvas, tf.constant(out, tf.int64))
        return antialiased_resize(image, canvas, out, p.pad_value / factor) * factor

    return [place, _normalizing(p)], out


def _tvp(p: TvpImageProcessor) -> tuple[list[Step], Size]:
    steps, out = _cropped(p, size_dict(p.size))
    if p.do_flip_channel_order:
        steps.append(lambda frame: tf.reverse(frame, [2]))
    if p.do_pad:
        pad = padded_size(p.pad_size)
        if p.pad_mode != "constant" or len(pad) < 2:
            raise ServingError(
                f"{type(p).__name__}: a graph pads with constant values and to a height and a "
                f"width; got pad_mode {p.pad_mode!r} and pad_size {pad}."
            )
        out = (pad["height"], pad["width"])
        steps.append(partial(_pad, size=out, fill=check_fill(p.constant_values)[:, 1].tolist()))
    return steps, _fixed(p, out)


_PROCESSORS = {
    VideoMAEImageProcessor: _videomae,
    OwlViTImageProcessor: _videomae,
    Owlv2ImageProcessor: _owlv2,
    PerceiverImageProcessor: _perceiver,
    TvpImageProcessor: _tvp,
}


def _fixed(processor: Any, size: Size | None) -> Size:
    if size is None:
        raise ServingError(
            f"{type(processor).__name__}: the size of its result depends on the image, and a graph "
            "needs a fixed one. Set do_resize with a height and a width, or do_center_crop, or "
            "do_pad where there is one."
        )
    try:
        check_canvas(*size)
    except ValueError as error:
        raise ServingError(f"{type(processor).__name__}: {error}") from error
    return size


# ---- steps
def _cropped(processor: Any, size: dict[str, int]) -> tuple[list[Step], Size | None]:
    """Resize, crop and scale, where these are switched on, and the size of the result."""
    steps, out = _resized(processor, size)
    if processor.do_center_crop:
        crop = size_dict(processor.crop_size)
        out = (crop["height"], crop["width"])
        steps.append(partial(_center_crop, size=out))
    return [*steps, _scaling(processor)], out


def _resized(processor: Any, size: dict[str, int]) -> tuple[list[Step], Size | None]:
    """Pillow's resize, where it is switched on, and the size of the result."""
    if not processor.do_resize:
        return [], None
    if processor.resample not in FILTERS:
        raise ServingError(
            f"{type(processor).__name__}: a graph resizes with the filters "
            f"{', '.join(map(str, sorted(FILTERS)))} (Lanczos, bilinear, bicubic), got resample="
            f"{processor.resample}."
        )

    def step(image: tf.Tensor) -> tf.Tensor:
        shape = tf.shape(image)[:2]
        target = _target(shape, size)
        message = "The image would be resized to nothing; its height and width are"
        image = checked(image, tf.reduce_all(target > 0), message, shape)
        image = _resizable(image, shape, target)
        return resize(image, tf.cast(target, tf.int32), processor.resample)

    return [step], (size["height"], size["width"]) if "height" in size else None


def _target(shape: tf.Tensor, size: dict[str, int]) -> tf.Tensor:
    """(height, width) after resizing, int64, by the same float64 operations as on the host."""
    if "height" in size:
        return tf.constant([size["height"], size["width"]], tf.int64)
    height, width = tf.unstack(tf.cast(shape, tf.float64))
    if "longest_edge" in size:
        edge = tf.constant(size["longest_edge"], tf.float64)
        tall, wide = (edge, edge * (width / height)), (edge * (height / width), edge)
        keeps = height >= width
    else:
        edge = tf.constant(size["shortest_edge"], tf.float64)
        tall, wide = (edge * height / width, edge), (edge, edge * width / height)
        keeps = width <= height
    return tf.cast(tf.where(keeps, tf.stack(tall), tf.stack(wide)), tf.int64)


def _resizable(image: tf.Tensor, before: tf.Tensor, after: tf.Tensor) -> tf.Tensor:
    """The image, behind a check that its resizing fits into the memory."""
    sizes = [tf.unstack(tf.cast(size, tf.int64)) for size in (before, after)]
    return checked(image, resize_fits(*sizes), RESIZE_LIMIT, before, after)


def _center_crop(image: tf.Tensor, size: Any) -> tf.Tensor:
    """Cut `size` out of the middle; a smaller image is surrounded by zeros."""
    size, shape = tf.convert_to_tensor(size), tf.shape(image)[:2]
    begin, missing = tf.maximum((shape - size) // 2, 0), tf.maximum(size - shape, 0)
    kept, before = tf.minimum(shape, size), (missing + 1) // 2
    image = tf.slice(image, tf.pad(begin, [[0, 1]]), tf.concat([kept, [3]], 0))
    border = tf.stack([before, missing - before], axis=1)
    return tf.ensure_shape(tf.pad(image, tf.pad(border, [[0, 1], [0, 0]])), (None, None, 3))


def _crop_share(image: tf.Tensor, shares: list[float]) -> tf.Tensor:
    """Cut out the middle, height and width given as shares of the shorter edge."""
    shape = tf.shape(image)[:2]
    shorter = tf.cast(tf.reduce_min(shape), tf.float64)
    size = tf.cast(tf.constant(shares, tf.float64) * shorter, tf.int32)
    message = "The image would be cut to nothing; its height and width are"
    image = checked(image, tf.reduce_all(size > 0), message, shape)
    fits = tf.reduce_prod(tf.cast(size, tf.int64)) <= CANVAS_PIXELS
    return _center_crop(checked(image, fits, CANVAS_LIMIT, size), size)


def _scaling(processor: Any) -> Step:
    """Rescale in float64 and normalise in float32, where they are switched on."""
    normalize = _normalizing(processor)

    def step(image: tf.Tensor) -> tf.Tensor:
        if processor.do_rescale:
            image = tf.cast(image, tf.float64) * processor.rescale_factor
        return normalize(tf.cast(image, tf.float32))

    return step


def _normalizing(processor: Any) -> Step:
    if not processor.do_normalize:
        return lambda image: image
    values = processor.image_mean, processor.image_std
    try:
        normalize(np.zeros((1, 1, 3), np.float32), *values)  # checks them as on the host
    except ValueError as error:
        raise ServingError(f"{type(processor).__name__}: {error}") from error
    mean, std = map(np.float32, values)
    return lambda image: (image - mean) / std


def _pad(image: tf.Tensor, size: Size, fill: list[float]) -> tf.Tensor:
    """Make an image larger below and on the right, with a value for each."""
    missing = tf.constant(size) - tf.shape(image)[:2]
    message = f"Expected frames of at most {size[0]} x {size[1]} pixels after resizing, got"
    image = checked(image, tf.reduce_all(missing >= 0), message, tf.shape(image)[:2])
    image = tf.pad(image, [[0, missing[0]], [0, 0], [0, 0]], constant_values=fill[0])
    return tf.pad(image, [[0, 0], [0, missing[1]], [0, 0]], constant_values=fill[1])
