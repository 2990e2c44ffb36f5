"""Random configurations of TimeSformer."""

from __future__ import annotations

from typing import Any

from tests.models.timesformer.cases import CLASSIFIER
from tests.support.draws import Dice, Draw
from tfzoo.models.timesformer.config import ATTENTION_TYPES


def draw(dice: Dice) -> Draw:
    """Clips of the config's frames and size, and of others that the reference takes."""
    patch = dice.integer(1, 5)
    heads, width = dice.heads()
    asked, flags = dice.outputs()
    config: dict[str, Any] = {
        "image_size": dice.side(patch),
        "patch_size": patch,
        "num_channels": dice.mostly(3, 1, 2, 4),
        "num_frames": dice.integer(1, 4),
        "hidden_size": width,
        "num_hidden_layers": dice.integer(0, 3),
        "num_attention_heads": heads,
        "intermediate_size": dice.integer(1, 24),
        "hidden_act": dice.activation(),
        "hidden_dropout_prob": dice.number(),
        "attention_probs_dropout_prob": dice.number(),
        "initializer_range": dice.number(),
        "layer_norm_eps": dice.epsilon(),
        "qkv_bias": dice.chance(),
        "attention_type": dice.one_of(*ATTENTION_TYPES),
        "drop_path_rate": dice.number(),
        "num_labels": dice.integer(0, 4),
        "problem_type": dice.problem_type(),
        **asked,
    }
    model = dice.mostly(CLASSIFIER, "TFTimesformerModel")
    clips, (frames, *size) = dice.integer(1, 3), _shape(dice, config)
    inputs = {"pixel_values": dice.floats(clips, frames, config["num_channels"], *size)}
    if model == CLASSIFIER and config["num_labels"] and dice.chance(2 / 3):
        rows = clips * frames if config["attention_type"] == "space_only" else clips
        labels = dice.class_labels(rows, config["num_labels"], config["problem_type"])
        inputs["labels"] = labels
    return Draw(model, config, inputs, flags)


def _shape(dice: Dice, config: dict[str, Any]) -> tuple[int, int, int]:
    """Frames, height and width."""
    side, patch, frames = config["image_size"], config["patch_size"], config["num_frames"]
    if dice.chance():
        return frames, side, side
    own, divided = side // patch, config["attention_type"] == "divided_space_time"
    fitting = [
        (t, rows, columns)
        for t in range(1, 6)
        for rows in range(1, 5)
        for columns in range(1, 5)
        # of frames with one column of patches the reference counts one row too many
        if columns > 1 or rows == own**2
        if not divided or t * rows * columns % (frames * own) == 0
    ]
    t, rows, columns = dice.one_of(*fitting)
    rest = dice.integer(0, patch - 1)
    return t, rows * patch + rest, columns * patch + rest
