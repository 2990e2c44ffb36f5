"""Arrays of .npz and HDF5 files, whose claims are compared with the files' own sizes beforehand."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tfzoo.data.regions.features import RegionFeatureError

__all__ = ["LARGEST", "check_h5", "most_of", "read_npz"]

#: Bytes of an image's arrays, at most; a common one of 36 regions takes 0.3 MB.
LARGEST = 2**28
_RATIO, _SLACK = 1032, 4096  # DEFLATE makes at most 1,032 bytes of one
_MAX_ID = 4096  # bytes of an image's id where all have the same


def most_of(size: int) -> int:
    """The most bytes that so many compressed ones can become."""
    return _RATIO * size + _SLACK


def read_npz(path: Path, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Read arrays of numbers.

    Args:
        path: The .npz file.
        names: Which arrays; what the file lacks is left out.

    Raises:
        RegionFeatureError: The file is damaged, an array is larger than `LARGEST` or than the file
            can hold, or it does not hold numbers.
    """
    found: dict[str, np.ndarray] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: info for info in archive.infolist()}
            given = [name for name in names if f"{name}.npy" in members]
            total = sum(members[f"{name}.npy"].file_size for name in given)
            if total > LARGEST:
                raise RegionFeatureError(f"expected at most {LARGEST} bytes, found {total}")
            for name in given:
                found[name] = _read_npy(archive, members[f"{name}.npy"])
    except RegionFeatureError as error:
        raise RegionFeatureError(f"{path}: {error}") from error
    except Exception as error:  # the libraries raise whatever comes, even MemoryError
        raise RegionFeatureError(f"{path}: not a sound .npz file: {error}") from error
    return found


def _read_npy(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    """One array; `numpy.load` would make room for whatever the array's head says."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise RegionFeatureError(f"{info.filename}: expected an array as numpy.savez writes it")
    headers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        if version not in headers:
            raise RegionFeatureError(f"{info.filename}: an unknown version of the form, {version}")
        shape, is_fortran, dtype = headers[version](file)
        if dtype.kind not in "biuf":  # objects are pickled, and reading those runs code
            raise RegionFeatureError(f"{info.filename}: expected numbers, no pickle, found {dtype}")
        size = math.prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or size > min(info.file_size, most_of(info.compress_size)):
            raise RegionFeatureError(
                f"{info.filename}: the shape {shape} does not fit its {info.file_size} bytes"
            )
        data = file.read(size)
    if len(data) != size:
        raise RegionFeatureError(f"{info.filename} is cut off")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if is_fortran else "C").copy()


def check_h5(file: h5py.File, form: Mapping[str, tuple[int, str]]) -> None:
    """Refuse a file unless its arrays are of the given form, and lie in this file.

    Args:
        file: The open file.
        form: Name of each array -> its number of axes, and the letters of its kinds of dtype; "T"
            stands for text.

    Raises:
        RegionFeatureError: Names the array.
    """
    links = file.id.links
    missing = [name for name in form if not links.exists(name.encode())]
    if missing:
        raise RegionFeatureError(
            f"expected the arrays {', '.join(form)}, it lacks {', '.join(missing)}; see "
            "write_region_features"
        )
    for name, (rank, kinds) in form.items():
        # Asked of the link alone: what it leads to may be another file, which h5py would open.
        is_own = links.get_info(name.encode()).type == h5py.h5l.TYPE_HARD
        data: Any = file[name] if is_own else None
        if not isinstance(data, h5py.Dataset) or data.external or data.is_virtual:
            raise RegionFeatureError(f"{name}: expected an array that lies in this file")
        is_text = h5py.check_string_dtype(data.dtype) is not None
        if len(data.shape or ()) != rank or ("T" if is_text else data.dtype.kind) not in kinds:
            raise RegionFeatureError(
                f"{name}: expected {'texts' if kinds == 'T' else 'numbers'} in {rank} axes, found "
                f"{data.dtype} of shape {data.shape}"
            )
        if is_text and data.dtype.itemsize > _MAX_ID:
            raise RegionFeatureError(f"{name}: texts of more than {_MAX_ID} bytes")
        width = max(data.dtype.itemsize, 16 if is_text else 0)
        chunk = width * math.prod(data.chunks or (0,))
        if chunk > LARGEST:  # a chunk is read as a whole, whatever is asked of it
            raise RegionFeatureError(f"{name}: pieces of {chunk} bytes, expected {LARGEST} at most")
        if data.size and not data.id.get_storage_size():
            raise RegionFeatureError(f"{name}: it was never written")
