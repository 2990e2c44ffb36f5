"""Optical flow between frames of any size, by tiles of the size that the model was trained on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from keras import ops
from tqdm import tqdm

from tfzoo.models.perceiver.optical_flow import TFPerceiverForOpticalFlow
from tfzoo.preprocessing.image import to_channels_last
from tfzoo.preprocessing.image_batch import open_image

__all__ = ["compute_flow", "flow_patches"]


def compute_flow(
    model: TFPerceiverForOpticalFlow,
    image1: Any,
    image2: Any,
    *,
    min_overlap: int | None = None,
    batch_size: int = 1,
    progress: bool = True,
) -> np.ndarray:
    """How each pixel of one frame moves until the next.

    Frames larger than the model's are cut into tiles that overlap; where they do, what each says
    counts by its distance to the tile's edge, since there the model sees less of what moves.

    Args:
        model: A `TFPerceiverForOpticalFlow`.
        image1: The first frame: path or bytes of an image file, Pillow image, or uint8 array
            (height, width), (height, width, C) or (C, height, width).
        image2: The second frame, of the same size.
        min_overlap: How much neighbouring tiles overlap at least, in pixels. Default: 20, for tiles
            of less than 80 pixels a quarter of their shorter side.
        batch_size: Tiles that the model sees at a time; each needs memory.
        progress: Whether a bar counts the tiles, where stderr is a terminal.

    Returns:
        (height, width, 2) float32: motion to the right and downwards, in pixels.

    Raises:
        FileNotFoundError: There is no such image file.
        TypeError: A frame is no image, or the model is another one.
        ValueError: Frames of different sizes or smaller than the model's, pixels that are not
            uint8, options out of range, or a model whose outputs are not finite.

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
    tile = tuple(_check_model(model).config.train_size)
    min_overlap = min(20, min(tile) // 4) if min_overlap is None else min_overlap
    frames = np.stack(_same_size(_frame(image1, "image1"), _frame(image2, "image2")))
    _check_options(frames.shape[1:3], tile, min_overlap, batch_size)
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


def flow_patches(frames: Any) -> np.ndarray:
    """What the flow model sees of frames: around each pixel the 3 x 3 pixels next to it.

    Args:
        frames: (T, height, width, 3), values of 0 to 255.

    Returns:
        (T, 27, height, width) float32 in -1 to 1: row by row, each pixel's three channels
        together; zeros beyond the border.

    Raises:
        ValueError: Another shape.

    Example:
        >>> patches = flow_patches(np.full((2, 4, 5, 3), 255, np.uint8))
        >>> patches.shape, patches[0, :, 0, 0].reshape(3, 3, 3)[..., 0].tolist()
        ((2, 27, 4, 5), [[0.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 1.0, 1.0]])
    """
    frames = np.asarray(frames)
    if frames.ndim != 4 or frames.shape[-1] != 3:
        raise ValueError(f"frames: expected (T, height, width, 3), got shape {frames.shape}.")
    count, height, width = frames.shape[:3]
    scaled = frames.astype("float32") / np.float32(255) * np.float32(2) - np.float32(1)
    padded = np.pad(scaled.transpose(0, 3, 1, 2), ((0, 0), (0, 0), (1, 1), (1, 1)))
    patches = np.empty((count, 27, height, width), "float32")
    for place in range(9):
        row, column = divmod(place, 3)
        shifted = padded[:, :, row : row + height, column : column + width]
        patches[:, 3 * place : 3 * place + 3] = shifted
    return patches


def _check_model(model: Any) -> TFPerceiverForOpticalFlow:
    if not isinstance(model, TFPerceiverForOpticalFlow):
        raise TypeError(
            f"model: expected a TFPerceiverForOpticalFlow, got a {type(model).__name__}."
        )
    return model


def _frame(image: Any, name: str) -> np.ndarray:
    """A frame as (height, width, 3) uint8."""
    pixels = to_channels_last(open_image(image))
    if pixels.dtype != np.uint8 or pixels.shape[-1] != 3:
        raise ValueError(
            f"{name}: expected pixels as uint8 of 1, 3 or 4 channels, got {pixels.dtype} of shape "
            f"{pixels.shape}. Give the frame itself; patches are made of it here."
        )
    return pixels


def _same_size(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if first.shape != second.shape:
        raise ValueError(
            f"Both frames must have one size (height, width), got {first.shape[:2]} and "
            f"{second.shape[:2]}."
        )
    return first, second


def _check_options(
    size: tuple[int, int], tile: tuple[int, int], min_overlap: int, batch_size: int
) -> None:
    if size[0] < tile[0] or size[1] < tile[1]:
        raise ValueError(
            f"The frames have (height, width) = {size}, the model takes {tile} or more: enlarge "
            "them (and divide the flow by the factor), or turn frames that stand upright."
        )
    if not 0 <= min_overlap < min(tile):
        raise ValueError(
            f"min_overlap: expected 0 to {min(tile) - 1} pixels, less than a tile, got "
            f"{min_overlap!r}."
        )
    if batch_size < 1:
        raise ValueError(f"batch_size: expected 1 or more, got {batch_size!r}.")


def _corners(
    size: tuple[int, int], tile: tuple[int, int], min_overlap: int
) -> Iterator[tuple[int, int]]:
    """Top left corners of the tiles, row by row; the last ones end with the frame."""
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
    """The model's answers, (tiles, height, width, 2)."""
    inputs = np.stack([flow_patches(tile) for tile in tiles])
    logits = model(inputs=inputs, training=False, return_dict=True).logits
    flows = ops.convert_to_numpy(ops.cast(logits, "float32"))
    if not np.isfinite(flows).all():
        raise ValueError("The model's flow is not finite: its weights are damaged or overflow.")
    return flows
