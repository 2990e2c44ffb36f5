"""Random configurations of Perceiver."""

from __future__ import annotations

from typing import Any

from tests.support.draws import Dice, Draw

_BANDS = 64  # of the image models' positions
# The width of the inputs of each image model, which its keys have unless the config says another
_CHANNELS = {
    "TFPerceiverForImageClassificationLearned": 512,
    "TFPerceiverForImageClassificationFourier": 3 + 2 * (2 * _BANDS + 1),
    "TFPerceiverForImageClassificationConvProcessing": _BANDS + 2 * (2 * _BANDS + 1),
    "TFPerceiverForOpticalFlow": _BANDS + 2 * (2 * _BANDS + 1),
}
_TEXT = ("TFPerceiverForMaskedLM", "TFPerceiverForSequenceClassification")
_VIDEO, _BARE = "TFPerceiverForMultimodalAutoencoding", "TFPerceiverModel"


def draw(dice: Dice) -> Draw:
    """Every ready-made model, and the one without parts."""
    model = dice.one_of(*_TEXT, *_CHANNELS, _VIDEO, _BARE)
    asked, flags = dice.outputs()
    config = {**_encoder(dice), **_sizes(dice), **asked}
    config |= _widths(dice, model, config)
    inputs, more = _inputs(dice, model, config)
    if dice.chance(0.3):
        heads, layers = config["num_self_attention_heads"], config["num_self_attends_per_block"]
        whole = layers * config["num_blocks"]
        inputs["head_mask"] = dice.factors(*((whole, heads) if whole else (heads,)))
    return Draw(model, config, inputs, {**flags, **more})


def _encoder(dice: Dice) -> dict[str, Any]:
    return {
        "num_latents": dice.integer(1, 6),
        "num_blocks": dice.mostly(1, 0, 2, 3),
        "num_self_attends_per_block": dice.integer(0, 2),
        "num_self_attention_heads": dice.integer(1, 3),
        "cross_attention_shape_for_attention": dice.one_of("kv", "q"),
        "self_attention_widening_factor": dice.integer(1, 3),
        "cross_attention_widening_factor": dice.integer(1, 3),
        "hidden_act": dice.activation(),
        "attention_probs_dropout_prob": dice.number(),
        "initializer_range": dice.number(),
        "layer_norm_eps": dice.epsilon(),
        "use_query_residual": dice.chance(),
        "num_labels": dice.integer(1, 4),
        "problem_type": dice.problem_type(),
    }


def _sizes(dice: Dice) -> dict[str, Any]:
    frames, side = dice.integer(2, 3), 4 * dice.integer(1, 2)  # the reference fails on one frame
    return {
        "vocab_size": dice.integer(2, 30),
        "max_position_embeddings": dice.integer(1, 12),
        "image_size": side,
        "train_size": [dice.integer(1, 6), dice.integer(1, 6)],
        "num_frames": frames,
        "audio_samples_per_frame": 6 * dice.integer(1, 4),
        "samples_per_patch": dice.one_of(1, 2, 3, 6),
        "output_shape": [1, frames, side, side],
        "output_num_channels": dice.integer(1, 9),
        "_label_trainable_num_channels": dice.integer(1, 12),
    }


def _widths(dice: Dice, model: str, config: dict[str, Any]) -> dict[str, Any]:
    """Widths that the heads divide; the values are as wide as the latents they are added to."""
    d_model = 8 * dice.integer(1, 3)  # the heads of masked language modelling are 8
    own = dice.integer(1, 4)
    latents = 12 * dice.integer(1, 2) if own == 3 else 4 * own * dice.integer(1, 2)
    latents *= 3 if config["num_self_attention_heads"] == 3 and latents % 3 else 1
    qk, v = dice.one_of((None, None), (latents, None), (2 * latents, latents))
    if qk is None and config["cross_attention_shape_for_attention"] == "kv":
        source = _CHANNELS.get(model, 1 if model == _VIDEO else d_model)
        own = dice.one_of(*(n for n in range(1, 5) if source % n == 0 and latents % n == 0))
    return {
        "d_latents": latents,
        "d_model": d_model,
        "num_cross_attention_heads": own,
        "qk_channels": qk,
        "v_channels": v,
    }


def _inputs(
    dice: Dice, model: str, config: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    count, classes, kind = dice.integer(1, 3), config["num_labels"], config["problem_type"]
    if model in _TEXT:
        return _texts(dice, model, config, count), {}
    if model == _BARE:
        length = dice.integer(1, 8)
        masked = {"attention_mask": dice.mask(count, length)} if dice.chance() else {}
        return {"inputs": dice.floats(count, length, config["d_model"]), **masked}, {}
    if model == _VIDEO:
        return _videos(dice, config, count), {}
    if model == "TFPerceiverForOpticalFlow":
        return {"inputs": dice.floats(count, 2, 27, *config["train_size"])}, {}
    size, more = (dice.integer(9, 24), dice.integer(9, 24)), {}
    if model == "TFPerceiverForImageClassificationLearned":
        # The reference resizes positions to their own grid, so that images of others fail.
        size, more = (config["image_size"],) * 2, {"interpolate_pos_encoding": dice.chance()}
    inputs = {dice.one_of("inputs", "pixel_values"): dice.floats(count, 3, *size)}
    if dice.chance():
        inputs["labels"] = dice.class_labels(count, classes, kind)
    return inputs, more


def _texts(dice: Dice, model: str, config: dict[str, Any], count: int) -> dict[str, Any]:
    limit = config["max_position_embeddings"]
    length, ids = dice.integer(1, limit), config["vocab_size"]
    inputs = {dice.one_of("inputs", "input_ids"): dice.integers(ids, count, length)}
    if dice.chance(2 / 3):
        rows = dice.mostly((count, length), (count, config["num_latents"], length))
        inputs["attention_mask"] = dice.mask(*rows)
    if dice.chance():
        is_lm = model == "TFPerceiverForMaskedLM"
        kind = (count, config["num_labels"], config["problem_type"])
        inputs["labels"] = dice.indices(ids, count, limit) if is_lm else dice.class_labels(*kind)
    return inputs


def _videos(dice: Dice, config: dict[str, Any], count: int) -> dict[str, Any]:
    frames, side = config["num_frames"], config["image_size"]
    samples = frames * config["audio_samples_per_frame"]
    pixels, patches = frames * side**2, samples // config["samples_per_patch"]
    return {
        "image": dice.floats(count, frames, 3, side, side),
        "audio": dice.floats(count, samples, 1),
        "label": dice.floats(count, config["num_labels"]),
        "image_points": dice.rng.permutation(pixels)[: dice.integer(1, 9)],
        "audio_points": dice.rng.permutation(patches)[: dice.integer(1, 9)],
    }
