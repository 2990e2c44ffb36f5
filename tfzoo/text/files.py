"""The files of a tokenizer: finding, reading and writing them.

`tokenizer.json` holds everything that the backend needs. Older folders have the vocabulary's own
files instead (`vocab.json` and `merges.txt`, say). Beside them `tokenizer_config.json` and
`special_tokens_map.json` name the special tokens, and `added_tokens.json` lists tokens that were
added later.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from tfzoo.core.files import read_json, replacing, write_json
from tfzoo.hub import HubFileNotFoundError, HubOptions, resolve

__all__ = [
    "ADDED_FILE",
    "CONFIG_FILE",
    "SPECIAL_FILE",
    "SPECIAL_TOKENS",
    "TOKENIZER_FILE",
    "TokenizerError",
    "check_vocabulary",
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
    others = (CONFIG_FILE, SPECIAL_FILE, ADDED_FILE)
    try:
        folder = resolve(name_or_path, TOKENIZER_FILE, options, optional=others)
        return folder, {"tokenizer_file": folder / TOKENIZER_FILE}
    except HubFileNotFoundError:
        path = Path(name_or_path).expanduser()
        folder = path if path.is_dir() else path.parent
        missing = [name for name in vocabulary.values() if not (folder / name).is_file()]
        if path.exists() and missing:
            raise TokenizerError(
                f"The folder {str(folder)!r} holds no tokenizer: expected {TOKENIZER_FILE}, or "
                f"{' and '.join(vocabulary.values())} (missing: {', '.join(missing)}). Copy the "
                "checkpoint's tokenizer there, or name the folder that has it."
            ) from None
    folder = resolve(name_or_path, tuple(vocabulary.values()), options, optional=others)
    return folder, {argument: folder / name for argument, name in vocabulary.items()}


def read_backend(path: Path) -> Tokenizer:
    """Read `tokenizer.json`.

    Raises:
        TokenizerError: The file is missing, or the backend does not understand it.
    """
    try:
        return Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _unreadable(path, error) from error
    except Exception as error:  # the backend raises bare exceptions
        raise TokenizerError(
            f"{path} is not a tokenizer.json of the tokenizers library: {error}. Fetch the file "
            "anew, or remove it to use the vocabulary's own files."
        ) from error


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
        found = f"{wrong[0]!r} has the id {vocabulary[wrong[0]]!r}" if wrong else found
        raise TokenizerError(
            f"{path}: a vocabulary of {len(vocabulary)} tokens must have {expected}, but {found}. "
            "Fetch the checkpoint's file anew."
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
    newer = settings.pop("extra_special_tokens", None) or []  # a list, or a dict of named ones
    newer = list(newer.values()) if isinstance(newer, dict) else newer
    settings["additional_special_tokens"] = [
        *(settings.get("additional_special_tokens") or []),
        *newer,
    ]
    if "added_tokens_decoder" in settings:
        declared = _declared(folder / CONFIG_FILE, settings.pop("added_tokens_decoder"))
    else:
        special = _read(folder / SPECIAL_FILE)
        extra = settings["additional_special_tokens"]
        extra += [t for t in special.pop("additional_special_tokens", []) if t not in extra]
        settings.update(special)
        declared = _declared_elsewhere(folder, {**settings, **overrides})
    settings.update(overrides)
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


def _token(folder: Path, value: Any, declared: Mapping[str, AddedToken]) -> str | AddedToken | None:
    """A special token from its form in a file."""
    if isinstance(value, dict):
        value = _added(folder, {**value, "special": True})
    elif value is not None and not isinstance(value, (str, AddedToken)):
        raise TokenizerError(f"{folder}: a special token must be a string, got {value!r}.")
    return value if value is None else declared.get(str(value), value)


def _added(path: Path, fields: Mapping[str, Any]) -> AddedToken:
    given = {name: fields[name] for name in _FLAGS if name in fields}
    content = fields.get("content")
    if not isinstance(content, str) or not all(isinstance(flag, bool) for flag in given.values()):
        raise TokenizerError(
            f"{path}: expected a token's content and flags ({', '.join(_FLAGS)}), got "
            f"{dict(fields)}."
        )
    return AddedToken(content, **given)


def _declared(path: Path, tokens: Any) -> dict[int, AddedToken]:
    """The added tokens of a new tokenizer_config.json."""
    if not isinstance(tokens, dict) or not all(
        str(index).isdecimal() and isinstance(fields, dict) for index, fields in tokens.items()
    ):
        raise TokenizerError(f"{path}: added_tokens_decoder must map ids to tokens with flags.")
    return {int(index): _added(path, fields) for index, fields in tokens.items()}


def _declared_elsewhere(folder: Path, settings: Mapping[str, Any]) -> dict[int, AddedToken]:
    """The added tokens of an old folder: those of added_tokens.json, then of tokenizer.json."""
    values = [settings.get(name) for name in SPECIAL_TOKENS]
    values += settings.get("additional_special_tokens") or []
    special = {v.get("content") if isinstance(v, dict) else str(v) for v in values if v is not None}
    tokens = {
        index: AddedToken(content, normalized=content not in special, special=content in special)
        for content, index in _read(folder / ADDED_FILE).items()
    }
    for fields in _read(folder / TOKENIZER_FILE).get("added_tokens", []):
        tokens[fields["id"]] = _added(folder / TOKENIZER_FILE, fields)
    return tokens


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    with replacing(path, force=True) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def save_model(backend: Tokenizer, folder: Path, prefix: str | None = None) -> tuple[str, ...]:
    """Write the files of the vocabulary, each whole or not at all, and return their paths.

    Raises:
        OSError: The folder cannot be written.
    """
    with tempfile.TemporaryDirectory() as scratch:
        names = [Path(file).name for file in backend.model.save(scratch, prefix)]
        for name in names:
            with replacing(folder / name, force=True) as path:
                shutil.copyfile(Path(scratch) / name, path)
    return tuple(str(folder / name) for name in names)


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
