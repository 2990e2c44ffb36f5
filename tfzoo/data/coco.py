"""COCO's json of boxes, read into a table and checked.

{"images": [{"id", "file_name", "width", "height"}],
 "annotations": [{"image_id", "category_id", "bbox": [x, y, width, height], "iscrowd"}],
 "categories": [{"id", "name"}]}
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfzoo.data.errors import DataError
from tfzoo.data.progress import Progress, reporter

__all__ = ["CocoImage", "read_coco"]

_PARTS = {
    "images": ("id", "file_name", "width", "height"),
    "annotations": ("image_id", "category_id", "bbox"),
    "categories": ("id", "name"),
}
_SLACK = 1.0  # pixels by which annotators' boxes may stick out


@dataclass(frozen=True, eq=False)
class CocoImage:
    """A photo and what is drawn on it.

    Attributes:
        file_name: Relative to the folder of photos.
        height: In pixels.
        width: In pixels.
        boxes: (M, 4) float32, corners (x0, y0, x1, y1) in pixels; M may be 0.
        classes: (M,) int32, places in the list of names.
    """

    file_name: str
    height: int
    width: int
    boxes: np.ndarray
    classes: np.ndarray


def read_coco(
    path: str | os.PathLike[str],
    class_names: Sequence[str] | None = None,
    *,
    progress: Progress = True,
) -> tuple[list[CocoImage], list[str]]:
    """Read and check a json file of boxes.

    Crowds (`iscrowd` 1) and boxes without area are left out, as their annotators ask; boxes that
    stick out by up to a pixel are clipped. Photos without boxes stay: nothing is to be found there.

    Args:
        path: The file.
        class_names: Names of the categories to keep, in the order of their labels; default: all, in
            the order of their ids.
        progress: True shows a bar on a terminal; a function is called with (done, total).

    Returns:
        The photos in the file's order, and the names.

    Raises:
        DataError: No such file, no json, or not this json; the message names the entry.

    Example:
        >>> import tempfile
        >>> box = {"image_id": 7, "category_id": 3, "bbox": [10, 20, 30, 40]}
        >>> photo = {"id": 7, "file_name": "photo.jpg", "width": 600, "height": 400}
        >>> cup = {"id": 3, "name": "cup"}
        >>> path = Path(tempfile.mkdtemp(), "boxes.json")
        >>> text = json.dumps({"images": [photo], "annotations": [box], "categories": [cup]})
        >>> _ = path.write_text(text)
        >>> images, names = read_coco(path)
        >>> images[0].boxes, images[0].classes, names
        (array([[10., 20., 40., 60.]], dtype=float32), array([0], dtype=int32), ['cup'])
    """
    path = Path(path).expanduser()
    content = _content(path)
    names, labels = _classes(content["categories"], class_names, path)
    images = _unique(content["images"], path)
    boxes: dict[Any, list[tuple[list[float], int]]] = {key: [] for key in images}
    annotations = content["annotations"]
    with reporter(progress, "box", len(annotations)) as report:
        for number, annotation in enumerate(annotations):
            where = f"{path}, annotations[{number}]"
            image = images.get(annotation["image_id"])
            if image is None:
                raise DataError(f"{where}: there is no image of id {annotation['image_id']!r}.")
            if annotation["category_id"] not in labels:
                raise DataError(
                    f"{where}: there is no category of id {annotation['category_id']!r}."
                )
            corners = _corners(annotation, image, where)
            label = labels[annotation["category_id"]]
            if corners is not None and label is not None:
                boxes[annotation["image_id"]].append((corners, label))
            report(number + 1)
    return [_image(images[key], drawn) for key, drawn in boxes.items()], names


def _content(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The three lists, each entry with the keys that are needed."""
    if not path.is_file():
        raise DataError(f"{path}: there is no such file.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not valid JSON: {error}.") from error
    for part, keys in _PARTS.items():
        entries = content.get(part) if isinstance(content, Mapping) else None
        if not isinstance(entries, list):
            raise DataError(
                f"{path}: expected COCO's json, an object with the lists {', '.join(_PARTS)}; "
                f"{part} is missing or no list."
            )
        for number, entry in enumerate(entries):
            missing = [key for key in keys if not isinstance(entry, Mapping) or key not in entry]
            if missing:
                raise DataError(f"{path}, {part}[{number}]: {', '.join(missing)} missing.")
    if not content["images"]:
        raise DataError(f"{path}: expected images, the list is empty.")
    return content


def _classes(
    categories: list[dict[str, Any]], chosen: Sequence[str] | None, path: Path
) -> tuple[list[str], dict[Any, int | None]]:
    """Names in the order of their labels, and the label of each category's id."""
    by_id = {entry["id"]: str(entry["name"]) for entry in categories}
    known = [by_id[key] for key in sorted(by_id)]
    names = known if chosen is None else list(chosen)
    if len(by_id) != len(categories) or len(set(known)) != len(known):
        raise DataError(f"{path}: two categories share an id or a name.")
    unknown = [name for name in names if name not in known]
    if unknown or not names or len(set(names)) != len(names):
        raise DataError(f"{path}: expected class_names among {known}, each once, got {names}.")
    places = {name: place for place, name in enumerate(names)}
    return names, {key: places.get(name) for key, name in by_id.items()}


def _unique(images: list[dict[str, Any]], path: Path) -> dict[Any, dict[str, Any]]:
    """The images by their ids."""
    found: dict[Any, dict[str, Any]] = {}
    for number, image in enumerate(images):
        where = f"{path}, images[{number}]"
        sides = [image["height"], image["width"]]
        if not all(type(side) is int and side > 0 for side in sides):
            raise DataError(f"{where}: expected a height and width in pixels, got {sides}.")
        if image["id"] in found:
            raise DataError(f"{where}: the id {image['id']!r} stands twice.")
        found[image["id"]] = image
    return found


def _corners(
    annotation: Mapping[str, Any], image: Mapping[str, Any], where: str
) -> list[float] | None:
    """x0, y0, x1, y1 within the image; None for what is left out."""
    if annotation.get("iscrowd"):
        return None
    box = annotation["bbox"]
    numbers = isinstance(box, list) and len(box) == 4 and all(_is_number(x) for x in box)
    if not numbers or box[2] < 0 or box[3] < 0:
        raise DataError(f"{where}: expected bbox as [x, y, width, height] in pixels, got {box!r}.")
    x0, y0, x1, y1 = box[0], box[1], box[0] + box[2], box[1] + box[3]
    width, height = image["width"], image["height"]
    if min(x0, y0) < -_SLACK or x1 > width + _SLACK or y1 > height + _SLACK:
        raise DataError(
            f"{where}: the bbox {box} leaves its image of {width} x {height} pixels. Are these "
            "corners instead of x, y, width, height, or boxes of an image of another size?"
        )
    x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    return [x0, y0, x1, y1] if x1 > x0 and y1 > y0 else None


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and np.isfinite(value)


def _image(image: Mapping[str, Any], drawn: list[tuple[list[float], int]]) -> CocoImage:
    boxes = np.array([box for box, _ in drawn], np.float32).reshape(-1, 4)
    classes = np.array([label for _, label in drawn], np.int32)
    return CocoImage(str(image["file_name"]), image["height"], image["width"], boxes, classes)
