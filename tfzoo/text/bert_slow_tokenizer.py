"""BERT's tokenizer, character by character, after the reference's slow class."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from tokenizers import AddedToken, Encoding, Tokenizer, models, pre_tokenizers
from tokenizers.processors import BertProcessing

from tfzoo.text.basic import BasicTokenizer, lower_between, split_at
from tfzoo.text.batch_encoding import BatchEncoding
from tfzoo.text.files import TokenizerError
from tfzoo.text.lengths import Lengths
from tfzoo.text.pairs import pad_encodings, truncate_encodings
from tfzoo.text.tokenizers import BaseTokenizer
from tfzoo.text.wordpiece import Spelling, open_backend
from tfzoo.text.wordpiece_tokenizer import WordPieceTokenizer

__all__ = ["BertTokenizer"]

_BETWEEN = "\0"  # between the pieces of a word; no text has it


class BertTokenizer(WordPieceTokenizer):
    """BERT's tokenizer after the reference's slow class: its rules, character by character.

    It differs from `BertTokenizerFast` where the reference's two classes differ: `never_split` and
    `do_basic_tokenize` exist, added tokens are found in lower-cased text, `decode` joins pieces
    otherwise, and pairs of equal length lose their odd token from the second text, not the first.
    There are no offsets.

    Args:
        vocab_file: `vocab.txt`, a token per line.
        do_lower_case: Whether letters become small (only with `do_basic_tokenize`).
        do_basic_tokenize: Whether text is cleaned and cut at punctuation, too; False: only at
            spaces.
        never_split: Words that are left as they are. They are looked for after letters have become
            small, so those with capitals are found only without `do_lower_case`.
        unk_token: Stands for a word that the vocabulary cannot make up, or of over 100 characters.
        sep_token: Ends each text.
        pad_token: Fills up shorter sequences.
        cls_token: Begins each sequence.
        mask_token: Stands for a word to be guessed.
        tokenize_chinese_chars: Whether each Chinese character is a word.
        strip_accents: Whether accents are removed; None: if `do_lower_case`.
        clean_up_tokenization_spaces: Whether decoding mends spaces around punctuation and
            contractions.
        tokenizer_file: `tokenizer.json`, instead of `vocab_file`; its vocabulary is used.
        **kwargs: Further arguments of `BaseTokenizer`, such as `model_max_length=512`.

    Raises:
        TokenizerError: No files, malformed files, or one of another kind of tokenizer.
        TypeError: An argument that is not known, or of another type.

    Source: the reference's `BertTokenizer`.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "vocab.txt")
        >>> tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "who", "'", "s", "who's", "?"]
        >>> _ = path.write_text("\\n".join(tokens))
        >>> BertTokenizer(path).tokenize("Who's ?")
        ['who', "'", 's', '?']
        >>> tokenizer = BertTokenizer(path, never_split=["who's"])
        >>> tokenizer.tokenize("Who's ?")
        ["who's", '?']
        >>> tokenizer.decode(tokenizer("Who's ?").input_ids)
        "[CLS] who's? [SEP]"
    """

    def __init__(
        self,
        vocab_file: str | os.PathLike[str] | None = None,
        do_lower_case: bool = True,
        do_basic_tokenize: bool = True,
        never_split: Iterable[str] | None = None,
        unk_token: str | AddedToken = "[UNK]",
        sep_token: str | AddedToken = "[SEP]",
        pad_token: str | AddedToken | None = "[PAD]",
        cls_token: str | AddedToken = "[CLS]",
        mask_token: str | AddedToken | None = "[MASK]",
        tokenize_chinese_chars: bool = True,
        strip_accents: bool | None = None,
        clean_up_tokenization_spaces: bool = True,
        *,
        tokenizer_file: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ):
        spelling = Spelling(do_lower_case, tokenize_chinese_chars, strip_accents)
        words = _words(never_split)
        self._options = {
            "do_lower_case": do_lower_case,
            "do_basic_tokenize": do_basic_tokenize,
            "never_split": words,
            "tokenize_chinese_chars": tokenize_chinese_chars,
            "strip_accents": strip_accents,
        }
        self._basic = BasicTokenizer(
            do_lower_case, words or (), tokenize_chinese_chars, strip_accents
        )
        self._whole: tuple[Any, Tokenizer] | None = None
        special = {"unk_token": unk_token, "sep_token": sep_token, "cls_token": cls_token}
        if None in special.values():
            raise TokenizerError(f"{type(self).__name__} needs unk_token, sep_token and cls_token.")
        backend = open_backend(vocab_file, tokenizer_file, spelling, special)
        kwargs["clean_up_tokenization_spaces"] = clean_up_tokenization_spaces
        super().__init__(backend, pad_token=pad_token, mask_token=mask_token, **special, **kwargs)

    @property
    def is_fast(self) -> bool:
        """False: words are found here, character by character, so there are no offsets."""
        return False

    @functools.wraps(BaseTokenizer.__call__)
    def __call__(self, *texts: Any, **options: Any) -> BatchEncoding:  # noqa: D102
        if options.get("return_offsets_mapping"):
            fast = f"{type(self).__name__}Fast"
            raise ValueError(f"{type(self).__name__} knows no offsets. Use {fast} for them.")
        return super().__call__(*texts, **options)

    def tokenize(
        self, text: Any, pair: Any = None, add_special_tokens: bool = False, **options: Any
    ) -> list[str]:
        """The tokens of one text as strings, also those of `never_split` that have no id.

        Args:
            text: The text.
            pair: A second one.
            add_special_tokens: Whether the model's special tokens are added.
            **options: Further arguments of a call.
        """
        if isinstance(text, str) and pair is None and not add_special_tokens and not options:
            return list(chain.from_iterable(self._pieces(text, self.split_special_tokens)))
        return super().tokenize(text, pair, add_special_tokens, **options)

    def add_tokens(
        self,
        new_tokens: str | AddedToken | Sequence[str | AddedToken],
        special_tokens: bool = False,
    ) -> int:
        """Add tokens, see `BaseTokenizer`; those that are not special become small like texts."""
        several = [new_tokens] if isinstance(new_tokens, (str, AddedToken)) else new_tokens
        if not special_tokens and self.do_lower_case:
            several = [self._small(token) for token in several]
        return super().add_tokens(several, special_tokens)

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """Join tokens with spaces, and pieces with the words they belong to."""
        prefix = self.backend_tokenizer.model.continuing_subword_prefix
        return " ".join(tokens).replace(f" {prefix}", "").strip()

    def _text_of(self, ids: list[int], skip_special_tokens: bool) -> str:
        """Added tokens stand for themselves; pieces before and behind them are not joined."""
        apart = {t for t in self.get_added_vocab() if t not in self.all_special_tokens}
        extra = zip(self.additional_special_tokens, self.additional_special_tokens_ids, strict=True)
        apart |= {token for token, index in extra if index >= self.vocab_size}
        groups: list[list[str]] = [[]]
        for token in self.convert_ids_to_tokens(ids, skip_special_tokens):
            groups += [[token], []] if token in apart else []
            groups[-1] += [] if token in apart else [token]
        return " ".join(self.convert_tokens_to_string(group) for group in groups if group)

    def _encode(
        self, items: list[Any], lengths: Lengths, special: bool, is_words: bool, split: bool
    ) -> list[Encoding]:
        self._check_padding(lengths)
        added = self.num_special_tokens_to_add(isinstance(items[0], tuple)) if special else 0
        if lengths.truncates:
            lengths.check_room(added)
        backend = self._backend_of_pieces()
        found = []
        for item in items:
            texts = item if isinstance(item, tuple) else (item,)
            parts = []
            for words in (self._words_of(text, is_words, split) for text in texts):
                before = [[]] if parts else []  # as the second of a pair its types are 1
                parts.append(
                    backend.encode(*before, words, is_pretokenized=True, add_special_tokens=False)
                )
            if lengths.truncates:
                truncate_encodings(parts, lengths, added, self.truncation_side)
            found.append(backend.post_process(*parts, add_special_tokens=special))
        pad_encodings(found, lengths, self.pad_token_id, self.pad_token)
        return found

    def _words_of(self, text: str | list[str], is_words: bool, split: bool) -> list[str]:
        """The pieces of one text, or list of words, those of a word joined."""
        if is_words:
            words = [list(chain.from_iterable(self._pieces(word, split))) for word in text]
        else:
            words = self._pieces(text, split)
        return [_BETWEEN.join(pieces) for pieces in words]

    def _pieces(self, text: str, split: bool) -> list[list[str]]:
        """The pieces of each word of a text; added tokens are words."""
        added = {str(token): token for token in self.added_tokens_decoder.values()}
        special = [] if split else self.all_special_tokens
        if self.do_lower_case and self._options["do_basic_tokenize"]:
            plain = [str(t) for t in added.values() if not t.special and t.normalized]
            text = lower_between(text, [*special, *plain])
        pieces = []
        for part in [text] if split else split_at(text, added):
            if part in added and not split:
                pieces.append([part])
            elif self._options["do_basic_tokenize"]:
                pieces += map(self._pieces_of, self._basic.words(part, special))
            else:
                pieces += map(self._pieces_of, part.split())
        return pieces

    def _pieces_of(self, word: str) -> list[str]:
        if self._options["do_basic_tokenize"] and word in self._basic.never_split:
            return [word]
        return [token.value for token in self.backend_tokenizer.model.tokenize(word)]

    def _backend_of_pieces(self) -> Tokenizer:
        """A backend that only looks pieces up, and makes sequences of them."""
        ends = [(self.sep_token, self.sep_token_id), (self.cls_token, self.cls_token_id)]
        state = (len(self), self.unk_token, *ends)
        if self._whole is None or self._whole[0] != state:
            backend = Tokenizer(models.WordLevel(self.get_vocab(), self.unk_token))
            backend.pre_tokenizer = pre_tokenizers.Split(_BETWEEN, "removed")
            backend.post_processor = BertProcessing(*ends)
            self._whole = (state, backend)
        return self._whole[1]

    def _small(self, token: str | AddedToken) -> str | AddedToken:
        if isinstance(token, str):
            return token if token in self.all_special_tokens else token.lower()
        if token.special or not token.normalized:
            return token
        state: Mapping[str, Any] = token.__getstate__()
        return AddedToken(**{**state, "content": state["content"].lower()})

    @staticmethod
    def _argument_names() -> frozenset[str]:
        own = {"do_basic_tokenize", "never_split", "tokenize_chinese_chars", "strip_accents"}
        return BaseTokenizer._argument_names() | own | {"do_lower_case"}


def _words(words: Iterable[str] | None) -> list[str] | None:
    if words is None:
        return None
    found = [words] if isinstance(words, (str, bytes)) else list(words)
    if isinstance(words, str) or not all(isinstance(word, str) for word in found):
        raise TypeError(f"never_split must be a list of words, got {words!r}.")
    return sorted(set(found))
