"""Caches of region features: a folder of .npz files, or one HDF5 file."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tfzoo.data.regions.features import RegionFeatureError, RegionFeatures
from tfzoo.data.regions.source import EXTRAS, RegionFeatureFile

__all__ = ["H5Cache", "NpzFolder", "write_h5", "write_npz"]

# A record's field -> its names in an npz file, the second those of a popular extractor.
_NPZ = {
    "height": ("height", "image_h"),
    "width": ("width", "image_w"),
    "boxes": ("boxes", "bbox"),
    "features": ("features", "x"),
}
_ROWS = ("image_ids", "heights", "widths", "num_boxes", "boxes", "features")


class NpzFolder(RegionFeatureFile):
    """A file for each image."""

    def records(self) -> Iterator[RegionFeatures]:
        """Yield the images one by one, see `RegionFeatureFile.records`."""
        return (self[image_id] for image_id in self)

    def __getitem__(self, image_id: str) -> RegionFeatures:
        path = self.path / f"{image_id}.npz"
        if path.parent != self.path or not path.is_file():
            raise KeyError(image_id)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return RegionFeatures(image_id, **_fields_of(arrays, path))
        except RegionFeatureError:
            raise
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
            raise RegionFeatureError(f"{path}: no sound .npz file: {error}") from error

    def __iter__(self) -> Iterator[str]:
        names = (name for name in os.listdir(self.path) if name.endswith(".npz"))
        return iter(sorted(name.removesuffix(".npz") for name in names))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _fields_of(arrays: Mapping[str, np.ndarray], path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field, names in _NPZ.items():
        name = next((name for name in names if name in arrays), None)
        if name is None:
            raise RegionFeatureError(
                f"{path}: expected the arrays {', '.join(_NPZ)}, found {', '.join(arrays)}"
            )
        found[field] = arrays[name]
    for field in ("height", "width"):
        found[field] = int(found[field])
    for field in ("boxes", "features"):
        found[field] = found[field].astype(np.float32, copy=False)
    return {**found, **{field: arrays[field] for field in EXTRAS if field in arrays}}


def write_npz(path: Path, records: Iterable[RegionFeatures]) -> int:
    """Write images as a file for each image in a new folder.

    Args:
        path: The folder.
        records: The images.

    Returns:
        How many there were.

    Raises:
        RegionFeatureError: An image does not fit.
    """
    path.mkdir()
    count = 0
    for record in records:
        if not record.image_id or "/" in record.image_id or record.image_id.startswith("."):
            raise RegionFeatureError(f"the image id {record.image_id!r} cannot name a file")
        fields = {name: getattr(record, name) for name in (*_NPZ, *EXTRAS)}
        given = {name: value for name, value in fields.items() if value is not None}
        np.savez(path / f"{record.image_id}.npz", **given)
        count += 1
    return count


class H5Cache(RegionFeatureFile):
    """Rows of a few arrays; images with fewer regions are padded with zeros."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            raise RegionFeatureError(f"{path}: no sound HDF5 file: {error}") from error
        try:
            self._rows = self._read_ids()
        except BaseException:
            self._file.close()
            raise

    def _read_ids(self) -> dict[str, int]:
        missing = [name for name in _ROWS if not isinstance(self._file.get(name), h5py.Dataset)]
        if missing:
            raise RegionFeatureError(
                f"{self.path}: expected the arrays {', '.join(_ROWS)}, it lacks "
                f"{', '.join(missing)}; see write_region_features"
            )
        lengths = {name: self._file[name].shape[:1] for name in _ROWS}
        if len(set(lengths.values())) != 1:
            raise RegionFeatureError(f"{self.path}: arrays of different lengths: {lengths}")
        ids = [str(name) for name in self._file["image_ids"].asstr()[()]]
        if len(set(ids)) < len(ids):
            raise RegionFeatureError(f"{self.path}: an image stands twice")
        return {name: row for row, name in enumerate(ids)}

    def records(self) -> Iterator[RegionFeatures]:
        """Yield the images one by one, see `RegionFeatureFile.records`."""
        return (self[image_id] for image_id in self)

    def __getitem__(self, image_id: str) -> RegionFeatures:
        row = self._rows[image_id]
        try:
            with self._lock:
                height, width, count = (int(self._file[n][row]) for n in _ROWS[1:4])
                boxes = self._file["boxes"][row, :count].astype(np.float32, copy=False)
                features = self._file["features"][row, :count].astype(np.float32, copy=False)
        except (OSError, ValueError, TypeError, IndexError) as error:
            raise RegionFeatureError(f"{self.path}, image {image_id!r}: {error}") from error
        return RegionFeatures(image_id, height, width, boxes, features)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def write_h5(path: Path, records: Iterable[RegionFeatures]) -> int:
    """Write images as the rows of a new file.

    Args:
        path: The file.
        records: The images.

    Returns:
        How many there were.

    Raises:
        RegionFeatureError: An image does not fit.
    """
    with h5py.File(path, "w") as file:
        count, seen = 0, set()
        for count, record in enumerate(records, 1):
            if record.image_id in seen:
                raise RegionFeatureError(f"the image {record.image_id!r} came twice")
            seen.add(record.image_id)
            _append(file, count, record)
        if not count:
            raise RegionFeatureError("there are no images to write")
    return count


def _append(file: h5py.File, count: int, record: RegionFeatures) -> None:
    n, width = record.features.shape
    if count == 1:
        for name in _ROWS[:4]:
            kind = h5py.string_dtype() if name == "image_ids" else np.int64
            file.create_dataset(name, (0,), kind, maxshape=(None,))
        for name, last in (("boxes", 4), ("features", width)):
            shape, most = (0, n, last), (None, None, last)
            file.create_dataset(name, shape, np.float32, maxshape=most, chunks=(1, n, last))
    if file["features"].shape[2] != width:
        expected = file["features"].shape[2]
        raise RegionFeatureError(
            f"image {record.image_id!r}: expected features of width {expected}, got {width}"
        )
    values = (record.image_id, record.height, record.width, n)
    for name, value in zip(_ROWS[:4], values, strict=True):
        file[name].resize(count, axis=0)
        file[name][-1] = value
    for name, array in (("boxes", record.boxes), ("features", record.features)):
        data = file[name]
        data.resize((count, max(n, data.shape[1]), data.shape[2]))
        data[-1, :n] = array
