"""The public TSV files of bottom-up attention, one image a line, arrays in base64."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tfzoo.core.files import read_json, write_json
from tfzoo.data.regions.features import RegionFeatureError, RegionFeatures
from tfzoo.data.regions.source import EXTRAS, RegionFeatureFile

__all__ = ["TsvFile", "write_tsv"]

_MAX_LINE = 2**28
_MAX_REGIONS = 10_000
_BEGIN = 4096  # bytes of a line that surely hold the image's id

# Fields of a line, with the type of what is in base64. The second form is the older one.
_LXMERT = (
    ("img_id", str),
    ("img_h", int),
    ("img_w", int),
    ("objects_id", np.int64),
    ("objects_conf", np.float32),
    ("attrs_id", np.int64),
    ("attrs_conf", np.float32),
    ("num_boxes", int),
    ("boxes", np.float32),
    ("features", np.float32),
)
_OLDER = (
    ("image_id", str),
    ("image_w", int),
    ("image_h", int),
    ("num_boxes", int),
    ("boxes", np.float32),
    ("features", np.float32),
)
_FORMS = {len(form): form for form in (_LXMERT, _OLDER)}
# A record's field -> its names in the lines.
_FIELDS = {
    "image_id": ("img_id", "image_id"),
    "height": ("img_h", "image_h"),
    "width": ("img_w", "image_w"),
    "boxes": ("boxes",),
    "features": ("features",),
    "object_ids": ("objects_id",),
    "object_scores": ("objects_conf",),
    "attribute_ids": ("attrs_id",),
    "attribute_scores": ("attrs_conf",),
}


class TsvFile(RegionFeatureFile):
    """Lines of tab-separated fields; some 400 kB each, a file of 40 GB is common.

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
        """Yield the images one by one, see `RegionFeatureFile.records`."""
        with open(self.path, "rb") as file:
            for number, (_, line) in enumerate(self._lines(file), 1):
                if number > 1 or not _is_header(line):
                    yield _parse(line, f"{self.path}, line {number}")

    def __getitem__(self, image_id: str) -> RegionFeatures:
        offset = self._index()[image_id]
        with self._lock:
            self._file.seek(offset)
            line = self._file.readline(_MAX_LINE)
        record = _parse(line, f"{self.path}, image {image_id!r}")
        if record.image_id != image_id:
            raise RegionFeatureError(
                f"{self.path}: expected image {image_id!r} at byte {offset}, found "
                f"{record.image_id!r}; the file has changed, or its index is another file's"
            )
        return record

    def __iter__(self) -> Iterator[str]:
        return iter(self._index())

    def __len__(self) -> int:
        return len(self._index())

    def close(self) -> None:
        """Close the file."""
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
        kept = read_json(self._index_path, RegionFeatureError)
        if any(kept.get(key) != value for key, value in self._stamp().items()):
            return None
        offsets = kept.get("offsets")
        if not isinstance(offsets, dict) or not all(type(o) is int for o in offsets.values()):
            raise RegionFeatureError(f"{self._index_path}: no index of a TSV file; remove it")
        return offsets

    def _build_index(self) -> dict[str, int]:
        offsets: dict[str, int] = {}
        stamp = self._stamp()
        with open(self.path, "rb") as file:
            for offset, line in self._lines(file):
                if offset == 0 and _is_header(line):
                    continue
                image_id = line[:_BEGIN].split(b"\t", 1)[0].decode("utf-8", "replace")
                if image_id in offsets:
                    raise RegionFeatureError(f"{self.path}: the image {image_id!r} stands twice")
                offsets[image_id] = offset
        if self._index_path is not None:
            write_json(self._index_path, {**stamp, "offsets": offsets})
        return offsets

    def _lines(self, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
        """Yield the place of each line, and the line."""
        offset = 0
        while line := file.readline(_MAX_LINE):
            if len(line) == _MAX_LINE:
                raise RegionFeatureError(f"{self.path}: a line of more than {_MAX_LINE} bytes")
            yield offset, line
            offset += len(line)


def _is_header(line: bytes) -> bool:
    return line.split(b"\t", 1)[0] in (b"img_id", b"image_id")


def _parse(line: bytes, where: str) -> RegionFeatures:
    """One line as a record."""
    parts = line.rstrip(b"\r\n").split(b"\t")
    form = _FORMS.get(len(parts))
    if form is None:
        names = ", ".join(name for name, _ in _LXMERT)
        raise RegionFeatureError(
            f"{where}: expected the {len(_LXMERT)} fields {names} (or {len(_OLDER)} of the older "
            f"form), separated by tabs, found {len(parts)}; the file may be truncated"
        )
    try:
        values = {n: _decoded(p, kind) for (n, kind), p in zip(form, parts, strict=True)}
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise RegionFeatureError(f"{where}: a field is damaged: {error}") from error
    count = values["num_boxes"]
    if not 0 < count <= _MAX_REGIONS:
        raise RegionFeatureError(f"{where}: expected 1 to {_MAX_REGIONS} boxes, found {count}")
    for name, value in values.items():
        if isinstance(value, np.ndarray):
            values[name] = _shaped(name, value, count, where)
    found = {field: values[n] for field, names in _FIELDS.items() for n in names if n in values}
    try:
        return RegionFeatures(**found)
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
        return int(part[:20])
    return np.frombuffer(base64.b64decode(part, validate=True), kind).copy()


def write_tsv(path: Path, records: Iterable[RegionFeatures]) -> int:
    """Write images as lines, in LXMERT's form where they have objects and attributes.

    Args:
        path: The file.
        records: The images.

    Returns:
        How many there were.

    Raises:
        RegionFeatureError: An id cannot stand in a line.
    """
    count = 0
    with open(path, "wb") as file:
        for record in records:
            full = all(getattr(record, name) is not None for name in EXTRAS)
            fields = [_encoded(record, *field) for field in (_LXMERT if full else _OLDER)]
            file.write(b"\t".join(fields) + b"\n")
            count += 1
    return count


def _encoded(record: RegionFeatures, name: str, kind: Any) -> bytes:
    if name == "num_boxes":
        return str(len(record.boxes)).encode()
    field = next(field for field, names in _FIELDS.items() if name in names)
    value = getattr(record, field)
    if kind is str:
        if not value or any(sign in value for sign in "\t\r\n"):
            raise RegionFeatureError(f"the image id {value!r} cannot stand in a TSV file")
        return value.encode()
    if kind is int:
        return str(int(value)).encode()
    return base64.b64encode(np.ascontiguousarray(value, kind).tobytes())
