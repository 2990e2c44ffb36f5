"""What the models built on CLIP's towers take and give: input rows, their checks, outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfzoo.core.inputs import Input
from tfzoo.core.keras_compat import concrete
from tfzoo.core.outputs import TFBaseModelOutputWithPooling
from tfzoo.layers.clip_towers import Tower

__all__ = ["TEXT_INPUTS", "check_frames", "check_text", "pooled_output"]

TEXT_INPUTS = (
    Input("input_ids", "int64", ("texts", "sequence"), "Ids as the tokenizer gives them."),
    Input(
        "attention_mask",
        "mask",
        ("texts", "sequence"),
        "1 for tokens, 0 for padding.",
        optional=True,
        exported=("texts", "sequence"),
    ),
    Input("position_ids", "int64", None, "(texts or 1, sequence) places.", optional=True),
)


def check_text(owner: str, inputs: Mapping[str, Any], config: Any) -> None:
    """Refuse texts that the text tower cannot take.

    Raises:
        ValueError: A text longer than the positions, ids outside the vocabulary, or a mask or
            positions of another shape.
    """
    ids, limit = inputs["input_ids"], config.max_position_embeddings
    length = ids.shape[1]
    if length is not None and length > limit:
        raise ValueError(
            f"{owner}: input_ids hold {length} tokens, the model has positions for {limit} "
            "(max_position_embeddings): pass truncation=True to the tokenizer."
        )
    for name in ("attention_mask", "position_ids"):
        other = inputs.get(name)
        if other is not None and (len(other.shape) != 2 or _differ(other.shape[1], length)):
            raise ValueError(
                f"{owner}: {name} must have shape (texts, sequence={length}) like input_ids, "
                f"got {tuple(other.shape)}."
            )
    for name, size in (("input_ids", config.vocab_size), ("position_ids", limit)):
        values = concrete(inputs.get(name))
        if values is not None and values.size and not 0 <= values.min() <= values.max() < size:
            what = "vocab_size" if name == "input_ids" else "max_position_embeddings"
            raise ValueError(
                f"{owner}: {name} must lie in [0, {size}) ({what}), got {values.min()} to "
                f"{values.max()}: does the tokenizer belong to this checkpoint?"
            )


def _differ(one: int | None, other: int | None) -> bool:
    return None not in (one, other) and one != other


def check_frames(
    owner: str,
    shape: tuple[int | None, ...],
    config: Any,
    interpolate: bool,
    exact: bool = True,
) -> None:
    """Refuse frames whose size does not fit.

    Args:
        owner: Name of the model, for the error.
        shape: (..., height, width).
        config: Configuration of the vision tower.
        interpolate: Whether the positions are resized to the frames.
        exact: Whether pixels that fill no patch are refused, too.

    Raises:
        ValueError: Another size than the model's, or, with interpolation, less than one patch.
    """
    height, width = shape[-2:]
    patch, side = config.patch_size, config.image_size

    def fits(size: int) -> bool:
        if interpolate:
            return size >= patch
        return size == side if exact else size // patch == side // patch

    if not all(size is None or fits(size) for size in (height, width)):
        wanted = f"at least one patch of {patch} x {patch}" if interpolate else f"{side} x {side}"
        hint = "" if interpolate else ", or pass interpolate_pos_encoding=True"
        raise ValueError(
            f"{owner}: frames must have {wanted} pixels, got {height} x {width}. Set the size (and "
            f"crop_size, where there is one) of the processor{hint}."
        )


def pooled_output(tower: Tower) -> TFBaseModelOutputWithPooling:
    """The output object of what a tower returns."""
    last, pooled, states, maps = tower
    return TFBaseModelOutputWithPooling(
        last_hidden_state=last,
        pooler_output=pooled,
        hidden_states=states or None,
        attentions=maps or None,
    )
