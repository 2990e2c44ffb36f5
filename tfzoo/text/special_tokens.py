"""The special tokens of a tokenizer: named attributes, their ids, and where they are registered."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from itertools import groupby
from typing import Any

from tokenizers import AddedToken, Tokenizer

from tfzoo.text.files import SPECIAL_TOKENS, TokenizerError

__all__ = ["SpecialTokens"]


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


class SpecialTokens:
    """What a tokenizer knows of its special tokens; a part of `BaseTokenizer`.

    Each of `bos_token`, `eos_token`, `unk_token`, `sep_token`, `pad_token`, `cls_token` and
    `mask_token` is a string of the vocabulary or None; `pad_token_id` and so on are their ids. Both
    can be set.
    """

    backend_tokenizer: Tokenizer

    bos_token, bos_token_id = _Token(), _TokenId()
    eos_token, eos_token_id = _Token(), _TokenId()
    unk_token, unk_token_id = _Token(), _TokenId()
    sep_token, sep_token_id = _Token(), _TokenId()
    pad_token, pad_token_id = _Token(), _TokenId()
    cls_token, cls_token_id = _Token(), _TokenId()
    mask_token, mask_token_id = _Token(), _TokenId()

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

        A token given with flags is registered with them, even if it already is; one given as a
        string is registered, unless it is, as it stands in the text (not normalised).
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
                f"The {name} {token!r} is not in the vocabulary of "
                f"{self.backend_tokenizer.get_vocab_size()} tokens. Name a token that is, give the "
                "vocabulary that belongs to the checkpoint, or add a new token with "
                f"add_special_tokens({{{name!r}: {token!r}}})."
            )

    def _check_ids(self, declared: Mapping[int, AddedToken]) -> None:
        for index, token in declared.items():
            found = self.backend_tokenizer.token_to_id(str(token))
            if found != index:
                raise TokenizerError(
                    f"The files say that the added token {str(token)!r} has the id {index}, but "
                    f"after this vocabulary it has {found}. Give the vocabulary and the added "
                    "tokens of one checkpoint."
                )


def _as_added(token: str | AddedToken) -> AddedToken:
    return AddedToken(token, special=True) if isinstance(token, str) else token


def _special_if(token: AddedToken, special: Container[str]) -> AddedToken:
    """`token`, marked as special if it is one of `special`."""
    state = token.__getstate__()
    return AddedToken(**{**state, "special": state["special"] or str(token) in special})


def _name_of(token: str, special: Mapping[str, str | AddedToken | None]) -> str:
    names = [name for name, value in special.items() if value is not None and str(value) == token]
    return names[0] if names else "additional_special_tokens"
