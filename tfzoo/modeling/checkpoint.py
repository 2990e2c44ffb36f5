"""Between a model and its checkpoint: variables filled from tensors and written back.

Names and axis orders come from `weights_convert`; this module only moves values.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
from keras import ops

from tfzoo.core.config import CONFIG_NAME
from tfzoo.core.files import read_json
from tfzoo.core.keras_compat import adopt, build_filled
from tfzoo.core.unmixed import Watch
from tfzoo.core.untrusted import escaped, is_plain_name, refuse_lfs_pointer
from tfzoo.core.variables import slots
from tfzoo.core.warn import warn
from tfzoo.hub import DEFAULTS, HubError, HubFileNotFoundError, HubOptions, resolve
from tfzoo.hub.conversion import converted_revision
from weights_convert.checkpoint import (
    WEIGHT_FILES,
    Checkpoint,
    open_checkpoint,
    shard_names,
    write_checkpoint,
)
from weights_convert.errors import CheckpointError, WeightMismatchError
from weights_convert.memory import Arena, Scratch, aligned, transposed
from weights_convert.plan import Entry, make_plan, save_plan
from weights_convert.rules import family_map
from weights_convert.tensors import DTYPES, FLOATS

__all__ = [
    "check_open_file",
    "check_weights_file",
    "checkpoint_sources",
    "dtype_policy",
    "load_model_from",
    "locate",
    "parse_size",
    "watched_config",
    "watched_weights",
    "write_weights",
]

_THREADS = min(os.cpu_count() or 1, 4)  # more would wait for memory


def locate(name_or_path: str | Path, options: HubOptions = DEFAULTS) -> Path:
    """The local file, index file or folder that holds the weights.

    Safetensors are preferred to PyTorch's `pytorch_model.bin`, and that to TensorFlow's h5 file.
    Of a repository that has pickles alone, the safetensors are taken that the hub's own converter
    has made of them, if it has: a pickle is only fetched where there is nothing else.

    Args:
        name_or_path: Folder, file in it, or repository name.
        options: Where to look.

    Raises:
        HubError: No such file, or the hub cannot be reached.
    """
    if Path(name_or_path).is_file():
        return Path(name_or_path)
    errors: list[HubError] = []
    path = (
        _first_of(WEIGHT_FILES[:2], name_or_path, options, errors)
        or _converted(name_or_path, options, errors)
        or _first_of(WEIGHT_FILES[2:], name_or_path, options, errors)
    )
    if path is not None:
        return path
    for error in errors:  # the hub out of reach or access denied explains all the others
        if not isinstance(error, HubFileNotFoundError):
            raise error
    others = ", ".join(WEIGHT_FILES[1:])
    raise HubFileNotFoundError(f"{errors[0]} Neither is there {others}.") from errors[0]


def _first_of(
    names: tuple[str, ...], name_or_path: str | Path, options: HubOptions, errors: list[HubError]
) -> Path | None:
    """The first of these files that exists, with its shards; adds what was wrong with the others.

    Once the hub has failed, only the cache is looked at: a pickle that an unsteady network lets
    through must not stand in for the safetensors that it did not.
    """
    for name in names:
        if any(not isinstance(error, HubFileNotFoundError) for error in errors):
            options = replace(options, local_files_only=True)
        try:
            folder = resolve(name_or_path, name, options)
        except HubError as error:
            errors.append(error)
            continue
        if name.endswith(".json"):
            resolve(name_or_path, shard_names(folder / name), options)
        return folder / name
    return None


def _converted(
    name_or_path: str | Path, options: HubOptions, errors: list[HubError]
) -> Path | None:
    """The safetensors that the hub has made of a repository's pickles."""
    pickle, index = WEIGHT_FILES[2:4]
    found = converted_revision(name_or_path, [pickle], options)
    if found is None and not isinstance(name_or_path, Path):
        try:
            folder = resolve(name_or_path, index, options)
        except HubError:  # the usual case; the caller looks for both again
            return None
        found = converted_revision(name_or_path, [index, *shard_names(folder / index)], options)
    if found is None:
        return None
    return _first_of(WEIGHT_FILES[:2], name_or_path, replace(options, revision=found), errors)


def watched_config(name_or_path: str | Path, options: HubOptions, watch: Watch) -> None:
    """Watch a folder's config by its content: weights of another version with the same fit it.

    Args:
        name_or_path: Folder, file in it, or repository name; the latter's files never change.
        options: Where to look.
        watch: See `tfzoo.core.unmixed`.
    """
    path = os.path.expanduser(name_or_path)
    folder = Path(os.path.dirname(path) if os.path.isfile(path) else path)
    watch.content(folder / (options.subfolder or "") / CONFIG_NAME)


def watched_weights(name_or_path: str | Path, options: HubOptions, watch: Watch) -> Path:
    """`locate` the weights, and watch their file, and those that an index names."""
    path = locate(name_or_path, options)
    watch.files(path)
    if path.suffix == ".json":
        watch.files(*(path.parent / name for name in shard_names(path)))
    return path


def load_model_from(
    path: Path,
    make: Callable[[], keras.Model],
    *,
    ignore_mismatched_sizes: bool = False,
) -> keras.Model:
    """Construct a model with the weights of a checkpoint, only a few tensors of it in memory.

    Args:
        path: File or folder of the checkpoint.
        make: Constructs the model.
        ignore_mismatched_sizes: Leave variables whose tensor has another shape as initialised.

    Raises:
        CheckpointError: The file is damaged.
        WeightMismatchError: Tensors and variables do not match; lists both sides.
    """
    with open_checkpoint(path) as tensors:

        def values(model: keras.Model) -> list[tuple[Any, Callable]]:
            places = slots(model)
            family = family_map(model.base_model_type)
            plan = make_plan(
                places, tensors, family, ignore_mismatched_sizes=ignore_mismatched_sizes
            )
            if plan.fresh:
                warn(
                    f"{type(model).__name__}: {path} has no weights for {', '.join(plan.fresh)}; "
                    "they keep their random initial values. Train the model before you use it.",
                )
            variables = [places[entry.path].variable for entry in plan.entries]
            _refuse_integers(tensors, plan.entries, variables, path)
            return [
                (variable, lambda *_, value=value, **__: value)
                for variable, value in zip(
                    variables, _read_all(tensors, plan.entries, variables), strict=True
                )
            ]

        return build_filled(make, values)


def _refuse_integers(
    tensors: Checkpoint, entries: Sequence[Entry], variables: Sequence[Any], path: Path
) -> None:
    """Refuse quantized weights: their scales lie elsewhere, or nowhere."""
    for entry, variable in zip(entries, variables, strict=True):
        stored = tensors[entry.name].dtype
        if "float" in variable.dtype and stored not in FLOATS:
            raise CheckpointError(
                f"{path}: {entry.name!r} must be of dtype {', '.join(FLOATS)}, got {stored}. "
                "Quantized weights are not read: save the model in floats."
            )


class _OfThread(threading.local):
    """Each thread's memory for tensors that are transposed, one after the other."""

    def __init__(self) -> None:
        self.scratch = Scratch()


def _read_all(tensors: Checkpoint, entries: Sequence[Entry], variables: Sequence[Any]) -> list[Any]:
    """The values of variables, read, transposed and converted by several threads."""
    arena, own = Arena(), _OfThread()

    def value(entry: Entry, variable: Any) -> Any:
        stored = tensors[entry.name].dtype
        stays = ("float32" if stored == "BF16" else DTYPES[stored].name) == variable.dtype
        keep = arena.empty if stays else aligned
        if entry.axes is None:
            found = adopt(tensors.read(entry.name, keep))
        else:
            array = entry.from_checkpoint(tensors.read(entry.name, own.scratch.empty))
            found = adopt(transposed(array, keep))
        return found if stays else ops.cast(found, variable.dtype)

    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(value, entries, variables))


_DTYPES = {
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "float64": "F64",
    "int64": "I64",
    "int32": "I64",  # JAX has no int64 by default, and checkpoints do not depend on the backend
}


def check_weights_file(model: keras.Model, path: str | Path) -> None:
    """Refuse Keras's weights whose arrays are not those of the model.

    Keras silently reads the weights of a deeper model into a shallower one.

    Args:
        model: The model.
        path: A `.weights.h5` file, or the `.weights.json` of several.

    Raises:
        WeightMismatchError: The arrays' shapes differ from the model's.
        CheckpointError: A file is damaged.
        FileNotFoundError: A file is missing.
    """
    stored: Counter[tuple[int, ...]] = Counter()
    for part in [Path(path)] if str(path).endswith(".h5") else _shards(Path(path)):
        refuse_lfs_pointer(part, CheckpointError)
        try:
            with h5py.File(part) as file:
                stored += _arrays(file)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{escaped(str(part))}: no such file.") from error
        except CheckpointError:
            raise
        except Exception as error:  # of a damaged file, HDF5 raises errors of many kinds
            raise CheckpointError(f"{part} is damaged: {error}.") from error
    _check_arrays(model, stored, path)


def check_open_file(model: keras.Model, file: h5py.File) -> None:
    """`check_weights_file` for a file that Keras has opened, such as that inside a `.keras` file.

    Raises:
        WeightMismatchError: The arrays' shapes differ from the model's.
    """
    _check_arrays(model, _arrays(file), "The file")


def _shards(index: Path) -> list[Path]:
    """The files that a `.weights.json` names, beside it."""
    places = read_json(index, CheckpointError).get("weight_map")
    lists = places.values() if isinstance(places, dict) else [None]
    names: list[Any] = [
        name for part in lists for name in (part if isinstance(part, list) else [part])
    ]
    for name in names:
        if not is_plain_name(name):
            shown = f"{name!r:.100}"
            raise CheckpointError(f"{index}: expected the names of files beside it, got {shown}.")
    return [index.with_name(name) for name in dict.fromkeys(names)]


def _arrays(file: h5py.File) -> Counter[tuple[int, ...]]:
    """How many arrays of each shape a model's file holds."""
    found: Counter[tuple[int, ...]] = Counter()

    def count(name: str, item: Any) -> None:
        beside = name.startswith(("optimizer/", "metrics/")) or "seed_generator" in name
        if isinstance(item, h5py.Dataset) and not beside:
            if item.external or item.is_virtual:
                raise CheckpointError(f"{name!r} lies in another file, which is not read.")
            found[tuple(item.shape)] += 1

    file.visititems(count)
    return found


def _check_arrays(model: keras.Model, stored: Counter[tuple[int, ...]], path: Any) -> None:
    wanted = Counter(tuple(variable.shape) for variable in model.weights)
    if stored != wanted:
        raise WeightMismatchError(
            [f"{n} x {shape}" for shape, n in (wanted - stored).items()],
            [f"{n} x {shape}" for shape, n in (stored - wanted).items()],
            [],
            f"{path} is not of a {type(model).__name__} with this config; load a model from a "
            "checkpoint or a .keras file, which hold their config.",
        )


def write_weights(model: keras.Model, folder: Path, max_shard_bytes: int) -> None:
    """Write a model's weights as safetensors in PyTorch's names and layouts, all files together.

    Raises:
        OSError: The folder cannot be written.
    """
    tensors = checkpoint_sources(model)
    write_checkpoint(folder, tensors, max_shard_bytes=max_shard_bytes, metadata={"format": "pt"})


def checkpoint_sources(
    model: keras.Model,
) -> list[tuple[str, str, tuple[int, ...], Callable[[], np.ndarray]]]:
    """A model's weights as its checkpoint holds them.

    Returns:
        Name, dtype code and shape of each tensor, and a callable that fetches its values.
    """
    places = slots(model)
    entries = save_plan(places, family_map(model.base_model_type))
    return [
        (
            entry.name,
            _DTYPES[keras.backend.standardize_dtype(places[entry.path].variable.dtype)],
            entry.checkpoint_shape,
            _writer(places[entry.path].variable, entry),
        )
        for entry in entries
    ]


def _writer(variable: Any, entry: Entry) -> Callable[[], np.ndarray]:
    def write() -> np.ndarray:
        array = entry.to_checkpoint(ops.convert_to_numpy(variable))
        return array.astype("int64") if array.dtype.kind == "i" else array

    return write


def dtype_policy(dtype: Any, config: Any) -> Any:
    """Keras's name of a dtype of any library; of `"auto"`, that of the checkpoint's weights."""
    if isinstance(dtype, str) and dtype == "auto":
        dtype = getattr(config, "dtype", None) or getattr(config, "torch_dtype", None)
    if isinstance(dtype, str):
        return dtype.removeprefix("torch.")
    if dtype is None or isinstance(dtype, keras.DTypePolicy):
        return dtype
    return keras.backend.standardize_dtype(dtype)


def parse_size(size: str | int) -> int:
    """Bytes of a size such as `"5GB"`, `"300MB"` or `1000`.

    Raises:
        ValueError: Not a size.

    Example:
        >>> parse_size("1.5GB")
        1500000000
    """
    units = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
    text = str(size).strip().upper()
    for unit in sorted(units, key=len, reverse=True):
        if text.endswith(unit):
            number, factor = text.removesuffix(unit), units[unit]
            break
    else:
        number, factor = text, 1
    try:
        value = int(float(number) * factor)
    except ValueError:
        value = 0
    if value <= 0:
        raise ValueError(f"A size must look like '5GB', '300MB' or 1000, got {size!r}.")
    return value
