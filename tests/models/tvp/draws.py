"""Random configurations of TVP."""

from __future__ import annotations

from typing import Any

from tests.models.tvp.cases import spans
from tests.support.draws import Dice, Draw


def draw(dice: Dice) -> Draw:
    """Both kinds of prompts in all their modes, with any backbone that they fit."""
    heads, width = dice.heads()
    asked, flags = dice.outputs()
    kind, mode = dice.one_of("framepad", "framedownpad"), dice.one_of("add", "replace", "remove")
    side, frames, layers = dice.integer(32, 56), dice.integer(1, 3), dice.integer(0, 2)
    config: dict[str, Any] = {
        "backbone_config": _backbone(dice, 3 if mode != "remove" else dice.integer(1, 4)),
        "distance_loss_weight": dice.number(),
        "duration_loss_weight": dice.number(),
        "visual_prompter_type": kind,
        "visual_prompter_apply": mode,
        "visual_prompt_size": dice.integer(1, side // 2),
        "max_img_size": side,
        "num_frames": frames,
        "vocab_size": dice.integer(2, 40),
        "hidden_size": width,
        "intermediate_size": dice.integer(1, 24),
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "max_position_embeddings": dice.integer(1, 10),
        "max_grid_col_position_embeddings": dice.integer(7, 12),  # of 56 pixels, after stage 1
        "max_grid_row_position_embeddings": dice.integer(7, 12),
        "hidden_dropout_prob": dice.number(),
        "hidden_act": dice.activation(),
        "layer_norm_eps": dice.epsilon(),
        "initializer_range": dice.number(),
        "attention_probs_dropout_prob": dice.number(),
        "type_vocab_size": dice.integer(1, 3),
        **({"frame_num": frames} if kind == "framedownpad" else {}),
        **({"pad_token_id": 0} if dice.chance() else {}),
        **asked,
    }
    size = (side, side)
    if kind == "framepad" and dice.chance():
        flags, size = {**flags, "interpolate_pos_encoding": True}, _size(dice, side)
    count, shown = dice.integer(1, 2), frames
    if kind == "framepad":
        shown = dice.integer(1, 4) if mode == "remove" or frames == 1 else dice.mostly(frames, 1)
    channels = config["backbone_config"]["num_channels"]
    pixels = dice.floats(count, shown, channels, *size)
    inputs = {"pixel_values": pixels, **_text(dice, config, count)}
    if layers and dice.chance(0.3):
        inputs["head_mask"] = dice.factors(*dice.one_of((heads,), (layers, heads)))
    model = dice.mostly("TFTvpForVideoGrounding", "TFTvpModel")
    if model == "TFTvpForVideoGrounding" and dice.chance():
        inputs |= spans(dice.rng, count)
    return Draw(model, config, inputs, flags)


def _backbone(dice: Dice, channels: int) -> dict[str, Any]:
    """Two stages, of which the first halves the size or not; the first's map if it is as wide."""
    widths = [4 * dice.integer(1, 4) + dice.integer(0, 3) for _ in range(2)]
    first = dice.chance(0.2)
    return {
        **({"out_features": ["stage1"]} if first else {}),
        "model_type": "resnet",
        "num_channels": channels,
        "embedding_size": dice.integer(1, 8),
        "hidden_sizes": widths[:1] * 2 if first else widths,
        "depths": [dice.integer(1, 2) for _ in range(2)],
        "layer_type": dice.one_of("basic", "bottleneck"),
        "hidden_act": dice.activation("relu2"),  # whose squares of squares overflow on both sides
        "downsample_in_first_stage": dice.chance(),
        "downsample_in_bottleneck": dice.chance(),
    }


def _size(dice: Dice, side: int) -> tuple[int, int]:
    """Sizes to which the reference resizes prompts: of others it loses a pixel to rounding."""
    fitting = [n for n in range(32, 90) if int(side * (n / side)) == n]
    return dice.one_of(*fitting), dice.one_of(*fitting)


def _text(dice: Dice, config: dict[str, Any], count: int) -> dict[str, Any]:
    shape = count, dice.integer(1, config["max_position_embeddings"])
    text = {"input_ids": dice.integers(config["vocab_size"], *shape)}
    return {**text, "attention_mask": dice.mask(*shape)} if dice.chance() else text
