"""What a tokenizer returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tokenizers import Encoding

from tfzoo.preprocessing.processor import BatchFeature

__all__ = ["BatchEncoding", "columns_of"]


class BatchEncoding(BatchFeature):
    """A tokenizer's result: a dict of ids and masks that `model(**encoding)` takes.

    Args:
        data: Names and values: lists of N ids for one text, of B such lists for a batch.
        return_tensors: See `convert_to`.
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
        """Convert all values in place; integers become int64.

        Args:
            return_tensors: "np" for numpy arrays, "tf" for tensors of Keras's backend, None to
                leave the values as they are.

        Returns:
            Itself.

        Raises:
            ValueError: Another choice, or sequences of unequal length.

        Example:
            >>> tuple(BatchEncoding({"input_ids": [[5, 6]]}).convert_to("tf").input_ids.shape)
            (1, 2)
        """
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
    """The backend's results as one list for each name.

    Args:
        encodings: One for each text.
        wanted: Which names are.
        overflow: Whether what was cut off follows each text.
        length: Whether the sequences' lengths are wanted.

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
