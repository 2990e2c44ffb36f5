"""What the LXMERT models take: input rows, and what is refused before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfzoo.core.inputs import Input, check_ids
from tfzoo.core.keras_compat import concrete
from tfzoo.core.types import Shape, Tensor
from tfzoo.losses.classification import IGNORE_INDEX
from tfzoo.models.lxmert.config import LxmertConfig

__all__ = [
    "INPUTS",
    "check_classes",
    "check_pairs",
    "class_labels",
    "read_object_labels",
]

_TEXT, _OBJECTS = ("batch", "sequence"), ("batch", "objects")


def _optional(name: str, dtype: str, axes: tuple[str, ...], description: str) -> Input:
    return Input(name, dtype, axes, description, optional=True, exported=axes)


INPUTS = (
    _optional("input_ids", "int64", _TEXT, "Token ids; or give inputs_embeds."),
    Input(
        "visual_feats",
        "float32",
        (*_OBJECTS, "visual_feat_dim"),
        "Features of the objects, from an external detector.",
    ),
    Input(
        "visual_pos",
        "float32",
        (*_OBJECTS, "visual_pos_dim"),
        "Boxes of the objects, as fractions of the image (0 to 1).",
    ),
    _optional("attention_mask", "mask", _TEXT, "1 for tokens, 0 for padding."),
    _optional("visual_attention_mask", "mask", _OBJECTS, "1 for objects, 0 for padding."),
    _optional("token_type_ids", "int64", _TEXT, "0 for the first text, 1 for the second."),
    Input(
        "inputs_embeds",
        "float32",
        (*_TEXT, "hidden_size"),
        "Vectors of the words, instead of input_ids.",
        optional=True,
    ),
)


def class_labels(name: str, description: str) -> Input:
    """The row of a label for each sample: a class index."""
    return Input(name, "int64", None, description, optional=True)


def check_pairs(owner: str, inputs: Mapping[str, Any], config: LxmertConfig) -> None:
    """Refuse texts and objects that the model cannot take, or that do not belong together.

    Raises:
        ValueError: Both or neither of `input_ids` and `inputs_embeds`, more text than positions,
            ids outside the vocabulary, or inputs of different lengths.
    """
    given = [name for name in ("input_ids", "inputs_embeds") if inputs.get(name) is not None]
    if len(given) != 1:
        raise ValueError(
            f"{owner}: give either input_ids or inputs_embeds, got "
            f"{' and '.join(given) or 'neither'}."
        )
    _check_sizes(owner, inputs)
    length, limit = inputs[given[0]].shape[1], config.max_position_embeddings
    if length is not None and length > limit:
        raise ValueError(
            f"{owner}: {given[0]} hold {length} tokens, the model has positions for {limit} "
            "(max_position_embeddings): pass truncation=True to the tokenizer."
        )
    for name, field in (("input_ids", "vocab_size"), ("token_type_ids", "type_vocab_size")):
        check_ids(owner, name, inputs.get(name), getattr(config, field), field)


def _check_sizes(owner: str, inputs: Mapping[str, Any]) -> None:
    """Refuse inputs that differ in the length of an axis that they share."""
    seen: dict[str, tuple[str, int]] = {}
    for row in INPUTS:
        if inputs.get(row.name) is None:
            continue
        for axis, size in zip(row.shape, inputs[row.name].shape, strict=True):
            if axis not in ("batch", "sequence", "objects") or size is None:
                continue
            other, wanted = seen.setdefault(axis, (row.name, size))
            if size != wanted:
                shape = tuple(inputs[row.name].shape)
                raise ValueError(
                    f"{owner}: {row.name} of shape {shape} does not go with {other}, whose "
                    f"{axis} axis has length {wanted}."
                )


def check_classes(owner: str, name: str, labels: Tensor, classes: int, shape: Shape = None) -> None:
    """Refuse labels other than class indices.

    Args:
        owner: Name of the model, for the error.
        name: Name of the labels.
        labels: Indices in [0, classes), or -100, which is ignored.
        classes: Number of classes.
        shape: The shape that the labels must have, None for an unknown size; where it is None,
            (batch,) or (batch, 1).

    Raises:
        ValueError: Another shape, or values outside the range.
    """
    have = tuple(labels.shape)
    wanted = [shape] if shape is not None else [(None,), (None, 1)]
    if not any(_fits(have, form) for form in wanted):
        form = "(batch,)" if shape is None else str(tuple(shape))
        raise ValueError(
            f"{owner}: {name} must be class indices of shape {form}, got shape {have}."
        )
    values = concrete(labels)
    if values is None:
        return
    wrong = values[((values < 0) | (values >= classes)) & (values != IGNORE_INDEX)]
    if wrong.size:
        raise ValueError(
            f"{owner}: {name} must lie in [0, {classes}) (or be {IGNORE_INDEX}, which is ignored), "
            f"got {wrong.reshape(-1)[:5].tolist()}."
        )


def read_object_labels(
    owner: str,
    labels: Mapping[str, Sequence[Tensor]],
    config: LxmertConfig,
    boxes: tuple[int | None, int | None],
) -> dict[str, tuple[Tensor, Tensor]]:
    """The labels of the visual tasks that are on, checked.

    Args:
        owner: Name of the model, for errors.
        labels: Task -> (label, confidence), see `TFLxmertForPreTraining.call`.
        config: The configuration.
        boxes: Number of samples and of objects, None where unknown.

    Raises:
        ValueError: An unknown or missing task, something else than a pair, or labels that do not
            fit.
    """
    tasks = ("obj", "attr", "feat")
    if not isinstance(labels, Mapping) or set(labels) - set(tasks):
        got = sorted(labels) if isinstance(labels, Mapping) else type(labels).__name__
        raise ValueError(
            f"{owner}: obj_labels must map some of {', '.join(tasks)} to pairs of label and "
            f"confidence, got {got}."
        )
    on = config.visual_losses if config.task_obj_predict else {}
    missing = [task for task in on if labels.get(task) is None]
    if missing:
        raise ValueError(
            f"{owner}: obj_labels lack {', '.join(missing)}; this config trains "
            f"{', '.join(on)} (visual_obj_loss, visual_attr_loss, visual_feat_loss)."
        )
    return {task: _read_pair(owner, task, labels[task], width, boxes) for task, width in on.items()}


def _read_pair(
    owner: str, task: str, pair: Sequence[Tensor], width: int, boxes: Shape
) -> tuple[Tensor, Tensor]:
    if not isinstance(pair, Sequence) or len(pair) != 2:
        raise ValueError(
            f"{owner}: obj_labels[{task!r}] must be a pair of label and confidence, got "
            f"{type(pair).__name__}."
        )
    label, confidence = (p if hasattr(p, "shape") else np.asarray(p) for p in pair)
    what = f"obj_labels[{task!r}]"
    if not _fits(tuple(confidence.shape), boxes):
        raise ValueError(
            f"{owner}: the confidence of {what} must have shape {boxes}, got "
            f"{tuple(confidence.shape)}."
        )
    if task != "feat":
        check_classes(owner, f"the label of {what}", label, width, boxes)
    elif not _fits(tuple(label.shape), (*boxes, width)):
        raise ValueError(
            f"{owner}: the label of {what} must have shape {(*boxes, width)}, got "
            f"{tuple(label.shape)}."
        )
    return label, confidence


def _fits(shape: tuple[int | None, ...], wanted: Sequence[int | None]) -> bool:
    return len(shape) == len(wanted) and all(
        None in pair or pair[0] == pair[1] for pair in zip(shape, wanted, strict=True)
    )
