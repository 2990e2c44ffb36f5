"""What `convert` finds where it is to write: finished, incomplete, or something else.

A finished target holds what would be written, bit for bit; it is kept, so that an interrupted
command can simply be given again. An incomplete one (another program's copy, a full disk) is
recognised by its form and written again. Whatever else is there is precious.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

from tfzoo.cli.forms import ModelTensors, float_dtypes
from tfzoo.core.files import read_json, write_json
from weights_convert.checkpoint import INDEX_NAME, SINGLE_NAME, open_checkpoint
from weights_convert.compare import compare
from weights_convert.errors import CheckpointError

__all__ = ["PROCESSOR_FILES", "has_form", "is_finished", "is_whole", "stamp"]

#: Those of these that a checkpoint has are copied into a PyTorch folder.
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
_CHECKPOINT_FILES = {SINGLE_NAME, INDEX_NAME, "config.json", *PROCESSOR_FILES}
_STARTS = {"keras": b"PK\3\4", "weights": b"\x89HDF\r\n\x1a\n"}
_SAVED_MODEL = {"saved_model.pb", "fingerprint.pb", "variables", "assets", "assets.extra"}
_STAMP = Path("assets.extra") / "converted.json"  # servers leave this folder to others


def has_form(target: Path, to: str) -> bool:
    """Whether an existing target can only come from `convert` to this format, finished or not."""
    if to in _STARTS:
        if not target.is_file():
            return False
        with open(target, "rb") as file:
            return _STARTS[to].startswith(file.read(len(_STARTS[to])))  # an empty file as well
    if not target.is_dir():
        return False
    names = {path.name for path in target.iterdir()}
    if to == "savedmodel":
        return names <= _SAVED_MODEL and ((target / _STAMP).is_file() or not names)
    others = names - _CHECKPOINT_FILES
    return all(name.startswith("model-") and name.endswith(".safetensors") for name in others)


def is_whole(target: Path, to: str) -> bool:
    """Whether a target of this form is complete and undamaged, as far as its form tells."""
    import h5py

    try:
        if to == "savedmodel":
            return read_json(target / _STAMP).get("files") == _sizes(target)
        if to == "pytorch":
            read_json(target / "config.json")
            open_checkpoint(target).close()
        elif to == "keras":
            with zipfile.ZipFile(target) as archive:
                return archive.testzip() is None
        else:
            h5py.File(target).close()
    except (zipfile.BadZipFile, OSError, EOFError, ValueError):  # CheckpointError is a ValueError
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

    def content(folder: Path | None, name: str) -> bytes | None:
        return (folder / name).read_bytes() if folder and (folder / name).is_file() else None

    return all(content(target, name) == content(beside, name) for name in PROCESSOR_FILES)


def stamp(target: Path, model: Any) -> None:
    """Note in a SavedModel which model it was made of, and the sizes of its files."""
    write_json(target / _STAMP, {"model": _digest(model), "files": _sizes(target)})


def _sizes(folder: Path) -> dict[str, int]:
    """The sizes of a SavedModel's files; not those of the stamp's folder."""
    files = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    own = _STAMP.parts[0]
    return {n.as_posix(): path.stat().st_size for n, path in files.items() if n.parts[0] != own}


def _digest(model: Any) -> str:
    """A hash of a model's class, config, dtypes and values."""
    tensors = ModelTensors(model)
    text = [type(model).__name__, model.dtype_policy.name, model.config.to_json_dict()]
    digest = hashlib.sha256(json.dumps(text, sort_keys=True).encode())
    for name, info in tensors.items():
        digest.update(f"{name} {info}".encode())
        digest.update(tensors.read_raw(name).tobytes())
    return digest.hexdigest()
