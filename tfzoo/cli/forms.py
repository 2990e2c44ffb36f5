"""Checkpoints in PyTorch's or Keras's form, as mappings of tensors that can be read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfzoo.core.files import is_keras_file
from tfzoo.hub import HubOptions
from weights_convert.checkpoint import open_checkpoint, read_config
from weights_convert.errors import UsageError
from weights_convert.tensors import TensorInfo, float32_to_bfloat16

__all__ = [
    "ModelTensors",
    "Side",
    "as_dtype",
    "float_dtypes",
    "is_weights_file",
    "load_keras",
    "open_side",
]


class ModelTensors(Mapping[str, TensorInfo]):
    """A model's variables under the names and in the layouts of its checkpoint."""

    def __init__(self, model: Any) -> None:
        from tfzoo.modeling.checkpoint import checkpoint_sources

        rows = checkpoint_sources(model)
        self._infos = {name: TensorInfo(dtype, shape) for name, dtype, shape, _ in rows}
        self._fetch = {name: fetch for name, _, _, fetch in rows}

    def __getitem__(self, name: str) -> TensorInfo:
        return self._infos[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._infos)

    def __len__(self) -> int:
        return len(self._infos)

    def read_raw(self, name: str) -> np.ndarray:
        """Return a tensor as a file holds it: bfloat16 as bits."""
        array = np.asarray(self._fetch[name]())
        if self._infos[name].dtype == "BF16":
            return float32_to_bfloat16(array.astype("float32"))  # exact
        return array


@dataclass(frozen=True)
class Side:
    """One of two checkpoints that are compared.

    Attributes:
        tensors: Name -> dtype and shape; it also reads.
        config: The configuration; None unless it is of a family of tfzoo.
        model_class: The class that the checkpoint is of; None without a config.
        path: File, index or folder of the weights.
        is_keras: Whether it is in Keras's form; PyTorch's loads from `path`'s folder.
    """

    tensors: Any
    config: Any
    model_class: type | None
    path: Path
    is_keras: bool

    @property
    def folder(self) -> Path:
        """The folder that holds the weights."""
        return self.path if self.path.is_dir() else self.path.parent


def is_weights_file(source: str) -> bool:
    """Whether a source is a `.weights.h5` file, which has no config with it."""
    return source.endswith(".weights.h5") and not Path(source).is_dir()


@contextlib.contextmanager
def open_side(source: str, options: HubOptions, like: Side | None = None) -> Iterator[Side]:
    """Open a checkpoint in either form.

    Args:
        source: Folder, file or repository in PyTorch's form; `.keras` or `.weights.h5` file.
        options: Where to look a repository up.
        like: The other side, whose model a `.weights.h5` file is read into.
    """
    if (Path(source) / "saved_model.pb").is_file():
        raise UsageError(
            f"{source} is a SavedModel, not a checkpoint: give the one that it was made of."
        )
    if is_keras_file(source) or is_weights_file(source):
        model = load_keras(source, like)
        yield Side(ModelTensors(model), model.config, type(model), Path(source), is_keras=True)
        return
    from tfzoo.auto import model_class_for
    from tfzoo.modeling.checkpoint import locate

    path = locate(source, options)
    config = _config_beside(path)
    with open_checkpoint(path) as tensors:
        yield Side(tensors, config, config and model_class_for(config), path, is_keras=False)


def load_keras(source: str, like: Side | None = None) -> Any:
    """Load a `.keras` file, or a `.weights.h5` file into a model like another side's."""
    from tfzoo.auto import load_model

    if is_keras_file(source):
        return load_model(source)
    if like is None or like.model_class is None:
        raise UsageError(
            f"{source} names no model: the other side must be a checkpoint with a config.json of "
            "a family of tfzoo, or a .keras file."
        )
    if not Path(source).is_file():
        raise FileNotFoundError(f"{source}: no such file.")
    dtypes = float_dtypes(Path(source))
    dtype = dtypes.pop() if len(dtypes) == 1 else None
    model = like.model_class(like.config, dtype=dtype)
    model.load_weights(source)
    return model


def as_dtype(model: Any, dtype: str) -> Any:
    """Copy a model with another dtype policy."""
    copy = type(model)(model.config, dtype=dtype)
    for new, old in zip(copy.weights, model.weights, strict=True):
        new.assign(old.value)
    return copy


def float_dtypes(file: Path) -> set[str]:
    """The float dtypes of the arrays in a weights file; Keras names those that HDF5 lacks."""
    import h5py

    found: set[str] = set()

    def note_dtype(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found.add(item.attrs.get("dtype") or item.dtype.name)

    with h5py.File(file) as weights:
        weights.visititems(note_dtype)
    return {name for name in found if "float" in name}


def _config_beside(path: Path) -> Any:
    """The configuration beside the weights, if there is one of a family that tfzoo has."""
    from tfzoo.auto import AutoConfig
    from tfzoo.registry import families

    values = read_config(path) or {}
    known = [name for family in families() for name in family.model_types]
    if values.get("model_type") not in known:
        return None
    return AutoConfig.from_pretrained(path if path.is_dir() else path.parent)
