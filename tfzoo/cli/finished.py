"""What `convert` finds where it is to write: something finished, broken off, or of somebody else.

A finished target holds what would be written, bit for bit; it is left alone, so that a command that
was interrupted can simply be given again. One that broke off (another program's copy, a full disk)
is recognised by its form and made anew. Whatever else is there is precious.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfzoo.cli.forms import ModelTensors, float_dtypes
from tfzoo.core.files import read_json, write_json
from weights_convert.checkpoint import INDEX_NAME, SINGLE_NAME, open_checkpoint
from weights_convert.compare import compare
from weights_convert.errors import CheckpointError

__all__ = ["PROCESSOR_FILES", "has_form", "is_finished", "is_whole", "stamp"]

#: Whatever of these a checkpoint has goes along, unchanged, into a PyTorch folder.
PROCESSOR_FILES = (
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
)
_STARTS = {"keras": b"PK\3\4", "weights": b"\x89HDF\r\n\x1a\n"}
_SAVED_MODEL = ("saved_model.pb", "fingerprint.pb", "variables", "assets", "assets.extra")
_STAMP = Path("assets.extra") / "converted.json"  # servers leave this folder to others


def has_form(target: Path, to: str) -> bool:
    """Whether what is there can only come from `convert`, or from one that broke off.

    Args:
        target: File or folder that exists.
        to: The format to be written.
    """
    if to in _STARTS:
        start = _STARTS[to]
        if not target.is_file():
            return False
        with open(target, "rb") as file:
            found = file.read(len(start))
        return start.startswith(found)  # an empty file, too
    if not target.is_dir():
        return False
    names = {path.name for path in target.iterdir()}
    if to == "savedmodel":
        return names <= set(_SAVED_MODEL) and ((target / _STAMP).is_file() or not names)
    return all(_is_checkpoint_file(name) for name in names)


def _is_checkpoint_file(name: str) -> bool:
    if name in (SINGLE_NAME, INDEX_NAME, "config.json", *PROCESSOR_FILES):
        return True
    return name.startswith("model-") and name.endswith(".safetensors")


def is_whole(target: Path, to: str) -> bool:
    """Whether nothing of the target is missing or damaged, as far as its form tells.

    Args:
        target: A target of the form, see `has_form`.
        to: The format.
    """
    if to == "savedmodel":
        return _is_stamped(target)
    if to == "pytorch":
        return _is_whole_folder(target)
    if to == "keras":
        try:
            with zipfile.ZipFile(target) as archive:
                return archive.testzip() is None
        except (zipfile.BadZipFile, OSError, EOFError):
            return False
    import h5py

    try:
        with h5py.File(target):
            return True
    except OSError:
        return False


def _is_whole_folder(target: Path) -> bool:
    try:
        read_json(target / "config.json")
        open_checkpoint(target).close()
    except (OSError, ValueError):  # CheckpointError is one
        return False
    return True


def is_finished(target: Path, to: str, model: Any, beside: Path | None) -> bool:
    """Whether a whole target is what converting this model would give, bit for bit.

    Args:
        target: A whole target of the form.
        to: The format.
        model: The model to be converted.
        beside: Folder of the source's processor files; None if it has none.
    """
    if to == "savedmodel":
        return read_json(target / _STAMP).get("model") == _digest(model)
    if to == "pytorch":
        return _same_files(target, model, beside) and _same_tensors(target, model)
    from tfzoo.auto import load_model

    try:
        if to == "keras":
            other = load_model(target)
        else:
            if float_dtypes(target) != {model.dtype_policy.variable_dtype}:
                return False  # loading would round
            other = type(model)(model.config, dtype=model.dtype_policy)
            other.load_weights(target)
    except (OSError, ValueError):  # another model's
        return False
    same_class = type(other) is type(model) and other.dtype_policy.name == model.dtype_policy.name
    same_config = other.config.to_json_string() == model.config.to_json_string()
    return same_class and same_config and _are_equal(ModelTensors(model), ModelTensors(other))


def _same_tensors(target: Path, model: Any) -> bool:
    try:
        with open_checkpoint(target) as tensors:
            return _are_equal(ModelTensors(model), tensors)
    except CheckpointError:
        return False


def _are_equal(one: Any, two: Any) -> bool:
    return all(row.is_equal for row in compare(one, two))


def _same_files(target: Path, model: Any, beside: Path | None) -> bool:
    """Whether the config is the model's, and the processor's files are the source's."""
    if read_json(target / "config.json") != json.loads(model.saved_config().to_json_string()):
        return False
    for name in PROCESSOR_FILES:
        copy, original = target / name, beside / name if beside else None
        expected = original.read_bytes() if original and original.is_file() else None
        if (copy.read_bytes() if copy.is_file() else None) != expected:
            return False
    return True


def stamp(target: Path, model: Any) -> None:
    """Note in a SavedModel what it was made of and how large its files are.

    Args:
        target: The SavedModel's folder.
        model: The model that it was made of.
    """
    values = {"model": _digest(model), "files": dict(_sizes(target))}
    write_json(target / _STAMP, values)


def _is_stamped(target: Path) -> bool:
    try:
        files = read_json(target / _STAMP).get("files")
    except (OSError, ValueError):
        return False
    return isinstance(files, dict) and files == dict(_sizes(target))


def _sizes(folder: Path) -> Iterator[tuple[str, int]]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and name.parts[0] != _STAMP.parts[0]:
            yield name.as_posix(), path.stat().st_size


def _digest(model: Any) -> str:
    """One number for the class, the config, the dtypes and all values of a model."""
    tensors = ModelTensors(model)
    text = [type(model).__name__, model.dtype_policy.name, model.config.to_json_dict()]
    digest = hashlib.sha256(json.dumps(text, sort_keys=True).encode())
    for name, info in tensors.items():
        digest.update(f"{name} {info}".encode())
        digest.update(tensors.read_raw(name).tobytes())
    return digest.hexdigest()
