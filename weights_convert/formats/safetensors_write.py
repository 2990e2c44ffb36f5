"""Writing safetensors checkpoints: streamed, sharded, and whole or not at all.

Every file is first written beside its target under a temporary name. Only when all of them are
complete and on disk do they take their names, the index last.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from weights_convert.formats.safetensors_header import checked_metadata, encode_header
from weights_convert.tensors import DTYPES, TensorInfo, float32_to_bfloat16

__all__ = ["INDEX_NAME", "SINGLE_NAME", "write_checkpoint"]

SINGLE_NAME = "model.safetensors"
INDEX_NAME = "model.safetensors.index.json"

Source = tuple[str, str, tuple[int, ...], Callable[[], np.ndarray]]


def write_checkpoint(
    folder_or_file: str | Path,
    tensors: Sequence[Source],
    *,
    max_shard_bytes: int = 5_000_000_000,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a checkpoint, one tensor in memory at a time.

    Past the size of a shard it becomes ``model-00001-of-00003.safetensors`` and so on, and an
    index. Files of an older checkpoint of the same name are replaced; until all is written they
    stay, and after a failure nothing of the new one is left.

    Args:
        folder_or_file: a ``.safetensors`` file, or the folder (made if need be) of
            ``model.safetensors``.
        tensors: (name, dtype code, shape, callable that returns the array), see
            ``tensors.DTYPES``. A BF16 array may be uint16 bits, a ``bfloat16`` of ml_dtypes, or
            float32 to be rounded; all others must have the stated dtype.
        max_shard_bytes: largest sum of tensors in a file; a larger tensor gets its own.
        metadata: free text entries of each file; ``{"format": "pt"}`` unless given.

    Raises:
        ValueError: a name stands twice, or an array is not what was announced.
        OSError: the disk is full or the folder cannot be written.

    Example:
        >>> import tempfile
        >>> ones = np.ones(2, np.float32)
        >>> write_checkpoint(tempfile.mkdtemp(), [("a", "F32", (2,), lambda: ones)])
    """
    target = Path(folder_or_file)
    path = target if target.suffix == ".safetensors" else target / SINGLE_NAME
    metadata = checked_metadata({"format": "pt"} if metadata is None else metadata)
    _check_names(tensors)
    files = _name_shards(path, _split(tensors, max_shard_bytes))
    with _new_folder(path.parent), _Replacement() as replacement:
        for name, shard in files.items():
            with replacement.open(path.with_name(name)) as file:
                _write_file(file, shard, metadata)
        index = path.with_name(f"{path.name}.index.json")
        if len(files) > 1:
            with replacement.open(index) as file:
                file.write(_index(files))
        replacement.commit()
    _remove_stale(path, keep={*files, index.name} if len(files) > 1 else set(files))


class _Replacement:
    """Files written under temporary names, which take their places together."""

    def __init__(self) -> None:
        self._pending: dict[Path, Path] = {}  # temporary -> target

    def __enter__(self) -> _Replacement:
        return self

    @contextlib.contextmanager
    def open(self, target: Path) -> Iterator[BinaryIO]:
        if target.is_dir():
            raise IsADirectoryError(f"{target}: expected a file to replace, found a folder")
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
        with open(temporary, "xb") as file:
            self._pending[temporary] = target
            yield file
            file.flush()
            os.fsync(file.fileno())

    def commit(self) -> None:
        for temporary, target in list(self._pending.items()):
            os.replace(temporary, target)
            del self._pending[temporary]
        _sync_folder(target.parent)

    def __exit__(self, *error: object) -> None:
        for temporary in self._pending:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _new_folder(folder: Path) -> Iterator[None]:
    """Make the folder; where that was needed and the work fails, remove it again."""
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for parent in made:
            with contextlib.suppress(OSError):  # somebody else has put something into it
                parent.rmdir()
        raise


def _sync_folder(folder: Path) -> None:
    """Make the new names durable, where the system can open folders."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _check_names(tensors: Sequence[Source]) -> None:
    seen: set[str] = set()
    for name, dtype, *_ in tensors:
        if not isinstance(name, str) or name in seen or name == "__metadata__":
            raise ValueError(f"tensor name {name!r}: expected unique text, not '__metadata__'")
        if dtype not in DTYPES:
            raise ValueError(f"{name}: expected a dtype among {', '.join(DTYPES)}, got {dtype!r}")
        seen.add(name)


def _split(tensors: Sequence[Source], limit: int) -> list[list[Source]]:
    """Fill shards in the given order, each up to the limit."""
    if limit <= 0:
        raise ValueError(f"max_shard_bytes: expected a positive number, got {limit}")
    shards: list[list[Source]] = [[]]
    room = limit
    for source in tensors:
        size = _info(source).nbytes
        if size > room and shards[-1]:
            shards.append([])
            room = limit
        shards[-1].append(source)
        room -= size
    return shards


def _name_shards(path: Path, shards: list[list[Source]]) -> dict[str, list[Source]]:
    if len(shards) == 1:
        return {path.name: shards[0]}
    count = len(shards)
    return {f"{path.stem}-{i:05d}-of-{count:05d}.safetensors": s for i, s in enumerate(shards, 1)}


def _write_file(file: BinaryIO, sources: list[Source], metadata: Mapping[str, str]) -> None:
    # Widest items first keeps every tensor aligned to its own item size.
    sources = sorted(sources, key=lambda source: -DTYPES[source[1]].itemsize)
    file.write(encode_header({source[0]: _info(source) for source in sources}, metadata))
    for source in sources:
        file.write(_content(source))  # bound to no name, so it is gone before the next is fetched


def _content(source: Source) -> memoryview:
    """Fetch one array and return its bytes as they are stored."""
    name, dtype, shape, fetch = source
    array = np.asarray(fetch())
    if dtype == "BF16" and array.dtype == np.float32:
        array = float32_to_bfloat16(array)
    elif dtype == "BF16" and array.dtype.name == "bfloat16":
        array = array.view(np.uint16)
    if array.dtype.newbyteorder("<") != DTYPES[dtype] or array.shape != tuple(shape):
        found = f"{array.dtype} {array.shape}"
        raise ValueError(f"{name}: expected {dtype} of shape {tuple(shape)}, got {found}")
    return memoryview(np.ascontiguousarray(array, DTYPES[dtype]).reshape(-1).view(np.uint8))


def _info(source: Source) -> TensorInfo:
    return TensorInfo(source[1], tuple(source[2]))


def _index(files: Mapping[str, list[Source]]) -> bytes:
    total = sum(_info(source).nbytes for shard in files.values() for source in shard)
    places = {source[0]: name for name, shard in files.items() for source in shard}
    values = {"metadata": {"total_size": total}, "weight_map": places}
    return (json.dumps(values, indent=2, sort_keys=True) + "\n").encode()


def _remove_stale(path: Path, keep: set[str]) -> None:
    """Remove what an older checkpoint of this name left, which a reader would take for it."""
    stem = re.escape(path.stem)
    old = re.compile(rf"{stem}(-\d{{5}}-of-\d{{5}})?\.safetensors|{stem}\.safetensors\.index\.json")
    for file in path.parent.iterdir():
        if old.fullmatch(file.name) and file.name not in keep:
            file.unlink()
