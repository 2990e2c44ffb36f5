"""Reading LXMERT's ``tf_model.h5``, as transformers' TensorFlow classes wrote it.

A weight stands at ``/<layer>/<scope of the model>/<path>:0``, e.g.
``/lxmert/tf_lxmert_for_pre_training/lxmert/encoder/layer_._0/intermediate/dense/kernel:0``. It is
presented under the name and with the axes of the PyTorch checkpoint, so that the family's map
applies as it stands. h5py reads the table of contents; the weights are plain ranges of the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from tfzoo.core.untrusted import escaped
from weights_convert.errors import CheckpointError
from weights_convert.formats.tensor_file import TensorFile
from weights_convert.memory import Empty, aligned
from weights_convert.tensors import DTYPES, TensorInfo

__all__ = ["H5File"]

_LAYERS = ("lxmert", "cls", "obj_predict_head", "answer_head")
_TOP_LEVEL = "top_level_model_weights"  # always there, always empty
_MAX_ITEMS = 50_000
_MAX_DEPTH = 32

# The weight's own name -> PyTorch's.
_LEAVES = {
    "kernel": "weight",
    "weight": "weight",
    "embeddings": "weight",
    "gamma": "weight",
    "beta": "bias",
    "bias": "bias",
}


@dataclass(frozen=True)
class _Place:
    """Where a weight lies, and how."""

    offset: int
    shape: tuple[int, ...]
    dtype: str
    is_kernel: bool  # (in, out), where PyTorch has (out, in)


class H5File(TensorFile):
    """An open ``tf_model.h5`` of LXMERT.

    Args:
        path: path of the file.

    Raises:
        CheckpointError: the file is missing, malformed, unreadable or of another model.

    Example:
        >>> import h5py
        >>> from pathlib import Path
        >>> path = "lxmert/tf_lxmert_model/lxmert/pooler/dense/kernel:0"
        >>> with h5py.File("tf_model.h5", "w") as file:
        ...     file[path] = np.zeros((2, 3), "float32")
        >>> file = H5File(Path("tf_model.h5"))
        >>> file.tensors
        {'lxmert.pooler.dense.weight': TensorInfo(dtype='F32', shape=(3, 2))}
        >>> file.close()
    """

    def load_contents(self) -> None:
        import h5py

        self._places: dict[str, _Place] = {}
        try:
            with h5py.File(self.path, "r") as file:
                self._check_layers(file)
                for path, item in _datasets(file):
                    self._add(path, item)
        except CheckpointError as error:
            raise CheckpointError(f"{self.path}: {error}") from error
        except Exception as error:  # the library raises whatever comes, even RuntimeError
            raise CheckpointError(f"{self.path}: not a sound HDF5 file: {error}") from error
        self.tensors = {
            name: TensorInfo(p.dtype, p.shape[::-1] if p.is_kernel else p.shape)
            for name, p in self._places.items()
        }
        self.metadata = {"format": "tf"}

    def read(self, name: str, empty: Empty = aligned) -> np.ndarray:
        """Read one tensor in PyTorch's layout; a kernel comes as a view."""
        place = self._places[name]
        array = self.array_at(place.offset, place.shape, DTYPES[place.dtype], name, empty)
        return array.T if place.is_kernel else array

    def _check_layers(self, file: Any) -> None:
        layers = [name for name in file if name != _TOP_LEVEL]
        if _LAYERS[0] not in layers or not set(layers) <= set(_LAYERS):
            found = ", ".join(layers[:8]) or "none"
            raise CheckpointError(
                f"expected the layers of TensorFlow's LXMERT ({', '.join(_LAYERS)}), found "
                f"{escaped(found):.300}. Only its tf_model.h5 is read; of other models take "
                "model.safetensors, and load a .weights.h5 file with model.load_weights."
            )

    def _add(self, path: str, item: Any) -> None:
        layer, *parts = path.split("/")
        name, is_kernel = _torch_name(path)
        if len(item.shape) != 2 and is_kernel:
            raise CheckpointError(
                f"{path!r:.200}: expected a kernel of two axes, found {item.shape}"
            )
        place = _Place(self._offset_of(path, item), item.shape, _code(path, item), is_kernel)
        twin = self._places.get(name)
        if twin is None:
            self._places[name] = place
        elif (twin.shape, twin.dtype) != (place.shape, place.dtype):
            raise CheckpointError(
                f"{path!r:.200}: expected the shape {twin.shape} of its other copy"
            )
        elif parts[1] == layer:  # the word head repeats the embeddings: take their own
            self._places[name] = place

    def _offset_of(self, path: str, item: Any) -> int:
        """Return where a weight begins; it must be one range of this file."""
        offset, size = item.id.get_offset(), prod(item.shape)  # item.size can overflow
        if item.chunks or item.external or item.is_virtual or (offset is None and size):
            raise CheckpointError(f"{path!r:.200}: expected a weight stored in one piece")
        offset = offset or 0
        if offset + size * item.dtype.itemsize > self.size:
            raise CheckpointError(
                f"{path!r:.200}: reaches beyond the end of the file; it is truncated"
            )
        return offset


def _datasets(file: Any) -> Iterator[tuple[str, Any]]:
    """Yield path and dataset of each weight; links lead astray, so they are refused."""
    import h5py

    waiting, count = [("", file, 0)], 0
    while waiting:
        path, group, depth = waiting.pop()
        for name in group:
            inner = f"{path}/{name}" if path else name
            count += 1
            if count > _MAX_ITEMS or depth > _MAX_DEPTH:
                raise CheckpointError(f"more than {_MAX_ITEMS} items, or groups in a circle")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise CheckpointError(f"{inner!r:.200}: expected a weight, found a link")
            item = group[name]
            if isinstance(item, h5py.Group):
                waiting.append((inner, item, depth + 1))
            elif isinstance(item, h5py.Dataset):
                yield inner, item
            else:
                kind = type(item).__name__
                raise CheckpointError(f"{inner!r:.200}: expected a weight, found a {kind}")


def _torch_name(path: str) -> tuple[str, bool]:
    """Return PyTorch's name for the path of a weight, and whether it is a kernel."""
    _, _, *parts = path.removesuffix(":0").split("/")  # neither the layer's nor the scope's name
    if len(parts) < 2 or parts[0] not in _LAYERS or parts[-1] not in _LEAVES:
        raise CheckpointError(f"{path!r:.200}: TensorFlow's LXMERT has no weight of this name")
    leaf = parts[-1]
    name = ".".join([*parts[:-1], _LEAVES[leaf]]).replace("_._", ".")
    return name, leaf == "kernel"


def _code(path: str, item: Any) -> str:
    for code, dtype in DTYPES.items():
        if dtype == item.dtype and code != "BF16":
            return code
    raise CheckpointError(f"{path!r:.200}: expected little-endian numbers, found {item.dtype}")
