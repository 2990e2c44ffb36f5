"""COCO's boxes as a detector's labels."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tfzoo
from tests.support.owlv2_checkpoint import write_owlv2_checkpoint
from tfzoo.data import BrokenFileWarning, DataError, detection_dataset_from_coco

SIZES = {"wide.png": (40, 20), "tall.png": (10, 30), "bare.png": (16, 16)}  # width, height
COCO = {
    "images": [
        {"id": 10 + n, "file_name": name, "width": width, "height": height}
        for n, (name, (width, height)) in enumerate(SIZES.items())
    ],
    "annotations": [
        {"image_id": 10, "category_id": 5, "bbox": [10, 5, 20, 10]},
        {"image_id": 10, "category_id": 2, "bbox": [0, 0, 8.5, 4], "iscrowd": 0},
        {"image_id": 10, "category_id": 2, "bbox": [0, 0, 40, 20], "iscrowd": 1},
        {"image_id": 11, "category_id": 5, "bbox": [-0.5, 20, 11, 10.5]},
        {"image_id": 11, "category_id": 5, "bbox": [3, 3, 0, 4]},
    ],
    "categories": [{"id": 5, "name": "cup"}, {"id": 2, "name": "cat"}],
}


def write(folder: Path, content: Any) -> Path:
    path = folder / "boxes.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def write_photos(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    for name, (width, height) in SIZES.items():
        pixels = rng.integers(0, 256, (height, width, 3)).astype("uint8")
        Image.fromarray(pixels).save(folder / name)
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_owlv2_checkpoint(tmp_path_factory.mktemp("tiny") / "owlv2")


@pytest.fixture(scope="module")
def processor(checkpoint: Path) -> Any:
    return tfzoo.Owlv2Processor.from_pretrained(checkpoint)


@pytest.fixture
def make(photos: Path, processor: Any, tmp_path: Path) -> Callable:
    def build(content: Any = COCO, **options: Any) -> Any:
        options = {"batch_size": 3, "shuffle": False, "processor": processor, **options}
        folder = options.pop("directory", photos)
        return detection_dataset_from_coco(write(tmp_path, content), folder, **options)

    return build


def test_boxes_are_parts_of_the_padded_square(make: Callable, processor: Any, photos: Path) -> None:
    dataset = make()
    assert dataset.class_names == ["cat", "cup"]  # in the order of their ids
    ((inputs, labels),) = list(dataset)
    expected = [
        [[0.5, 0.25, 0.5, 0.25], [4.25 / 40, 0.05, 8.5 / 40, 0.1]],
        [[5 / 30, 25 / 30, 10 / 30, 10 / 30], [0, 0, 0, 0]],  # clipped at three sides
        [[0, 0, 0, 0], [0, 0, 0, 0]],
    ]
    np.testing.assert_allclose(labels["boxes"], expected, atol=1e-6)
    np.testing.assert_array_equal(labels["class_labels"], [[1, 0], [1, -1], [-1, -1]])
    for pixels, path in zip(inputs["pixel_values"], dataset.file_paths, strict=True):
        one = processor(images=path, return_tensors="np")["pixel_values"][0]
        np.testing.assert_allclose(pixels, one, atol=1e-6)
    queries = processor(text=[["cat", "cup"]] * 3, return_tensors="np")
    for name in ("input_ids", "attention_mask"):  # each photo's in a row of its own
        np.testing.assert_array_equal(inputs[name], queries[name].reshape(3, 2, -1))


def test_names_and_template(make: Callable, processor: Any) -> None:
    dataset = make(class_names=["cup"], template="a photo of a {}")
    ((inputs, labels),) = list(dataset)
    np.testing.assert_array_equal(labels["class_labels"], [[0], [0], [-1]])
    queries = processor(text=[["a photo of a cup"]] * 3, return_tensors="np")
    np.testing.assert_array_equal(inputs["input_ids"][:, 0], queries["input_ids"])


def test_owlvit_sees_the_whole_image(make: Callable, tmp_path: Path) -> None:
    folder = write_owlv2_checkpoint(tmp_path / "owlvit", kind="OwlViT")
    processor = tfzoo.OwlViTProcessor.from_pretrained(folder)
    ((_, labels),) = list(make(processor=processor))
    np.testing.assert_allclose(labels["boxes"][0, 0], [0.5, 0.5, 0.5, 0.5], atol=1e-6)
    cropping = tfzoo.OwlViTProcessor(
        tfzoo.OwlViTImageProcessor(do_center_crop=True), processor.tokenizer
    )
    with pytest.raises(ValueError, match="do_center_crop"):
        make(processor=cropping)


def test_augmentation_moves_both(make: Callable) -> None:
    def mirror(photo: np.ndarray, boxes: np.ndarray, rng: np.random.Generator) -> tuple:
        return photo[:, ::-1], np.stack(
            [photo.shape[1] - boxes[:, 2], boxes[:, 1], photo.shape[1] - boxes[:, 0], boxes[:, 3]],
            axis=1,
        )

    ((plain, _),) = list(make())
    ((inputs, labels),) = list(make(augment=mirror))
    np.testing.assert_allclose(labels["boxes"][0, 1, 0], 35.75 / 40, atol=1e-6)
    square = plain["pixel_values"][2], inputs["pixel_values"][2]
    np.testing.assert_allclose(square[1], square[0].numpy()[..., ::-1], atol=1e-5)
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected 2 boxes of 4 numbers"):
        list(make(augment=lambda photo, boxes, rng: (photo, boxes[:1])))


def test_progress_of_reading(make: Callable) -> None:
    said: list[tuple[int, int | None]] = []
    make(progress=lambda done, total: said.append((done, total)))
    assert said == [(n + 1, 5) for n in range(5)]


def changed(part: str, number: int, **fields: Any) -> dict[str, Any]:
    content = copy.deepcopy(COCO)
    for name, value in fields.items():
        if value is None:
            del content[part][number][name]
        else:
            content[part][number][name] = value
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not valid JSON"),
        ([], "expected COCO's JSON"),
        ({**COCO, "annotations": None}, "annotations is missing or not a list"),
        ({**COCO, "images": []}, "expected images, the list is empty"),
        (changed("annotations", 1, bbox=None), r"annotations\[1\]: bbox missing"),
        (changed("annotations", 1, bbox=[1, 2, 3]), r"annotations\[1\]: expected bbox as"),
        (changed("annotations", 1, bbox=[1, 2, 3, "4"]), "expected bbox as"),
        (changed("annotations", 1, bbox=[9, 9, -3, 4]), "expected bbox as"),
        (changed("annotations", 0, bbox=[30, 5, 38, 9]), "leaves its image of 40 x 20"),
        (changed("annotations", 0, image_id=99), "no image has the id 99"),
        (changed("annotations", 0, category_id=9), "no category has the id 9"),
        (changed("images", 0, width=0), r"images\[0\]: expected a height and width"),
        (changed("images", 1, id=10), "the id 10 appears twice"),
        (changed("images", 1, file_name=None), r"images\[1\]: file_name missing"),
        (changed("categories", 1, name="cup"), "share an id or a name"),
    ],
)
def test_wrong_json(make: Callable, content: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make(content)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"class_names": ["dog"]}, DataError, r"among \['cat', 'cup'\]"),
        ({"class_names": []}, DataError, "expected class_names"),
        ({"template": "a photo"}, ValueError, "template must hold {}"),
        ({"processor": tfzoo.Owlv2ImageProcessor()}, TypeError, "expected an Owlv2Processor"),
        ({"directory": "nowhere"}, DataError, "expected the folder of the images"),
        ({"directory": "."}, DataError, "3 of 3 images are missing"),
        ({"batch_size": 0}, ValueError, "batch_size"),
    ],
)
def test_wrong_arguments(make: Callable, options: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        make(**options)


def test_missing_json(photos: Path, processor: Any) -> None:
    with pytest.raises(DataError, match=r"none\.json: no such file"):
        detection_dataset_from_coco(photos / "none.json", photos, processor)


def test_missing_and_damaged_images(make: Callable, photos: Path) -> None:
    content = changed("images", 1, file_name="lost.png")
    with pytest.raises(DataError, match=r"1 of 3 images are missing: .*lost\.png"):
        make(content)
    dataset = make(content, on_error="skip")
    with pytest.warns(BrokenFileWarning, match=r"lost\.png"):
        ((_, labels),) = list(dataset)
    np.testing.assert_array_equal(labels["class_labels"], [[1, 0], [-1, -1]])
    content = changed("images", 2, height=18)
    with pytest.raises(tf.errors.InvalidArgumentError, match="the JSON says 16 x 18 pixels"):
        list(make(content))


def test_fit_takes_it_as_it_is(make: Callable, checkpoint: Path) -> None:
    model = tfzoo.TFOwlv2ForObjectDetection.from_pretrained(checkpoint)
    model.compile(keras.optimizers.SGD(1e-3), run_eagerly=True)
    history = model.fit(make(batch_size=2), shuffle=False, epochs=2, verbose=0).history
    assert {"loss", "loss_class", "loss_bbox", "loss_giou", "loss_objectness"} == set(history)
    assert np.isfinite(history["loss"]).all()


# ---- files as other programs write them
ROOT_OF_ROBOFLOW = {"id": 0, "name": "kitchen", "supercategory": "none"}


def with_categories(*categories: dict[str, Any]) -> dict[str, Any]:
    return {**COCO, "categories": list(categories)}


def roboflow(root: str) -> dict[str, Any]:
    """COCO with a category that names the set, as Roboflow's exports have one."""
    below = [{**entry, "supercategory": root} for entry in COCO["categories"]]
    return with_categories({**ROOT_OF_ROBOFLOW, "name": root}, *below)


@pytest.mark.parametrize("root", ["kitchen", "cup"])
def test_roboflows_root_is_not_looked_for(make: Callable, root: str) -> None:
    dataset = make(roboflow(root))
    assert dataset.class_names == ["cat", "cup"]
    np.testing.assert_array_equal(next(iter(dataset))[1]["class_labels"][0], [1, 0])
    assert make(roboflow(root), class_names=["cup"]).class_names == ["cup"]
    if root == "kitchen":  # it may be asked for
        chosen = ["kitchen", "cup"]
        assert make(roboflow(root), class_names=chosen).class_names == chosen


def test_a_name_above_all_others_that_has_boxes_is_looked_for(make: Callable) -> None:
    content = copy.deepcopy(roboflow("kitchen"))
    content["annotations"][0]["category_id"] = 0
    assert make(content).class_names == ["kitchen", "cat", "cup"]
    alone = with_categories({"id": 5, "name": "cup"}, {"id": 2, "name": "cat"})
    assert make(alone).class_names == ["cat", "cup"]


def test_ids_and_flags_of_any_type(make: Callable) -> None:
    expected = next(iter(make()))[1]
    content = copy.deepcopy(COCO)
    content["images"][0].update(id="10", width=40.0)
    content["images"][1]["id"] = 11.0
    content["categories"][0]["id"] = "5"
    content["annotations"][1]["iscrowd"] = "0"
    content["annotations"][2]["iscrowd"] = "1"
    content["annotations"][3].update(iscrowd=False, category_id=5.0)
    dataset = make(content)
    assert dataset.class_names == ["cat", "cup"]
    for name, value in next(iter(dataset))[1].items():
        np.testing.assert_array_equal(value, expected[name])
    words = copy.deepcopy(COCO)
    words["categories"].append({"id": "seven", "name": "dog"})
    assert make(words).class_names == ["cat", "cup", "dog"]


def test_urls_of_lvis_stand_for_file_names(make: Callable, photos: Path, tmp_path: Path) -> None:
    content = copy.deepcopy(COCO)
    for image in content["images"]:
        name = image.pop("file_name")
        image["coco_url"] = f"http://images.cocodataset.org/train2017/{name}"
    assert [Path(path).parent for path in make(content).file_paths] == [photos] * 3
    (tmp_path / "lvis").mkdir()
    (tmp_path / "lvis" / "train2017").symlink_to(photos)
    dataset = make(content, directory=tmp_path / "lvis")
    assert Path(dataset.file_paths[0]) == tmp_path / "lvis" / "train2017" / "wide.png"
    assert len(list(dataset)) == 1


def test_a_byte_order_mark(photos: Path, processor: Any, tmp_path: Path) -> None:
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps(COCO), encoding="utf-8-sig")
    assert detection_dataset_from_coco(path, photos, processor).class_names == ["cat", "cup"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * 100_000, "levels|not valid JSON"),
        ('{"images": ' + "9" * 5000 + "}", "not valid JSON"),
        (changed("images", 0, width="40"), "expected a height and width"),
        (changed("images", 0, width=10**400), "expected a height and width"),
        (changed("images", 0, id=[1]), r"images\[0\]: expected an id"),
        (changed("images", 0, file_name=["a"]), "expected file_name, a path"),
        (changed("images", 0, file_name=" "), "expected file_name, a path in the folder, got ' '"),
        (changed("images", 0, file_name="/etc/a.png"), "got '/etc/a.png'"),
        (changed("images", 0, file_name="a/../../b.png"), "a path in the folder, got 'a/../../b"),
        (changed("annotations", 0, image_id=True), r"annotations\[0\]: expected an id"),
        (changed("annotations", 0, category_id={}), r"annotations\[0\]: expected an id"),
        (changed("annotations", 0, iscrowd="no"), "iscrowd: expected 0 or 1, got 'no'"),
        (changed("annotations", 0, bbox=[0, 0, 10**400, 1]), "expected bbox as"),
        (changed("categories", 0, name=["cup"]), r"categories\[0\]: expected a name"),
        (changed("categories", 0, name=" "), r"categories\[0\]: expected a name, got ' '"),
        (changed("categories", 0, name="x" * 99), r"boxes\.json: the query 'xxx.* 16"),
        (changed("categories", 0, id="2"), "share an id or a name"),
    ],
)
def test_values_of_wrong_types(make: Callable, content: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make(content)


def test_names_of_files_are_shown_without_control_characters(make: Callable) -> None:
    with pytest.raises(DataError, match=r"\\x1b\[2Jb\.png") as caught:
        make(changed("images", 0, file_name="\x1b[2Jb.png"))
    assert "\x1b" not in str(caught.value)
    long = "x" * 5000
    with pytest.raises(DataError, match="1 of 3 images are missing"):
        make(changed("images", 0, file_name=long))
