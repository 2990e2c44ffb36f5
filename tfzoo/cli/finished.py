"""Whether what `convert` finds where it is to write is what it would write.

Such a target is kept, so that an interrupted command can simply be given again. Whatever else is
there is precious: `convert` leaves nothing half-written, so that it cannot be its own.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from tfzoo.cli.forms import ModelTensors, float_dtypes
from tfzoo.core.files import read_json, write_json
from tfzoo.modeling.processor_files import PROCESSOR_FILES
from weights_convert.checkpoint import open_checkpoint
from weights_convert.compare import compare

__all__ = ["is_finished", "stamp"]

_STAMP = Path("assets.extra") / "converted.json"  # servers leave this folder to others


def is_finished(target: Path, to: str, model: Any, beside: Path | None) -> bool:
    """Whether an existing target is what converting this model would give, bit for bit.

    What cannot be read is not: it is damaged, another program's, or open in one.

    Args:
        target: The target.
        to: The format.
        model: The model to be converted.
        beside: Folder of the source's processor files; None if it has none.
    """
    try:
        if to == "savedmodel":
            return read_json(target / _STAMP) == _described(target, model)
        if to == "pytorch":
            return _same_files(target, model, beside) and _same_tensors(target, model)
        return _same_model(target, to, model)
    except Exception:  # each format's readers have errors of their own
        return False


def _same_model(target: Path, to: str, model: Any) -> bool:
    from tfzoo.auto import load_model

    if to == "keras":
        other = load_model(target)
    else:
        if float_dtypes(target) != {model.dtype_policy.variable_dtype}:
            return False  # loading would round
        other = type(model)(model.config, dtype=model.dtype_policy)
        other.load_weights(target)
    same_class = type(other) is type(model) and other.dtype_policy.name == model.dtype_policy.name
    same_config = other.config.to_json_string() == model.config.to_json_string()
    return same_class and same_config and _are_equal(ModelTensors(model), ModelTensors(other))


def _same_tensors(target: Path, model: Any) -> bool:
    with open_checkpoint(target) as tensors:
        return _are_equal(ModelTensors(model), tensors)


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
    write_json(target / _STAMP, _described(target, model))


def _described(target: Path, model: Any) -> dict[str, Any]:
    return {"model": _digest(model), "files": _sizes(target)}


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
