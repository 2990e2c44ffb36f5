"""Bytes that are missing in a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from tfzoo.auto import AutoTokenizer, TFAutoModelForMaskedLM
from tfzoo.models.perceiver.heads.language import TFPerceiverForMaskedLM
from tfzoo.models.perceiver.tokenizer import PerceiverTokenizer
from tfzoo.tasks.base import Progress, Task
from tfzoo.tasks.scores import best, check_count, finite, probabilities

__all__ = ["FillMask", "FilledText", "fill_mask"]


class FilledText(NamedTuple):
    """A text whose masked bytes were guessed.

    Attributes:
        text: The text with the most likely byte in each place.
        candidates: For each `[MASK]` the most likely tokens and their probabilities, the best
            first. A byte above 127 is a part of a character; as a token it is the character of its
            number.
    """

    text: str
    candidates: list[list[tuple[str, float]]]

    def to_dict(self) -> dict[str, Any]:
        """The answer in JSON's terms."""
        rows = [[{"token": t, "score": score} for t, score in row] for row in self.candidates]
        return {"filled": self.text, "candidates": rows}

    def lines(self) -> list[str]:
        """The answer in lines of text."""
        rows = [
            f"[MASK] {number}: " + "  ".join(f"{t!r} {100 * score:.1f} %" for t, score in row)
            for number, row in enumerate(self.candidates, 1)
        ]
        return [self.text, *rows]


@dataclass(eq=False, kw_only=True)
class FillMask(Task):
    """Guesses the bytes that are missing in a text, with `top_k` candidates for each."""

    top_k: int = 5

    auto: ClassVar[Any] = TFAutoModelForMaskedLM
    processor_auto: ClassVar[Any] = AutoTokenizer
    does: ClassVar[str] = "fills in masked texts"
    inputs: ClassVar[tuple[str, ...]] = ("text",)

    def read(self, *inputs: Any, progress: Progress = False) -> str:
        return inputs[0]

    def answer(self, inputs: str) -> FilledText:
        return fill_mask(self.model, self.processor, inputs, self.top_k)


def fill_mask(
    model: TFPerceiverForMaskedLM,
    tokenizer: PerceiverTokenizer,
    text: str | Sequence[str],
    top_k: int = 5,
) -> FilledText | list[FilledText]:
    """Guess the bytes that `[MASK]` stands for.

    Each `[MASK]` is one byte, and each is guessed by itself: nine of them for `" missing."`.
    Special tokens are not guessed.

    Args:
        model: A `TFPerceiverForMaskedLM`.
        tokenizer: The tokenizer.
        text: A text with one or more `[MASK]`, or B of them.
        top_k: How many candidates for each.

    Returns:
        A `FilledText`, or a list of B.

    Raises:
        TypeError: Another model.
        ValueError: A text without `[MASK]` or one that is too long, or a model whose outputs are
            not finite.

    Example:
        >>> import tfzoo
        >>> config = tfzoo.PerceiverConfig(num_latents=4, d_latents=32, d_model=16,
        ...     num_self_attends_per_block=1, max_position_embeddings=64, v_channels=32)
        >>> model = tfzoo.TFPerceiverForMaskedLM(config)
        >>> filled = tfzoo.fill_mask(model, tfzoo.PerceiverTokenizer(), "a word is m[MASK]ssing")
        >>> len(filled.text), len(filled.candidates[0])
        (17, 5)
    """
    if not isinstance(model, TFPerceiverForMaskedLM):
        raise TypeError(f"model: expected a TFPerceiverForMaskedLM, got a {type(model).__name__}.")
    if not isinstance(tokenizer, PerceiverTokenizer):
        raise TypeError(
            f"tokenizer: expected a PerceiverTokenizer, got a {type(tokenizer).__name__}; the text "
            "comes after it."
        )
    check_count(top_k)
    texts = [text] if isinstance(text, str) else list(text)
    limit = model.config.max_position_embeddings
    rows = [_masked_ids(tokenizer, one, limit) for one in texts]
    batch = tokenizer.pad({"input_ids": rows}, return_tensors="np")
    scores = probabilities(finite(model(**batch, training=False, return_dict=True).logits))
    filled = [
        _filled(np.array(ids), row, tokenizer, top_k) for ids, row in zip(rows, scores, strict=True)
    ]
    return filled[0] if isinstance(text, str) else filled


def _masked_ids(tokenizer: PerceiverTokenizer, text: str, limit: int) -> list[int]:
    """The ids of a text that can be filled."""
    if not isinstance(text, str):
        raise ValueError(f"text: expected a text or a list of texts, got {type(text).__name__}.")
    ids = tokenizer(text, truncation=False, max_length=limit).input_ids
    if tokenizer.mask_token_id not in ids:
        raise ValueError(
            f"text: expected {tokenizer.mask_token} in place of each byte to guess, got {text!r}."
        )
    if len(ids) > limit:
        raise ValueError(
            f"text: expected at most {limit - 2} bytes, a {tokenizer.mask_token} counted as one, "
            f"got {len(ids) - 2}. Shorten the text."
        )
    return ids


def _filled(
    ids: np.ndarray, scores: np.ndarray, tokenizer: PerceiverTokenizer, top_k: int
) -> FilledText:
    """A text from its ids (N,) and the probabilities of each place (positions, ids)."""
    alphabet = np.array(tokenizer.convert_tokens_to_ids(map(chr, range(256))))
    places = np.flatnonzero(ids == tokenizer.mask_token_id)
    scores = scores[places][:, alphabet]
    order = best(scores, top_k)
    complete = ids.copy()
    complete[places] = alphabet[order[:, 0]]
    candidates = [
        [(chr(byte), float(row[byte])) for byte in bytes_.tolist()]
        for row, bytes_ in zip(scores, order, strict=True)
    ]
    return FilledText(tokenizer.decode(complete[1:-1]), candidates)
