"""BERT's own way from text to words, character by character, and added tokens before it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache

from tokenizers import AddedToken

__all__ = ["BasicTokenizer", "lower_between", "split_at"]

# Blocks of ideographs: each character is a word. Kana and Hangul are split at spaces only.
_IDEOGRAPHS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)
_SIGNS = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")  # also those that Unicode calls symbols


class BasicTokenizer:
    """Splits text into words and punctuation, cleaned, and lower-cased if wanted.

    Args:
        do_lower_case: Whether letters are lower-cased.
        never_split: Words that are left as they are.
        tokenize_chinese_chars: Whether each ideograph is a word.
        strip_accents: Whether accents are removed; None: if `do_lower_case`.

    Source: Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for Language
    Understanding"; the reference's class of this name.

    Example:
        >>> BasicTokenizer().words("Crème brûlée, 北京")
        ['creme', 'brulee', ',', '北', '京']
        >>> BasicTokenizer(never_split=["C++"]).words("Rust or C++?")
        ['rust', 'or', 'c', '+', '+', '?']
        >>> BasicTokenizer(never_split=["C++"]).words("Rust or C++ ?")
        ['rust', 'or', 'C++', '?']
    """

    def __init__(
        self,
        do_lower_case: bool = True,
        never_split: Iterable[str] = (),
        tokenize_chinese_chars: bool = True,
        strip_accents: bool | None = None,
    ):
        self.do_lower_case = do_lower_case
        self.never_split = frozenset(never_split)
        self.tokenize_chinese_chars = tokenize_chinese_chars
        self.strip_accents = do_lower_case if strip_accents is None else strip_accents

    def words(self, text: str, kept: Collection[str] = ()) -> list[str]:
        """The words of `text`; those of `kept` stay whole, like those of `never_split`."""
        kept = self.never_split.union(kept)
        text = "".join(map(_cleaned, text))
        if self.tokenize_chinese_chars:
            text = "".join(map(_spaced, text))
        words = []
        for word in unicodedata.normalize("NFC", text).split():
            plain = word if word in kept else self._plain(word)
            words += [plain] if plain in kept else _split_at_signs(plain)
        return " ".join(words).split()

    def _plain(self, word: str) -> str:
        word = word.lower() if self.do_lower_case else word
        if not self.strip_accents:
            return word
        decomposed = unicodedata.normalize("NFD", word)
        return "".join(char for char in decomposed if unicodedata.category(char) != "Mn")


@lru_cache(maxsize=1 << 16)
def _cleaned(char: str) -> str:
    """The character, a space for white space, nothing for what cannot be seen."""
    if char in " \t\n\r" or unicodedata.category(char) == "Zs":
        return " "
    unseen = char == "\ufffd" or unicodedata.category(char).startswith("C")
    return "" if unseen else char


@lru_cache(maxsize=1 << 16)
def _spaced(char: str) -> str:
    is_ideograph = any(first <= ord(char) <= last for first, last in _IDEOGRAPHS)
    return f" {char} " if is_ideograph else char


@lru_cache(maxsize=1 << 16)
def _is_sign(char: str) -> bool:
    return char in _SIGNS or unicodedata.category(char).startswith("P")


def _split_at_signs(word: str) -> list[str]:
    """The word's runs of letters, and each punctuation character."""
    return "".join(f" {char} " if _is_sign(char) else char for char in word).split(" ")


def lower_between(text: str, kept: Iterable[str]) -> str:
    """Lower-case a text, except for the strings `kept`, the first of which wins.

    Each letter is changed for itself: a sigma does not know that it ends a word.

    Example:
        >>> lower_between("A[MASK]B", ["[MASK]"])
        'a[MASK]b'
    """
    parts = _split(text, [token for token in kept if token])
    return "".join(
        part if number % 2 else "".join(map(str.lower, part)) for number, part in enumerate(parts)
    )


def split_at(text: str, tokens: Mapping[str, AddedToken]) -> list[str]:
    """Cut added tokens out of a text; the longest of those that begin earliest wins.

    Args:
        text: The text.
        tokens: What to look for. Their flags say whether they swallow spaces around them, and
            whether they are found inside words.

    Returns:
        Tokens and the texts between them, all of them not empty.

    Example:
        >>> split_at("a [MASK]b", {"[MASK]": AddedToken("[MASK]", lstrip=True)})
        ['a', '[MASK]', 'b']
    """
    longest_first = sorted(filter(None, tokens), key=len, reverse=True)
    parts = [part for part in _split(text, longest_first) if part]
    for number, part in enumerate(parts):
        if part not in tokens:
            continue
        left = parts[number - 1] if number else ""
        right = parts[number + 1] if number + 1 < len(parts) else ""
        if tokens[part].rstrip and right:
            parts[number + 1] = right.lstrip()
        if tokens[part].lstrip and left:
            parts[number - 1] = left.rstrip()
        if tokens[part].single_word and left and left[-1] != " ":
            parts[number - 1 : number + 1] = [parts[number - 1] + part, ""]
        elif tokens[part].single_word and right and right[0] != " ":
            parts[number : number + 2] = ["", part + parts[number + 1]]
    return [part for part in parts if part]


def _split(text: str, tokens: list[str]) -> list[str]:
    """The text at even places, the tokens between at odd ones."""
    pattern = "|".join(map(re.escape, tokens))
    return re.split(f"({pattern})", text) if tokens else [text]
