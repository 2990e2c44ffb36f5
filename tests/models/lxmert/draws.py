"""Random configurations of LXMERT."""

from __future__ import annotations

from typing import Any

from tests.support import record_lxmert, reference
from tests.support.draws import Dice, Draw

_LABELS = ("masked_lm_labels", "obj_labels", "matched_label", "ans")
_TASKS = ("task_matched", "task_mask_lm", "task_obj_predict", "task_qa")
_VISUAL = ("visual_obj_loss", "visual_attr_loss", "visual_feat_loss")


def draw(dice: Dice) -> Draw:
    """Stacks of any depths, and labels of any tasks. PyTorch reads no epsilon, so none is drawn."""
    heads, width = dice.heads()
    asked, flags = dice.outputs()
    across = dice.integer(0, 2)
    config: dict[str, Any] = {
        "vocab_size": dice.integer(2, 40),
        "hidden_size": width,
        "num_attention_heads": heads,
        "num_qa_labels": dice.integer(1, 5),
        "num_object_labels": dice.integer(1, 4),
        "num_attr_labels": dice.integer(1, 4),
        "intermediate_size": dice.integer(1, 24),
        "hidden_act": dice.activation(),
        "hidden_dropout_prob": dice.number(),
        "attention_probs_dropout_prob": dice.number(),
        "max_position_embeddings": dice.integer(1, 12),
        "type_vocab_size": dice.integer(1, 3),
        "initializer_range": dice.number(),
        "l_layers": dice.integer(0 if across else 1, 2),
        "x_layers": across,
        "r_layers": dice.integer(0 if across else 1, 2),
        "visual_feat_dim": dice.integer(1, 12),
        "visual_pos_dim": dice.mostly(4, 1, 2, 5),
        "visual_loss_normalizer": dice.number(0, 10),
        **{name: dice.chance(0.8) for name in (*_TASKS, *_VISUAL)},
        **asked,
    }
    model = dice.one_of("TFLxmertModel", "TFLxmertForPreTraining", "TFLxmertForQuestionAnswering")
    count, length = dice.integer(1, 3), dice.integer(1, config["max_position_embeddings"])
    objects = dice.integer(1, 6)
    inputs = _pairs(dice, config, count, length, objects)
    if model == "TFLxmertForPreTraining" and "input_ids" in inputs:  # on others its loss fails
        inputs |= _labels(dice, config, count, length, objects)
    elif model == "TFLxmertForQuestionAnswering" and dice.chance():
        inputs["labels"] = dice.indices(config["num_qa_labels"], count)
    return Draw(model, config, inputs, flags, _to_torch)


def _pairs(
    dice: Dice, config: dict[str, Any], count: int, length: int, objects: int
) -> dict[str, Any]:
    inputs: dict[str, Any] = {
        "visual_feats": dice.floats(count, objects, config["visual_feat_dim"]),
        "visual_pos": dice.floats(count, objects, config["visual_pos_dim"]),
    }
    if dice.chance(0.8):
        inputs["input_ids"] = dice.integers(config["vocab_size"], count, length)
    else:
        inputs["inputs_embeds"] = dice.floats(count, length, config["hidden_size"])
    if dice.chance():
        inputs["attention_mask"] = dice.mask(count, length)
    if dice.chance():
        inputs["visual_attention_mask"] = dice.mask(count, objects)
    if dice.chance():
        inputs["token_type_ids"] = dice.integers(config["type_vocab_size"], count, length)
    return inputs


def _labels(
    dice: Dice, config: dict[str, Any], count: int, length: int, objects: int
) -> dict[str, Any]:
    """Some of the labels, those of tasks that are off included."""

    def pair(label: Any) -> tuple[Any, Any]:
        return label, dice.rng.random((count, objects)).astype("float32")

    labels = {
        "masked_lm_labels": dice.indices(config["vocab_size"], count, length),
        "obj_labels": {
            "obj": pair(dice.indices(config["num_object_labels"], count, objects)),
            "attr": pair(dice.indices(config["num_attr_labels"], count, objects)),
            "feat": pair(3 * dice.floats(count, objects, config["visual_feat_dim"])),
        },
        "matched_label": dice.indices(2, count),
        "ans": dice.indices(config["num_qa_labels"], count),
    }
    return {name: labels[name] for name in _LABELS if dice.chance()}


def _to_torch(inputs: dict[str, Any]) -> dict[str, Any]:
    labels = {name: inputs[name] for name in _LABELS if name in inputs}
    rest = {name: value for name, value in inputs.items() if name not in labels}
    return {**reference.torch_inputs(rest), **record_lxmert.torch_labels(labels)}
