"""Optical flow between frames of any size, by tiles of the size that the model was trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from PIL import Image
from tqdm import tqdm

from tfzoo.io.limits import FLOW_PIXELS
from tfzoo.models.perceiver.heads.vision import TFPerceiverForOpticalFlow
from tfzoo.models.perceiver.image_processor import flow_patches
from tfzoo.preprocessing.image import to_channels_last
from tfzoo.tasks.base import Result, Task
from tfzoo.tasks.inputs import image_of
from tfzoo.tasks.scores import finite

__all__ = ["Motion", "OpticalFlow", "compute_flow"]

_TILES = 2**14  # more would take hours
_SMALLEST = 320  # pixels of the longer side of a drawing


@dataclass(frozen=True, kw_only=True, eq=False)
class Motion(Result):
    """The motion between two frames; a sequence of its rows.

    Attributes:
        flow: (height, width, 2) float32, to the right and downwards, in pixels.
    """

    flow: np.ndarray

    @property
    def rows(self) -> Sequence[np.ndarray]:
        return self.flow  # type: ignore[return-value]

    def to_dict(self) -> dict[str, Any]:
        length = np.hypot(self.flow[..., 0], self.flow[..., 1])
        return {
            "size": list(self.flow.shape[:2]),
            "mean_flow": self.flow.mean((0, 1), dtype="float64").tolist(),
            "mean_length": float(length.mean(dtype="float64")),
            "longest": float(length.max()),
            **({} if self.note is None else {"note": self.note}),
        }

    def line(self) -> str:
        return ", ".join(self.lines())

    def lines(self) -> list[str]:
        found = self.to_dict()
        (height, width), (right, down) = found["size"], found["mean_flow"]
        return [
            f"motion of {width} x {height} pixels: on average {found['mean_length']:.2f} pixels, "
            f"at most {found['longest']:.2f}",
            f"mean {right:.2f} to the right, {down:.2f} downwards",
        ]

    def draw(self) -> Image.Image:
        from tfzoo.viz import flow_to_image

        image = flow_to_image(self.flow)
        factor = -(-_SMALLEST // max(image.size))
        return image.resize((factor * image.width, factor * image.height), Image.Resampling.NEAREST)


@dataclass(frozen=True, eq=False, kw_only=True)
class OpticalFlow(Task):
    """Computes the motion between two frames, see `compute_flow`.

    An input is a pair of images, a list or tuple of two. `batch_size` counts tiles of a pair.

    Args:
        min_overlap: How much neighbouring tiles overlap at least, in pixels.

    Example:
        >>> import tfzoo
        >>> folder = tfzoo.default_checkpoint("perceiver-flow")
        >>> task = tfzoo.pipeline("optical-flow")
        >>> task([folder / "sample_1.png", folder / "sample_2.png"]).flow.shape
        (48, 48, 2)
    """

    min_overlap: int | None = None

    name: ClassVar[str] = "optical-flow"
    only: ClassVar[type | None] = TFPerceiverForOpticalFlow
    processor_auto: ClassVar[Any] = None
    does: ClassVar[str] = "computes the motion between two frames"
    kind: ClassVar[str] = "pair"

    def read(self, source: Any) -> list[Any]:
        if not isinstance(source, (list, tuple, np.ndarray)) or len(source) != 2:
            raise TypeError(f"Expected a pair of images, got a {type(source).__name__}.")
        return [image_of(image) for image in source]

    def answer(self, items: Sequence[list[Any]]) -> list[Motion]:
        how = {"min_overlap": self.min_overlap, "batch_size": self.batch_size, "progress": False}
        return [Motion(flow=compute_flow(self.model, *pair, **how)) for pair in items]


def compute_flow(
    model: TFPerceiverForOpticalFlow,
    image1: Any,
    image2: Any,
    *,
    min_overlap: int | None = None,
    batch_size: int = 1,
    progress: bool = True,
) -> np.ndarray:
    """Compute how each pixel of one frame moves until the next.

    Frames larger than the model's are cut into tiles that overlap; where they do, each tile's flow
    is weighted by the distance to its edge, where the model sees less of what moves.

    Args:
        model: A `TFPerceiverForOpticalFlow`.
        image1: The first frame: path, address or bytes of an image file, Pillow image, or uint8
            array (height, width), (height, width, C) or (C, height, width).
        image2: The second frame, of the same size.
        min_overlap: How much neighbouring tiles overlap at least, in pixels. Default: 20, for tiles
            of less than 80 pixels a quarter of their shorter side.
        batch_size: Tiles that the model sees at a time; each needs memory.
        progress: Whether a bar counts the tiles, where stderr is a terminal.

    Returns:
        (height, width, 2) float32: motion to the right and downwards, in pixels.

    Raises:
        FileNotFoundError: No such image file.
        TypeError: A frame is not an image, or the model is another one.
        ValueError: Frames of different sizes, smaller than the model's or of more than
            `tfzoo.io.limits.FLOW_PIXELS`, pixels that are not uint8, options out of range, or a
            model whose outputs are not finite.

    Source: the evaluation of Jaegle et al. 2022, arXiv:2107.14795, appendix H.

    Example:
        >>> import tfzoo
        >>> config = tfzoo.PerceiverConfig(train_size=[16, 24], num_latents=4, d_latents=32,
        ...     num_self_attends_per_block=1, num_cross_attention_heads=1)
        >>> model = tfzoo.TFPerceiverForOpticalFlow(config)
        >>> frames = np.zeros((2, 20, 30, 3), np.uint8)
        >>> tfzoo.compute_flow(model, *frames).shape
        (20, 30, 2)
    """
    if not isinstance(model, TFPerceiverForOpticalFlow):
        raise TypeError(
            f"model: expected a TFPerceiverForOpticalFlow, got a {type(model).__name__}."
        )
    tile = tuple(model.config.train_size)
    min_overlap = min(20, min(tile) // 4) if min_overlap is None else min_overlap
    first, second = _frame(image1, "image1"), _frame(image2, "image2")
    if first.shape != second.shape:
        raise ValueError(
            f"Both frames must have one size (height, width), got {first.shape[:2]} and "
            f"{second.shape[:2]}."
        )
    _check_options(first.shape[:2], tile, min_overlap, batch_size)
    frames = np.stack([first, second])
    corners = list(_corners(frames.shape[1:3], tile, min_overlap))
    weight = _weights(tile)
    total = np.zeros((*frames.shape[1:3], 2), "float32")
    weights = np.zeros((*frames.shape[1:3], 1), "float32")
    with tqdm(total=len(corners), unit="tile", disable=None if progress else True) as bar:
        for start in range(0, len(corners), batch_size):
            batch = corners[start : start + batch_size]
            flows = _flows(model, [frames[:, y : y + tile[0], x : x + tile[1]] for y, x in batch])
            for (y, x), flow in zip(batch, flows, strict=True):
                total[y : y + tile[0], x : x + tile[1]] += weight * flow
                weights[y : y + tile[0], x : x + tile[1]] += weight
            bar.update(len(batch))
    return total / weights


def _frame(image: Any, name: str) -> np.ndarray:
    """A frame as (height, width, 3) uint8."""
    pixels = to_channels_last(image_of(image))
    if pixels.dtype != np.uint8 or pixels.shape[-1] != 3:
        raise ValueError(
            f"{name}: expected pixels as uint8 of 1, 3 or 4 channels, got {pixels.dtype} of shape "
            f"{pixels.shape}. Give the frame itself; its patches are made here."
        )
    return pixels


def _check_options(
    size: tuple[int, int], tile: tuple[int, int], min_overlap: int, batch_size: int
) -> None:
    if size[0] < tile[0] or size[1] < tile[1]:
        raise ValueError(
            f"The frames have (height, width) = {size}, the model takes {tile} or more: enlarge "
            "them (and divide the flow by the factor), or turn frames that stand upright."
        )
    if size[0] * size[1] > FLOW_PIXELS:
        raise ValueError(
            f"The frames have (height, width) = {size}, expected up to {FLOW_PIXELS} pixels: make "
            "them smaller, and multiply the flow by the factor."
        )
    if not 0 <= min_overlap < min(tile):
        raise ValueError(
            f"min_overlap: expected 0 to {min(tile) - 1} pixels, less than a tile, got "
            f"{min_overlap!r}."
        )
    if batch_size < 1:
        raise ValueError(f"batch_size: expected 1 or more, got {batch_size!r}.")
    rows, columns = (-(-(n - m) // (m - min_overlap)) + 1 for n, m in zip(size, tile, strict=True))
    if rows * columns > _TILES:
        raise ValueError(
            f"min_overlap: expected up to {_TILES} tiles, got {rows} x {columns}: take a smaller "
            "one, or smaller frames."
        )


def _corners(
    size: tuple[int, int], tile: tuple[int, int], min_overlap: int
) -> Iterator[tuple[int, int]]:
    """Top left corners of the tiles, row by row; the last ones end where the frame does."""
    rows, columns = (
        [*range(0, whole - part, part - min_overlap), whole - part]
        for whole, part in zip(size, tile, strict=True)
    )
    return ((y, x) for y in rows for x in columns)


def _weights(tile: tuple[int, int]) -> np.ndarray:
    """(height, width, 1), the distance of each pixel of a tile to its nearest edge."""
    rows, columns = (np.minimum(np.arange(1, n + 1), np.arange(n, 0, -1)) for n in tile)
    return np.minimum(rows[:, None], columns)[..., None].astype("float32")


def _flows(model: Any, tiles: list[np.ndarray]) -> np.ndarray:
    """The model's flow for each tile, (tiles, height, width, 2)."""
    inputs = np.stack([flow_patches(tile) for tile in tiles])
    return finite(model(inputs=inputs, training=False, return_dict=True).logits)
