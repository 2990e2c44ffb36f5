"""Whole tasks with one call: bytes that are missing in a text, what is in a photo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from tfzoo.models.perceiver.image_processor import PerceiverImageProcessor
from tfzoo.models.perceiver.language import TFPerceiverForMaskedLM
from tfzoo.models.perceiver.tokenizer import PerceiverTokenizer
from tfzoo.models.perceiver.vision import (
    TFPerceiverForImageClassificationConvProcessing,
    TFPerceiverForImageClassificationFourier,
    TFPerceiverForImageClassificationLearned,
)

__all__ = ["FilledText", "classify_image", "fill_mask"]

_CLASSIFIERS = (
    TFPerceiverForImageClassificationLearned,
    TFPerceiverForImageClassificationFourier,
    TFPerceiverForImageClassificationConvProcessing,
)


class FilledText(NamedTuple):
    """A text whose masked bytes were guessed.

    Attributes:
        text: The text with the likeliest byte in each place.
        candidates: For each `[MASK]` the likeliest tokens and their probabilities, the best first.
            A byte above 127 is a part of a character; as a token it is the character of its number.
    """

    text: str
    candidates: list[list[tuple[str, float]]]


def fill_mask(
    model: TFPerceiverForMaskedLM,
    tokenizer: PerceiverTokenizer,
    text: str | Sequence[str],
    top_k: int = 5,
) -> FilledText | list[FilledText]:
    """Guess the bytes that `[MASK]` stands for.

    Each `[MASK]` is one byte, and each is guessed for itself: nine of them for `" missing."`.
    Special tokens are no guesses.

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
    _check_fill(model, tokenizer, top_k)
    texts = [text] if isinstance(text, str) else list(text)
    limit = model.config.max_position_embeddings
    rows = [_masked_ids(tokenizer, one, limit) for one in texts]
    batch = tokenizer.pad({"input_ids": rows}, return_tensors="np")
    logits = model(**batch, training=False, return_dict=True).logits
    odds = _probabilities(logits)
    filled = [
        _filled(np.array(ids), row, tokenizer, top_k) for ids, row in zip(rows, odds, strict=True)
    ]
    return filled[0] if isinstance(text, str) else filled


def classify_image(
    model: Any, image: Any, processor: PerceiverImageProcessor | None = None, top_k: int = 5
) -> Any:
    """The likeliest labels of a photo.

    Args:
        model: A `TFPerceiverForImageClassificationLearned`, `...Fourier` or `...ConvProcessing`.
        image: Path, Pillow image or array, see `flatten_images`; or a list of B.
        processor: Makes the model's inputs; that beside the model's checkpoint where None.
        top_k: How many labels.

    Returns:
        Pairs of label and probability, the best first; a list of B such lists for a list.

    Raises:
        TypeError: Another model, or something that is no image.
        ValueError: No processor, images that do not fit, or a model whose outputs are not finite.

    Example:
        >>> import tfzoo
        >>> config = tfzoo.PerceiverConfig(num_latents=4, d_latents=32, num_labels=3,
        ...     num_self_attends_per_block=1, num_cross_attention_heads=1)
        >>> model = tfzoo.TFPerceiverForImageClassificationConvProcessing(config)
        >>> processor = tfzoo.PerceiverImageProcessor(size=64)
        >>> ranking = tfzoo.classify_image(model, "photo.jpg", processor)
        >>> sorted(label for label, probability in ranking)
        ['LABEL_0', 'LABEL_1', 'LABEL_2']
    """
    _check_classifier(model)
    _check_count(top_k)
    processor = _processor_of(model) if processor is None else processor
    inputs = processor(image, return_tensors="np")
    logits = model(**inputs, training=False, return_dict=True).logits
    odds = _probabilities(logits, model.config.problem_type == "multi_label_classification")
    order = np.argsort(-odds, axis=-1, kind="stable")[:, :top_k]
    labels = model.config.id2label
    ranked = [
        [(labels[index], float(row[index])) for index in best.tolist()]
        for row, best in zip(odds, order, strict=True)
    ]
    return ranked if isinstance(image, (list, tuple)) or np.ndim(image) == 4 else ranked[0]


# ---- texts
def _check_fill(model: Any, tokenizer: Any, top_k: int) -> None:
    if not isinstance(model, TFPerceiverForMaskedLM):
        raise TypeError(f"model: expected a TFPerceiverForMaskedLM, got a {type(model).__name__}.")
    if not isinstance(tokenizer, PerceiverTokenizer):
        raise TypeError(
            f"tokenizer: expected a PerceiverTokenizer, got a {type(tokenizer).__name__}; the text "
            "comes after it."
        )
    _check_count(top_k)


def _check_count(top_k: int) -> None:
    if not isinstance(top_k, int) or top_k < 1:
        raise ValueError(f"top_k: expected a whole number above 0, got {top_k!r}.")


def _masked_ids(tokenizer: PerceiverTokenizer, text: str, limit: int) -> list[int]:
    """The ids of a text that can be filled.

    Raises:
        ValueError: It cannot.
    """
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
    ids: np.ndarray, odds: np.ndarray, tokenizer: PerceiverTokenizer, top_k: int
) -> FilledText:
    """A text from its ids (N,) and the probabilities of each place (positions, ids)."""
    alphabet = np.array(tokenizer.convert_tokens_to_ids(map(chr, range(256))))
    places = np.flatnonzero(ids == tokenizer.mask_token_id)
    odds = odds[places][:, alphabet]
    order = np.argsort(-odds, axis=-1, kind="stable")[:, :top_k]
    complete = ids.copy()
    complete[places] = alphabet[order[:, 0]]
    candidates = [
        [(chr(byte), float(row[byte])) for byte in best.tolist()]
        for row, best in zip(odds, order, strict=True)
    ]
    return FilledText(tokenizer.decode(complete[1:-1]), candidates)


# ---- images
def _check_classifier(model: Any) -> None:
    if not isinstance(model, _CLASSIFIERS):
        raise TypeError(
            f"model: expected a {' or '.join(c.__name__ for c in _CLASSIFIERS)}, got a "
            f"{type(model).__name__}."
        )


def _processor_of(model: Any) -> PerceiverImageProcessor:
    """The processor beside the checkpoint that a model was loaded from."""
    name = model.config.name_or_path
    if not name:
        raise ValueError(
            "The model was not loaded from a checkpoint, so that its processor is unknown: pass "
            "processor=PerceiverImageProcessor(...)."
        )
    return PerceiverImageProcessor.from_pretrained(name)


def _probabilities(logits: Any, independent: bool = False) -> np.ndarray:
    """Softmax over the last axis, or the sigmoid of independent labels, float64.

    Raises:
        ValueError: Logits that are not finite.
    """
    logits = ops.convert_to_numpy(ops.cast(logits, "float32")).astype("float64")
    if not np.isfinite(logits).all():
        raise ValueError("The model's logits are not finite: its weights are damaged or overflow.")
    if independent:
        return 1 / (1 + np.exp(-logits))
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return odds / odds.sum(axis=-1, keepdims=True)
