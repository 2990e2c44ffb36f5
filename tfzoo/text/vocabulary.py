"""What a tokenizer knows without a call: tokens and ids, special tokens, decoding."""

from __future__ import annotations

import threading
from collections.abc import Container, Iterable, Mapping, Sequence
from itertools import chain, groupby
from typing import Any

import numpy as np
from tokenizers import AddedToken, Tokenizer

from tfzoo.text.files import SPECIAL_TOKENS, TokenizerError

__all__ = ["ClsSepForm", "TokenByToken", "Vocabulary"]

# What clean_up_tokenization_spaces mends, in this order: the text and what it becomes.
_CLEAN = tuple((f" {mark}", mark) for mark in ".?!,") + (
    (" ' ", "'"),
    *((f" {end}", end) for end in ("n't", "'m", "'s", "'ve", "'re")),
)


class _Token:
    """An attribute that holds a special token, such as `pad_token`."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, tokenizer: Any, owner: type | None = None) -> Any:
        return self if tokenizer is None else tokenizer._special[self.name]

    def __set__(self, tokenizer: Any, token: str | AddedToken | None) -> None:
        if token is not None:
            tokenizer._check_known(self.name, str(token))
        tokenizer._special[self.name] = None if token is None else str(token)


class _TokenId:
    """An attribute that holds the id of a special token, such as `pad_token_id`."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.token_name = name.removesuffix("_id")

    def __get__(self, tokenizer: Any, owner: type | None = None) -> Any:
        if tokenizer is None:
            return self
        token = tokenizer._special[self.token_name]
        return None if token is None else tokenizer.backend_tokenizer.token_to_id(token)

    def __set__(self, tokenizer: Any, index: int | None) -> None:
        token = None if index is None else tokenizer.convert_ids_to_tokens(index)
        setattr(tokenizer, self.token_name, token)


class Vocabulary:
    """Tokens, ids and special tokens of a tokenizer; the base of `BaseTokenizer`.

    Each of `bos_token`, `eos_token`, `unk_token`, `sep_token`, `pad_token`, `cls_token` and
    `mask_token` is a string of the vocabulary or None; `pad_token_id` and so on are their ids. Both
    can be set.
    """

    backend_tokenizer: Tokenizer
    clean_up_tokenization_spaces: bool
    _lock: threading.Lock

    bos_token, bos_token_id = _Token(), _TokenId()
    eos_token, eos_token_id = _Token(), _TokenId()
    unk_token, unk_token_id = _Token(), _TokenId()
    sep_token, sep_token_id = _Token(), _TokenId()
    pad_token, pad_token_id = _Token(), _TokenId()
    cls_token, cls_token_id = _Token(), _TokenId()
    mask_token, mask_token_id = _Token(), _TokenId()

    def __len__(self) -> int:
        return self.backend_tokenizer.get_vocab_size(with_added_tokens=True)

    def __bool__(self) -> bool:
        return True

    @property
    def is_fast(self) -> bool:
        """True: the work is done by the `tokenizers` library."""
        return True

    @property
    def vocab_size(self) -> int:
        """Number of tokens, without those that were added later; `len` counts all."""
        return self.backend_tokenizer.get_vocab_size(with_added_tokens=False)

    @property
    def vocab(self) -> dict[str, int]:
        """The same as `get_vocab()`."""
        return self.get_vocab()

    @property
    def pad_token_type_id(self) -> int:
        """The token type of padding, 0."""
        return 0

    @property
    def added_tokens_decoder(self) -> dict[int, AddedToken]:
        """The tokens that text is searched for before anything else, by their ids."""
        return self.backend_tokenizer.get_added_tokens_decoder()

    def get_vocab(self) -> dict[str, int]:
        """All tokens and their ids."""
        return self.backend_tokenizer.get_vocab(with_added_tokens=True)

    def get_added_vocab(self) -> dict[str, int]:
        """The tokens of `added_tokens_decoder` and their ids."""
        return {str(token): index for index, token in sorted(self.added_tokens_decoder.items())}

    def add_tokens(
        self,
        new_tokens: str | AddedToken | Sequence[str | AddedToken],
        special_tokens: bool = False,
    ) -> int:
        """Add tokens, which are found in a text before it is split into words.

        Args:
            new_tokens: One or more.
            special_tokens: Whether they are found as they stand (not normalised), and left out by
                `decode(..., skip_special_tokens=True)`.

        Returns:
            How many were new among `added_tokens_decoder`. `len(tokenizer)` is the number of rows
            that a model's embedding needs.
        """
        if isinstance(new_tokens, (str, AddedToken)):
            new_tokens = [new_tokens]
        with self._lock:
            if special_tokens:
                return self.backend_tokenizer.add_special_tokens(list(new_tokens))
            return self.backend_tokenizer.add_tokens(list(new_tokens))

    def add_special_tokens(
        self,
        special_tokens_dict: Mapping[str, str | AddedToken | Sequence[str | AddedToken]],
        replace_additional_special_tokens: bool = True,
    ) -> int:
        """Give special tokens their roles, and add those that the vocabulary lacks.

        Args:
            special_tokens_dict: By role, such as "pad_token"; "additional_special_tokens" has a
                list.
            replace_additional_special_tokens: Whether that list takes the place of the present one,
                unless it is empty, or is put behind it. Tokens stay in the vocabulary in any case.

        Returns:
            As `add_tokens`.

        Raises:
            ValueError: An unknown role, or a single token for "additional_special_tokens".
        """
        roles = (*SPECIAL_TOKENS, "additional_special_tokens")
        unknown = sorted(set(special_tokens_dict) - set(roles))
        if unknown:
            raise ValueError(f"{unknown[0]!r} is not a special token: expected {', '.join(roles)}.")
        extra = special_tokens_dict.get("additional_special_tokens", ())
        if not isinstance(extra, (list, tuple)):  # of a string, each character would become one
            raise ValueError(
                f"additional_special_tokens must be a list of tokens, got {extra!r:.100}."
            )
        added = 0
        for role, value in special_tokens_dict.items():
            several = role == "additional_special_tokens"
            tokens = [
                AddedToken(t, normalized=False, special=True) if isinstance(t, str) else t
                for t in (value if several else [value])
            ]
            added += self.add_tokens(tokens, special_tokens=True)
            if not several:
                setattr(self, role, tokens[0])
                continue
            names, present = [str(token) for token in tokens], self.additional_special_tokens
            if replace_additional_special_tokens and names:
                self.additional_special_tokens = names
            else:
                self.additional_special_tokens = list(dict.fromkeys([*present, *names]))
        return added

    def convert_tokens_to_ids(self, tokens: str | Iterable[str]) -> int | list[int] | None:
        """The id of a token, or of each; that of `unk_token` where it is not in the vocabulary."""
        if not isinstance(tokens, str):
            return [self.convert_tokens_to_ids(token) for token in tokens]
        index = self.backend_tokenizer.token_to_id(tokens)
        return self.unk_token_id if index is None else index

    def convert_ids_to_tokens(
        self, ids: int | Iterable[int], skip_special_tokens: bool = False
    ) -> str | list[str]:
        """The token of an id, or of each.

        Args:
            ids: One id, or N of them as a list, array or tensor.
            skip_special_tokens: Whether the special ones of several are left out.

        Raises:
            ValueError: An id that the vocabulary does not have.
        """
        numbers = self._ids(ids)
        tokens = [self.backend_tokenizer.id_to_token(index) for index in numbers]
        if isinstance(ids, (int, np.integer)):
            return tokens[0]
        skipped = set(self.all_special_ids) if skip_special_tokens else set()
        return [t for t, index in zip(tokens, numbers, strict=True) if index not in skipped]

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """Join tokens as the backend's decoder does; `decode` makes readable text."""
        decoder = self.backend_tokenizer.decoder
        return " ".join(tokens) if decoder is None else decoder.decode(list(tokens))

    def decode(
        self,
        token_ids: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        spaces_between_special_tokens: bool = True,
    ) -> str:
        """Turn ids into text.

        Args:
            token_ids: One id, or N of them as a list, array or tensor.
            skip_special_tokens: Whether special tokens are left out.
            clean_up_tokenization_spaces: Whether spaces before punctuation and contractions are
                removed; None: as the tokenizer was made.
            spaces_between_special_tokens: Whether tokens that were added later have spaces around
                them; only where `is_fast` is False, as in the reference.

        Returns:
            The text.

        Raises:
            ValueError: An id that the vocabulary does not have, or several sequences.
        """
        ids, spaces = self._ids(token_ids), spaces_between_special_tokens
        text = self._text_of(ids, skip_special_tokens, spaces)
        if clean_up_tokenization_spaces is None:
            clean_up_tokenization_spaces = self.clean_up_tokenization_spaces
        for found, mended in _CLEAN if clean_up_tokenization_spaces else ():
            text = text.replace(found, mended)
        return text

    def batch_decode(
        self,
        sequences: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        spaces_between_special_tokens: bool = True,
    ) -> list[str]:
        """Turn sequences of ids into texts: `decode` for each.

        Args:
            sequences: B sequences of ids: lists, or an array or tensor (B, N).
            skip_special_tokens: As in `decode`.
            clean_up_tokenization_spaces: As in `decode`.
            spaces_between_special_tokens: As in `decode`.

        Returns:
            B texts.

        Raises:
            ValueError: An id that the vocabulary does not have.
        """
        how = (skip_special_tokens, clean_up_tokenization_spaces, spaces_between_special_tokens)
        return [self.decode(ids, *how) for ids in sequences]

    def _text_of(self, ids: list[int], skip_special_tokens: bool, spaces: bool = True) -> str:
        return self.backend_tokenizer.decode(ids, skip_special_tokens=bool(skip_special_tokens))

    def _ids(self, ids: Any) -> list[int]:
        """One sequence of ids as a list of plain numbers that the vocabulary has."""
        try:
            array = np.atleast_1d(np.asarray(ids))
        except ValueError:  # lists of unequal length
            array = np.empty((0, 0))
        if array.ndim > 1 or (array.size and array.dtype.kind not in "iu"):
            raise ValueError(
                f"expected one id or one sequence of whole numbers, got {ids!r}. Use batch_decode "
                "for several sequences."
            )
        numbers = [int(index) for index in array]
        token_of = self.backend_tokenizer.id_to_token
        wrong = [n for n in numbers if n < 0 or n > 2**32 - 1 or token_of(n) is None]
        if wrong:
            raise ValueError(
                f"The vocabulary of {len(self)} tokens has no id {wrong[0]}. Give ids of this "
                "tokenizer; mask out others (such as labels of -100) first."
            )
        return numbers

    # -- the form of a sequence -------------------------------------------------------------------

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """How many special tokens a text gets, or a pair of texts."""
        return self.backend_tokenizer.num_special_tokens_to_add(pair)

    def build_inputs_with_special_tokens(
        self, token_ids_0: Sequence[int], token_ids_1: Sequence[int] | None = None
    ) -> list[int]:
        """The ids of a text, or of a pair, with the model's special ones: in this class none."""
        return [*token_ids_0, *(token_ids_1 or ())]

    def create_token_type_ids_from_sequences(
        self, token_ids_0: Sequence[int], token_ids_1: Sequence[int] | None = None
    ) -> list[int]:
        """0 for each token of the first text, 1 for each of the second, `[CLS]`, `[SEP]` included.

        Args:
            token_ids_0: The ids of the first text, without special ones.
            token_ids_1: Those of the second.
        """
        start, end = self.cls_token is not None, self.sep_token is not None
        first = [0] * (start + len(token_ids_0) + end)
        return first if token_ids_1 is None else first + [1] * (len(token_ids_1) + end)

    def get_special_tokens_mask(
        self,
        token_ids_0: Sequence[int],
        token_ids_1: Sequence[int] | None = None,
        already_has_special_tokens: bool = False,
    ) -> list[int]:
        """1 for each special token of a whole sequence, 0 for the others.

        Args:
            token_ids_0: The ids, special ones included.
            token_ids_1: None.
            already_has_special_tokens: True.

        Raises:
            ValueError: The ids are said to lack their special tokens.
        """
        if not already_has_special_tokens or token_ids_1 is not None:
            raise ValueError(
                "expected one whole sequence and already_has_special_tokens=True; for texts, pass "
                "return_special_tokens_mask=True to the tokenizer's call."
            )
        special = set(self.all_special_ids)
        return [int(index in special) for index in self._ids(token_ids_0)]

    # -- special tokens ---------------------------------------------------------------------------

    @property
    def special_tokens_map(self) -> dict[str, str | list[str]]:
        """The special tokens that are set, by their attributes' names."""
        named = {name: token for name, token in self._special.items() if token is not None}
        extra = self.additional_special_tokens
        return {**named, "additional_special_tokens": list(extra)} if extra else named

    @property
    def all_special_tokens(self) -> list[str]:
        """The different special tokens."""
        named = [token for token in self._special.values() if token is not None]
        return list(dict.fromkeys([*named, *self.additional_special_tokens]))

    @property
    def all_special_ids(self) -> list[int]:
        """The ids of `all_special_tokens`."""
        return [self.backend_tokenizer.token_to_id(token) for token in self.all_special_tokens]

    @property
    def additional_special_tokens_ids(self) -> list[int]:
        """The ids of `additional_special_tokens`."""
        return [self.backend_tokenizer.token_to_id(t) for t in self.additional_special_tokens]

    def _set_special_tokens(
        self,
        special: Mapping[str, str | AddedToken | None],
        additional: Iterable[str | AddedToken],
        declared: Mapping[int, AddedToken],
    ) -> None:
        """Register the tokens that text is searched for, and then name them.

        A token given with flags is registered with them, even if it is there already. One given as
        a string is registered, if it is not, to be found as it stands in the text (not normalised).
        """
        additional = list(additional)
        wanted: dict[str, str | AddedToken] = {}  # the first mention of a token counts
        for token in [*special.values(), *additional]:
            if token is not None:
                wanted.setdefault(str(token), token)
        tokens = [_special_if(token, wanted) for _, token in sorted(declared.items())]
        backend = self.backend_tokenizer
        present = backend.get_added_tokens_decoder().values()
        known = {str(token) for token in (*tokens, *present)}
        for content, token in wanted.items():
            flagged = _special_if(_as_added(token), wanted)
            if flagged not in tokens and not (isinstance(token, str) and content in known):
                tokens.append(flagged)
        declared_contents = {str(token) for token in declared.values()}
        for token in tokens:
            if str(token) not in declared_contents:
                self._check_known(_name_of(str(token), special), str(token))
        # older releases of the backend need the right one of its two methods
        for is_special, group in groupby(tokens, lambda token: token.special):
            (backend.add_special_tokens if is_special else backend.add_tokens)(list(group))
        self._check_ids(declared)
        self._special = dict.fromkeys(SPECIAL_TOKENS)
        for name, token in special.items():
            setattr(self, name, token)
        self.additional_special_tokens = [str(token) for token in additional]

    def _check_known(self, name: str, token: str) -> None:
        if self.backend_tokenizer.token_to_id(token) is None:
            raise TokenizerError(
                f"The {name} {token!r:.100} is not in the vocabulary of "
                f"{self.backend_tokenizer.get_vocab_size()} tokens. Name a token that is, give the "
                "vocabulary that belongs to the checkpoint, or add a new token with "
                f"add_special_tokens({{{name!r}: {token!r:.100}}})."
            )

    def _check_ids(self, declared: Mapping[int, AddedToken]) -> None:
        for index, token in declared.items():
            found = self.backend_tokenizer.token_to_id(str(token))
            if found != index:
                raise TokenizerError(
                    f"The files say that the added token {str(token)!r:.100} has the id {index}, "
                    f"but after this vocabulary it has {found}. Give the vocabulary and the added "
                    "tokens of one checkpoint."
                )


class TokenByToken:
    """Decoding as in the reference's slow classes; stands before `BaseTokenizer`."""

    def _text_of(self, ids: list[int], skip_special_tokens: bool, spaces: bool = True) -> str:
        """Tokens that were added later stand for themselves, and apart from what is around them."""
        apart = set(self.get_added_vocab()) - set(self.all_special_tokens)
        extra = zip(self.additional_special_tokens, self.additional_special_tokens_ids, strict=True)
        apart |= {token for token, index in extra if index >= self.vocab_size}
        groups: list[list[str]] = [[]]
        for token in self.convert_ids_to_tokens(ids, skip_special_tokens):
            groups += [[token], []] if token in apart else []
            groups[-1] += [] if token in apart else [token]
        texts = map(self.convert_tokens_to_string, filter(None, groups))
        return (" " if spaces else "").join(texts)


class ClsSepForm:
    """`[CLS]` text `[SEP]`, or `[CLS]` text `[SEP]` text `[SEP]`; stands before `BaseTokenizer`."""

    cls_token_id: int
    sep_token_id: int

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


def _as_added(token: str | AddedToken) -> AddedToken:
    return AddedToken(token, special=True) if isinstance(token, str) else token


def _special_if(token: AddedToken, special: Container[str]) -> AddedToken:
    """`token`, marked as special if it is one of `special`."""
    state = token.__getstate__()
    return AddedToken(**{**state, "special": state["special"] or str(token) in special})


def _name_of(token: str, special: Mapping[str, str | AddedToken | None]) -> str:
    names = (name for name, value in special.items() if value is not None and str(value) == token)
    return next(names, "additional_special_tokens")
