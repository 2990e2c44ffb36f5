"""What a tokenizer returns, and takes back for padding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tokenizers import Encoding

from tfzoo.preprocessing.processor import BatchFeature

__all__ = ["BatchEncoding", "as_columns", "columns_of"]


class BatchEncoding(BatchFeature):
    """A tokenizer's result: a dict of ids and masks that `model(**encoding)` takes.

    Args:
        data: Names and values: lists of N ids for one text, of B such lists for a batch.
        return_tensors: "np" for int64 arrays, "tf" for tensors of Keras's backend, None for lists.
        encodings: The backend's own results, one for each sequence, which know more: words,
            sequences, characters.

    Example:
        >>> encoding = BatchEncoding({"input_ids": [[5, 6], [5, 7]]}, "np")
        >>> encoding.input_ids.shape, encoding["input_ids"].dtype.name
        ((2, 2), 'int64')
    """

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        return_tensors: str | None = None,
        encodings: Sequence[Encoding] | None = None,
    ):
        self.encodings = None if encodings is None else list(encodings)
        super().__init__(data, return_tensors)

    def __getitem__(self, key: str | int) -> Any:
        """The values called `key`, or the backend's encoding of the sequence number `key`."""
        return self._encoding(key) if isinstance(key, int) else super().__getitem__(key)

    def convert_to(self, return_tensors: str | None = None) -> BatchEncoding:
        """Convert all values in place, as the base class does; integers become int64."""
        if return_tensors in ("np", "tf"):
            for name, value in self.data.items():
                if isinstance(value, (list, tuple)):
                    self.data[name] = _integers(name, value)
        return super().convert_to(return_tensors)

    def tokens(self, batch_index: int = 0) -> list[str]:
        """The tokens of one sequence, as strings."""
        return self._encoding(batch_index).tokens

    def word_ids(self, batch_index: int = 0) -> list[int | None]:
        """For each token of one sequence the word that it comes from; None for special tokens."""
        return self._encoding(batch_index).word_ids

    def sequence_ids(self, batch_index: int = 0) -> list[int | None]:
        """For each token 0 or 1, its text of the pair; None for special tokens."""
        return self._encoding(batch_index).sequence_ids

    def _encoding(self, index: int) -> Encoding:
        if self.encodings is None:
            raise ValueError(
                "Only a tokenizer's own result knows tokens and words; this one was made from "
                "values. Use the tokenizer's convert_ids_to_tokens."
            )
        return self.encodings[index]


def _integers(name: str, value: Sequence[Any]) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(
            f"{name} cannot become one array: its sequences have different lengths. Pass "
            "padding=True (and truncation=True for texts that are too long), or "
            "return_tensors=None for lists."
        ) from error
    # numpy takes an empty list for floats
    return array.astype(np.int64) if array.size == 0 or array.dtype.kind in "iu" else array


_COLUMNS = {
    "input_ids": "ids",
    "token_type_ids": "type_ids",
    "attention_mask": "attention_mask",
    "special_tokens_mask": "special_tokens_mask",
    "offset_mapping": "offsets",
}


def columns_of(
    encodings: Sequence[Encoding], wanted: Mapping[str, bool], overflow: bool, length: bool
) -> tuple[dict[str, list[Any]], list[Encoding]]:
    """Collect the backend's results, one for each text, as one list for each wanted name.

    With `overflow`, what was cut off follows each text; `length` adds the sequences' lengths.

    Returns:
        The lists, and the encodings with those that were cut off.
    """
    groups = [[e, *e.overflowing] if overflow else [e] for e in encodings]
    flat = [encoding for group in groups for encoding in group]
    data = {
        name: [getattr(encoding, attribute) for encoding in flat]
        for name, attribute in _COLUMNS.items()
        if wanted[name]
    }
    if length:
        data["length"] = [len(encoding) for encoding in flat]
    if overflow:
        data["overflow_to_sample_mapping"] = [i for i, group in enumerate(groups) for _ in group]
    return data, flat


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
        ValueError: No ids were given.
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
