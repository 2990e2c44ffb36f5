"""Files of region features: one image in memory at a time, in order or by its name.

| file | form |
| x.tsv | the public bottom-up-attention files: one image a line, arrays in base64 |
| a folder | one `<image id>.npz` an image |
| x.h5 | all images in the rows of a few arrays |
"""

from __future__ import annotations

import base64
import binascii
import codecs
import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from tfzoo.core.file_system import writing
from tfzoo.core.files import read_json, write_json
from tfzoo.core.replacing import replacing
from tfzoo.core.untrusted import is_plain_name, refuse_lfs_pointer
from tfzoo.data.regions.arrays import LARGEST, check_h5, most_of, read_npz
from tfzoo.data.regions.features import RegionFeatureError, RegionFeatures

__all__ = ["RegionFeatureFile", "TsvFile", "open_region_features", "write_region_features"]

_EXTRAS = ("object_ids", "object_scores", "attribute_ids", "attribute_scores")  # may be missing


def open_region_features(path: str | Path, *, index: str | Path | None = None) -> RegionFeatureFile:
    """Open a file of region features.

    Args:
        path: `x.tsv` of bottom-up attention; a folder with one `<image id>.npz` an image, each
            with `features` (N, F), `boxes` (N, 4) in pixels, `height`, `width`; or `x.h5` as
            `write_region_features` makes it.
        index: For a TSV file, where to keep the places of its images; the first access by name
            reads the whole file to find them, later ones use what is kept there.

    Returns:
        A mapping of image ids to `RegionFeatures`.

    Raises:
        RegionFeatureError: The file is missing, or has another form.

    Example:
        >>> boxes, feats = np.array([[0, 0, 4, 8]], "float32"), np.ones((1, 5), "float32")
        >>> write_region_features("x.tsv", [RegionFeatures("cat", 8, 8, boxes, feats)], force=True)
        1
        >>> with open_region_features("x.tsv") as images:
        ...     print(list(images), images["cat"].boxes, [r.image_id for r in images.records()])
        ['cat'] [[0. 0. 4. 8.]] ['cat']
    """
    path = Path(path).expanduser()
    if path.is_dir():
        return _NpzFolder(path)
    if not path.is_file():
        raise RegionFeatureError(f"{path}: no such file or folder")
    refuse_lfs_pointer(path, RegionFeatureError)
    if path.suffix == ".tsv":
        return TsvFile(path, None if index is None else Path(index))
    if path.suffix in (".h5", ".hdf5"):
        return _H5File(path)
    raise RegionFeatureError(
        f"{path}: expected a .tsv or .h5 file, or a folder of .npz files; an .npz file alone "
        "would have to be read whole"
    )


def write_region_features(
    target: str | Path, records: Iterable[RegionFeatures], *, force: bool = False
) -> int:
    """Write region features as they come, one image in memory at a time.

    Args:
        target: `x.tsv`, `x.h5`, or a folder for one `.npz` an image.
        records: The images.
        force: Whether the target may exist, and then be replaced.

    Returns:
        How many images were written.

    Raises:
        FileExistsError: The target exists, and `force` is not given.
        RegionFeatureError: An image cannot be written in this form; nothing is left behind.

    Example:
        >>> boxes, feats = np.array([[0, 0, 4, 8]], "float32"), np.ones((1, 5), "float32")
        >>> write_region_features("cache.h5", [RegionFeatures("cat", 8, 8, boxes, feats)],
        ...                       force=True)
        1
    """
    target = Path(target).expanduser()
    write = {".tsv": _write_tsv, ".h5": _write_h5, ".hdf5": _write_h5}.get(target.suffix)
    with writing(target), replacing(target, force) as path:
        return (write or _write_npz)(path, records)


class RegionFeatureFile(Mapping[str, RegionFeatures]):
    """An open file (or folder) of region features: image id -> record, read when asked for.

    Iterating gives the ids; `records()` streams through the file in its order. A context manager;
    several threads may read from it.

    Args:
        path: The file or folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    def records(self) -> Iterator[RegionFeatures]:
        """Yield the images in the file's order, one in memory at a time.

        Raises:
            RegionFeatureError: The file is damaged; the message names the image or the line.
        """
        return (self[image_id] for image_id in self)

    def close(self) -> None:
        """Close the file; what has been read stays valid."""

    def __enter__(self) -> RegionFeatureFile:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


# -- TSV ------------------------------------------------------------------------------------------

_MAX_LINE = LARGEST
_MAX_REGIONS = 10_000
_BEGIN = 4096  # bytes of a line that surely hold the image's id

# Fields of a line: its name, the record's field, and the type (of what is in base64). The second
# form is the older one.
_LXMERT = (
    ("img_id", "image_id", str),
    ("img_h", "height", int),
    ("img_w", "width", int),
    ("objects_id", "object_ids", np.int64),
    ("objects_conf", "object_scores", np.float32),
    ("attrs_id", "attribute_ids", np.int64),
    ("attrs_conf", "attribute_scores", np.float32),
    ("num_boxes", None, int),
    ("boxes", "boxes", np.float32),
    ("features", "features", np.float32),
)
_OLDER = (
    ("image_id", "image_id", str),
    ("image_w", "width", int),
    ("image_h", "height", int),
    ("num_boxes", None, int),
    ("boxes", "boxes", np.float32),
    ("features", "features", np.float32),
)
_WHOLE = re.compile(rb"-?\d{1,19}")
_FORMS = {len(form): form for form in (_LXMERT, _OLDER)}


class TsvFile(RegionFeatureFile):
    """Lines of tab-separated fields, some 400 kB each; a file of 40 GB is common.

    Args:
        path: The file.
        index: Where the places of its lines are kept, if anywhere.
    """

    def __init__(self, path: Path, index: Path | None = None) -> None:
        super().__init__(path)
        self._index_path = index
        self._known: dict[str, int] | None = None
        self._file = open(path, "rb")  # noqa: SIM115 - closed by close()

    def records(self) -> Iterator[RegionFeatures]:
        with open(self.path, "rb") as file:
            for number, _, line in self._lines(file):
                if number > 1 or not _is_header(line):
                    yield _parse(line, f"{self.path}, line {number}")

    def __getitem__(self, image_id: str) -> RegionFeatures:
        offset = self._index()[image_id]
        with self._lock:
            self._file.seek(offset)
            line = self._file.readline(_MAX_LINE)
        record = _parse(line, f"{self.path}, image {image_id!r:.200}")
        if record.image_id != image_id:
            raise RegionFeatureError(
                f"{self.path}: expected image {image_id!r:.200} at byte {offset}, found "
                f"{record.image_id!r:.200}; the file has changed, or its index is another file's"
            )
        return record

    def __iter__(self) -> Iterator[str]:
        return iter(self._index())

    def __len__(self) -> int:
        return len(self._index())

    def close(self) -> None:
        self._file.close()

    def _index(self) -> dict[str, int]:
        if self._known is None:
            self._known = self._kept_index() or self._build_index()
        return self._known

    def _stamp(self) -> dict[str, int]:
        """What changes when the file does."""
        status = os.stat(self.path)
        return {"size": status.st_size, "mtime_ns": status.st_mtime_ns}

    def _kept_index(self) -> dict[str, int] | None:
        if self._index_path is None or not self._index_path.is_file():
            return None
        limit = self._index_path.stat().st_size  # an index may be as long as it needs to be
        kept = read_json(self._index_path, RegionFeatureError, limit)
        if any(kept.get(key) != value for key, value in self._stamp().items()):
            return None
        offsets, size = kept.get("offsets"), kept["size"]
        is_index = isinstance(offsets, dict) and all(
            type(offset) is int and 0 <= offset < size for offset in offsets.values()
        )
        if not is_index:
            raise RegionFeatureError(f"{self._index_path}: not an index of a TSV file; remove it")
        return offsets

    def _build_index(self) -> dict[str, int]:
        offsets: dict[str, int] = {}
        stamp = self._stamp()
        with open(self.path, "rb") as file:
            for number, offset, line in self._lines(file):
                if number == 1 and _is_header(line):
                    continue
                image_id = line[:_BEGIN].split(b"\t", 1)[0].decode("utf-8", "replace")
                if image_id in offsets:
                    raise RegionFeatureError(
                        f"{self.path}: the image {image_id!r:.200} appears twice"
                    )
                offsets[image_id] = offset
        if self._index_path is not None:
            write_json(self._index_path, {**stamp, "offsets": offsets})
        return offsets

    def _lines(self, file: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
        """Yield number and place of each line, and the line; empty ones are left out."""
        number, offset = 0, len(codecs.BOM_UTF8)
        if file.read(offset) != codecs.BOM_UTF8:
            offset = file.seek(0)
        while line := file.readline(_MAX_LINE):
            if len(line) == _MAX_LINE:
                raise RegionFeatureError(f"{self.path}: a line of more than {_MAX_LINE} bytes")
            number += 1
            if line.strip(b" \r\n"):
                yield number, offset, line
            offset += len(line)


def _is_header(line: bytes) -> bool:
    return line.split(b"\t", 1)[0] in (b"img_id", b"image_id")


def _parse(line: bytes, where: str) -> RegionFeatures:
    """One line as a record."""
    parts = line.rstrip(b"\r\n").split(b"\t")
    form = _FORMS.get(len(parts))
    if form is None:
        names = ", ".join(name for name, _, _ in _LXMERT)
        raise RegionFeatureError(
            f"{where}: expected the {len(_LXMERT)} fields {names} (or {len(_OLDER)} of the older "
            f"form), separated by tabs, found {len(parts)}; the file may be truncated"
        )
    try:
        values = {n: _decoded(p, kind) for (n, _, kind), p in zip(form, parts, strict=True)}
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise RegionFeatureError(f"{where}: a field is damaged: {error}") from error
    count = values["num_boxes"]
    if not 0 < count <= _MAX_REGIONS:
        raise RegionFeatureError(f"{where}: expected 1 to {_MAX_REGIONS} boxes, found {count}")
    for name, value in values.items():
        if isinstance(value, np.ndarray):
            values[name] = _shaped(name, value, count, where)
    try:
        return RegionFeatures(**{field: values[name] for name, field, _ in form if field})
    except RegionFeatureError as error:
        raise RegionFeatureError(f"{where}: {error}") from error


def _shaped(name: str, value: np.ndarray, count: int, where: str) -> np.ndarray:
    """The numbers of each region in a row; one number each but for boxes and features."""
    widths = {"boxes": 4, "features": max(value.size // count, 1)}
    if value.size != count * widths.get(name, 1):
        raise RegionFeatureError(
            f"{where}: {name} has {value.size} numbers, which do not fit {count} boxes"
        )
    return value.reshape(count, widths[name]) if name in widths else value


def _decoded(part: bytes, kind: Any) -> Any:
    if kind is str:
        return part.decode()
    if kind is int:
        if not _WHOLE.fullmatch(part):
            raise ValueError(f"expected a whole number, got {part[:100]!r}")
        return int(part)
    return np.frombuffer(base64.b64decode(part, validate=True), kind).copy()


def _write_tsv(path: Path, records: Iterable[RegionFeatures]) -> int:
    """Write images as lines, in LXMERT's form where they have objects and attributes."""
    count = 0
    with open(path, "wb") as file:
        for record in records:
            full = all(getattr(record, name) is not None for name in _EXTRAS)
            fields = [_encoded(record, f, kind) for _, f, kind in (_LXMERT if full else _OLDER)]
            file.write(b"\t".join(fields) + b"\n")
            count += 1
    return count


def _encoded(record: RegionFeatures, field: str | None, kind: Any) -> bytes:
    value = len(record.boxes) if field is None else getattr(record, field)
    if kind is str:
        if not value or any(sign in value for sign in "\t\r\n"):
            raise RegionFeatureError(f"the image id {value!r} cannot stand in a TSV file")
        return value.encode()
    if kind is int:
        return str(int(value)).encode()
    return base64.b64encode(np.ascontiguousarray(value, kind).tobytes())


# -- .npz and HDF5 --------------------------------------------------------------------------------

_MAX_NAME = 255  # bytes, of ordinary file systems

# A record's field -> its names in an npz file, the second those of a popular extractor.
_NPZ = {
    "height": ("height", "image_h"),
    "width": ("width", "image_w"),
    "boxes": ("boxes", "bbox"),
    "features": ("features", "x"),
}
# The arrays of an HDF5 file, with their axes and kinds of dtype.
_H5 = {
    "image_ids": (1, "T"),
    **dict.fromkeys(("heights", "widths", "num_boxes"), (1, "iu")),
    **dict.fromkeys(("boxes", "features"), (3, "fiu")),
}
_ROWS = tuple(_H5)


class _NpzFolder(RegionFeatureFile):
    """A file for each image."""

    def __getitem__(self, image_id: str) -> RegionFeatures:
        path = self.path / f"{image_id}.npz"
        if path.parent != self.path or not os.path.isfile(path):
            raise KeyError(image_id)
        refuse_lfs_pointer(path, RegionFeatureError)
        arrays = read_npz(path, [*(name for names in _NPZ.values() for name in names), *_EXTRAS])
        return RegionFeatures(image_id, **_fields_of(arrays, path))

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
                f"{path}: expected the arrays {', '.join(_NPZ)}, found "
                f"{', '.join(arrays) or 'none of them'}"
            )
        found[field] = arrays[name]
    for field in ("height", "width"):
        if found[field].size != 1 or not np.isfinite(found[field]).all():
            raise RegionFeatureError(f"{path}: expected one number as {field}, found more or NaN")
        found[field] = int(found[field].item())
    for field in ("boxes", "features"):
        if not found[field].ndim:
            raise RegionFeatureError(f"{path}: expected {field} of each region, found one number")
        found[field] = found[field].astype(np.float32, copy=False)
    return {**found, **{field: arrays[field] for field in _EXTRAS if field in arrays}}


def _write_npz(path: Path, records: Iterable[RegionFeatures]) -> int:
    """Write a file for each image into a new folder."""
    path.mkdir()
    count = 0
    for record in records:
        name = f"{record.image_id}.npz"
        is_hidden = name.startswith(".")  # or empty
        if is_hidden or not is_plain_name(name) or len(os.fsencode(name)) > _MAX_NAME:
            raise RegionFeatureError(f"the image id {record.image_id!r:.200} cannot name a file")
        fields = {name: getattr(record, name) for name in (*_NPZ, *_EXTRAS)}
        given = {name: value for name, value in fields.items() if value is not None}
        np.savez(path / name, **given)
        count += 1
    return count


class _H5File(RegionFeatureFile):
    """Rows of a few arrays; images with fewer regions are padded with zeros."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            raise RegionFeatureError(f"{path}: not a sound HDF5 file: {error}") from error
        self._size = os.path.getsize(path)
        try:
            self._rows = self._checked_ids()
        except RegionFeatureError as error:
            self._file.close()
            raise RegionFeatureError(f"{path}: {error}") from error
        except Exception as error:  # the library raises whatever comes, even RuntimeError
            self._file.close()
            raise RegionFeatureError(f"{path}: not a sound HDF5 file: {error}") from error

    def _checked_ids(self) -> dict[str, int]:
        """The row of each image."""
        check_h5(self._file, _H5)
        lengths = {name: self._file[name].shape[0] for name in _ROWS}
        if len(set(lengths.values())) != 1:
            raise RegionFeatureError(f"arrays of different lengths: {lengths}")
        shape = self._file["boxes"].shape
        if shape[2] != 4:
            raise RegionFeatureError(f"expected boxes (images, N, 4), got {shape}")
        names = self._file["image_ids"].asstr()
        # Texts may share their bytes: a few at a time, so that small files take little memory.
        step = max(16, min(1024, LARGEST // self._size))
        rows: dict[str, int] = {}
        length = 0
        for start in range(0, lengths["image_ids"], step):
            for name in names[start : start + step]:
                length += len(name)
                if name in rows:
                    raise RegionFeatureError(f"the image {name[:100]!r} appears twice")
                rows[name] = len(rows)
            if length > self._size:
                raise RegionFeatureError(f"ids of {length} letters in a file of {self._size} bytes")
        return rows

    def __getitem__(self, image_id: str) -> RegionFeatures:
        row = self._rows[image_id]
        try:
            with self._lock:
                height, width, count = (int(self._file[n][row]) for n in _ROWS[1:4])
                arrays = [self._file[name] for name in ("boxes", "features")]
                self._check_count(count, arrays)
                boxes, features = (a[row, :count].astype(np.float32, copy=False) for a in arrays)
            return RegionFeatures(image_id, height, width, boxes, features)
        except Exception as error:  # see above
            raise RegionFeatureError(f"{self.path}, image {image_id!r:.200}: {error}") from error

    def _check_count(self, count: int, arrays: Sequence[h5py.Dataset]) -> None:
        """Refuse a number of regions that the arrays do not have, or the file cannot hold."""
        most = min(_MAX_REGIONS, *(array.shape[1] for array in arrays))
        if not 0 < count <= most:
            raise RegionFeatureError(f"expected 1 to {most} boxes, found {count}")
        size = sum(count * array.shape[2] * array.dtype.itemsize for array in arrays)
        if size > min(LARGEST, most_of(self._size)):
            raise RegionFeatureError(f"{size} bytes of an image in a file of {self._size} bytes")

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def close(self) -> None:
        self._file.close()


def _write_h5(path: Path, records: Iterable[RegionFeatures]) -> int:
    """Write images as the rows of a new file."""
    with h5py.File(path, "w") as file:
        count, seen = 0, set()
        for count, record in enumerate(records, 1):
            if record.image_id in seen:
                raise RegionFeatureError(f"the image {record.image_id!r:.200} came twice")
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
            f"image {record.image_id!r:.200}: expected features of width {expected}, got {width}"
        )
    values = (record.image_id, record.height, record.width, n)
    for name, value in zip(_ROWS[:4], values, strict=True):
        file[name].resize(count, axis=0)
        file[name][-1] = value
    for name, array in (("boxes", record.boxes), ("features", record.features)):
        data = file[name]
        data.resize((count, max(n, data.shape[1]), data.shape[2]))
        data[-1, :n] = array
