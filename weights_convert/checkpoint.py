"""Reading checkpoints: one file or many, of any of the formats that checkpoints come in.

A folder is searched for the formats in the order of ``WEIGHT_FILES``: safetensors first, because
it opens fastest; then PyTorch's pickles, read without executing anything; then TensorFlow's h5.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfzoo.core.files import read_json, read_text
from tfzoo.core.replacing import recover
from weights_convert.errors import CheckpointError
from weights_convert.formats.safetensors import (
    INDEX_NAME,
    SINGLE_NAME,
    SafetensorsFile,
    unique_object,
    write_checkpoint,
)
from weights_convert.formats.tensor_file import TensorFile
from weights_convert.formats.tf_h5 import H5File
from weights_convert.formats.torch_pickle import TorchFile
from weights_convert.memory import Empty, aligned
from weights_convert.tensors import TensorInfo, bfloat16_to_float32

__all__ = [
    "INDEX_NAME",
    "SINGLE_NAME",
    "WEIGHT_FILES",
    "Checkpoint",
    "open_checkpoint",
    "read_config",
    "shard_names",
    "write_checkpoint",
]

#: Names of the file that a checkpoint's folder has, in the order in which they are looked for.
WEIGHT_FILES: tuple[str, ...] = (
    SINGLE_NAME,
    INDEX_NAME,
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "tf_model.h5",
)

_FORMATS: dict[str, type[TensorFile]] = {
    ".bin": TorchFile,
    ".pt": TorchFile,
    ".pth": TorchFile,
    ".h5": H5File,
}
_MAX_INDEX = 2**25


class Checkpoint(Mapping[str, TensorInfo]):
    """An open checkpoint: a mapping of names to dtypes and shapes that also reads the tensors.

    It is a context manager, and any number of threads may read from it.

    Args:
        files: path of each file of the checkpoint.

    Attributes:
        metadata: the files' free text entries, the first file's first.

    Raises:
        CheckpointError: a file is malformed or unreadable, or two files hold one name.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> write_checkpoint(folder, [("a", "F32", (2,), lambda: np.ones(2, np.float32))])
        >>> with open_checkpoint(folder) as checkpoint:
        ...     print(checkpoint["a"], checkpoint.read("a"))
        TensorInfo(dtype='F32', shape=(2,)) [1. 1.]
    """

    def __init__(self, *files: str | Path) -> None:
        self._files: list[TensorFile] = []
        self._home: dict[str, TensorFile] = {}
        self.metadata: dict[str, str] = {}
        try:
            for path in files:
                self._add(_open_file(Path(path)))
        except BaseException:
            self.close()
            raise

    def _add(self, file: TensorFile) -> None:
        self._files.append(file)
        for name in file.tensors:
            if name in self._home:
                other = self._home[name].path.name
                raise CheckpointError(f"{name!r:.200} is both in {other} and in {file.path.name}")
            self._home[name] = file
        self.metadata = {**file.metadata, **self.metadata}

    def __getitem__(self, name: str) -> TensorInfo:
        return self._home[name].tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._home)

    def __len__(self) -> int:
        return len(self._home)

    def file_of(self, name: str) -> Path:
        """Return the file that holds a tensor."""
        return self._home[name].path

    def read(self, name: str, empty: Empty = aligned) -> np.ndarray:
        """Read one tensor; bfloat16 becomes float32, exactly.

        Args:
            name: the tensor's name.
            empty: makes the array that is returned, see ``memory.py``.

        Returns:
            An array of the stored shape.

        Raises:
            KeyError: no such tensor.
            CheckpointError: the file has been truncated, or cannot be read.
            ValueError: the checkpoint is closed.
        """
        if self[name].dtype != "BF16":
            return self._home[name].read(name, empty)
        return bfloat16_to_float32(self.read_raw(name), empty)

    def read_raw(self, name: str) -> np.ndarray:
        """Read one tensor as ``read`` does, but as it is stored: bfloat16 as ``uint16`` bits."""
        return self._home[name].read(name)

    def close(self) -> None:
        """Close the files; what has been read stays valid."""
        for file in self._files:
            file.close()

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def open_checkpoint(path: str | Path) -> Checkpoint:
    """Open a checkpoint and validate its headers.

    Args:
        path: a file (``.safetensors``; ``.bin``, ``.pt`` or ``.pth`` of PyTorch; ``.h5`` of
            TensorFlow), an index (``model.safetensors.index.json``), or a folder with one of
            ``WEIGHT_FILES``, the first of which is taken.

    Returns:
        The open checkpoint, a context manager.

    Raises:
        CheckpointError: the checkpoint is missing or malformed.

    Example:
        >>> open_checkpoint("no/such/folder")
        Traceback (most recent call last):
        ...
        weights_convert.errors.CheckpointError: no/such/folder: no such file or folder
    """
    path = Path(path)
    recover(path)
    if os.path.isdir(path):  # unlike Path.is_dir, False for whatever cannot be a path
        path = _main_file(path)
    if path.suffix != ".json":
        return Checkpoint(path)
    shards = _read_index(path)
    for name in sorted(set(shards.values())):
        _check_shard(path, name)
    checkpoint = Checkpoint(*(path.parent / name for name in dict.fromkeys(shards.values())))
    try:
        _check_index(path, shards, checkpoint)
    except CheckpointError:
        checkpoint.close()
        raise
    return checkpoint


def shard_names(index: str | Path) -> tuple[str, ...]:
    """Return the files that an index needs, so that they can be fetched.

    Args:
        index: path of the index.

    Returns:
        Plain file names, sorted; the files need not be there yet.

    Raises:
        CheckpointError: the index is missing or malformed, or names a file elsewhere.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / INDEX_NAME
        >>> _ = path.write_text('{"weight_map": {"a": "one.safetensors"}}')
        >>> shard_names(path)
        ('one.safetensors',)
    """
    return tuple(sorted(set(_read_index(Path(index)).values())))


def read_config(path: Path) -> dict[str, Any] | None:
    """Return the config beside the weights, None if there is none.

    Args:
        path: folder or file of the checkpoint.

    Returns:
        The values of ``config.json``.

    Raises:
        CheckpointError: it is not a JSON object.

    Example:
        >>> read_config(Path("no/such/folder")) is None
        True
    """
    config = (path if path.is_dir() else path.parent) / "config.json"
    if not config.is_file():
        return None
    return read_json(config, CheckpointError)


def _open_file(path: Path) -> TensorFile:
    return _FORMATS.get(path.suffix, SafetensorsFile)(path)


def _main_file(folder: Path) -> Path:
    for name in WEIGHT_FILES:
        if (folder / name).exists():
            return folder / name
    raise CheckpointError(f"{folder}: expected {' or '.join(WEIGHT_FILES)}, found none of them")


def _read_index(path: Path) -> dict[str, str]:
    """Return tensor name -> file name of an index, each the plain name of a file."""
    if not os.path.isfile(path):
        raise CheckpointError(f"{path}: no such file or folder")
    try:
        text = read_text(path, CheckpointError, _MAX_INDEX)
        index: Any = json.loads(text, object_pairs_hook=unique_object)
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not valid JSON: {error}") from error
    shards = index.get("weight_map") if isinstance(index, dict) else None
    if not shards or not _is_text(shards):
        raise CheckpointError(f"{path}: expected a weight_map of tensor names to file names")
    for name in shards.values():
        if name in ("", ".", "..") or any(sign in name for sign in "/\\:\0"):
            raise CheckpointError(
                f"{path}: expected the name of a file beside it, found {name!r:.200}"
            )
    return shards


def _is_text(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())


def _check_shard(index: Path, name: str) -> None:
    """Raise unless a shard is a file that really lies beside the index.

    A download cache links both the index and its shards into one store, so "beside" is also
    judged by where the index itself really lies.
    """
    shard = index.parent / name
    if not os.path.isfile(shard):
        raise CheckpointError(f"{index}: the shard {name!r:.200} is missing")
    if shard.resolve().parent not in (index.parent.resolve(), index.resolve().parent):
        raise CheckpointError(f"{index}: the shard {name!r:.200} is a link to another folder")


def _check_index(path: Path, shards: Mapping[str, str], checkpoint: Checkpoint) -> None:
    """Raise unless the shards hold what the index says, and nothing else."""
    for name, shard in shards.items():
        if name not in checkpoint:
            raise CheckpointError(
                f"{path}: expected {name!r:.200} in {shard!r:.200}, found it in no shard"
            )
        if checkpoint.file_of(name).name != shard:
            found = checkpoint.file_of(name).name
            raise CheckpointError(
                f"{path}: expected {name!r:.200} in {shard!r:.200}, found it in {found}"
            )
    extra = sorted(set(checkpoint).difference(shards))
    if extra:
        found = f"{extra[0]!r:.200} in {checkpoint.file_of(extra[0]).name}"
        raise CheckpointError(f"{path}: expected the names of its weight_map, found also {found}")
