"""What the WordPiece tokenizers share: the form of a sequence, their options, their files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

from tfzoo.preprocessing.tokenizers import BaseTokenizer

__all__ = ["WordPieceTokenizer"]

# Names in tokenizer_config.json under which the same files are published, without "Fast".
_SAME = frozenset({"BertTokenizer", "LxmertTokenizer", "PreTrainedTokenizer", "TokenizersBackend"})


class WordPieceTokenizer(BaseTokenizer):
    """The base of `BertTokenizer` and `BertTokenizerFast`: `[CLS]` text `[SEP]` text `[SEP]`."""

    vocab_files_names: ClassVar[dict[str, str]] = {"vocab_file": "vocab.txt"}
    _options: dict[str, Any]  # the arguments that only these classes have

    @property
    def do_lower_case(self) -> bool:
        """Whether letters become small."""
        return self._options["do_lower_case"]

    def build_inputs_with_special_tokens(
        self, token_ids_0: Sequence[int], token_ids_1: Sequence[int] | None = None
    ) -> list[int]:
        """`[CLS] ids [SEP]`; a second text follows as `ids [SEP]`."""
        ids = [self.cls_token_id, *token_ids_0, self.sep_token_id]
        return ids if token_ids_1 is None else [*ids, *token_ids_1, self.sep_token_id]

    def get_special_tokens_mask(
        self,
        token_ids_0: Sequence[int],
        token_ids_1: Sequence[int] | None = None,
        already_has_special_tokens: bool = False,
    ) -> list[int]:
        """1 for each special token of a sequence, 0 for the others.

        Args:
            token_ids_0: The ids of the first text.
            token_ids_1: Those of the second.
            already_has_special_tokens: Whether `token_ids_0` is a whole sequence; if not, the mask
                is for what `build_inputs_with_special_tokens` makes of the texts.

        Raises:
            ValueError: A whole sequence and a second text.
        """
        if already_has_special_tokens:
            return super().get_special_tokens_mask(token_ids_0, token_ids_1, True)
        texts = [token_ids_0] if token_ids_1 is None else [token_ids_0, token_ids_1]
        return [1, *chain.from_iterable([0] * len(ids) + [1] for ids in texts)]

    def save_pretrained(self, folder: str | os.PathLike[str]) -> tuple[str, ...]:
        """Write all files that this package and transformers load; each whole or not at all.

        Args:
            folder: Where to; made if it does not exist.

        Returns:
            The paths of `tokenizer_config.json`, `special_tokens_map.json`, `vocab.txt` and
            `tokenizer.json`.

        Raises:
            OSError: The folder cannot be written.
        """
        set_options = {name: value for name, value in self._options.items() if value is not None}
        self.init_kwargs = {**self.init_kwargs, "strip_accents": None, **set_options}
        return super().save_pretrained(folder)

    @classmethod
    def _check_class(cls, path: Path, name: str | None) -> None:
        if name is None or name.removesuffix("Fast") not in _SAME:
            super()._check_class(path, name)
