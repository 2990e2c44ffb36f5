"""Perceiver's tokenizer: the bytes of a text, no vocabulary to learn or to load."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from tokenizers import AddedToken

from tfzoo.hub import HubOptions, resolve
from tfzoo.text import files
from tfzoo.text.batch_encoding import columns_of
from tfzoo.text.byte_level import ByteEncoding, ByteVocabulary
from tfzoo.text.lengths import Lengths, truncate_ids
from tfzoo.text.tokenizer import BaseTokenizer, BatchEncoding, TokenizerError
from tfzoo.text.vocabulary import ClsSepForm, TokenByToken

__all__ = ["PerceiverTokenizer"]

_ROLES = ("pad_token", "bos_token", "eos_token", "mask_token", "cls_token", "sep_token")


class PerceiverTokenizer(TokenByToken, ClsSepForm, BaseTokenizer):
    """The bytes of a text in UTF-8: `[CLS]` text `[SEP]`, or `[CLS]` text `[SEP]` text `[SEP]`.

    The six special tokens have the ids 0 to 5, the byte b has the id b + 6. A special token in a
    text, such as `[MASK]`, becomes its one id. As a token, a byte is the character of its number.

    Args:
        pad_token: Fills up shorter sequences; its id is 0.
        bos_token: Has the id 1 and is not used.
        eos_token: Has the id 2 and is not used.
        mask_token: Stands for a byte that is to be guessed; its id is 3.
        cls_token: Begins each sequence; its id is 4.
        sep_token: Ends each text; its id is 5.
        model_max_length: Tokens that the model takes.
        **kwargs: Further arguments of `BaseTokenizer`, such as `truncation_side="left"`.

    Raises:
        TokenizerError: One of the six is None, or two are the same.
        TypeError: An argument that is not known.

    Source: the reference's `PerceiverTokenizer`.

    Example:
        >>> tokenizer = PerceiverTokenizer()
        >>> tokenizer("hello [MASK]").input_ids, tokenizer.decode([4, 110, 111, 5])
        ([4, 110, 107, 114, 114, 117, 38, 3, 5], '[CLS]hi[SEP]')
    """

    default_input_names: ClassVar[tuple[str, ...]] = ("input_ids", "attention_mask")
    _empty_is_none = False
    backend_tokenizer: ByteVocabulary

    def __init__(
        self,
        pad_token: str | AddedToken = "[PAD]",
        bos_token: str | AddedToken = "[BOS]",
        eos_token: str | AddedToken = "[EOS]",
        mask_token: str | AddedToken = "[MASK]",
        cls_token: str | AddedToken = "[CLS]",
        sep_token: str | AddedToken = "[SEP]",
        model_max_length: int = 2048,
        **kwargs: Any,
    ):
        given = (pad_token, bos_token, eos_token, mask_token, cls_token, sep_token)
        special = dict(zip(_ROLES, given, strict=True))
        if None in given or len({str(token) for token in given}) < len(given):
            raise TokenizerError(
                "A Perceiver tokenizer needs six different special tokens, got "
                f"{ {role: token and str(token) for role, token in special.items()} }."
            )
        backend = ByteVocabulary([_special(token) for token in given])
        super().__init__(backend, model_max_length=model_max_length, **special, **kwargs)

    @property
    def is_fast(self) -> bool:
        """False: the work is not done by the `tokenizers` library."""
        return False

    def __call__(
        self,
        text: str | Sequence[Any] | None = None,
        text_pair: str | Sequence[Any] | None = None,
        text_target: str | Sequence[Any] | None = None,
        text_pair_target: str | Sequence[Any] | None = None,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        pad_to_multiple_of: int | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
        verbose: bool = True,
        padding_side: str | None = None,
        split_special_tokens: bool | None = None,
    ) -> BatchEncoding:
        """Turn texts into ids of N tokens each.

        The arguments that are not named here are those of a call of `BaseTokenizer`.

        Args:
            text_target: Texts whose ids become the `labels`; without `text`, the result is theirs.
            text_pair_target: Their second texts.
            stride: Tokens before the cut that `overflowing_tokens` repeats.
            is_split_into_words: Whether each text is a list of words; they are joined without
                spaces.
            return_overflowing_tokens: Whether there are `overflowing_tokens`, what was cut off one
                text (nothing where both of a pair were cut), and `num_truncated_tokens`.
            return_offsets_mapping: False: bytes have no place among the characters of a text.
            verbose: Accepted and of no effect; use the filters of `warnings`.

        Returns:
            The lists or arrays by name. For a single text without `return_tensors`, the batch's
            axis is left out.

        Raises:
            ValueError: As for any tokenizer, or `return_offsets_mapping`.
        """
        options = {k: v for k, v in locals().items() if k in _OPTIONS}
        if return_offsets_mapping:
            raise ValueError(
                "A Perceiver tokenizer has no offsets: expected return_offsets_mapping=False. Its "
                "tokens are the bytes of text.encode(), in order."
            )
        if text is None and text_target is not None:
            return super().__call__(text_target, text_pair_target, **options)
        encoding = super().__call__(text, text_pair, **options)
        if text_target is not None:
            target = super().__call__(text_target, text_pair_target, **options)
            encoding["labels"] = target["input_ids"]
        return encoding

    def _encode(
        self, items: list[Any], lengths: Lengths, special: bool, is_words: bool, split: bool
    ) -> list[ByteEncoding]:
        encodings = []
        for item in items:
            texts = item if isinstance(item, tuple) else (item,)
            words = texts if is_words else [[text] for text in texts]
            with self._lock:
                parts = [self._ids_of(text, split) for text in words]
            encodings.append(self._sequence(parts, lengths, special))
        target = lengths.padded(max(map(len, encodings))) if lengths.pads else 0
        pad = self.pad_token_id, self.pad_token, lengths.side
        return [e.padded(max(target - len(e), 0), *pad) for e in encodings]

    def _ids_of(self, words: Sequence[str], split: bool) -> list[int]:
        return [index for word in words for index in self.backend_tokenizer.encode(word, split)]

    def _sequence(self, parts: list[list[int]], lengths: Lengths, special: bool) -> ByteEncoding:
        """One sequence of one or two texts, cut as it must be."""
        added = self.num_special_tokens_to_add(len(parts) > 1) if special else 0
        parts, overflow, surplus = truncate_ids(parts, lengths, added, self.truncation_side)
        if special:
            ids = self.build_inputs_with_special_tokens(*parts)
            mask = self.get_special_tokens_mask(*parts)
            types = self.create_token_type_ids_from_sequences(*parts)
        else:
            ids = [index for part in parts for index in part]
            mask = [0] * len(ids)
            types = [number for number, part in enumerate(parts) for _ in part]
        owners = [None if m else t for m, t in zip(mask, types, strict=True)]
        tokens = [self.backend_tokenizer.id_to_token(index) for index in ids]
        return ByteEncoding(ids, types, mask, [1] * len(ids), tokens, owners, overflow, surplus)

    def _columns(
        self, encodings: list[Any], wanted: Mapping[str, bool], overflow: bool, length: bool
    ) -> tuple[dict[str, list[Any]], list[Any]]:
        data, encodings = columns_of(encodings, wanted, False, length)
        if overflow:
            data["overflowing_tokens"] = [e.overflow for e in encodings]
            data["num_truncated_tokens"] = [e.truncated for e in encodings]
        return data, encodings

    def _without_batch(self, data: dict[str, Any], overflow: bool) -> dict[str, Any]:
        return {name: values[0] for name, values in data.items()}

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """The text of tokens: bytes in UTF-8, special tokens as they are written.

        Invalid UTF-8 becomes U+FFFD, also in a character that a special token tears apart. A token
        that is not in the vocabulary is a `ValueError`.
        """
        return self.backend_tokenizer.bytes_of(tokens).decode("utf-8", errors="replace")

    @classmethod
    def _locate(
        cls, name_or_path: str | os.PathLike[str], options: HubOptions
    ) -> tuple[Path, dict[str, Path]]:
        others = (files.SPECIAL_FILE, files.ADDED_FILE)
        return resolve(name_or_path, files.CONFIG_FILE, options, optional=others), {}

    def save_vocabulary(
        self, folder: str | os.PathLike[str], filename_prefix: str | None = None
    ) -> tuple[str, ...]:
        return ()  # bytes need no vocabulary file

    def _save_backend(self, folder: Path) -> tuple[str, ...]:
        return ()


_TEXTS = {"self", "text", "text_pair"}
_OPTIONS = frozenset(inspect.signature(BaseTokenizer.__call__).parameters) - _TEXTS


def _special(token: str | AddedToken) -> AddedToken:
    if isinstance(token, AddedToken):
        return token
    return AddedToken(token, normalized=False, special=True)
