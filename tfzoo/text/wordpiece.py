"""The backend of WordPiece tokenizers, from `vocab.txt` or `tokenizer.json`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.processors import BertProcessing

from tfzoo.core.files import read_text
from tfzoo.text.files import TokenizerError, check_vocabulary, read_backend

__all__ = ["Spelling", "open_backend", "read_tokens"]

LONGEST_WORD = 100  # characters; what is longer is unknown
PREFIX = "##"


@dataclass(frozen=True)
class Spelling:
    """How characters are changed before words are looked up.

    Attributes:
        do_lower_case: Whether letters are lower-cased.
        tokenize_chinese_chars: Whether each ideograph is a word.
        strip_accents: Whether accents are removed; None: if `do_lower_case`.
        clean_text: Whether control characters are removed; None: as the file says, else True.
        wordpieces_prefix: How pieces inside a word begin; None: as the file says, else "##".
    """

    do_lower_case: bool = True
    tokenize_chinese_chars: bool = True
    strip_accents: bool | None = None
    clean_text: bool | None = None
    wordpieces_prefix: str | None = None


def open_backend(
    vocab_file: str | os.PathLike[str] | None,
    tokenizer_file: str | os.PathLike[str] | None,
    spelling: Spelling,
    special: Mapping[str, str | AddedToken | None],
) -> Tokenizer:
    """Make the backend from `tokenizer.json` or, without it, from `vocab.txt`.

    Args:
        vocab_file: `vocab.txt`.
        tokenizer_file: `tokenizer.json`.
        spelling: The arguments, which win over the file's own settings.
        special: `unk_token`, `cls_token` and `sep_token`, among others.

    Raises:
        TokenizerError: No file, a malformed one, or one of another kind of tokenizer.
    """
    if tokenizer_file is not None:
        backend = read_backend(Path(tokenizer_file))
        _check_is_wordpiece(backend, Path(tokenizer_file))
        _apply(spelling, backend)
        return backend
    if vocab_file is None:
        raise TokenizerError(
            "A BERT tokenizer needs vocab_file (vocab.txt) or tokenizer_file (tokenizer.json). "
            "Give one, or use from_pretrained with the checkpoint's folder."
        )
    return _build(Path(vocab_file), spelling, special)


def read_tokens(path: Path) -> dict[str, int]:
    """Read `vocab.txt`: a token per line, whose number, from 0, is its id.

    Raises:
        TokenizerError: It cannot be read, is empty, or has a token twice.
    """
    try:
        tokens = read_text(path, TokenizerError).split("\n")  # a token may hold other line ends
    except OSError as error:
        raise TokenizerError(
            f"{path} cannot be read ({error}). Give the path of a vocab.txt."
        ) from error
    if not tokens[-1]:
        tokens.pop()
    vocabulary: dict[str, int] = {}
    for index, token in enumerate(tokens):
        if vocabulary.setdefault(token, index) != index:
            raise TokenizerError(
                f"{path}: the token {token!r:.100} is in line {vocabulary[token] + 1} and in line "
                f"{index + 1}, so its id is unclear. Fetch the checkpoint's file again."
            )
    check_vocabulary(vocabulary, path)
    return vocabulary


def _build(
    path: Path, spelling: Spelling, special: Mapping[str, str | AddedToken | None]
) -> Tokenizer:
    vocabulary = read_tokens(path)
    for name in ("unk_token", "cls_token", "sep_token"):
        if special[name] is None:
            raise TokenizerError(f"A BERT tokenizer made of vocab.txt needs {name}.")
        if str(special[name]) not in vocabulary:
            raise TokenizerError(
                f"{path} lacks the {name} {str(special[name])!r:.100}. Give the checkpoint's own "
                f"vocabulary, or name the token with {name}=."
            )
    prefix = PREFIX if spelling.wordpieces_prefix is None else spelling.wordpieces_prefix
    backend = Tokenizer(
        models.WordPiece(
            vocabulary,
            unk_token=str(special["unk_token"]),
            max_input_chars_per_word=LONGEST_WORD,
            continuing_subword_prefix=prefix,
        )
    )
    backend.normalizer = normalizers.BertNormalizer(
        spelling.clean_text is not False,
        spelling.tokenize_chinese_chars,
        spelling.strip_accents,
        spelling.do_lower_case,
    )
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    # by position: the names differ between releases
    sep, cls = ((str(special[name]), vocabulary[str(special[name])]) for name in _ENDS)
    backend.post_processor = BertProcessing(sep, cls)
    backend.decoder = decoders.WordPiece(prefix)
    return backend


_ENDS = ("sep_token", "cls_token")


def _apply(spelling: Spelling, backend: Tokenizer) -> None:
    """Change the settings that were read; normalizers of another kind stay as they are."""
    old = backend.normalizer
    if isinstance(old, normalizers.BertNormalizer):
        backend.normalizer = normalizers.BertNormalizer(
            old.clean_text if spelling.clean_text is None else spelling.clean_text,
            spelling.tokenize_chinese_chars,
            spelling.strip_accents,
            spelling.do_lower_case,
        )
    prefix = spelling.wordpieces_prefix
    if prefix is not None and prefix != backend.model.continuing_subword_prefix:
        model = backend.model
        model.continuing_subword_prefix = prefix
        backend.model = model
        backend.decoder = decoders.WordPiece(prefix)


def _check_is_wordpiece(backend: Tokenizer, path: Path) -> None:
    kind = type(backend.model).__name__
    if kind != "WordPiece":
        raise TokenizerError(
            f"{path}: expected a WordPiece model, got {kind}. Load it with the tokenizer class of "
            "its own model."
        )
    check_vocabulary(backend.get_vocab(with_added_tokens=False), path)
