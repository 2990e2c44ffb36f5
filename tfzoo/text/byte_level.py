"""Bytes as tokens: a vocabulary without files, with the interface of the library's.

Special tokens have the first ids, then come the 256 bytes, then tokens that are added later.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tokenizers import AddedToken

__all__ = ["ByteEncoding", "ByteVocabulary"]

_BYTES = 256
_UNSEEN = "Only tokenizers of the `tokenizers` library know words and offsets; this one has bytes."


@dataclass(frozen=True)
class ByteEncoding:
    """One encoded text, or pair of texts.

    Attributes:
        ids: N ids.
        type_ids: 0 for the first text and the special tokens around it, 1 for the second.
        special_tokens_mask: 1 for each special token that was added.
        attention_mask: 0 for padding.
        tokens: The tokens as strings; a byte is the character of the same number.
        sequence_ids: 0 or 1, the text of each token; None for special tokens.
        overflow: What was cut off one of the texts.
        truncated: Number of tokens that were cut off.
    """

    ids: list[int]
    type_ids: list[int]
    special_tokens_mask: list[int]
    attention_mask: list[int]
    tokens: list[str]
    sequence_ids: list[int | None]
    overflow: list[int] = field(default_factory=list)
    truncated: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def word_ids(self) -> list[int]:
        """Unknown: bytes belong to no words.

        Raises:
            ValueError: Always.
        """
        raise ValueError(_UNSEEN)

    def padded(self, count: int, pad_id: int, pad_token: str, side: str) -> ByteEncoding:
        """The same with `count` more padding tokens, on the "right" or "left"."""
        fillers = {
            "ids": pad_id,
            "type_ids": 0,
            "special_tokens_mask": 1,
            "attention_mask": 0,
            "tokens": pad_token,
            "sequence_ids": None,
        }
        columns = {}
        for name, filler in fillers.items():
            values, padding = getattr(self, name), [filler] * count
            columns[name] = [*values, *padding] if side == "right" else [*padding, *values]
        return replace(self, **columns)


class ByteVocabulary:
    """Special tokens, 256 bytes, and tokens that are added later.

    It has the methods of `tokenizers.Tokenizer` that a tokenizer needs without a call.

    Args:
        special: The tokens that have the ids 0, 1 and so on.
    """

    decoder = None

    def __init__(self, special: Sequence[AddedToken]):
        self._first = len(special)  # id of the byte 0
        self._added: dict[int, AddedToken] = dict(enumerate(special))
        self._index()

    def _index(self) -> None:
        self._ids = {str(token): index for index, token in self._added.items()}
        longest = sorted(self._added.values(), key=lambda token: -len(str(token)))
        self._search = re.compile("(" + "|".join(map(_pattern, longest)) + ")")

    def get_added_tokens_decoder(self) -> dict[int, AddedToken]:
        """The tokens that text is searched for, by their ids."""
        return dict(sorted(self._added.items()))

    def get_vocab_size(self, with_added_tokens: bool = True) -> int:
        """256, or the number of all tokens."""
        return len(self.get_vocab()) if with_added_tokens else _BYTES

    def get_vocab(self, with_added_tokens: bool = True) -> dict[str, int]:
        """All tokens and their ids."""
        plain = {chr(byte): byte + self._first for byte in range(_BYTES)}
        return {**plain, **self._ids} if with_added_tokens else plain

    def token_to_id(self, token: str) -> int | None:
        """The id of a token; None for an unknown one."""
        if token in self._ids:
            return self._ids[token]
        is_byte = len(token) == 1 and ord(token) < _BYTES
        return ord(token) + self._first if is_byte else None

    def id_to_token(self, index: int) -> str | None:
        """The token of an id; None for an unknown one."""
        if index in self._added:
            return str(self._added[index])
        byte = index - self._first
        return chr(byte) if 0 <= byte < _BYTES else None

    def add_tokens(self, tokens: Sequence[str | AddedToken]) -> int:
        """Add tokens at the end, or change the flags of known ones; the number of new ones."""
        before = len(self._added)
        for token in tokens:
            index = self.token_to_id(str(token))
            if index is None:
                index = max([*self._added, self._first + _BYTES - 1]) + 1
            self._added[index] = AddedToken(token) if isinstance(token, str) else token
            self._index()
        return len(self._added) - before

    def add_special_tokens(self, tokens: Sequence[str | AddedToken]) -> int:
        """Add tokens, marked as special."""
        return self.add_tokens(
            [AddedToken(t, special=True) if isinstance(t, str) else t for t in tokens]
        )

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """Two for a text, three for a pair."""
        return 3 if pair else 2

    def encode(self, text: str, split_special_tokens: bool = False) -> list[int]:
        """The ids of a text.

        Args:
            text: The text.
            split_special_tokens: Whether the added tokens are not searched for.

        Returns:
            One id for each byte of the text's UTF-8, and for each added token in it.

        Raises:
            ValueError: The text has a lone surrogate, which UTF-8 cannot represent.
        """
        pieces = [text] if split_special_tokens else self._search.split(text)
        ids: list[int] = []
        for number, piece in enumerate(pieces):
            if number % 2:
                ids.append(self._ids[piece if piece in self._ids else piece.strip()])
                continue
            try:
                ids.extend([byte + self._first for byte in piece.encode("utf-8")])
            except UnicodeEncodeError as error:
                raise ValueError(
                    f"The text cannot be written in UTF-8: {error}. Replace lone surrogates, for "
                    "instance with text.encode('utf-8', 'replace').decode()."
                ) from error
        return ids

    def bytes_of(self, tokens: Sequence[str]) -> bytes:
        """The bytes that tokens stand for; an added token is its own text.

        Raises:
            ValueError: A token that is not in the vocabulary.
        """
        for token in tokens:
            if self.token_to_id(token) is None:
                raise ValueError(
                    f"{token!r} is not a token: expected one character below 256 for a byte, or "
                    f"one of {', '.join(self._ids)}."
                )
        return b"".join(
            token.encode("utf-8") if token in self._ids else bytes([ord(token)]) for token in tokens
        )


def _pattern(token: AddedToken) -> str:
    """Where a token is found in a text, with the white space that it takes along."""
    found = re.escape(str(token))
    if token.single_word:
        found = rf"(?<![^ ]){found}(?![^ ])"
    return (r"\s*" if token.lstrip else "") + found + (r"\s*" if token.rstrip else "")
