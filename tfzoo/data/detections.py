"""Images with named boxes, for OWLv2 and OWL-ViT.

Letters: B batch, C channels, Q queries (names), N tokens, M boxes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfzoo.data.errors import DataError, shown
from tfzoo.data.pipeline import Progress, Reading, reporter, stream
from tfzoo.io import read_image
from tfzoo.models.owlv2.image_processor import OwlImageProcessor

__all__ = ["detection_dataset_from_coco"]

_PARTS = {
    "images": ("id", "file_name", "width", "height"),
    "annotations": ("image_id", "category_id", "bbox"),
    "categories": ("id", "name"),
}
_SLACK = 1.0  # pixels by which annotators' boxes may stick out

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
    queries = processor(text=[template.replace("{}", name) for name in names], return_tensors="np")
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
    """An image of the JSON: (M, 4) corners x0, y0, x1, y1 in pixels, (M,) labels; M may be 0."""

    file_name: str
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

    @property
    def paths(self) -> list[Path]:
        return [self.directory / image.file_name for image in self.images]

    @property
    def most(self) -> int:
        """The largest number of boxes of an image, at least 1 so that no array is empty."""
        return max(1, *(len(image.classes) for image in self.images))

    def check_files(self, on_error: str) -> None:
        """Refuse a set without its images; where broken ones are skipped, one without any."""
        if not self.directory.is_dir():
            raise DataError(f"{self.directory}: expected the folder of the images, found none.")
        missing = [str(path) for path in self.paths if not path.is_file()]
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
        pixels = read_image(path)
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
        return {"pixel_values": self._prepared(pixels), "boxes": boxes, "class_labels": classes}

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


def _centred(corners: np.ndarray) -> np.ndarray:
    """Corners to centre x, centre y, width, height."""
    low, high = corners[:, :2], corners[:, 2:]
    return np.concatenate([(low + high) / 2, high - low], axis=1)


# -- reading COCO's JSON --------------------------------------------------------------------------
#
# {"images": [{"id", "file_name", "width", "height"}],
#  "annotations": [{"image_id", "category_id", "bbox": [x, y, width, height], "iscrowd"}],
#  "categories": [{"id", "name"}]}


def _read_coco(
    path: str | os.PathLike[str], class_names: Sequence[str] | None, progress: Progress
) -> tuple[list[_Image], list[str]]:
    """Read and check a file of boxes; the images in the file's order, and the names.

    Crowds (`iscrowd` 1) and boxes without area are left out, as their annotators ask; boxes that
    stick out by up to a pixel are clipped. Images without boxes stay: nothing is to be found there.
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
                raise DataError(f"{where}: no image has the id {annotation['image_id']!r}.")
            if annotation["category_id"] not in labels:
                raise DataError(f"{where}: no category has the id {annotation['category_id']!r}.")
            corners = _corners(annotation, image, where)
            label = labels[annotation["category_id"]]
            if corners is not None and label is not None:
                boxes[annotation["image_id"]].append((corners, label))
            report(number + 1)
    return [_image(images[key], drawn) for key, drawn in boxes.items()], names


def _content(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The three lists, each entry with the keys that are needed."""
    if not path.is_file():
        raise DataError(f"{path}: no such file.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not valid JSON: {error}.") from error
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
            raise DataError(f"{where}: the id {image['id']!r} appears twice.")
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


def _image(image: Mapping[str, Any], drawn: list[tuple[list[float], int]]) -> _Image:
    boxes = np.array([box for box, _ in drawn], np.float32).reshape(-1, 4)
    classes = np.array([label for _, label in drawn], np.int32)
    return _Image(str(image["file_name"]), image["height"], image["width"], boxes, classes)
