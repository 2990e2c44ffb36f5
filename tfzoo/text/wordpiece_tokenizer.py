"""What the WordPiece tokenizers share: their options, their files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

from tfzoo.text.cls_sep import ClsSepForm
from tfzoo.text.tokenizers import BaseTokenizer

__all__ = ["WordPieceTokenizer"]

# Names in tokenizer_config.json under which the same files are published, without "Fast".
_SAME = frozenset({"BertTokenizer", "LxmertTokenizer", "PreTrainedTokenizer", "TokenizersBackend"})


class WordPieceTokenizer(ClsSepForm, BaseTokenizer):
    """The base of `BertTokenizer` and `BertTokenizerFast`: `[CLS]` text `[SEP]` text `[SEP]`."""

    vocab_files_names: ClassVar[dict[str, str]] = {"vocab_file": "vocab.txt"}
    _options: dict[str, Any]  # the arguments that only these classes have

    @property
    def do_lower_case(self) -> bool:
        """Whether letters become small."""
        return self._options["do_lower_case"]

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
