"""Images with named boxes, for OWLv2 and OWL-ViT.

Letters: B batch, C channels, Q queries (names), N tokens, M boxes.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import tensorflow as tf

from tfzoo.data.annotations import flag, identifier, is_number, read_annotations
from tfzoo.data.errors import DataError, shown
from tfzoo.data.pipeline import Progress, Reading, prepared, reporter, stream
from tfzoo.io import read_image
from tfzoo.models.owlv2.image_processor import OwlImageProcessor
from tfzoo.text.lengths import NO_LIMIT

__all__ = ["detection_dataset_from_coco"]

_PARTS = {
    "images": ("id", "width", "height"),
    "annotations": ("image_id", "category_id", "bbox"),
    "categories": ("id", "name"),
}
_SLACK = 1.0  # pixels by which annotators' boxes may stick out
_NO_BOXES = np.zeros((0, 4), np.float32), np.zeros(0, np.int32)

#: (height, width, 3) uint8, (M, 4) corners in pixels, random numbers -> both, changed alike.
AugmentBoxes = Callable[
    [np.ndarray, np.ndarray, np.random.Generator], tuple[np.ndarray, np.ndarray]
]


def detection_dataset_from_coco(
    annotations: str | os.PathLike[str],
    directory: str | os.PathLike[str],
    processor: Any,
    *,
    class_names: Sequence[str] | None = None,
    template: str = "{}",
    batch_size: int = 8,
    shuffle: bool = True,
    seed: int | None = None,
    augment: AugmentBoxes | None = None,
    on_error: str = "raise",
    workers: int | None = None,
    progress: Progress = True,
) -> Any:
    """Stream images and their boxes into a detector's `fit`.

    All names are looked for in every image, so that absence is learnt as well. Crowds (`iscrowd` 1)
    and boxes without area are left out, boxes that stick out by up to a pixel are clipped.
    Roboflow's root category, which names the whole set and has no boxes, is not looked for.

    LVIS names images by `coco_url` alone: its end, `train2017/x.jpg` or `x.jpg`, is then the place
    in `directory`. The names that LVIS says nothing about in an image count as absent there.

    Args:
        annotations: COCO's JSON of instances.
        directory: The folder of its images.
        processor: The checkpoint's `Owlv2Processor` or `OwlViTProcessor`.
        class_names: Names of the categories to look for, in the order of their labels; default:
            all, in the order of their ids.
        template: The query of a name, which stands for `{}`, e.g. "a photo of a {}".
        batch_size: B; the last batch may be smaller.
        shuffle: Whether each epoch has an order of its own.
        seed: Of the order and the augmentation.
        augment: A function of an image (height, width, 3) uint8, its boxes (M, 4) as corners in
            pixels and a NumPy `Generator`, which returns both, changed; M stays.
        on_error: "raise" ends the reading at an image that is damaged, missing or of another size
            than the JSON says; "skip" leaves it out with a `BrokenFileWarning`.
        workers: How many images are read at once; None leaves it to `tf.data`.
        progress: True shows a bar on a terminal while the JSON is read; a function is called with
            (done, total).

    Returns:
        A `tf.data.Dataset` of `({"input_ids": (B, Q, N), "attention_mask": (B, Q, N),
        "pixel_values": (B, C, height, width)}, {"boxes": (B, M, 4), "class_labels": (B, M)})`.
        Boxes are centre and size, as parts of what the model sees; M is the largest number of boxes
        of one image, the class -1 marks padding. Attributes: `class_names`, `file_paths`,
        `skipped`.

    Raises:
        DataError: Another JSON than COCO's, or images that are missing. While it is read, the
            dataset raises `tf.errors.InvalidArgumentError` with the same kind of message.
        TypeError: Another processor.
        ValueError: An invalid argument, or a processor that crops boxes away.

    Example:
        >>> import json, pathlib, tempfile, tfzoo
        >>> from tfzoo.data import detection_dataset_from_coco
        >>> cup = {"image_id": 1, "category_id": 1, "bbox": [96, 48, 128, 96]}
        >>> photo = {"id": 1, "file_name": "photo.jpg", "width": 320, "height": 213}
        >>> names = [{"id": 1, "name": "cup"}, {"id": 2, "name": "cat"}]
        >>> path = pathlib.Path(tempfile.mkdtemp(), "boxes.json")
        >>> text = json.dumps({"images": [photo], "annotations": [cup], "categories": names})
        >>> _ = path.write_text(text)
        >>> processor = tfzoo.Owlv2Processor.from_pretrained("owlv2")
        >>> dataset = detection_dataset_from_coco(path, ".", processor, template="a {}")
        >>> inputs, labels = next(iter(dataset))
        >>> {name: tuple(value.shape) for name, value in inputs.items()}
        {'input_ids': (1, 2, 16), 'attention_mask': (1, 2, 16), 'pixel_values': (1, 3, 32, 32)}
        >>> labels["boxes"].numpy().round(3), labels["class_labels"].numpy()
        (array([[[0.5, 0.3, 0.4, 0.3]]], dtype=float32), array([[0]], dtype=int32))
    """
    reading = Reading(batch_size, shuffle, seed, on_error, workers)
    canvas = _canvas_of(processor)
    if "{}" not in template:
        raise ValueError(f"template must hold {{}} where the name goes, got {template!r}.")
    entries, names = _read_coco(annotations, class_names, progress)
    images = _Images(entries, Path(directory).expanduser(), processor, canvas, augment)
    images.check_files(on_error)
    asked = [template.replace("{}", name) for name in names]
    _check_queries(asked, processor.tokenizer, annotations)
    queries = processor(text=asked, return_tensors="np")
    texts = {key: queries[key][None] for key in ("input_ids", "attention_mask")}

    def finish(values: dict[str, Any]) -> Any:
        count = tf.shape(values["pixel_values"])[0]
        inputs = {key: tf.tile(value, (count, 1, 1)) for key, value in texts.items()}
        labels = {"boxes": values["boxes"], "class_labels": values["class_labels"]}
        return {**inputs, "pixel_values": values["pixel_values"]}, labels

    files = [str(path) for path in images.paths]
    dataset = stream(files, images.load, images.signature(batch_size), reading, finish)
    dataset.class_names, dataset.file_paths = names, files
    return dataset


@dataclass(frozen=True, eq=False)
class _Image:
    """An image of the JSON: (M, 4) corners x0, y0, x1, y1 in pixels, (M,) labels; M may be 0.

    `other_name` is where it may lie as well.
    """

    file_name: str
    other_name: str
    height: int
    width: int
    boxes: np.ndarray
    classes: np.ndarray


@dataclass(frozen=True, eq=False)
class _Images:
    """The images of a set; `canvas` gives height and width of what boxes are parts of."""

    images: list[_Image]
    directory: Path
    processor: Any
    canvas: Callable[[int, int], tuple[int, int]]
    augment: AugmentBoxes | None

    @cached_property
    def paths(self) -> list[Path]:
        """Where the images lie, or would lie."""
        found = []
        for image in self.images:
            path, other = self.directory / image.file_name, self.directory / image.other_name
            is_other = path != other and not os.path.isfile(path) and os.path.isfile(other)
            found.append(other if is_other else path)
        return found

    @property
    def most(self) -> int:
        """The largest number of boxes of an image, at least 1 so that no array is empty."""
        return max(1, *(len(image.classes) for image in self.images))

    def check_files(self, on_error: str) -> None:
        """Refuse a set without its images; where broken ones are skipped, one without any."""
        if not self.directory.is_dir():
            raise DataError(f"{self.directory}: expected the folder of the images, found none.")
        missing = [str(path) for path in self.paths if not os.path.isfile(path)]
        if len(missing) == len(self.images) or (missing and on_error == "raise"):
            raise DataError(
                f"{len(missing)} of {len(self.images)} images are missing: {shown(missing)}. "
                "Is `directory` the folder that the JSON's file names start from?"
            )

    def signature(self, batch_size: int) -> dict[str, tf.TensorSpec]:
        """Shapes and dtypes; those of the pixels are tried on black images."""
        sizes = ((48, 64, 3), (64, 48, 3))
        wide, tall = (self._prepared(np.zeros(size, np.uint8)) for size in sizes)
        if wide.shape != tall.shape:
            raise ValueError(
                f"The processor makes {wide.shape} of wide and {tall.shape} of tall images, which "
                "fit no batch: set its do_resize."
            )
        return {
            "pixel_values": tf.TensorSpec(wide.shape, tf.as_dtype(wide.dtype)),
            "boxes": tf.TensorSpec((self.most, 4), tf.float32),
            "class_labels": tf.TensorSpec((self.most,), tf.int32),
        }

    def load(self, place: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Read one image, and bring its boxes into the form of labels."""
        image, path = self.images[place], self.paths[place]
        pixels = original = read_image(path)
        if pixels.shape[:2] != (image.height, image.width):
            raise DataError(
                f"{path}: the JSON says {image.width} x {image.height} pixels, the image, held "
                f"upright as its EXIF tag says, has {pixels.shape[1]} x {pixels.shape[0]}."
            )
        corners = image.boxes
        if self.augment is not None:
            pixels, corners = self.augment(pixels, corners.copy(), rng)
        boxes = np.zeros((self.most, 4), np.float32)
        classes = np.full(self.most, -1, np.int32)
        count = len(image.classes)
        if np.shape(corners) != (count, 4):
            raise ValueError(
                f"augment: expected {count} boxes of 4 numbers back, got {np.shape(corners)}."
            )
        height, width = self.canvas(*pixels.shape[:2])
        boxes[:count] = _centred(corners) / np.array([width, height] * 2, np.float32)
        classes[:count] = image.classes
        values = prepared(self._prepared, original, pixels)
        return {"pixel_values": values, "boxes": boxes, "class_labels": classes}

    def _prepared(self, pixels: np.ndarray) -> np.ndarray:
        return self.processor.image_processor(pixels, return_tensors="np")["pixel_values"][0]


def _canvas_of(processor: Any) -> Callable[[int, int], tuple[int, int]]:
    """Height and width of what the model sees, from those of an image."""
    images = getattr(processor, "image_processor", None)
    if not isinstance(images, OwlImageProcessor):
        raise TypeError(
            "processor: expected an Owlv2Processor or OwlViTProcessor, got "
            f"{type(processor).__name__}."
        )
    if getattr(images, "do_center_crop", False):
        raise ValueError("The processor crops images (do_center_crop), so boxes would be lost.")
    if images.square_canvas and images.do_pad:
        return lambda height, width: (max(height, width), max(height, width))
    return lambda height, width: (height, width)


def _check_queries(asked: list[str], tokenizer: Any, path: str | os.PathLike[str]) -> None:
    most = tokenizer.model_max_length
    if most >= NO_LIMIT:
        return
    ids = tokenizer(asked, truncation=True, max_length=most + 1)["input_ids"]
    for text, tokens in zip(asked, ids, strict=True):
        if len(tokens) > most:
            raise DataError(
                f"{os.fspath(path)}: the query {text!r:.100} of a category's name has more than "
                f"{most} tokens, which the model takes. Shorten the name or the template, or leave "
                "the category out of class_names."
            )


def _centred(corners: np.ndarray) -> np.ndarray:
    """Corners to centre x, centre y, width, height."""
    low, high = corners[:, :2], corners[:, 2:]
    return np.concatenate([(low + high) / 2, high - low], axis=1)


# -- reading COCO's JSON --------------------------------------------------------------------------
#
# {"images": [{"id", "file_name", "width", "height"}],
#  "annotations": [{"image_id", "category_id", "bbox": [x, y, width, height], "iscrowd"}],
#  "categories": [{"id", "name", "supercategory"}]}


def _read_coco(
    path: str | os.PathLike[str], class_names: Sequence[str] | None, progress: Progress
) -> tuple[list[_Image], list[str]]:
    """Read and check a file of boxes; the images in the file's order, and the names.

    Crowds (`iscrowd` 1) and boxes without area are left out, as their annotators ask; boxes that
    stick out by up to a pixel are clipped. Images without boxes stay: nothing is to be found there.
    """
    path = Path(path).expanduser()
    content = _content(path)
    images = _unique(content["images"], path)
    annotations = content["annotations"]
    places = [f"{path}, annotations[{number}]" for number in range(len(annotations))]
    used = [identifier(a["category_id"], p) for a, p in zip(annotations, places, strict=True)]
    names, labels = _classes(content["categories"], set(used), class_names, path)
    boxes: dict[Any, list[tuple[list[float], int]]] = {key: [] for key in images}
    with reporter(progress, "box", len(annotations)) as report:
        rows = zip(annotations, used, places, strict=True)
        for number, (annotation, category, where) in enumerate(rows, 1):
            image_id = identifier(annotation["image_id"], where)
            if image_id not in images:
                raise DataError(f"{where}: no image has the id {image_id!r:.100}.")
            if category not in labels:
                raise DataError(f"{where}: no category has the id {category!r:.100}.")
            corners, label = _corners(annotation, images[image_id], where), labels[category]
            if corners is not None and label is not None:
                boxes[image_id].append((corners, label))
            report(number)
    return [_with_boxes(images[key], drawn) for key, drawn in boxes.items()], names


def _content(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The three lists, each entry with the keys that are needed."""
    content = read_annotations(path)
    for part, keys in _PARTS.items():
        entries = content.get(part) if isinstance(content, Mapping) else None
        if not isinstance(entries, list):
            raise DataError(
                f"{path}: expected COCO's JSON, an object with the lists {', '.join(_PARTS)}; "
                f"{part} is missing or not a list."
            )
        for number, entry in enumerate(entries):
            missing = [key for key in keys if not isinstance(entry, Mapping) or key not in entry]
            if missing:
                raise DataError(f"{path}, {part}[{number}]: {', '.join(missing)} missing.")
    if not content["images"]:
        raise DataError(f"{path}: expected images, the list is empty.")
    return content


def _classes(
    categories: list[dict[str, Any]], used: set[Any], chosen: Sequence[str] | None, path: Path
) -> tuple[list[str], dict[Any, int | None]]:
    """Names in the order of their labels, and the label of each category's id."""
    root = _root(categories, used, chosen, path)
    by_id = {}
    for number, entry in enumerate(categories):
        where = f"{path}, categories[{number}]"
        key, name = identifier(entry["id"], where), entry["name"]
        if key in by_id:
            raise DataError(f"{where}: two categories share an id or a name.")
        if type(name) not in (str, int) or not str(name).strip():
            raise DataError(f"{where}: expected a name, got {name!r:.100}.")
        by_id[key] = str(name)
    by_id.pop(root, None)
    known = [by_id[key] for key in sorted(by_id, key=lambda key: (isinstance(key, str), key))]
    if len(set(known)) != len(known):
        raise DataError(f"{path}: two categories share an id or a name.")
    names = known if chosen is None else list(chosen)
    unknown = [name for name in names if name not in known]
    if unknown or not names or len(set(names)) != len(names):
        raise DataError(f"{path}: expected class_names among {known}, each once, got {names}.")
    labels = {name: label for label, name in enumerate(names)}
    return names, {key: labels.get(name) for key, name in by_id.items()}


def _root(
    categories: list[dict[str, Any]], used: set[Any], chosen: Sequence[str] | None, path: Path
) -> int | str | None:
    """The id of Roboflow's root: the one that all others name as theirs, and that has no boxes."""
    names = [entry["name"] for entry in categories]
    named = Counter(str(entry.get("supercategory")) for entry in categories)
    for number, (name, entry) in enumerate(zip(names, categories, strict=True)):
        is_top = entry.get("supercategory") in (None, "", "none") and name not in (None, "", "none")
        if not is_top or not 0 < named[str(name)] == len(categories) - 1:
            continue
        key = identifier(entry["id"], f"{path}, categories[{number}]")
        is_wanted = name in (chosen or ()) and names.count(name) == 1
        return None if key in used or is_wanted else key
    return None


def _unique(images: list[dict[str, Any]], path: Path) -> dict[Any, _Image]:
    """The images by their ids, without their boxes."""
    found: dict[Any, _Image] = {}
    for number, image in enumerate(images):
        where = f"{path}, images[{number}]"
        sides = [image["height"], image["width"]]
        if not all(is_number(side) and side > 0 and side == int(side) for side in sides):
            raise DataError(f"{where}: expected a height and width in pixels, got {sides!r:.100}.")
        key = identifier(image["id"], where)
        if key in found:
            raise DataError(f"{where}: the id {key!r:.100} appears twice.")
        height, width = map(int, sides)
        found[key] = _Image(*_file_names(image, where), height, width, *_NO_BOXES)
    return found


def _file_names(image: Mapping[str, Any], where: str) -> tuple[str, str]:
    """Where an image may lie in the folder: at its `file_name`, or as LVIS's `coco_url` ends."""
    name, url = image.get("file_name"), image.get("coco_url")
    if isinstance(name, str) and name.strip() and _is_below(name):
        return name, name
    if name is None and isinstance(url, str):
        try:
            parts = PurePosixPath(unquote(urlsplit(url).path)).parts
        except ValueError:  # such as a host of unbalanced brackets
            parts = ()
        parts = tuple(part for part in parts if part not in ("/", ".."))
        if parts:
            return "/".join(parts[-2:]), parts[-1]
    if name is None and url is None:
        raise DataError(f"{where}: file_name missing.")
    found = url if name is None else name
    raise DataError(f"{where}: expected file_name, a path in the folder, got {found!r:.100}.")


def _is_below(name: str) -> bool:
    """Whether a path stays in the folder that it is looked for in."""
    return not os.path.isabs(name) and ".." not in Path(name).parts


def _corners(annotation: Mapping[str, Any], image: _Image, where: str) -> list[float] | None:
    """x0, y0, x1, y1 within the image; None for what is left out."""
    if flag(annotation.get("iscrowd"), f"{where}, iscrowd"):
        return None
    box = annotation["bbox"]
    numbers = isinstance(box, list) and len(box) == 4 and all(is_number(x) for x in box)
    if not numbers or box[2] < 0 or box[3] < 0:
        raise DataError(
            f"{where}: expected bbox as [x, y, width, height] in pixels, got {box!r:.100}."
        )
    x0, y0, x1, y1 = box[0], box[1], box[0] + box[2], box[1] + box[3]
    width, height = image.width, image.height
    if min(x0, y0) < -_SLACK or x1 > width + _SLACK or y1 > height + _SLACK:
        raise DataError(
            f"{where}: the bbox {box} leaves its image of {width} x {height} pixels. Are these "
            "corners instead of x, y, width, height, or boxes of an image of another size?"
        )
    x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    return [x0, y0, x1, y1] if x1 > x0 and y1 > y0 else None


def _with_boxes(image: _Image, drawn: list[tuple[list[float], int]]) -> _Image:
    boxes = np.array([box for box, _ in drawn], np.float32).reshape(-1, 4)
    return replace(image, boxes=boxes, classes=np.array([label for _, label in drawn], np.int32))
