"""Texts as a batch of ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["padded"]


def padded(tokenizer: Any, texts: Sequence[str], limit: int) -> tuple[list[list[int]], Any]:
    """The ids of texts, and the same as a batch.

    Args:
        tokenizer: A tokenizer of bytes.
        texts: B texts.
        limit: Tokens that the model takes.

    Raises:
        ValueError: Something that is not a text, or one that is too long.
    """
    rows = []
    for text in texts:
        if not isinstance(text, str):
            raise ValueError(
                f"text: expected a text or a list of texts, got {type(text).__name__}."
            )
        ids = tokenizer(text, truncation=False, max_length=limit).input_ids
        if len(ids) > limit:
            raise ValueError(
                f"text: expected at most {limit - 2} bytes, a {tokenizer.mask_token} counted as "
                f"one, got {len(ids) - 2}. Shorten the text."
            )
        rows.append(ids)
    # At the end, whatever the tokenizer's side: the places of a text are those that it has alone.
    return rows, tokenizer.pad({"input_ids": rows}, padding_side="right", return_tensors="np")
