"""Random configurations of X-CLIP."""

from __future__ import annotations

from typing import Any

from tests.support.draws import Dice, Draw, clip_text_config


def draw(dice: Dice) -> Draw:
    """Videos with texts, and each tower alone."""
    text, vision = clip_text_config(dice, 12), _vision_config(dice)
    asked, flags = dice.outputs()
    model = dice.mostly("TFXCLIPModel", "TFXCLIPTextModel", "TFXCLIPVisionModel")
    videos, texts = dice.integer(1, 3), dice.integer(1, 4)
    if model == "TFXCLIPTextModel":
        return Draw(model, {**text, **asked}, _texts(dice, text, texts), flags)
    size, more = _size(dice, vision)
    frames, channels = vision["num_frames"], vision["num_channels"]
    if model == "TFXCLIPVisionModel":  # the reference's tower takes frames of its own size alone
        side = vision["image_size"]
        inputs = {"pixel_values": dice.floats(videos * frames, channels, side, side)}
        return Draw(model, {**vision, **asked}, inputs, flags)
    heads = dice.one_of(*(n for n in range(1, 5) if vision["mit_hidden_size"] % n == 0))
    config: dict[str, Any] = {
        "text_config": text,
        "vision_config": vision,
        "projection_dim": vision["mit_hidden_size"],
        "prompt_layers": dice.integer(0, 2),
        "prompt_alpha": dice.number(-1, 1),
        "prompt_hidden_act": dice.activation(),
        "prompt_num_attention_heads": heads,
        "prompt_attention_dropout": dice.number(),
        "prompt_projection_dropout": dice.number(),
        "logit_scale_init_value": dice.number(0, 4),
        **asked,
    }
    if dice.chance():
        texts, more = videos, {**more, "return_loss": True}
    pixels = dice.floats(videos, frames, channels, *size)
    inputs = {**_texts(dice, text, texts), "pixel_values": pixels}
    return Draw(model, config, inputs, {**flags, **more})


def _vision_config(dice: Dice) -> dict[str, Any]:
    (heads, width), (mit_heads, mit_width) = dice.heads(), dice.heads()
    patch = dice.integer(1, 6)
    return {
        "hidden_size": width,
        "intermediate_size": dice.integer(1, 24),
        "num_hidden_layers": dice.integer(0, 2),
        "num_attention_heads": heads,
        "mit_hidden_size": mit_width,
        "mit_intermediate_size": dice.integer(1, 24),
        "mit_num_hidden_layers": dice.integer(0, 2),
        "mit_num_attention_heads": mit_heads,
        "num_channels": dice.mostly(3, 1, 2, 4),
        "image_size": dice.side(patch),
        "patch_size": patch,
        "num_frames": dice.integer(1, 4),
        "hidden_act": dice.activation(),
        "layer_norm_eps": dice.epsilon(),
        "attention_dropout": dice.number(),
        "initializer_range": dice.number(),
        "initializer_factor": dice.number(),
        "drop_path_rate": dice.number(),
    }


def _size(dice: Dice, vision: dict[str, Any]) -> tuple[tuple[int, int], dict[str, bool]]:
    """Height and width of the frames, and the flag that they need."""
    if dice.chance(2 / 3):
        return (vision["image_size"],) * 2, {}
    patch = vision["patch_size"]
    return (dice.side(patch, 5), dice.side(patch, 5)), {"interpolate_pos_encoding": True}


def _texts(dice: Dice, text: dict[str, Any], count: int) -> dict[str, Any]:
    shape = count, dice.integer(1, text["max_position_embeddings"])
    inputs = {"input_ids": dice.integers(text["vocab_size"], *shape)}
    if dice.chance():
        inputs["attention_mask"] = dice.mask(*shape)
    if dice.chance(0.3):
        rows = dice.one_of(1, count)
        inputs["position_ids"] = dice.integers(text["max_position_embeddings"], rows, shape[1])
    return inputs
