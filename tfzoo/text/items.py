"""The texts of a tokenizer's call, in whatever form they were given."""

from __future__ import annotations

from typing import Any

__all__ = ["text_items"]


def text_items(
    text: Any, text_pair: Any, is_split_into_words: bool, empty_is_none: bool
) -> tuple[list[Any], bool]:
    """A call's texts as a list of texts or of pairs (tuples), and whether a list was given."""
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
            f"text is a list of {len(text)}, so text_pair must be a list of as many, got "
            f"{_described(text_pair)}."
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
            f"Each text must be {expected}, got {_described(text)}. Give a text, a list of texts "
            f"or a list of pairs{hint}."
        )


def _described(value: Any) -> str:
    size = f" of {len(value)}" if isinstance(value, (list, tuple)) else ""
    return f"{type(value).__name__}{size}"
