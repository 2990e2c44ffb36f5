"""Motion as colours: the hue tells the direction, the saturation the speed."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from tfzoo.viz.drawing import floats, rgb_pixels, size_of

__all__ = ["draw_flow", "flow_to_image", "flow_wheel"]

_UNKNOWN = 1e9  # files of true flow mark unknown motion with larger values
_SEGMENTS = (15, 6, 4, 11, 13, 6)  # red to yellow, green, cyan, blue, magenta, and red again


def flow_to_image(flow: Any, max_flow: float | None = None) -> Image.Image:
    """Colour each pixel by its motion, as on Middlebury's wheel.

    Motion to the right is red, downwards yellow, to the left cyan, upwards violet. No motion is
    white, and motion as fast as `max_flow` has the full colour.

    Args:
        flow: (height, width, 2), motion in pixels: to the right, then downwards. Array or tensor.
        max_flow: Length of the fastest motion, in pixels; faster ones are darkened. Default: the
            longest in `flow`. Give one number for all frames of a video.

    Returns:
        An image in RGB of (width, height). Unknown motion, NaN or above 1e9, is black.

    Raises:
        ValueError: Another shape, something else than real numbers, or a `max_flow` that is not
            above 0.

    Source: Baker et al., "A Database and Evaluation Methodology for Optical Flow", 2011.

    Example:
        >>> flow = np.zeros((2, 3, 2))
        >>> flow[0, 0] = 5, 0  # to the right
        >>> picture = flow_to_image(flow)
        >>> picture.getpixel((0, 0)), picture.getpixel((1, 0))
        ((255, 0, 0), (255, 255, 255))
    """
    flow = _flow(flow)
    known = (np.abs(flow) < _UNKNOWN).all(-1)  # False for NaN
    flow = np.where(known[..., None], flow, 0.0)
    longest = np.hypot(flow[..., 0], flow[..., 1]).max() if max_flow is None else max_flow
    if max_flow is not None and not 0 < max_flow < np.inf:
        raise ValueError(f"max_flow: expected a number of pixels above 0, got {max_flow!r}.")
    colours = _colours(flow / longest if longest else flow)
    return Image.fromarray(np.where(known[..., None], colours, 0).astype(np.uint8))


def draw_flow(
    image: Any,
    flow: Any,
    *,
    max_flow: float | None = None,
    opacity: float = 0.5,
    step: int | None = None,
) -> Image.Image:
    """Lay the colours of the motion over a frame, with arrows that show where pixels go.

    Args:
        image: The first frame: path or bytes of an image file, Pillow image, or uint8 array
            (height, width), (height, width, C) or (C, height, width). It is not changed.
        flow: (height, width, 2), of the frame's size, see `flow_to_image`.
        max_flow: See `flow_to_image`.
        opacity: Of the colours: 0 shows the frame alone, 1 the colours alone.
        step: Distance of the arrows in pixels, 0 for no arrows. Default: to suit the frame's size.

    Returns:
        A new image of the frame's size, in RGB.

    Raises:
        FileNotFoundError: The image file does not exist.
        TypeError: `image` is not an image.
        ValueError: Sizes that differ, pixels that are not uint8, or options out of range.

    Example:
        >>> flow = np.full((213, 320, 2), 4.0)
        >>> draw_flow("photo.jpg", flow).size
        (320, 213)
    """
    pixels, flow = rgb_pixels(image), _flow(flow)
    if flow.shape[:2] != pixels.shape[:2]:
        raise ValueError(
            f"flow: expected the frame's size {pixels.shape[:2]}, got {flow.shape[:2]}."
        )
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity: expected a number in [0, 1], got {opacity!r}.")
    step = max(16, max(flow.shape[:2]) // 24) if step is None else step
    if not isinstance(step, int) or step < 0:
        raise ValueError(f"step: expected a whole number of pixels, 0 or more, got {step!r}.")
    colours = flow_to_image(flow, max_flow)
    picture = Image.blend(Image.fromarray(pixels), colours, opacity)
    _draw_arrows(ImageDraw.Draw(picture), flow, step)
    return picture


def flow_wheel(size: int = 151) -> Image.Image:
    """The key to the colours: each point shows the motion from the middle to it.

    Args:
        size: Width and height in pixels.

    Returns:
        An image in RGB, white around the wheel.

    Raises:
        ValueError: A size that is not a whole number above 0.

    Example:
        >>> flow_wheel(99).getpixel((98, 49))  # on the right
        (255, 0, 0)
    """
    size = size_of("size", size, 151)
    axis = (2 * np.arange(size) - (size - 1)) / max(size - 1, 1)  # the middle is 0 exactly
    flow = np.stack(np.meshgrid(axis, axis), axis=-1)
    inside = np.hypot(flow[..., 0], flow[..., 1]) <= 1
    return Image.fromarray(np.where(inside[..., None], _colours(flow), 255).astype(np.uint8))


def _flow(flow: Any) -> np.ndarray:
    """The flow as float64 (height, width, 2)."""
    array = floats("flow", flow, "an array of real numbers")
    if array.ndim != 3 or array.shape[-1] != 2 or not array.size:
        raise ValueError(
            f"flow: expected (height, width, 2), the motion of each pixel to the right and "
            f"downwards, got shape {array.shape}. Of a batch take one: flow[0]."
        )
    return array


def _wheel() -> np.ndarray:
    """The 55 colours around the wheel, (55, 3), 0 to 255: from each pure colour to the next."""
    pure = ((1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1), (1, 0, 1), (1, 0, 0))
    rows = []
    for count, start, end in zip(_SEGMENTS, pure[:-1], pure[1:], strict=True):
        grown = 255 * np.arange(count)[:, None] // count
        change = np.subtract(end, start)
        rows.append(255 * np.array(start) + change * grown)
    return np.concatenate(rows)


def _colours(flow: np.ndarray) -> np.ndarray:
    """(..., 2), lengths of 0 to 1 -> (..., 3) of 0 to 255, rounded down."""
    wheel = _wheel() / 255
    length = np.hypot(flow[..., 0], flow[..., 1])[..., None]
    flow = flow + 0.0  # no negative zeros, which lie at the other end of the wheel
    angle = np.arctan2(-flow[..., 1], -flow[..., 0]) / np.pi  # -1 for motion to the right
    place = (angle + 1) / 2 * (len(wheel) - 1)
    before = place.astype(int)
    part = (place - before)[..., None]
    colour = (1 - part) * wheel[before] + part * wheel[(before + 1) % len(wheel)]
    colour = np.where(length <= 1, 1 - length * (1 - colour), 0.75 * colour)
    return np.floor(255 * colour + 1e-9)


def _draw_arrows(draw: ImageDraw.ImageDraw, flow: np.ndarray, step: int) -> None:
    """An arrow for every `step` pixels, white on black so that it shows on any colour."""
    if not step:
        return
    height, width = flow.shape[:2]
    for y in range(step // 2, height, step):
        for x in range(step // 2, width, step):
            motion = flow[y, x]
            if not (np.abs(motion) < _UNKNOWN).all() or np.hypot(*motion) < 1:
                continue
            lines = _arrow(np.array([x, y], float), motion)
            for colour, thick in (((0, 0, 0), 3), ((255, 255, 255), 1)):
                for line in lines:
                    draw.line(line, fill=colour, width=thick)


def _arrow(start: np.ndarray, motion: np.ndarray) -> list[list[tuple[float, float]]]:
    """The shaft and the two sides of the head."""
    end = start + motion
    back = -motion / np.hypot(*motion) * min(4.0, np.hypot(*motion) / 2)
    across = np.array([-back[1], back[0]]) * 0.6
    points = [start, end + back + across, end + back - across]
    return [[tuple(point), tuple(end)] for point in points]
