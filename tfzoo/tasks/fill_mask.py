"""Bytes that are missing in a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from tfzoo.auto import AutoTokenizer, TFAutoModelForMaskedLM
from tfzoo.models.perceiver.heads.language import TFPerceiverForMaskedLM
from tfzoo.models.perceiver.tokenizer import PerceiverTokenizer
from tfzoo.tasks.base import Result, Task, percent
from tfzoo.tasks.scores import best, finite, probabilities
from tfzoo.tasks.texts import padded

__all__ = ["FillMask", "FilledText", "fill_mask"]


@dataclass(frozen=True, kw_only=True)
class FilledText(Result):
    """A text whose masked bytes were guessed; a sequence of the candidates for each of them.

    Attributes:
        text: The text with the most likely byte in each place.
        candidates: For each `[MASK]` the most likely tokens and their probabilities, the best
            first. A byte above 127 is a part of a character; as a token it is the character of its
            number.
        mask: What stands for a byte to guess.
    """

    text: str
    candidates: list[list[tuple[str, float]]]
    mask: str = field(default="[MASK]", repr=False, compare=False)

    @property
    def rows(self) -> Sequence[list[tuple[str, float]]]:
        return self.candidates

    def to_dict(self) -> dict[str, Any]:
        rows = [[{"token": t, "score": score} for t, score in row] for row in self.candidates]
        note = {} if self.note is None else {"note": self.note}
        return {"filled": self.text, "candidates": rows, **note}

    def line(self) -> str:
        return self.text

    def lines(self) -> list[str]:
        rows = [
            f"{self.mask} {number}: " + "  ".join(f"{t!r} {percent(score)}" for t, score in row)
            for number, row in enumerate(self.candidates, 1)
        ]
        return [self.text, *rows]

    def draw(self) -> Image.Image:
        from tfzoo.viz import draw_suggestions

        return draw_suggestions(self.source, self, mask=self.mask)


@dataclass(frozen=True, eq=False, kw_only=True)
class FillMask(Task):
    """Guesses the bytes that are missing in a text.

    Each `[MASK]` is one byte, and each is guessed by itself: nine of them for `" missing."`.
    Special tokens are not guessed.

    Args:
        top_k: How many candidates for each.

    Example:
        >>> import tfzoo
        >>> tfzoo.pipeline("fill-mask")("the val[MASK]e of the function").text
        'the value of the function'
    """

    top_k: int = 5

    name: ClassVar[str] = "fill-mask"
    auto: ClassVar[Any] = TFAutoModelForMaskedLM
    processor_auto: ClassVar[Any] = AutoTokenizer
    does: ClassVar[str] = "fills in masked texts"
    kind: ClassVar[str] = "text"

    def answer(self, items: Sequence[str]) -> list[FilledText]:
        tokenizer, limit = self.processor, self.model.config.max_position_embeddings
        rows, batch = padded(tokenizer, items, limit)
        for text, ids in zip(items, rows, strict=True):
            if tokenizer.mask_token_id not in ids:
                raise ValueError(
                    f"text: expected {tokenizer.mask_token} in place of each byte to guess, got "
                    f"{text!r}."
                )
        scores = probabilities(finite(self.model(**batch, training=False, return_dict=True).logits))
        return [self._filled(np.array(i), s) for i, s in zip(rows, scores, strict=True)]

    def _filled(self, ids: np.ndarray, scores: np.ndarray) -> FilledText:
        """A text from its ids (N,) and the probabilities of each place (positions, ids)."""
        tokenizer = self.processor
        alphabet = np.array(tokenizer.convert_tokens_to_ids(map(chr, range(256))))
        places = np.flatnonzero(ids == tokenizer.mask_token_id)
        scores = scores[places][:, alphabet]
        order = best(scores, self.top_k)
        complete = ids.copy()
        complete[places] = alphabet[order[:, 0]]
        candidates = [
            [(chr(byte), float(row[byte])) for byte in bytes_.tolist()]
            for row, bytes_ in zip(scores, order, strict=True)
        ]
        text = tokenizer.decode(complete[1:-1])
        return FilledText(text=text, candidates=candidates, mask=tokenizer.mask_token)


def fill_mask(
    model: TFPerceiverForMaskedLM,
    tokenizer: PerceiverTokenizer,
    text: str | Sequence[str],
    top_k: int = 5,
) -> FilledText | list[FilledText]:
    """Guess the bytes that `[MASK]` stands for, see `FillMask`; `tfzoo.pipeline` does more.

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
    return FillMask(model, tokenizer, top_k=top_k, batch_size=64)(text)
