"""Random configurations of OWLv2 and OWL-ViT."""

from __future__ import annotations

from typing import Any

from tests.support.draws import Dice, Draw, clip_text_config


def draw(dice: Dice) -> Draw:
    """The detectors with texts and with images as queries, pairs, and each tower alone."""
    text, vision = clip_text_config(dice, 9), _vision_config(dice)
    asked, flags = dice.outputs()
    kind = dice.one_of("Owlv2", "OwlViT")
    part = dice.mostly("ForObjectDetection", "Model", "TextModel", "VisionModel")
    model = f"TF{kind}{part}"
    count, queries = dice.integer(1, 3), dice.integer(1, 3)
    if part == "TextModel":
        return Draw(model, {**text, **asked}, _queries(dice, text, count), flags)
    size, more = _size(dice, vision)
    flags |= more
    pixels = {"pixel_values": dice.floats(count, vision["num_channels"], *size)}
    if part == "VisionModel":
        return Draw(model, {**vision, **asked}, pixels, flags)
    config: dict[str, Any] = {
        "text_config": text,
        "vision_config": vision,
        "projection_dim": text["hidden_size"] if part != "Model" else dice.integer(1, 12),
        "logit_scale_init_value": dice.number(0, 4),
        **asked,
    }
    if part == "Model":
        if dice.chance():
            queries, flags = count, {**flags, "return_loss": True}
        return Draw(model, config, {**_queries(dice, text, queries), **pixels}, flags)
    if dice.chance(0.3):
        shown = dice.floats(dice.one_of(1, count), vision["num_channels"], *size)
        inputs = {**pixels, "query_pixel_values": shown}
        return Draw(model, config, inputs, flags, method="image_guided_detection")
    return Draw(model, config, {**_queries(dice, text, count * queries), **pixels}, flags)


def _vision_config(dice: Dice) -> dict[str, Any]:
    heads, width = dice.heads()
    patch = dice.integer(1, 6)
    return {
        "hidden_size": width,
        "intermediate_size": dice.integer(1, 24),
        "num_hidden_layers": dice.integer(0, 2),
        "num_attention_heads": heads,
        "num_channels": dice.mostly(3, 1, 2, 4),
        "image_size": dice.side(patch, 4),
        "patch_size": patch,
        "hidden_act": dice.activation(),
        "layer_norm_eps": dice.epsilon(),
        "attention_dropout": dice.number(),
        "initializer_range": dice.number(),
        "initializer_factor": dice.number(),
    }


def _size(dice: Dice, vision: dict[str, Any]) -> tuple[tuple[int, int], dict[str, bool]]:
    """Height and width of the images, and the flag that they need."""
    patch, side = vision["patch_size"], vision["image_size"]
    if dice.chance(2 / 3):  # pixels beyond the last whole patch are dropped
        least = side // patch * patch
        return (dice.integer(least, least + patch - 1), dice.integer(least, least + patch - 1)), {}
    return (dice.side(patch, 5), dice.side(patch, 5)), {"interpolate_pos_encoding": True}


def _queries(dice: Dice, text: dict[str, Any], count: int) -> dict[str, Any]:
    """Any ids; a query that begins with 0 is padding, of which the first is none."""
    shape = count, dice.integer(1, text["max_position_embeddings"])
    ids = dice.integers(text["vocab_size"], *shape)
    ids[0, 0] = max(ids[0, 0], 1)
    masked = {"attention_mask": dice.mask(*shape)} if dice.chance() else {}
    return {"input_ids": ids, **masked}
