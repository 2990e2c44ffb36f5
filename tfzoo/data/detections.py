"""Photos with named boxes, for OWLv2 and OWL-ViT.

Letters: B batch, C channels, Q queries (names), N tokens, M boxes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfzoo.data.coco import CocoImage, read_coco
from tfzoo.data.errors import DataError, shown
from tfzoo.data.pipeline import Reading, stream
from tfzoo.data.progress import Progress
from tfzoo.io import read_image
from tfzoo.models.owlv2.image_steps import OwlImageProcessor

__all__ = ["detection_dataset_from_coco"]

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
    """Stream photos and their boxes into a detector's `fit`.

    All names are looked for in every photo, so that what is absent is learnt, too. Crowds and boxes
    without area are left out, boxes that stick out by up to a pixel are clipped.

    Args:
        annotations: COCO's json of instances.
        directory: The folder of its photos.
        processor: The checkpoint's `Owlv2Processor` or `OwlViTProcessor`.
        class_names: Names of the categories to look for, in the order of their labels; default:
            all, in the order of their ids.
        template: The query of a name, which stands for `{}`, e.g. "a photo of a {}".
        batch_size: B; the last batch may be smaller.
        shuffle: Whether each epoch has an order of its own.
        seed: Of the order and the augmentation.
        augment: A function of a photo (height, width, 3) uint8, its boxes (M, 4) as corners in
            pixels and a NumPy `Generator`, which gives the two, changed; M stays.
        on_error: "raise" ends the reading at a photo that is damaged, missing or of another size
            than the json says; "skip" leaves it out with a `BrokenFileWarning`.
        workers: How many photos are read at once; None leaves it to `tf.data`.
        progress: True shows a bar on a terminal while the json is read; a function is called with
            (done, total).

    Returns:
        A `tf.data.Dataset` of `({"input_ids": (B, Q, N), "attention_mask": (B, Q, N),
        "pixel_values": (B, C, height, width)}, {"boxes": (B, M, 4), "class_labels": (B, M)})`.
        Boxes are centre and size, as parts of what the model sees; M is the largest number of boxes
        of one photo, the class -1 marks padding. Attributes: `class_names`, `file_paths`,
        `skipped`.

    Raises:
        DataError: Another json than COCO's, or photos that are missing. While it is read, the
            dataset raises `tf.errors.InvalidArgumentError` with the same kind of words.
        TypeError: Another processor.
        ValueError: An argument that is none, or a processor that crops boxes away.

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
    images, names = read_coco(annotations, class_names, progress=progress)
    photos = _Photos(images, Path(directory).expanduser(), processor, canvas, augment)
    photos.check_files(on_error)
    queries = processor(text=[template.replace("{}", name) for name in names], return_tensors="np")
    texts = {key: queries[key][None] for key in ("input_ids", "attention_mask")}

    def finish(values: dict[str, Any]) -> Any:
        count = tf.shape(values["pixel_values"])[0]
        inputs = {key: tf.tile(value, (count, 1, 1)) for key, value in texts.items()}
        labels = {"boxes": values["boxes"], "class_labels": values["class_labels"]}
        return {**inputs, "pixel_values": values["pixel_values"]}, labels

    files = [str(path) for path in photos.paths]
    dataset = stream(files, photos.load, photos.signature(batch_size), reading, finish)
    dataset.class_names, dataset.file_paths = names, files
    return dataset


@dataclass(frozen=True, eq=False)
class _Photos:
    """The photos of a set; `canvas` is the side of what boxes are parts of."""

    images: list[CocoImage]
    directory: Path
    processor: Any
    canvas: Callable[[int, int], tuple[int, int]]
    augment: AugmentBoxes | None

    @property
    def paths(self) -> list[Path]:
        return [self.directory / image.file_name for image in self.images]

    @property
    def most(self) -> int:
        """The largest number of boxes of a photo, at least 1 so that no array is empty."""
        return max(1, *(len(image.classes) for image in self.images))

    def check_files(self, on_error: str) -> None:
        """Refuse a set without its photos; where broken ones are skipped, one without any."""
        if not self.directory.is_dir():
            raise DataError(f"{self.directory}: expected the folder of the photos, found none.")
        missing = [str(path) for path in self.paths if not path.is_file()]
        if len(missing) == len(self.images) or (missing and on_error == "raise"):
            raise DataError(
                f"{len(missing)} of {len(self.images)} photos are missing: {shown(missing)}. "
                "Is `directory` the folder that the json's file names start from?"
            )

    def signature(self, batch_size: int) -> dict[str, tf.TensorSpec]:
        """Shapes and dtypes; those of the pixels as black photos show them."""
        sizes = ((48, 64, 3), (64, 48, 3))
        wide, tall = (self._pixels(np.zeros(size, np.uint8)) for size in sizes)
        if wide.shape != tall.shape:
            raise ValueError(
                f"The processor makes {wide.shape} of wide and {tall.shape} of tall photos, which "
                "fit into no batch: set its do_resize."
            )
        return {
            "pixel_values": tf.TensorSpec(wide.shape, tf.as_dtype(wide.dtype)),
            "boxes": tf.TensorSpec((self.most, 4), tf.float32),
            "class_labels": tf.TensorSpec((self.most,), tf.int32),
        }

    def load(self, place: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Read one photo, and bring its boxes into the form of labels."""
        image, path = self.images[place], self.paths[place]
        photo = read_image(path)
        if photo.shape[:2] != (image.height, image.width):
            raise DataError(
                f"{path}: the json says {image.width} x {image.height} pixels, the photo, held "
                f"upright as its EXIF tag says, has {photo.shape[1]} x {photo.shape[0]}."
            )
        corners = image.boxes
        if self.augment is not None:
            photo, corners = self.augment(photo, corners.copy(), rng)
        boxes = np.zeros((self.most, 4), np.float32)
        classes = np.full(self.most, -1, np.int32)
        count = len(image.classes)
        if np.shape(corners) != (count, 4):
            raise ValueError(
                f"augment: expected {count} boxes of 4 numbers back, got {np.shape(corners)}."
            )
        height, width = self.canvas(*photo.shape[:2])
        boxes[:count] = _centred(corners) / np.array([width, height] * 2, np.float32)
        classes[:count] = image.classes
        return {"pixel_values": self._pixels(photo), "boxes": boxes, "class_labels": classes}

    def _pixels(self, photo: np.ndarray) -> np.ndarray:
        return self.processor.image_processor(photo, return_tensors="np")["pixel_values"][0]


def _canvas_of(processor: Any) -> Callable[[int, int], tuple[int, int]]:
    """Height and width of what the model sees, from those of a photo."""
    images = getattr(processor, "image_processor", None)
    if not isinstance(images, OwlImageProcessor):
        raise TypeError(
            "processor: expected an Owlv2Processor or OwlViTProcessor, got "
            f"{type(processor).__name__}."
        )
    if getattr(images, "do_center_crop", False):
        raise ValueError("The processor cuts the middle out of photos (do_center_crop): boxes go.")
    if images.square_canvas and images.do_pad:
        return lambda height, width: (max(height, width), max(height, width))
    return lambda height, width: (height, width)


def _centred(corners: np.ndarray) -> np.ndarray:
    """Corners to centre x, centre y, width, height."""
    low, high = corners[:, :2], corners[:, 2:]
    return np.concatenate([(low + high) / 2, high - low], axis=1)
