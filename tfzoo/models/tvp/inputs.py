"""What TVP takes: the rows of its input tables, and their checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfzoo.core.inputs import Input, check_ids
from tfzoo.models.tvp.config import TvpConfig

__all__ = ["HEAD_MASK", "QUERIES", "VIDEOS", "check_queries", "check_videos"]

QUERIES = (
    Input("input_ids", "int64", ("batch", "sequence"), "Ids as the tokenizer gives them."),
    Input(
        "attention_mask",
        "mask",
        ("batch", "sequence"),
        "1 for tokens, 0 for padding.",
        optional=True,
        exported=("batch", "sequence"),
    ),
)
VIDEOS = Input(
    "pixel_values",
    "float32",
    ("batch", "frames", "backbone_config.num_channels", "height", "width"),
    "Videos as the processor gives them.",
    exported=(
        "batch",
        "fixed_frames",
        "backbone_config.num_channels",
        "max_img_size",
        "max_img_size",
    ),
)
HEAD_MASK = Input("head_mask", "mask", None, "Factors of the attention heads.", optional=True)


def check_videos(
    owner: str, shape: tuple[int | None, ...], config: TvpConfig, interpolate: bool
) -> None:
    """Refuse videos that the prompts or the tables of positions do not fit.

    Args:
        owner: Name of the model, for the error.
        shape: (B, T, C, height, width).
        config: The configuration.
        interpolate: Whether prompts and tables are resized.

    Raises:
        ValueError: Says what fits and what came.
    """
    frames, (height, width) = shape[1], shape[3:]
    wanted, side = config.fixed_frames, config.max_img_size
    if None not in (frames, wanted) and frames not in (1, wanted):
        raise ValueError(
            f"{owner}: the visual prompts are for {wanted} frames (num_frames), pixel_values have "
            f"{frames}: sample as many frames of the video."
        )
    resizes = interpolate and config.visual_prompter_type == "framepad"
    if not resizes and any(size not in (None, side) for size in (height, width)):
        hint = ", or pass interpolate_pos_encoding=True" if not interpolate else ""
        raise ValueError(
            f"{owner}: the visual prompts are for frames of {side} x {side} pixels (max_img_size), "
            f"pixel_values have {height} x {width}: set the processor's sizes"
            + (hint if config.visual_prompter_type == "framepad" else "")
            + "."
        )
    _check_grid(owner, (height, width), config, interpolate)


def _check_grid(
    owner: str, size: tuple[int | None, int | None], config: TvpConfig, interpolate: bool
) -> None:
    """Refuse frames whose grid has no cells, or more cells than the model has positions."""
    backbone = config.backbone_config
    grid = [
        None if side is None else backbone.sizes.grid(side, backbone.out_indices[0]) // 2
        for side in size
    ]
    limits = config.max_grid_row_position_embeddings, config.max_grid_col_position_embeddings
    if 0 in grid:
        raise ValueError(
            f"{owner}: frames of {size[0]} x {size[1]} pixels are too small, the grid of features "
            f"would have {grid[0]} x {grid[1]} cells."
        )
    too_many = any(
        None not in pair and pair[0] > pair[1] for pair in zip(grid, limits, strict=True)
    )
    if too_many and not interpolate:
        raise ValueError(
            f"{owner}: frames of {size[0]} x {size[1]} pixels make a grid of {grid[0]} x {grid[1]} "
            f"cells, the model has positions for {limits[0]} x {limits[1]} "
            "(max_grid_row_position_embeddings, max_grid_col_position_embeddings): pass "
            "interpolate_pos_encoding=True."
        )


def check_queries(owner: str, inputs: Mapping[str, Any], config: TvpConfig) -> None:
    """Refuse texts and factors of heads that the encoder cannot take.

    Raises:
        ValueError: A text longer than the positions, ids outside the vocabulary, a mask of
            another shape, or factors for another number of heads.
    """
    ids, mask = inputs["input_ids"], inputs.get("attention_mask")
    length = ids.shape[1]
    if length is not None and length > config.max_position_embeddings:
        raise ValueError(
            f"{owner}: input_ids hold {length} tokens, the model has positions for "
            f"{config.max_position_embeddings} (max_position_embeddings): pass max_text_length to "
            "the processor."
        )
    if mask is not None and not all(
        None in pair or pair[0] == pair[1] for pair in zip(ids.shape, mask.shape, strict=True)
    ):
        raise ValueError(
            f"{owner}: attention_mask must have the shape of input_ids, {tuple(ids.shape)}, got "
            f"{tuple(mask.shape)}."
        )
    check_ids(owner, "input_ids", ids, config.vocab_size, "vocab_size")
    heads, layers = config.num_attention_heads, config.num_hidden_layers
    factors = inputs.get("head_mask")
    if factors is not None and tuple(factors.shape) not in ((heads,), (layers, heads)):
        raise ValueError(
            f"{owner}: head_mask must have shape ({heads},) or ({layers}, {heads}), got "
            f"{tuple(factors.shape)}."
        )
