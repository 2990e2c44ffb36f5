"""The base of the tokenizers: text to ids and back, on the `tokenizers` library.

A family's class builds the backend from its files (see `clip`); everything else is here and in
`vocabulary`: calls, lengths, pairs, special tokens, decoding, reading and writing.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from tokenizers import AddedToken, Encoding, Tokenizer

from tfzoo.core.replacing import updating
from tfzoo.core.unmixed import Watch, read_unmixed
from tfzoo.core.untrusted import escaped
from tfzoo.core.warn import warn
from tfzoo.hub import HubOptions
from tfzoo.hub.upload import PushMixin
from tfzoo.text import files
from tfzoo.text.batch_encoding import BatchEncoding, as_columns, columns_of
from tfzoo.text.files import SPECIAL_TOKENS, TokenizerError
from tfzoo.text.items import text_items
from tfzoo.text.lengths import NO_LIMIT, Lengths, pad_sequences, truncate_ids
from tfzoo.text.vocabulary import Vocabulary

__all__ = ["BaseTokenizer", "BatchEncoding", "TokenizerError"]

_SETTINGS = (
    "model_max_length",
    "padding_side",
    "truncation_side",
    "clean_up_tokenization_spaces",
    "split_special_tokens",
)


class BaseTokenizer(PushMixin, Vocabulary):
    """A tokenizer around one of the `tokenizers` library.

    Calls may come from several threads, each with its own padding and truncation.

    Args:
        backend_tokenizer: Does the work, and belongs to this object from now on. Its own padding
            and truncation are not used, except that their sides are the defaults here.
        bos_token, eos_token, unk_token, sep_token, pad_token, cls_token, mask_token: Special
            tokens of the vocabulary, or None.
        additional_special_tokens: More of them, without a role.
        model_max_length: Tokens that the model takes; about 1e30 where unknown.
        padding_side: "right" or "left".
        truncation_side: Side on which tokens are cut off, "right" or "left".
        model_input_names: Names in the result.
        clean_up_tokenization_spaces: Whether decoding removes spaces before punctuation.
        split_special_tokens: Whether special tokens in the text are split like other text.
        added_tokens_decoder: Further tokens that text is searched for, by their ids.
        pad_token_type_id: Kept and written back; padding has the type 0, as in the reference.

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
    _empty_is_none: ClassVar[bool] = True  # whether an empty second text makes no pair

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
        pad_token_type_id: int | None = None,
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
        self.init_kwargs: dict[str, Any] = {}  # other settings of the files, written back
        if pad_token_type_id is not None:
            self.init_kwargs["pad_token_type_id"] = pad_token_type_id
        self._set_special_tokens(
            {name: given[name] for name in SPECIAL_TOKENS},
            additional_special_tokens or (),
            added_tokens_decoder or {},
        )

    # -- calls ------------------------------------------------------------------------------------

    def __call__(
        self,
        text: str | Sequence[Any] | None = None,
        text_pair: str | Sequence[Any] | None = None,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
        split_special_tokens: bool | None = None,
    ) -> BatchEncoding:
        """Turn texts into ids of N tokens each.

        Args:
            text: A text; a list of B texts or of B pairs (text, text).
            text_pair: The second text of each pair, in the form of `text`.
            add_special_tokens: Whether the model's special tokens are added.
            padding: True or "longest" pads to the longest of the batch, "max_length" to that
                length, False or "do_not_pad" not at all.
            truncation: True or "longest_first" cuts the longer text of a pair first, "only_first"
                and "only_second" only that one, False or "do_not_truncate" none. None is False,
                except that `max_length` alone (no padding) truncates with a warning.
            max_length: Number of tokens to pad or truncate to, special ones included; by default
                `model_max_length`. Without either, a warning is given and nothing done.
            stride: Tokens that an overflowing part repeats of the part before.
            is_split_into_words: Whether each text is a list of words.
            pad_to_multiple_of: Pad on to a multiple of this.
            padding_side: "right" or "left", by default the tokenizer's.
            return_tensors: None for lists, "np" for int64 arrays (B, N), "tf" for tensors.
            return_token_type_ids: Whether there are `token_type_ids` (0: first text, 1: second).
            return_attention_mask: Whether there is an `attention_mask` (0: padding).
            return_overflowing_tokens: Whether what is cut off follows as further sequences, with
                `overflow_to_sample_mapping`, the number of the text of each.
            return_special_tokens_mask: Whether there is a `special_tokens_mask`.
            return_offsets_mapping: Whether there is an `offset_mapping`: first and behind-last
                character of each token in its text.
            return_length: Whether there is the `length` of each sequence.
            split_special_tokens: Whether special tokens in the text are split like other text.

        Returns:
            The lists or arrays by name. For a single text without `return_tensors`, the batch's
            axis is left out, except of `length`.

        Raises:
            ValueError: No text, texts of another form, contradicting or impossible lengths, or
                sequences of unequal lengths with `return_tensors`.
        """
        if return_tensors not in (None, "np", "tf"):
            BatchEncoding().convert_to(return_tensors)
        items, is_batch = text_items(text, text_pair, is_split_into_words, self._empty_is_none)
        lengths = Lengths.settle(
            padding,
            truncation,
            max_length,
            self.model_max_length,
            stride=stride,
            multiple=pad_to_multiple_of,
            side=self.padding_side if padding_side is None else padding_side,
        )
        split = self.split_special_tokens if split_special_tokens is None else split_special_tokens
        encodings = self._encode(items, lengths, add_special_tokens, is_split_into_words, split)
        wanted = {
            "input_ids": True,
            "token_type_ids": self._wants("token_type_ids", return_token_type_ids),
            "attention_mask": self._wants("attention_mask", return_attention_mask),
            "special_tokens_mask": return_special_tokens_mask,
            "offset_mapping": return_offsets_mapping,
        }
        data, encodings = self._columns(encodings, wanted, return_overflowing_tokens, return_length)
        if max_length is None:
            self._warn_if_too_long(data["input_ids"])
        if not is_batch and return_tensors is None:
            data = self._without_batch(data, return_overflowing_tokens)
        return BatchEncoding(data, return_tensors, encodings)

    def encode(
        self, text: Any, text_pair: Any = None, add_special_tokens: bool = True, **options: Any
    ) -> Any:
        """The `input_ids` of a call with the same arguments."""
        return self(text, text_pair, add_special_tokens=add_special_tokens, **options)["input_ids"]

    def tokenize(
        self, text: Any, pair: Any = None, add_special_tokens: bool = False, **options: Any
    ) -> list[str]:
        """The tokens of one text as strings; further arguments are those of a call."""
        return self(text, pair, add_special_tokens=add_special_tokens, **options).tokens()

    def pad(
        self,
        encoded_inputs: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        padding: bool | str = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = None,
    ) -> BatchEncoding:
        """Pad what calls returned, for instance to make batches of texts encoded one by one.

        The arguments that are not named here are those of a call.

        Args:
            encoded_inputs: Lists of B sequences by name, or a list of B results; also one of them.
            return_attention_mask: Whether an `attention_mask` is made where there is none.
            return_tensors: By default what came: lists, arrays or tensors.

        Returns:
            The padded lists or arrays by name; values other than ids and masks are kept.

        Raises:
            ValueError: No ids, unequal numbers of sequences, or no padding token.
        """
        main = self.model_input_names[0]
        columns, is_batch, kind = as_columns(encoded_inputs, main)
        if "attention_mask" not in columns and self._wants("attention_mask", return_attention_mask):
            columns["attention_mask"] = [[1] * len(ids) for ids in columns[main]]
        lengths = Lengths.settle(
            padding,
            False,
            max_length,
            self.model_max_length,
            multiple=pad_to_multiple_of,
            side=self.padding_side if padding_side is None else padding_side,
        )
        self._check_padding(lengths)
        columns = pad_sequences(columns, lengths, self.pad_token_id, main)
        data = columns if is_batch else {name: values[0] for name, values in columns.items()}
        return BatchEncoding(data, return_tensors or kind)

    def prepare_for_model(
        self,
        ids: Sequence[int],
        pair_ids: Sequence[int] | None = None,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
        verbose: bool = True,
        prepend_batch_axis: bool = False,
    ) -> BatchEncoding:
        """Make one sequence of ids: special tokens, truncation and padding as in a call.

        The arguments that are not named here are those of a call.

        Args:
            ids: The ids of a text without special tokens, as `convert_tokens_to_ids` gives them.
            pair_ids: Those of a second text.
            return_overflowing_tokens: Whether there are `overflowing_tokens`, what was cut off one
                text, and `num_truncated_tokens`.
            return_offsets_mapping: False: ids have no place in a text.
            verbose: Accepted and of no effect; use the filters of `warnings`.
            prepend_batch_axis: Whether arrays have a batch's axis, (1, N).

        Returns:
            The lists or arrays by name.

        Raises:
            ValueError: Ids that the vocabulary does not have, impossible lengths, or something
                that was asked for and is undefined: offsets, token types without special tokens,
                overflowing tokens of a pair both of whose texts may be cut.
        """
        texts = [self._ids(given) for given in (ids, pair_ids) if given is not None]
        lengths = Lengths.settle(
            padding,
            truncation,
            max_length,
            self.model_max_length,
            stride=stride,
            multiple=pad_to_multiple_of,
            side=self.padding_side if padding_side is None else padding_side,
        )
        undefined = {
            "return_offsets_mapping": return_offsets_mapping,
            "return_token_type_ids without add_special_tokens": return_token_type_ids
            and not add_special_tokens,
            "return_overflowing_tokens of a pair with truncation='longest_first'": (
                return_overflowing_tokens
                and len(texts) == 2
                and lengths.truncation == "longest_first"
            ),
        }
        if wrong := [name for name, is_wrong in undefined.items() if is_wrong]:
            raise ValueError(f"prepare_for_model: {wrong[0]} is undefined; leave it out.")
        self._check_padding(lengths)
        added = self.num_special_tokens_to_add(len(texts) == 2) if add_special_tokens else 0
        texts, overflow, surplus = truncate_ids(texts, lengths, added, self.truncation_side)
        plain = [index for text in texts for index in text]
        whole = self.build_inputs_with_special_tokens(*texts) if add_special_tokens else plain
        data: dict[str, Any] = {"input_ids": whole}
        if self._wants("token_type_ids", return_token_type_ids):
            types = self.create_token_type_ids_from_sequences
            data["token_type_ids"] = types(*texts) if add_special_tokens else [0] * len(plain)
        if return_special_tokens_mask:
            mask = self.get_special_tokens_mask
            data["special_tokens_mask"] = mask(*texts) if add_special_tokens else [0] * len(plain)
        if max_length is None:
            self._warn_if_too_long([whole])
        if self._wants("attention_mask", return_attention_mask):
            data["attention_mask"] = [1] * len(whole)
        columns = pad_sequences({n: [v] for n, v in data.items()}, lengths, self.pad_token_id)
        data = {name: values[0] for name, values in columns.items()}
        if return_overflowing_tokens:
            data.update(overflowing_tokens=overflow, num_truncated_tokens=surplus)
        if return_length:
            data["length"] = len(data["input_ids"])
        if prepend_batch_axis and return_tensors is not None:
            data = {name: [value] for name, value in data.items()}
        return BatchEncoding(data, return_tensors)

    def _encode(
        self, items: list[Any], lengths: Lengths, special: bool, is_words: bool, split: bool
    ) -> list[Encoding]:
        """Let the backend work. Its settings belong to one call at a time, so calls queue up."""
        self._check_padding(lengths)
        if lengths.truncates:
            added = self.num_special_tokens_to_add(isinstance(items[0], tuple)) if special else 0
            lengths.check_room(added)
        backend = self.backend_tokenizer
        with self._lock:
            try:
                lengths.apply_to(backend, self.pad_token_id, self.pad_token, self.truncation_side)
                backend.encode_special_tokens = split
                return backend.encode_batch(
                    items, is_pretokenized=is_words, add_special_tokens=special
                )
            except BaseException as error:
                if not files.is_of_backend(error):
                    raise
                raise ValueError(
                    f"These texts cannot be encoded so: {error}. Change max_length, stride or "
                    "truncation (only_first and only_second cut only that text)."
                ) from error
            finally:
                Lengths().apply_to(backend, None, "", "right")
                backend.encode_special_tokens = False

    def _columns(
        self, encodings: list[Encoding], wanted: Mapping[str, bool], overflow: bool, length: bool
    ) -> tuple[dict[str, list[Any]], list[Encoding]]:
        return columns_of(encodings, wanted, overflow, length)

    def _without_batch(self, data: dict[str, Any], overflow: bool) -> dict[str, Any]:
        """The values of a single text; with what overflows it is several sequences."""
        if overflow:
            return data
        return {k: v[0] if isinstance(v[0], list) else v for k, v in data.items()}

    def _check_padding(self, lengths: Lengths) -> None:
        if lengths.pads and self.pad_token is None:
            raise ValueError(
                "Padding needs a padding token, and this tokenizer has none. Set pad_token to a "
                "token of the vocabulary, or add one with add_special_tokens({'pad_token': ...})."
            )

    def _wants(self, name: str, asked: bool | None) -> bool:
        return name in self.model_input_names if asked is None else asked

    def _warn_if_too_long(self, sequences: list[list[int]]) -> None:
        longest = max(map(len, sequences))
        if longest > self.model_max_length:
            warn(
                f"A text has {longest} tokens, the model takes {self.model_max_length}. Pass "
                "truncation=True, or shorten it.",
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
        token: str | bool | None = None,
        subfolder: str | None = "",
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
            subfolder: Folder of the checkpoint inside of the repository or folder.
            **overrides: Arguments of the constructor that win over the files'.

        Returns:
            The tokenizer. `tokenizer.json` wins over the vocabulary's own files.

        Raises:
            HubError: The files cannot be found or fetched.
            TokenizerError: They hold no tokenizer, one of another class, or are malformed.
            TypeError: An override that the constructor does not know, or a call of the base class.
        """
        options = HubOptions(revision, cache_dir, local_files_only, token, subfolder)
        read = partial(cls._read, name_or_path, options, overrides)
        return read_unmixed(read, name_or_path, TokenizerError)

    @classmethod
    def _read(
        cls, name_or_path: Any, options: HubOptions, overrides: dict[str, Any], watch: Watch
    ) -> BaseTokenizer:
        folder, sources = cls._locate(name_or_path, options)
        names = (*files.SETTINGS, files.TOKENIZER_FILE)
        watch.files(*(folder / name for name in names), *sources.values())
        settings = files.read_settings(folder, overrides)
        cls._check_class(folder / files.CONFIG_FILE, settings.pop("tokenizer_class", None))
        known = {*cls._argument_names(), *overrides}
        try:
            tokenizer = cls(**sources, **{k: v for k, v in settings.items() if k in known})
        except (OSError, TypeError, ValueError):  # errors of our own, which say what is wrong
            raise
        except BaseException as error:
            if not files.is_of_backend(error):
                raise
            words = escaped(f"{error!s:.300}")  # they may quote the files
            raise TokenizerError(
                f"The tokenizer's files in {folder} cannot be used: {words}. Fetch them again."
            ) from error
        tokenizer.init_kwargs.update({k: v for k, v in settings.items() if k not in known})
        tokenizer.name_or_path = os.fspath(name_or_path)
        return tokenizer

    @classmethod
    def _locate(
        cls, name_or_path: str | os.PathLike[str], options: HubOptions
    ) -> tuple[Path, dict[str, Path]]:
        """The folder, and the files for the constructor, by its arguments."""
        if not cls.vocab_files_names:
            raise TypeError(f"{cls.__name__} is a base class; use a family's tokenizer.")
        return files.locate(name_or_path, cls.vocab_files_names, options)

    @staticmethod
    def _argument_names() -> frozenset[str]:
        """The settings that constructors take from files."""
        return frozenset(BaseTokenizer.__init__.__kwdefaults__)

    @classmethod
    def _check_class(cls, path: Path, name: str | None) -> None:
        own = cls.__name__.removesuffix("Fast")
        if name is not None and name.removesuffix("Fast") != own:
            raise TokenizerError(
                f"{path}: expected a tokenizer of class {own} or {own}Fast, got "
                f"{escaped(name[:100])}. Load it with AutoTokenizer or that class."
            )

    def save_pretrained(self, folder: str | os.PathLike[str]) -> tuple[str, ...]:
        """Write all files that this package and transformers load, all together or none.

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
        gates = (files.TOKENIZER_FILE, *self.vocab_files_names.values(), files.CONFIG_FILE)
        with updating(folder, gates=gates) as new:
            files.write_settings(new, self.backend_tokenizer, settings, self.special_tokens_map)
            written = [files.CONFIG_FILE, files.SPECIAL_FILE]
            written += [*self.save_vocabulary(new), *self._save_backend(new)]
        return tuple(str(folder / Path(name).name) for name in written)

    def _save_backend(self, folder: Path) -> tuple[str, ...]:
        with self._lock:
            text = self.backend_tokenizer.to_str(pretty=True)
        files.write_text(folder / files.TOKENIZER_FILE, text)
        return (str(folder / files.TOKENIZER_FILE),)

    def save_vocabulary(
        self, folder: str | os.PathLike[str], filename_prefix: str | None = None
    ) -> tuple[str, ...]:
        """Write the vocabulary's own files, all together or none.

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
