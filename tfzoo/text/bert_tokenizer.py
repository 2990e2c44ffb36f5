"""BERT's tokenizer: words from punctuation and spaces, and the longest known pieces of each."""

from __future__ import annotations

import os
from typing import Any

from tokenizers import AddedToken

from tfzoo.text.bert_slow_tokenizer import BertTokenizer
from tfzoo.text.tokenizers import BaseTokenizer
from tfzoo.text.wordpiece import Spelling, open_backend
from tfzoo.text.wordpiece_tokenizer import WordPieceTokenizer

__all__ = ["BertTokenizer", "BertTokenizerFast"]


class BertTokenizerFast(WordPieceTokenizer):
    """BERT's tokenizer, all of it in the `tokenizers` library: `[CLS]` text `[SEP]`.

    Text is cleaned, lower-cased and cut at spaces and punctuation; of each word, the longest
    beginning that the vocabulary has is a token, and so on with the rest, marked with "##".

    Args:
        vocab_file: `vocab.txt`, a token per line.
        tokenizer_file: `tokenizer.json`; wins, except that the arguments about letters and
            characters are set in it.
        do_lower_case: Whether letters become small.
        unk_token: Stands for a word that the vocabulary cannot make up, or of over 100 characters.
        sep_token: Ends each text.
        pad_token: Fills up shorter sequences.
        cls_token: Begins each sequence.
        mask_token: Stands for a word to be guessed.
        tokenize_chinese_chars: Whether each Chinese character is a word.
        strip_accents: Whether accents are removed; None: if `do_lower_case`.
        clean_text: Whether control characters are removed and all white space is alike; None:
            as `tokenizer.json` says, True for `vocab.txt`.
        wordpieces_prefix: How pieces inside a word begin; None: as `tokenizer.json` says, "##" for
            `vocab.txt`.
        clean_up_tokenization_spaces: Whether decoding mends spaces around punctuation and
            contractions; None: True for `vocab.txt`, False for `tokenizer.json`.
        **kwargs: Further arguments of `BaseTokenizer`, such as `model_max_length=512`.

    Raises:
        TokenizerError: No files, malformed files, or one of another kind of tokenizer.
        TypeError: An argument that is not known, or of another type.

    Source: the reference's `BertTokenizerFast`; Devlin et al., "BERT: Pre-training of Deep
    Bidirectional Transformers for Language Understanding".

    Example:
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "##s", "!"]
        >>> _ = (folder / "vocab.txt").write_text("\\n".join(tokens))
        >>> tokenizer = BertTokenizerFast.from_pretrained(folder, model_max_length=512)
        >>> tokenizer(["Cats!", "a"], padding=True, return_tensors="np").input_ids
        array([[2, 6, 7, 8, 3],
               [2, 5, 3, 0, 0]])
        >>> tokenizer("a", "cats").token_type_ids
        [0, 0, 0, 1, 1, 1]
        >>> tokenizer.decode([2, 6, 7, 8, 3], skip_special_tokens=True)
        'cats!'
    """

    def __init__(
        self,
        vocab_file: str | os.PathLike[str] | None = None,
        tokenizer_file: str | os.PathLike[str] | None = None,
        do_lower_case: bool = True,
        unk_token: str | AddedToken | None = "[UNK]",
        sep_token: str | AddedToken | None = "[SEP]",
        pad_token: str | AddedToken | None = "[PAD]",
        cls_token: str | AddedToken | None = "[CLS]",
        mask_token: str | AddedToken | None = "[MASK]",
        tokenize_chinese_chars: bool = True,
        strip_accents: bool | None = None,
        clean_text: bool | None = None,
        wordpieces_prefix: str | None = None,
        clean_up_tokenization_spaces: bool | None = None,
        **kwargs: Any,
    ):
        for name in ("never_split", "do_basic_tokenize"):
            if name in kwargs:
                slow = type(self).__name__.removesuffix("Fast")
                raise TypeError(f"{type(self).__name__} has no {name}. Use {slow}.")
        special = {"unk_token": unk_token, "sep_token": sep_token, "cls_token": cls_token}
        spelling = Spelling(
            do_lower_case, tokenize_chinese_chars, strip_accents, clean_text, wordpieces_prefix
        )
        self._options = vars(spelling)
        backend = open_backend(vocab_file, tokenizer_file, spelling, special)
        if clean_up_tokenization_spaces is None:
            clean_up_tokenization_spaces = tokenizer_file is None
        kwargs["clean_up_tokenization_spaces"] = clean_up_tokenization_spaces
        super().__init__(backend, pad_token=pad_token, mask_token=mask_token, **special, **kwargs)

    @staticmethod
    def _argument_names() -> frozenset[str]:
        return BaseTokenizer._argument_names() | frozenset(Spelling.__dataclass_fields__)
