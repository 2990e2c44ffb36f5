"""Perceiver's byte tokenizer inside a graph."""

from __future__ import annotations

import re
from itertools import permutations

import numpy as np
import tensorflow as tf

from tfzoo.export.endpoint import ServingError
from tfzoo.export.graph.answers import checked
from tfzoo.models.perceiver.tokenizer import PerceiverTokenizer

__all__ = ["ByteText"]

# No text in UTF-8 has these bytes, so that each can stand for a special token within one.
_FREE = bytes([0xC0, 0xC1, *range(0xF5, 0x100)])


class ByteText:
    """Texts to ids and back, as a `PerceiverTokenizer`, by core TensorFlow operations.

    A request's bytes need not be UTF-8: invalid ones become U+FFFD before the text is read, as in
    Python's `decode("utf-8", errors="replace")`.

    Args:
        tokenizer: The tokenizer; special tokens in a text count as such.
        limit: Tokens that the model takes.

    Raises:
        ServingError: The tokenizer pads on the left, cleans up spaces, or searches for tokens that
            are not special, overlap, or take white space along.

    Example:
        >>> import tensorflow as tf, tfzoo
        >>> codec = ByteText(tfzoo.PerceiverTokenizer(), 2048)
        >>> ids, lengths = codec.encode(tf.constant(["hello [MASK]", "hi"]))
        >>> ids.numpy().tolist()
        [[4, 110, 107, 114, 114, 117, 38, 3, 5], [4, 110, 111, 5, 0, 0, 0, 0, 0]]
        >>> codec.decode(ids, lengths).numpy().tolist()
        [b'hello [MASK]', b'hi']
    """

    def __init__(self, tokenizer: PerceiverTokenizer, limit: int) -> None:
        self._special = {str(t): i for t, i in _special_tokens(tokenizer).items()}
        self._limit = min(limit, tokenizer.model_max_length)
        self._cuts_left = tokenizer.truncation_side == "left"
        self._frame = tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id
        self.mask_id = tokenizer.mask_token_id
        self.alphabet = np.array(tokenizer.convert_tokens_to_ids(map(chr, range(256))), "int64")

    def encode(self, texts: tf.Tensor, truncate: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Turn texts into ids.

        Args:
            texts: String (B,); an empty batch fails the request.
            truncate: Cut longer texts; otherwise they fail the request.

        Returns:
            Ids (B, N) int64, padded to the longest, and lengths (B,) int64.
        """
        message = "text: expected at least one, got a batch of"
        texts = checked(texts, tf.size(texts) > 0, message, tf.size(texts))
        texts, table = _valid(texts), self.alphabet.copy()
        for (token, index), sign in zip(self._special.items(), _FREE, strict=False):
            texts = tf.strings.regex_replace(texts, re.escape(token), bytes([sign]))
            table[sign] = index
        numbers = tf.cast(tf.io.decode_raw(tf.strings.reduce_join(texts), tf.uint8), tf.int32)
        sizes = tf.cast(tf.strings.length(texts), tf.int64)
        room = self._limit - 2
        if not truncate:
            longest = tf.reduce_max(sizes)
            message = f"text: expected at most {room} bytes, a special token counted as one, got"
            sizes = checked(sizes, longest <= room, message, longest)
        rows = tf.RaggedTensor.from_row_lengths(tf.gather(table, numbers), sizes)
        if truncate:
            rows = rows[:, -room:] if self._cuts_left else rows[:, :room]
        return self._framed(rows)

    def _framed(self, rows: tf.RaggedTensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`[CLS]` and `[SEP]` around each row, padding behind."""
        cls, sep, pad = self._frame
        column = tf.fill([rows.nrows(), 1], tf.constant(1, tf.int64))
        rows = tf.concat([cls * column, rows, sep * column], axis=1)
        return rows.to_tensor(pad), rows.row_lengths()

    def decode(self, ids: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        """Turn ids into texts, without the first and the last token.

        Args:
            ids: (B, N) int64.
            lengths: (B,) int64, without padding.

        Returns:
            String (B,) in UTF-8; invalid bytes become U+FFFD.
        """
        pieces = [b""] * (1 + max(*self.alphabet.tolist(), *self._special.values()))
        for byte, index in enumerate(self.alphabet.tolist()):
            pieces[index] = bytes([byte])
        for token, index in self._special.items():
            pieces[index] = token.encode()
        inner = ids[:, 1:-1]
        is_text = tf.sequence_mask(lengths - 2, tf.shape(inner)[1])
        parts = tf.where(is_text, tf.gather(tf.constant(pieces), inner), "")
        return _valid(tf.strings.reduce_join(parts, axis=1))


def _valid(texts: tf.Tensor) -> tf.Tensor:
    return tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")


def _special_tokens(tokenizer: PerceiverTokenizer) -> dict[str, int]:
    """The tokens that texts are searched for, the longest first.

    Raises:
        ServingError: Searching for fixed words would not find the same.
    """
    tokens = tokenizer.backend_tokenizer.get_added_tokens_decoder()
    ids = {str(token): index for index, token in tokens.items()}
    names = sorted(ids, key=len, reverse=True)
    faults = {
        "pads on the left, so that a text's answer would depend on its neighbours": (
            tokenizer.padding_side != "right"
        ),
        "cleans up spaces": tokenizer.clean_up_tokenization_spaces,
        "has tokens that take white space along or match whole words only": any(
            t.lstrip or t.rstrip or t.single_word for t in tokens.values()
        ),
        "has added tokens that are not special": bool(
            set(names) - set(tokenizer.all_special_tokens)
        ),
        "has special tokens that overlap": any(
            _overlap(first, second) for first, second in permutations(names, 2)
        ),
        f"has more than {len(_FREE)} special tokens": len(names) > len(_FREE),
    }
    found = [fault for fault, is_so in faults.items() if is_so]
    if found:
        raise ServingError(f"This tokenizer cannot be served, it {' and '.join(found)}.")
    return {name: ids[name] for name in names}


def _overlap(first: str, second: str) -> bool:
    """Whether one text can hold both at once, with characters in common."""
    ends = any(first.endswith(second[:n]) for n in range(1, len(second)))
    return ends or first in second
