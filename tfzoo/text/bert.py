"""BERT's tokenizers: words from punctuation and spaces, and the longest known pieces of each.

`BertTokenizerFast` leaves all of it to the `tokenizers` library; `BertTokenizer` follows the
reference's slow class, character by character.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

from tokenizers import AddedToken, Encoding, Tokenizer, models, pre_tokenizers
from tokenizers.processors import BertProcessing

from tfzoo.text.basic import BasicTokenizer, lower_between, split_at
from tfzoo.text.batch_encoding import BatchEncoding
from tfzoo.text.files import TokenizerError
from tfzoo.text.lengths import Lengths, pad_encodings, truncate_encodings
from tfzoo.text.tokenizer import BaseTokenizer
from tfzoo.text.vocabulary import ClsSepForm, TokenByToken
from tfzoo.text.wordpiece import Spelling, open_backend

__all__ = ["BertTokenizer", "BertTokenizerFast"]

_BETWEEN = "\0"  # between the pieces of a word; no text has it

# Names in tokenizer_config.json under which the same files are published, without "Fast".
_SAME = frozenset({"BertTokenizer", "LxmertTokenizer", "PreTrainedTokenizer", "TokenizersBackend"})


class _WordPieceTokenizer(ClsSepForm, BaseTokenizer):
    """The base of `BertTokenizer` and `BertTokenizerFast`: `[CLS]` text `[SEP]` text `[SEP]`."""

    vocab_files_names: ClassVar[dict[str, str]] = {"vocab_file": "vocab.txt"}
    _options: dict[str, Any]  # the arguments that only these classes have

    @property
    def do_lower_case(self) -> bool:
        """Whether letters are lower-cased."""
        return self._options["do_lower_case"]

    def save_pretrained(self, folder: str | os.PathLike[str]) -> tuple[str, ...]:
        set_options = {name: value for name, value in self._options.items() if value is not None}
        self.init_kwargs = {**self.init_kwargs, "strip_accents": None, **set_options}
        return super().save_pretrained(folder)

    @classmethod
    def _check_class(cls, path: Path, name: str | None) -> None:
        if name is None or name.removesuffix("Fast") not in _SAME:
            super()._check_class(path, name)


class BertTokenizerFast(_WordPieceTokenizer):
    """BERT's tokenizer, all of it in the `tokenizers` library: `[CLS]` text `[SEP]`.

    Text is cleaned, lower-cased and cut at spaces and punctuation; of each word, the longest
    beginning that the vocabulary has is a token, and so on with the rest, marked with "##".

    Args:
        vocab_file: `vocab.txt`, a token per line.
        tokenizer_file: `tokenizer.json`; wins, except that the arguments about letters and
            characters are set in it.
        do_lower_case: Whether letters are lower-cased.
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


class BertTokenizer(TokenByToken, _WordPieceTokenizer):
    """BERT's tokenizer after the reference's slow class: its rules, character by character.

    It differs from `BertTokenizerFast` where the reference's two classes differ: `never_split` and
    `do_basic_tokenize` exist, added tokens are found in lower-cased text, `decode` joins pieces
    otherwise, and pairs of equal length lose their odd token from the second text, not the first.
    It knows no offsets.

    The arguments that are not named here are those of `BertTokenizerFast`.

    Args:
        do_lower_case: Whether letters are lower-cased (only with `do_basic_tokenize`).
        do_basic_tokenize: Whether text is cleaned and cut at punctuation; False: only at spaces.
        never_split: Words that are left as they are. They are looked for after lower-casing, so
            those with capitals are found only without `do_lower_case`.
        clean_up_tokenization_spaces: Whether decoding mends spaces around punctuation and
            contractions.
        tokenizer_file: `tokenizer.json`, instead of `vocab_file`; its vocabulary is used.

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
        """False: words are found here, character by character, without offsets."""
        return False

    @functools.wraps(BaseTokenizer.__call__)
    def __call__(self, *texts: Any, **options: Any) -> BatchEncoding:
        if options.get("return_offsets_mapping"):
            fast = f"{type(self).__name__}Fast"
            raise ValueError(f"{type(self).__name__} knows no offsets. Use {fast} for them.")
        return super().__call__(*texts, **options)

    def tokenize(
        self, text: Any, pair: Any = None, add_special_tokens: bool = False, **options: Any
    ) -> list[str]:
        """The tokens of one text as strings, also those of `never_split` that have no id."""
        if isinstance(text, str) and pair is None and not add_special_tokens and not options:
            return list(chain.from_iterable(self._pieces(text, self.split_special_tokens)))
        return super().tokenize(text, pair, add_special_tokens, **options)

    def add_tokens(
        self,
        new_tokens: str | AddedToken | Sequence[str | AddedToken],
        special_tokens: bool = False,
    ) -> int:
        """Add tokens; those that are not special are lower-cased as texts are."""
        several = [new_tokens] if isinstance(new_tokens, (str, AddedToken)) else new_tokens
        if not special_tokens and self.do_lower_case:
            several = [self._lowered(token) for token in several]
        return super().add_tokens(several, special_tokens)

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """Join tokens with spaces, and pieces with the words they belong to."""
        prefix = self.backend_tokenizer.model.continuing_subword_prefix
        return " ".join(tokens).replace(f" {prefix}", "").strip()

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

    def _lowered(self, token: str | AddedToken) -> str | AddedToken:
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
