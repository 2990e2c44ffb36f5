"""Calls of a tokenizer: texts to ids, padding."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tokenizers import Encoding

from tfzoo.text.batch_encoding import BatchEncoding, columns_of
from tfzoo.text.inputs import as_columns, text_items
from tfzoo.text.lengths import Lengths, pad_sequences
from tfzoo.text.vocabulary import Vocabulary

__all__ = ["Calls"]


class Calls(Vocabulary):
    """What a tokenizer does with texts; a part of `BaseTokenizer`."""

    model_max_length: int
    padding_side: str
    truncation_side: str
    model_input_names: list[str]
    split_special_tokens: bool
    _empty_is_none: ClassVar[bool] = True  # whether an empty second text makes no pair

    def __call__(
        self,
        text: str | Sequence[Any] | None = None,
        text_pair: str | Sequence[Any] | None = None,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
        split_special_tokens: bool | None = None,
    ) -> BatchEncoding:
        """Turn texts into ids of N tokens each.

        Args:
            text: A text; a list of B texts or of B pairs (text, text).
            text_pair: The second text of each pair, in the form of `text`.
            add_special_tokens: Whether the model's special tokens are added.
            padding: True or "longest" pads to the longest of the batch, "max_length" to that
                length, False or "do_not_pad" not at all.
            truncation: True or "longest_first" cuts the longer text of a pair first, "only_first"
                and "only_second" only that one, False or "do_not_truncate" none. None is False,
                except that `max_length` alone (no padding) truncates with a warning.
            max_length: Number of tokens to pad or truncate to, special ones included; by default
                `model_max_length`. Without either, a warning is given and nothing done.
            stride: Tokens that an overflowing part repeats of the part before.
            is_split_into_words: Whether each text is a list of words.
            pad_to_multiple_of: Pad on to a multiple of this.
            padding_side: "right" or "left", by default the tokenizer's.
            return_tensors: None for lists, "np" for int64 arrays (B, N), "tf" for tensors.
            return_token_type_ids: Whether there are `token_type_ids` (0: first text, 1: second).
            return_attention_mask: Whether there is an `attention_mask` (0: padding).
            return_overflowing_tokens: Whether what is cut off follows as further sequences, with
                `overflow_to_sample_mapping`, the number of the text of each.
            return_special_tokens_mask: Whether there is a `special_tokens_mask`.
            return_offsets_mapping: Whether there is an `offset_mapping`: first and behind-last
                character of each token in its text.
            return_length: Whether there is the `length` of each sequence.
            split_special_tokens: Whether special tokens in the text are split like other text.

        Returns:
            The lists or arrays by name. For a single text without `return_tensors`, the batch's
            axis is left out, except of `length`.

        Raises:
            ValueError: No text, texts of another form, contradicting or impossible lengths, or
                sequences of unequal lengths with `return_tensors`.
        """
        if return_tensors not in (None, "np", "tf"):
            BatchEncoding().convert_to(return_tensors)
        items, is_batch = text_items(text, text_pair, is_split_into_words, self._empty_is_none)
        lengths = Lengths.settle(
            padding,
            truncation,
            max_length,
            self.model_max_length,
            stride=stride,
            multiple=pad_to_multiple_of,
            side=self.padding_side if padding_side is None else padding_side,
        )
        split = self.split_special_tokens if split_special_tokens is None else split_special_tokens
        encodings = self._encode(items, lengths, add_special_tokens, is_split_into_words, split)
        wanted = {
            "input_ids": True,
            "token_type_ids": self._wants("token_type_ids", return_token_type_ids),
            "attention_mask": self._wants("attention_mask", return_attention_mask),
            "special_tokens_mask": return_special_tokens_mask,
            "offset_mapping": return_offsets_mapping,
        }
        data, encodings = self._columns(encodings, wanted, return_overflowing_tokens, return_length)
        if max_length is None:
            self._warn_if_too_long(data["input_ids"])
        if not is_batch and return_tensors is None:
            data = self._without_batch(data, return_overflowing_tokens)
        return BatchEncoding(data, return_tensors, encodings)

    def encode(
        self, text: Any, text_pair: Any = None, add_special_tokens: bool = True, **options: Any
    ) -> Any:
        """The `input_ids` of a call with the same arguments."""
        return self(text, text_pair, add_special_tokens=add_special_tokens, **options)["input_ids"]

    def tokenize(
        self, text: Any, pair: Any = None, add_special_tokens: bool = False, **options: Any
    ) -> list[str]:
        """The tokens of one text as strings; further arguments are those of a call."""
        return self(text, pair, add_special_tokens=add_special_tokens, **options).tokens()

    def pad(
        self,
        encoded_inputs: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        padding: bool | str = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = None,
    ) -> BatchEncoding:
        """Pad what calls returned, for instance to make batches of texts encoded one by one.

        Args:
            encoded_inputs: Lists of B sequences by name, or a list of B results; also one of them.
            padding: See `__call__`.
            max_length: See `__call__`.
            pad_to_multiple_of: See `__call__`.
            padding_side: See `__call__`.
            return_attention_mask: Whether an `attention_mask` is made where there is none.
            return_tensors: See `__call__`; by default what came: lists, arrays or tensors.

        Returns:
            The padded lists or arrays by name; names that are no ids or masks are kept.

        Raises:
            ValueError: There are no ids, unequal numbers of sequences, or no padding token.
        """
        main = self.model_input_names[0]
        columns, is_batch, kind = as_columns(encoded_inputs, main)
        if "attention_mask" not in columns and self._wants("attention_mask", return_attention_mask):
            columns["attention_mask"] = [[1] * len(ids) for ids in columns[main]]
        lengths = Lengths.settle(
            padding,
            False,
            max_length,
            self.model_max_length,
            multiple=pad_to_multiple_of,
            side=self.padding_side if padding_side is None else padding_side,
        )
        self._check_padding(lengths)
        columns = pad_sequences(columns, lengths, self.pad_token_id, main)
        data = columns if is_batch else {name: values[0] for name, values in columns.items()}
        return BatchEncoding(data, return_tensors or kind)

    def _encode(
        self, items: list[Any], lengths: Lengths, special: bool, is_words: bool, split: bool
    ) -> list[Encoding]:
        """Let the backend work. Its settings belong to one call at a time, so calls queue up."""
        self._check_padding(lengths)
        if lengths.truncates:
            added = self.num_special_tokens_to_add(isinstance(items[0], tuple)) if special else 0
            lengths.check_room(added)
        backend = self.backend_tokenizer
        with self._lock:
            try:
                lengths.apply_to(backend, self.pad_token_id, self.pad_token, self.truncation_side)
                backend.encode_special_tokens = split
                return backend.encode_batch(
                    items, is_pretokenized=is_words, add_special_tokens=special
                )
            except BaseException as error:  # the backend raises bare exceptions, and panics
                if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                    raise
                raise ValueError(
                    f"These texts cannot be encoded so: {error}. Change max_length, stride or "
                    "truncation (only_first and only_second cut only that text)."
                ) from error
            finally:
                Lengths().apply_to(backend, None, "", "right")
                backend.encode_special_tokens = False

    def _columns(
        self, encodings: list[Encoding], wanted: Mapping[str, bool], overflow: bool, length: bool
    ) -> tuple[dict[str, list[Any]], list[Encoding]]:
        return columns_of(encodings, wanted, overflow, length)

    def _without_batch(self, data: dict[str, Any], overflow: bool) -> dict[str, Any]:
        """The values of a single text; with what overflows it is several sequences."""
        if overflow:
            return data
        return {k: v[0] if isinstance(v[0], list) else v for k, v in data.items()}

    def _check_padding(self, lengths: Lengths) -> None:
        if lengths.pads and self.pad_token is None:
            raise ValueError(
                "Padding needs a padding token, and this tokenizer has none. Set pad_token to a "
                "token of the vocabulary, or add one with add_special_tokens({'pad_token': ...})."
            )

    def _wants(self, name: str, asked: bool | None) -> bool:
        return name in self.model_input_names if asked is None else asked

    def _warn_if_too_long(self, sequences: list[list[int]]) -> None:
        longest = max(map(len, sequences))
        if longest > self.model_max_length:
            warnings.warn(
                f"A text has {longest} tokens, the model takes {self.model_max_length}. Pass "
                "truncation=True, or shorten it.",
                stacklevel=3,
            )
