"""Detections on an image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tfzoo
from tests.support.paths import FIXTURES
from tests.support.processes import run_python
from tfzoo.viz import draw_detections

PHOTO = FIXTURES / "photos/coffee.jpg"
GREY = (90, 90, 90)
PLAIN: dict[str, Any] = {"line_width": 2, "font_size": 10}


def canvas(width: int = 200, height: int = 120) -> np.ndarray:
    return np.full((height, width, 3), GREY, np.uint8)


def found(*boxes: tuple[float, ...], **fields: Any) -> dict[str, Any]:
    """Results with these boxes; falling scores and labels 0, 1, ... unless given."""
    count = len(boxes)
    scores = np.linspace(0.9, 0.5, count)
    return {"scores": scores, "labels": np.arange(count), "boxes": np.array(boxes), **fields}


def drawn(image: Any, results: dict[str, Any], *args: Any, **options: Any) -> np.ndarray:
    return np.asarray(draw_detections(image, results, *args, **{**PLAIN, **options}))


def outside(image: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
    """Whether pixels differ from the grey, with those of one part left out."""
    changed = (image != GREY).any(-1)
    changed[rows, columns] = False
    return changed


def test_the_outline_lies_on_the_pixels_of_the_box() -> None:
    image = drawn(canvas(), found((50.0, 60.0, 150.0, 100.0)))
    colour = tuple(image[80, 50])
    assert colour != GREY
    for row, column in ((60, 100), (61, 100), (99, 100), (98, 100), (80, 51), (80, 149), (80, 148)):
        assert tuple(image[row, column]) == colour, (row, column)
    for row, column in ((80, 49), (80, 52), (80, 147), (80, 150), (97, 100), (100, 100), (62, 100)):
        assert tuple(image[row, column]) == GREY, (row, column)


def test_every_pixel_that_a_box_touches_is_in_it() -> None:
    image = drawn(canvas(), found((50.9, 60.9, 149.1, 99.1)))
    whole = drawn(canvas(), found((50.0, 60.0, 150.0, 100.0)))
    np.testing.assert_array_equal(image, whole)


def test_labels_stand_readable_above_the_box() -> None:
    image = drawn(canvas(), found((50, 60, 150, 100)), ["cat"])
    colour = image[80, 50]
    label = image[40:60, 50:120]
    filled = (label == colour).all(-1)
    assert filled.sum() > 300, "a background"
    ink = label[~filled & (label != GREY).any(-1)].astype(int)
    assert len(ink) > 30, "letters"
    assert np.abs(ink - colour).max() > 150, "that contrast with it"
    assert not outside(image, slice(40, 100), slice(50, 150)).any()
    other = drawn(canvas(), found((50, 60, 150, 100)), ["a remote control"])
    assert (other[40:60, 120:] != image[40:60, 120:]).any(), "a longer text takes more room"


@pytest.mark.parametrize("box", [(0, 0, 200, 120), (150, 0, 200, 50), (190, 50, 200, 60)])
def test_labels_stay_on_the_image(box: tuple[float, ...]) -> None:
    results = found(box)
    image = drawn(canvas(), results, ["dog"])
    blank = drawn(canvas(), results, [""])
    assert (image != blank).any()
    reference = drawn(canvas(), found((20, 60, 150, 100)), ["dog"])
    ink = tuple(reference[80, 20])

    def letters(image: np.ndarray) -> int:
        return int((~(image == ink).all(-1) & (image != GREY).any(-1)).sum())

    assert letters(image) == letters(reference), "all of the text is there"


def test_colours_tell_labels_apart() -> None:
    boxes = [(10 + 30 * i, 60, 30 + 30 * i, 80) for i in range(6)]
    image = drawn(canvas(), found(*boxes, labels=[0, 1, 2, 0, 1, 7]), font_size=1)
    colours = [tuple(image[70, 10 + 30 * i].tolist()) for i in range(6)]
    assert colours[0] == colours[3]
    assert colours[1] == colours[4]
    assert len(set(colours)) == 4
    many = {tuple(drawn(canvas(8, 8), found((0, 0, 8, 8), labels=[n]))[7, 7]) for n in range(60)}
    assert len(many) == 60


@pytest.mark.parametrize("scores", [(0.9, 0.4), (0.4, 0.9)])
def test_the_best_is_on_top(scores: tuple[float, float]) -> None:
    results = found((50, 60, 150, 100), (50, 60, 150, 100), scores=scores)
    image = drawn(canvas(), results)
    best = int(np.argmax(scores))
    alone = drawn(canvas(), found((50, 60, 150, 100), labels=[best], scores=[0.9]))
    np.testing.assert_array_equal(image[60:], alone[60:])


def test_low_scores_are_left_out() -> None:
    results = found((10, 60, 50, 100), (100, 60, 150, 100), scores=[0.5, 0.499])
    image = drawn(canvas(), results, min_score=0.5)
    assert tuple(image[80, 10]) != GREY
    assert not outside(image, slice(40, 100), slice(0, 99)).any()


def test_where_the_names_come_from() -> None:
    box = (50, 60, 150, 100)
    by_list = drawn(canvas(), found(box), ["cat"])
    np.testing.assert_array_equal(by_list, drawn(canvas(), found(box), {0: "cat"}))
    np.testing.assert_array_equal(by_list, drawn(canvas(), found(box, text_labels=["cat"])))
    without = found(box, labels=None)
    np.testing.assert_array_equal(by_list, drawn(canvas(), {**without, "text_labels": ["cat"]}))
    np.testing.assert_array_equal(by_list, drawn(canvas(), without, ["cat"]))
    wins = drawn(canvas(), found(box, text_labels=["dog"]), ["cat"])
    np.testing.assert_array_equal(by_list, wins)
    number = drawn(canvas(), found(box), ["0"])
    np.testing.assert_array_equal(number, drawn(canvas(), found(box)))
    score_alone = drawn(canvas(), without)
    np.testing.assert_array_equal(score_alone, drawn(canvas(), found(box), [""]))
    assert (score_alone != number).any()
    assert (number != by_list).any()


def test_texts_without_numbers_have_colours_of_their_own() -> None:
    boxes = [(10 + 60 * i, 60, 60 + 60 * i, 100) for i in range(3)]
    image = drawn(canvas(), found(*boxes, labels=None, text_labels=["cat", "dog", "cat"]))
    colours = [tuple(image[80, 10 + 60 * i].tolist()) for i in range(3)]
    assert colours[0] == colours[2] != colours[1]


def test_the_image_stays_as_it_is() -> None:
    array, pillow = canvas(), Image.fromarray(canvas())
    for image in (array, pillow):
        picture = draw_detections(image, found((50, 60, 150, 100)))
        assert (np.asarray(picture) != canvas()).any()
        assert (np.asarray(image) == canvas()).all()


@pytest.mark.parametrize("empty", [[], np.zeros((0, 4), "float32")])
def test_nothing_found(empty: Any) -> None:
    picture = draw_detections(PHOTO, {"scores": [], "labels": np.array([]), "boxes": empty}, ["a"])
    np.testing.assert_array_equal(np.asarray(picture), tfzoo.read_image(PHOTO))


def test_all_kinds_of_images() -> None:
    results = found((50, 60, 150, 100))
    expected = drawn(canvas(), results)
    pillow = Image.fromarray(canvas())
    grey = canvas()[..., 0]
    opaque = np.dstack([canvas(), np.full((120, 200), 7, np.uint8)])
    forms = [pillow, pillow.convert("L"), pillow.convert("RGBA"), Image.fromarray(opaque)]
    forms += [grey, grey[..., None], opaque, canvas().transpose(2, 0, 1)]
    for form in forms:
        np.testing.assert_array_equal(drawn(form, results), expected)
    import keras

    results = {name: keras.ops.convert_to_tensor(value) for name, value in results.items()}
    np.testing.assert_array_equal(drawn(keras.ops.convert_to_tensor(canvas()), results), expected)


def test_files_are_drawn_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6  # the camera was turned
    Image.fromarray(canvas()).save(tmp_path / "turned.png", exif=exif)
    picture = draw_detections(tmp_path / "turned.png", found((10, 60, 110, 190)))
    assert picture.size == (120, 200)
    with pytest.raises(FileNotFoundError):
        draw_detections(tmp_path / "absent.png", found())


@pytest.mark.parametrize(
    "box",
    [(-50, 60, -1, 100), (200, 60, 250, 100), (50, -9, 150, 0), (50, 120, 150, 300), (9, 9, 9, 50)],
)
def test_boxes_outside_do_not_show(box: tuple[float, ...]) -> None:
    np.testing.assert_array_equal(drawn(canvas(), found(box)), canvas())


def test_boxes_are_clipped() -> None:
    image = drawn(canvas(), found((-40, 60, 300, 1e9)))
    np.testing.assert_array_equal(image, drawn(canvas(), found((0, 60, 200, 120))))
    assert tuple(image[119, 100]) != GREY


def test_tiny_boxes_and_wide_lines() -> None:
    image = drawn(canvas(), found((100, 60, 101, 61)), line_width=9)
    below = np.argwhere(outside(image, slice(0, 60), slice(None))).tolist()
    assert below == [[60, 100]], "no wider than the box"
    solid = drawn(canvas(), found((100, 60, 105, 65)), line_width=50)[60:65, 100:105]
    assert (solid == solid[0, 0]).all()


def test_lines_and_letters_grow_with_the_image() -> None:
    def widths(size: int) -> tuple[int, int]:
        box = (0.25 * size, 0.5 * size, 0.9 * size, 0.9 * size)
        image = np.asarray(draw_detections(canvas(size, size), found(box)))
        changed = (image != GREY).any(-1)
        return int(changed[int(0.7 * size), : size // 2].sum()), int(changed.any(-1).sum())

    (line, _), (wide_line, _) = widths(320), widths(1600)
    assert (line, wide_line) == (1, 5)
    rows = [widths(size)[1] - 0.4 * size for size in (640, 2560)]
    assert rows[1] == pytest.approx(4 * rows[0], rel=0.2)


def test_another_font(tmp_path: Path) -> None:
    (tmp_path / "font.ttf").write_text("none")
    with pytest.raises(ValueError, match="font: expected the file of a TrueType font.*font.ttf"):
        draw_detections(canvas(), found((0, 0, 9, 9)), font=tmp_path / "font.ttf")


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ([found((0, 0, 9, 9))], r"one image's dict.*got list.*results\[0\]"),
        ({"scores": [0.5]}, r"expected scores and boxes, got \['scores'\]"),
        (found((0, 0, 9, 9), scores=["a"]), "scores as an array of numbers"),
        (found((0, 0, 9, 9), scores=[0.5, 0.6]), r"got shapes \(2,\) and \(1, 4\)"),
        (found((0, 0, 9)), r"got shapes \(1,\) and \(1, 3\)"),
        (found((0, 0, 9, 9), scores=[float("nan")]), "finite scores"),
        (found((0, 0, 9, float("inf"))), "finite boxes"),
        (found((0, 0, 9, 9), (9, 0, 8, 9)), r"x0 <= x1.*got \[9.0, 0.0, 8.0, 9.0\] for box 1"),
        (found((0, 0, 9, 9), labels=[0, 1]), "expected 1 labels for 1 boxes"),
        (found((0, 0, 9, 9), labels=["cat"]), "whole numbers.*texts go into text_labels"),
        (found((0, 0, 9, 9), labels=[0.5]), r"whole numbers, got \[0.5\]"),
        (found((0, 0, 9, 9), text_labels=["a", "b"]), "expected 1 text_labels for 1 boxes"),
        (found((0, 0, 9, 9), labels=None, text_labels=["a", "b"]), "expected 1 labels|text_labels"),
    ],
)
def test_wrong_results_are_refused(results: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw_detections(canvas(), results)


@pytest.mark.parametrize("labels", [["cat"], {0: "cat"}, "cat", [], ["a", "b"]])
def test_unnamed_labels_are_refused(labels: Any) -> None:
    with pytest.raises(ValueError, match="labels: expected a list or dict.*none for 2"):
        draw_detections(canvas(), found((0, 0, 9, 9), labels=[2]), labels)


@pytest.mark.parametrize("name", ["line_width", "font_size"])
@pytest.mark.parametrize("value", [0, -1, 1.5])
def test_wrong_sizes_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name}: expected a whole number of pixels above 0"):
        draw_detections(canvas(), found((0, 0, 9, 9)), **{name: value})


def test_wrong_images_are_refused() -> None:
    with pytest.raises(ValueError, match=r"uint8.*got dtype float32.*pixel_values"):
        draw_detections(np.zeros((3, 32, 32), "float32"), found())
    with pytest.raises(ValueError, match="shape"):
        draw_detections(canvas()[None], found())
    with pytest.raises(TypeError, match="got int"):
        draw_detections(3, found())


def test_import_is_light() -> None:
    said = run_python("""
import sys
import tfzoo.viz
print(sorted({"numpy", "PIL", "keras", "matplotlib"} & set(sys.modules)))
pictures = [name for name in tfzoo.viz.__all__ if "rollout" not in name]  # it runs models
print(all(callable(getattr(tfzoo.viz, name)) for name in pictures))
print(sorted({"keras", "matplotlib"} & set(sys.modules)), "draw_detections" in tfzoo.viz.__all__)
""")
    assert said.split("\n")[:3] == ["[]", "True", "[] True"]
    with pytest.raises(AttributeError, match=r"tfzoo\.viz.*nonsense"):
        tfzoo.viz.nonsense  # noqa: B018


def test_small_images_are_enlarged_with_their_boxes() -> None:
    image = np.full((20, 30, 3), 128, np.uint8)
    results = {"scores": [0.9], "boxes": [[3, 5, 15, 10]], "labels": [0]}
    drawn = draw_detections(image, results, min_size=100)
    large = image.repeat(4, axis=0).repeat(4, axis=1)
    scaled = {**results, "boxes": 4 * np.array(results["boxes"])}
    np.testing.assert_array_equal(np.asarray(drawn), np.asarray(draw_detections(large, scaled)))
    assert draw_detections(image, results, min_size=30).size == (30, 20)
    with pytest.raises(ValueError, match="min_size: expected a whole number of pixels"):
        draw_detections(image, results, min_size=0)
