"""The files of a tokenizer: finding, reading and writing them.

`tokenizer.json` holds everything that the backend needs. Older folders have the vocabulary's own
files instead (`vocab.json` and `merges.txt`, say). Beside them `tokenizer_config.json` and
`special_tokens_map.json` name the special tokens, and `added_tokens.json` lists tokens that were
added later.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from tfzoo.core.fields import Constraint, boolean, number, one_of
from tfzoo.core.file_system import is_utf8
from tfzoo.core.files import read_json, read_text, write_json
from tfzoo.core.replacing import destination, replacing, updating
from tfzoo.core.untrusted import escaped
from tfzoo.hub import HubFileNotFoundError, HubOptions, resolve

__all__ = [
    "ADDED_FILE",
    "CONFIG_FILE",
    "SETTINGS",
    "SPECIAL_FILE",
    "SPECIAL_TOKENS",
    "TOKENIZER_FILE",
    "TokenizerError",
    "check_vocabulary",
    "is_of_backend",
    "locate",
    "read_backend",
    "read_settings",
    "read_vocabulary",
    "save_model",
    "write_settings",
    "write_text",
]

TOKENIZER_FILE = "tokenizer.json"
CONFIG_FILE = "tokenizer_config.json"
SPECIAL_FILE = "special_tokens_map.json"
ADDED_FILE = "added_tokens.json"
SETTINGS = (CONFIG_FILE, SPECIAL_FILE, ADDED_FILE)

SPECIAL_TOKENS = (
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
)

_FLAGS = ("lstrip", "normalized", "rstrip", "single_word", "special")

# Where the files lay on the machine that wrote the configuration: of no use here.
_PRIVATE = {
    "name_or_path",
    "tokenizer_file",
    "vocab_file",
    "merges_file",
    "special_tokens_map_file",
    "init_inputs",
}


_TEXT = Constraint("text", lambda v: isinstance(v, str))
_TEXTS = Constraint(
    "a list of texts", lambda v: isinstance(v, list) and all(isinstance(item, str) for item in v)
)
_SIDE = one_of("right", "left")

# What tokenizers take from tokenizer_config.json; null may stand for a default, except of some.
_KINDS = {
    "tokenizer_class": _TEXT,
    "model_max_length": Constraint("a number of tokens", lambda v: number.holds(v) and v >= 1),
    "padding_side": _SIDE,
    "truncation_side": _SIDE,
    "model_input_names": _TEXTS,
    "clean_up_tokenization_spaces": boolean,
    "split_special_tokens": boolean,
    "do_lower_case": boolean,
    "do_basic_tokenize": boolean,
    "never_split": _TEXTS,
    "tokenize_chinese_chars": boolean,
    "strip_accents": boolean,
    "clean_text": boolean,
    "wordpieces_prefix": _TEXT,
}
_NEVER_NULL = {"do_lower_case", "do_basic_tokenize", "tokenize_chinese_chars"}


class TokenizerError(ValueError):
    """A tokenizer's files are missing, malformed or do not fit together."""


def locate(
    name_or_path: str | os.PathLike[str], vocabulary: Mapping[str, str], options: HubOptions
) -> tuple[Path, dict[str, Path]]:
    """Find a tokenizer.

    Args:
        name_or_path: A folder, a file in it, or a repository of the hub.
        vocabulary: The files that can stand for `tokenizer.json`, by the constructor's arguments.
        options: Where to look.

    Returns:
        The folder, and the files to build the backend from, by the constructor's arguments.

    Raises:
        HubError: The folder or repository cannot be found or reached.
        TokenizerError: It holds no tokenizer.
    """
    try:
        folder = resolve(name_or_path, TOKENIZER_FILE, options, optional=SETTINGS)
        return folder, {"tokenizer_file": folder / TOKENIZER_FILE}
    except HubFileNotFoundError:
        path = Path(name_or_path).expanduser()
        folder = path / (options.subfolder or "") if path.is_dir() else path.parent
        missing = [name for name in vocabulary.values() if not (folder / name).is_file()]
        if path.exists() and missing:
            raise TokenizerError(
                f"The folder {str(folder)!r} holds no tokenizer: expected {TOKENIZER_FILE}, or "
                f"{' and '.join(vocabulary.values())} (missing: {', '.join(missing)}). Copy the "
                "checkpoint's tokenizer there, or name the folder that has it."
            ) from None
    folder = resolve(name_or_path, tuple(vocabulary.values()), options, optional=SETTINGS)
    return folder, {argument: folder / name for argument, name in vocabulary.items()}


def read_backend(path: Path) -> Tokenizer:
    """Read `tokenizer.json`.

    Raises:
        TokenizerError: The file is missing, or the backend does not understand it.
    """
    try:
        text = read_text(path, TokenizerError)
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        return Tokenizer.from_str(text)
    except BaseException as error:
        if not is_of_backend(error):
            raise
        words = escaped(f"{error!s:.300}")  # they may quote the file
        raise TokenizerError(
            f"{path} is not a tokenizer.json of the tokenizers library: {words}. Fetch the file "
            "again, or remove it to use the vocabulary's own files."
        ) from error


def is_of_backend(error: BaseException) -> bool:
    """Whether the backend may have raised this: it raises bare exceptions, and panics."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def read_vocabulary(path: Path) -> dict[str, int]:
    """Read `vocab.json`, which maps tokens to ids.

    Raises:
        TokenizerError: The file is missing, malformed, or its ids have gaps.
    """
    try:
        vocabulary = read_json(path, TokenizerError)
    except OSError as error:
        raise _unreadable(path, error) from error
    check_vocabulary(vocabulary, path)
    return vocabulary


def check_vocabulary(vocabulary: Mapping[str, Any], path: Path | str) -> None:
    """Make sure that the ids are 0, 1, 2 and so on, each once.

    Raises:
        TokenizerError: They are not.
    """
    wrong = [t for t, i in vocabulary.items() if not isinstance(i, int) or isinstance(i, bool)]
    ids = sorted(vocabulary.values()) if not wrong else []
    if wrong or not vocabulary or ids != list(range(len(ids))):
        expected = f"each of the ids 0 to {max(len(vocabulary) - 1, 0)} exactly once"
        gap = next((n for n, i in enumerate(ids) if n != i), None)
        found = "it is empty" if not vocabulary else f"no token (or several) at id {gap}"
        found = f"{wrong[0]!r:.100} has the id {vocabulary[wrong[0]]!r:.100}" if wrong else found
        raise TokenizerError(
            f"{path}: a vocabulary of {len(vocabulary)} tokens must have {expected}, but {found}. "
            "Fetch the checkpoint's file again."
        )


def _unreadable(path: Path, error: OSError) -> TokenizerError:
    return TokenizerError(
        f"{path} cannot be read ({error.strerror or error}). Give the path of a tokenizer's file."
    )


def read_settings(folder: Path, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Read the files beside the vocabulary, if any, as arguments of a tokenizer.

    Args:
        folder: Folder of the files.
        overrides: The user's settings, which win.

    Returns:
        Settings by name; special tokens are strings or, where the files give flags, AddedTokens.
        `tokenizer_class` is as in the file.

    Raises:
        TokenizerError: A file is malformed.
    """
    settings = _read(folder / CONFIG_FILE)
    settings = {name: value for name, value in settings.items() if name not in _PRIVATE}
    if "max_len" in settings:
        settings.setdefault("model_max_length", settings.pop("max_len"))
    newer = settings.pop("extra_special_tokens", None)  # a list, or a dict of named ones
    extra = _several(folder / CONFIG_FILE, settings.get("additional_special_tokens"))
    extra += _several(
        folder / CONFIG_FILE, list(newer.values()) if isinstance(newer, dict) else newer
    )
    settings["additional_special_tokens"] = extra
    if "added_tokens_decoder" in settings:
        declared = _declared(folder / CONFIG_FILE, settings.pop("added_tokens_decoder"))
    else:
        special = _read(folder / SPECIAL_FILE)
        more = _several(folder / SPECIAL_FILE, special.get("additional_special_tokens"))
        extra += [token for token in more if token not in extra]
        settings.update({name: special[name] for name in SPECIAL_TOKENS if name in special})
        declared = _declared_elsewhere(folder, {**settings, **overrides})
    settings = {**_checked(folder / CONFIG_FILE, settings), **overrides}
    by_content = {str(token): token for token in declared.values()}
    for name, value in settings.items():
        if name == "additional_special_tokens":
            settings[name] = [_token(folder, token, {}) for token in value or []]
        elif name in SPECIAL_TOKENS:
            settings[name] = _token(folder, value, by_content)
    settings["added_tokens_decoder"] = declared
    return settings


def _read(path: Path) -> dict[str, Any]:
    return read_json(path, TokenizerError) if path.is_file() else {}


def _several(path: Path, tokens: Any) -> list[Any]:
    """A list of tokens; none where the file has null."""
    if tokens is not None and not isinstance(tokens, list):
        raise TokenizerError(f"{path}: expected a list of special tokens, got {tokens!r:.100}.")
    return list(tokens or [])


def _checked(path: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a file, those that tokenizers take in the form in which they take them."""
    for name, kind in _KINDS.items():
        value = settings.get(name)
        if value is None and (name not in settings or name not in _NEVER_NULL):
            continue
        if not kind.holds(value):
            raise TokenizerError(
                f"{path}: {name} must be {kind.description}, got {value!r:.100}. Fetch the "
                "checkpoint's file again, or correct it."
            )
    length = settings.get("model_max_length")
    return {**settings, "model_max_length": int(length)} if length else dict(settings)


def _token(folder: Path, value: Any, declared: Mapping[str, AddedToken]) -> str | AddedToken | None:
    """A special token from its form in a file."""
    if isinstance(value, dict):
        value = _added(folder, {**value, "special": True})
    elif value is not None and not isinstance(value, (str, AddedToken)):
        raise TokenizerError(f"{folder}: a special token must be a string, got {value!r:.100}.")
    if value is not None and not str(value):
        raise TokenizerError(f"{folder}: a special token must be a string, got an empty one.")
    return value if value is None else declared.get(str(value), value)


def _added(path: Path, fields: Mapping[str, Any]) -> AddedToken:
    given = {name: fields[name] for name in _FLAGS if name in fields}
    content = fields.get("content")
    if not isinstance(content, str) or not all(isinstance(flag, bool) for flag in given.values()):
        raise TokenizerError(
            f"{path}: expected a token's content and flags ({', '.join(_FLAGS)}), got "
            f"{dict(fields)!r:.200}."
        )
    return AddedToken(content, **given)


def _declared(path: Path, tokens: Any) -> dict[int, AddedToken]:
    """The added tokens of a new tokenizer_config.json."""
    if not isinstance(tokens, dict) or not all(
        str(index).isdecimal() and len(str(index)) < 10 and isinstance(fields, dict)
        for index, fields in tokens.items()
    ):
        raise TokenizerError(f"{path}: added_tokens_decoder must map ids to tokens with flags.")
    return {int(index): _added(path, fields) for index, fields in tokens.items()}


def _declared_elsewhere(folder: Path, settings: Mapping[str, Any]) -> dict[int, AddedToken]:
    """The added tokens of an old folder: those of added_tokens.json, then of tokenizer.json."""
    values = [settings.get(name) for name in SPECIAL_TOKENS]
    values += settings.get("additional_special_tokens") or []
    special = {str(_token(folder, value, {})) for value in values if value is not None}
    tokens = {
        _index(folder / ADDED_FILE, index): AddedToken(
            content, normalized=content not in special, special=content in special
        )
        for content, index in _read(folder / ADDED_FILE).items()
    }
    path = folder / TOKENIZER_FILE
    for fields in _several(path, _read(path).get("added_tokens")):
        if not isinstance(fields, dict):
            raise TokenizerError(f"{path}: expected an added token's fields, got {fields!r:.100}.")
        tokens[_index(path, fields.get("id"))] = _added(path, fields)
    return tokens


def _index(path: Path, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TokenizerError(f"{path}: an added token's id must be a number, got {value!r:.100}.")
    return value


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    with replacing(path, force=True) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def save_model(backend: Tokenizer, folder: Path, prefix: str | None = None) -> tuple[str, ...]:
    """Write the files of the vocabulary, all together or none, and return their paths.

    Raises:
        OSError: The folder cannot be written.
    """
    with updating(folder) as new:
        try:
            written = backend.model.save(str(new), prefix)
        except Exception as error:  # the backend raises bare exceptions
            raise _unwritable(folder, error) from error
    return tuple(str(folder / Path(path).name) for path in written)


def _unwritable(folder: Path, error: Exception) -> OSError:
    """The kind of error that the system gave, whose number stands in the backend's text."""
    number = re.search(r"os error (\d+)", str(error))
    place = destination(folder)
    reason = error if is_utf8(place) else "the path is not UTF-8"
    message = f"{place} cannot be written: {reason}"
    return OSError(int(number[1]), message) if number else OSError(message)


def write_settings(
    folder: Path, backend: Tokenizer, settings: Mapping[str, Any], special: Mapping[str, Any]
) -> None:
    """Write `tokenizer_config.json` and `special_tokens_map.json`.

    The backend knows the flags of the added tokens; `special` has the special ones by name.

    Raises:
        OSError: The folder cannot be written.
    """
    added = {i: token.__getstate__() for i, token in backend.get_added_tokens_decoder().items()}
    write_json(folder / CONFIG_FILE, {**settings, **special, "added_tokens_decoder": added})
    flags = {fields["content"]: dict(fields) for fields in added.values()}
    for fields in flags.values():
        del fields["special"]
    described: dict[str, Any] = {}
    for name, value in special.items():
        several = isinstance(value, list)
        described[name] = [flags.get(t, t) for t in value] if several else flags.get(value, value)
    write_json(folder / SPECIAL_FILE, described)
