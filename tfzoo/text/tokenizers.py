"""The base of the tokenizers: text to ids and back, on the `tokenizers` library.

A family's class builds the backend from its files (see `clip_tokenizer`); everything else is here:
calls, lengths, pairs, special tokens, decoding, reading and writing.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from tokenizers import AddedToken, Tokenizer

from tfzoo.text import files
from tfzoo.text.batch_encoding import BatchEncoding
from tfzoo.text.calls import Calls
from tfzoo.text.files import SPECIAL_TOKENS, TokenizerError
from tfzoo.text.lengths import NO_LIMIT

__all__ = ["BaseTokenizer", "BatchEncoding", "TokenizerError"]

_SETTINGS = (
    "model_max_length",
    "padding_side",
    "truncation_side",
    "clean_up_tokenization_spaces",
    "split_special_tokens",
)


class BaseTokenizer(Calls):
    """A tokenizer around one of the `tokenizers` library.

    Calls may come from several threads, each with its own padding and truncation.

    Args:
        backend_tokenizer: Does the work; it belongs to this object from now on. Its own padding
            and truncation are not used, except that their sides are the defaults here.
        bos_token, eos_token, unk_token, sep_token, pad_token, cls_token, mask_token: Special
            tokens, all in the vocabulary; None where there is none.
        additional_special_tokens: More of them, without a role.
        model_max_length: Tokens that the model takes; about 1e30 if nobody knows.
        padding_side: "right" or "left".
        truncation_side: Side on which tokens are cut off, "right" or "left".
        model_input_names: Names in the result.
        clean_up_tokenization_spaces: Whether decoding removes spaces before punctuation.
        split_special_tokens: Whether special tokens in the text are split like other text.
        added_tokens_decoder: Further tokens that text is searched for, by their ids.

    Raises:
        TokenizerError: A special token is not in the vocabulary.
        ValueError: An unknown side.

    Source: the interface of the documented `PreTrainedTokenizerFast`.

    Example:
        >>> from tokenizers import Tokenizer, models, pre_tokenizers
        >>> words = {"[PAD]": 0, "[UNK]": 1, "a": 2, "red": 3, "cat": 4}
        >>> backend = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
        >>> backend.pre_tokenizer = pre_tokenizers.Whitespace()
        >>> tokenizer = BaseTokenizer(backend, unk_token="[UNK]", pad_token="[PAD]")
        >>> tokenizer(["a cat", "a red dog"], padding=True, return_tensors="np").input_ids
        array([[2, 4, 0],
               [2, 3, 1]])
        >>> tokenizer.decode([2, 3, 4])
        'a red cat'
    """

    vocab_files_names: ClassVar[dict[str, str]] = {}
    default_input_names: ClassVar[tuple[str, ...]] = (
        "input_ids",
        "token_type_ids",
        "attention_mask",
    )

    def __init__(
        self,
        backend_tokenizer: Tokenizer,
        *,
        bos_token: str | AddedToken | None = None,
        eos_token: str | AddedToken | None = None,
        unk_token: str | AddedToken | None = None,
        sep_token: str | AddedToken | None = None,
        pad_token: str | AddedToken | None = None,
        cls_token: str | AddedToken | None = None,
        mask_token: str | AddedToken | None = None,
        additional_special_tokens: Sequence[str | AddedToken] | None = None,
        model_max_length: int | None = None,
        padding_side: str | None = None,
        truncation_side: str | None = None,
        model_input_names: Sequence[str] | None = None,
        clean_up_tokenization_spaces: bool = False,
        split_special_tokens: bool = False,
        added_tokens_decoder: Mapping[int, AddedToken] | None = None,
    ):
        given = locals()
        padding, truncation = _settings_taken_from(backend_tokenizer)
        self.backend_tokenizer = backend_tokenizer
        self._lock = threading.Lock()
        self.model_max_length = NO_LIMIT if model_max_length is None else model_max_length
        self.padding_side = _side("padding_side", padding_side, padding)
        self.truncation_side = _side("truncation_side", truncation_side, truncation)
        self.model_input_names = list(model_input_names or self.default_input_names)
        self.clean_up_tokenization_spaces = bool(clean_up_tokenization_spaces)
        self.split_special_tokens = bool(split_special_tokens)
        self.name_or_path = ""
        self.init_kwargs: dict[str, Any] = {}  # what else the files said; written back
        self._set_special_tokens(
            {name: given[name] for name in SPECIAL_TOKENS},
            additional_special_tokens or (),
            added_tokens_decoder or {},
        )

    # -- files ------------------------------------------------------------------------------------

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | os.PathLike[str],
        *,
        revision: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        token: str | None = None,
        **overrides: Any,
    ) -> BaseTokenizer:
        """Make a tokenizer from a checkpoint's files, old or new.

        Args:
            name_or_path: A folder with `tokenizer.json` or the vocabulary's own files, a file in
                it, or a hub name.
            revision: Branch, tag or commit on the hub.
            cache_dir: Folder of the hub's cache.
            local_files_only: Never download.
            token: Access token of the hub.
            **overrides: Arguments of the constructor that win over the files'.

        Returns:
            The tokenizer. `tokenizer.json` wins over the vocabulary's own files.

        Raises:
            HubError: The files cannot be found or fetched.
            TokenizerError: They hold no tokenizer, one of another class, or are malformed.
            TypeError: An override that the constructor does not know, or a call of the base class.
        """
        where = {
            "revision": revision,
            "cache_dir": cache_dir,
            "local_files_only": local_files_only,
            "token": token,
        }
        folder, sources = cls._locate(name_or_path, **where)
        settings = files.read_settings(folder, overrides)
        cls._check_class(folder / files.CONFIG_FILE, settings.pop("tokenizer_class", None))
        known = {*cls._argument_names(), *overrides}
        tokenizer = cls(**sources, **{k: v for k, v in settings.items() if k in known})
        tokenizer.init_kwargs = {k: v for k, v in settings.items() if k not in known}
        tokenizer.name_or_path = os.fspath(name_or_path)
        return tokenizer

    @classmethod
    def _locate(
        cls, name_or_path: str | os.PathLike[str], **where: Any
    ) -> tuple[Path, dict[str, Path]]:
        """The folder, and the files for the constructor, by its arguments."""
        if not cls.vocab_files_names:
            raise TypeError(f"{cls.__name__} is a base class; use a family's tokenizer.")
        return files.locate(name_or_path, cls.vocab_files_names, **where)

    @staticmethod
    def _argument_names() -> frozenset[str]:
        """The settings that constructors take from files."""
        return frozenset(BaseTokenizer.__init__.__kwdefaults__)

    @classmethod
    def _check_class(cls, path: Path, name: str | None) -> None:
        own = cls.__name__.removesuffix("Fast")
        if name is not None and name.removesuffix("Fast") != own:
            raise TokenizerError(
                f"{path}: expected a tokenizer of class {own} or {own}Fast, got {name}. Load it "
                "with AutoTokenizer or that class."
            )

    def save_pretrained(self, folder: str | os.PathLike[str]) -> tuple[str, ...]:
        """Write all files that this package and transformers load; each whole or not at all.

        Args:
            folder: Where to; made if it does not exist.

        Returns:
            The paths of `tokenizer_config.json`, `special_tokens_map.json`, the vocabulary's own
            files and `tokenizer.json`.

        Raises:
            OSError: The folder cannot be written.
        """
        folder = Path(folder)
        settings = {**self.init_kwargs, **{name: getattr(self, name) for name in _SETTINGS}}
        settings["tokenizer_class"] = type(self).__name__.removesuffix("Fast")
        if self.model_input_names != list(self.default_input_names):
            settings["model_input_names"] = self.model_input_names
        files.write_settings(folder, self.backend_tokenizer, settings, self.special_tokens_map)
        first = [str(folder / name) for name in (files.CONFIG_FILE, files.SPECIAL_FILE)]
        return (*first, *self.save_vocabulary(folder), *self._save_backend(folder))

    def _save_backend(self, folder: Path) -> tuple[str, ...]:
        with self._lock:
            text = self.backend_tokenizer.to_str(pretty=True)
        files.write_text(folder / files.TOKENIZER_FILE, text)
        return (str(folder / files.TOKENIZER_FILE),)

    def save_vocabulary(
        self, folder: str | os.PathLike[str], filename_prefix: str | None = None
    ) -> tuple[str, ...]:
        """Write the vocabulary's own files, each whole or not at all.

        Args:
            folder: Where to; made if it does not exist.
            filename_prefix: Put before the names, with a hyphen.

        Returns:
            The paths.

        Raises:
            OSError: The folder cannot be written.
        """
        return files.save_model(self.backend_tokenizer, Path(folder), filename_prefix)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock())

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(vocab_size={self.vocab_size}, "
            f"model_max_length={self.model_max_length}, padding_side={self.padding_side!r}, "
            f"truncation_side={self.truncation_side!r}, special_tokens={self.special_tokens_map})"
        )


def _settings_taken_from(backend: Tokenizer) -> tuple[Any, Any]:
    """The padding and truncation of a backend, which from now on does neither by itself."""
    if not isinstance(backend, Tokenizer):  # one of our own has no such settings
        return None, None
    settings = backend.padding, backend.truncation
    backend.no_padding()
    backend.no_truncation()
    return settings


def _side(name: str, given: str | None, backends: Mapping[str, Any] | None) -> str:
    side = given or (backends or {}).get("direction", "right").lower()
    if side not in ("right", "left"):
        raise ValueError(f"{name} must be 'right' or 'left', got {side!r}.")
    return side
