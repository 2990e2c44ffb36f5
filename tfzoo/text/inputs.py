"""What counts as texts, pairs of texts and already encoded texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["as_columns", "text_items"]


def text_items(
    text: Any, text_pair: Any, is_split_into_words: bool, empty_is_none: bool = True
) -> tuple[list[Any], bool]:
    """The texts of a call as a list of texts, or of pairs (tuples).

    Args:
        text: A text, a list of B texts or B pairs; a text is a string or, if
            `is_split_into_words`, a list of strings.
        text_pair: None, or the second text of each pair in the form of `text`.
        is_split_into_words: See `text`.
        empty_is_none: Whether a single text with an empty second one is no pair.

    Returns:
        The list, and whether the call was for a list.

    Raises:
        ValueError: Something else came, or nothing.
    """
    if text is None:
        raise ValueError("There is no text: give one, or a list of them.")
    nested = is_split_into_words and isinstance(text, (list, tuple)) and len(text) > 0
    is_batch = isinstance(text[0] if nested else text, (list, tuple))
    if not is_batch:
        single = not text_pair if empty_is_none else text_pair is None
        items = [text] if single else [(text, text_pair)]
    elif text_pair is None:
        items = [tuple(t) if _is_pair(t, is_split_into_words) else t for t in text]
    elif isinstance(text_pair, (list, tuple)) and len(text_pair) == len(text):
        items = list(zip(text, text_pair, strict=True))
    else:
        raise ValueError(
            f"text is a list of {len(text)}, so text_pair must be one, too, got "
            f"{_describe(text_pair)}."
        )
    if not items:
        raise ValueError("The list of texts is empty: give at least one text.")
    for item in items:
        for one in item if isinstance(item, tuple) else (item,):
            _check_text(one, is_split_into_words)
    if len({isinstance(item, tuple) for item in items}) > 1:
        raise ValueError("Some texts are pairs and others are not: encode them in two calls.")
    return [_plain(item) for item in items], is_batch


def _is_pair(item: Any, is_split_into_words: bool) -> bool:
    if not isinstance(item, (list, tuple)) or len(item) != 2:
        return False
    return not is_split_into_words or all(isinstance(part, (list, tuple)) for part in item)


def _plain(item: Any) -> Any:
    """Words as lists: the backend takes a tuple of words for a pair."""
    if isinstance(item, tuple):
        return tuple(list(part) if isinstance(part, tuple) else part for part in item)
    return item


def _check_text(text: Any, is_split_into_words: bool) -> None:
    if is_split_into_words:
        good = isinstance(text, (list, tuple)) and all(isinstance(word, str) for word in text)
    else:
        good = isinstance(text, str)
    if not good:
        expected = "a list of words (strings)" if is_split_into_words else "a string"
        hint = "" if is_split_into_words else "; for lists of words, is_split_into_words=True"
        raise ValueError(
            f"Each text must be {expected}, got {_describe(text)}. Give a text, a list of texts or "
            f"a list of pairs{hint}."
        )


def _describe(value: Any) -> str:
    size = f" of {len(value)}" if isinstance(value, (list, tuple)) else ""
    return f"{type(value).__name__}{size}"


def as_columns(
    encoded: Mapping[str, Any] | Sequence[Mapping[str, Any]], main: str
) -> tuple[dict[str, list[Any]], bool, str | None]:
    """Encoded texts as plain lists of B sequences by name.

    Args:
        encoded: Sequences by name, of lists, arrays or tensors; one sequence by name; or a list
            of such mappings of one sequence each.
        main: The name that must be there, of the ids.

    Returns:
        The lists, whether a batch came, and what it was made of: "np", "tf" or None for lists.

    Raises:
        ValueError: There are no ids.
    """
    if not isinstance(encoded, Mapping):
        names = encoded[0] if len(encoded) else ()
        encoded = {name: [example[name] for example in encoded] for name in names}
    if main not in encoded or len(encoded[main]) == 0:
        raise ValueError(
            f"expected encoded texts with {main!r}, got {sorted(encoded) or 'none at all'}."
        )
    kind = _kind(encoded[main])
    columns = {name: _listed(values) for name, values in encoded.items()}
    is_batch = isinstance(columns[main][0], list)
    return columns if is_batch else {k: [v] for k, v in columns.items()}, is_batch, kind


def _kind(values: Any) -> str | None:
    if isinstance(values, (list, tuple)):
        return _kind(values[0]) if values else None
    if isinstance(values, int):
        return None
    return "np" if isinstance(values, (np.ndarray, np.generic)) else "tf"


def _listed(values: Any) -> Any:
    if isinstance(values, (list, tuple)):
        return [_listed(value) for value in values]
    return values if isinstance(values, (int, float, str)) else np.asarray(values).tolist()
