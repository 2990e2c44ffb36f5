"""Region features for LXMERT: files read as they come, boxes brought to form, faults noticed."""

from __future__ import annotations

import base64
import json
import os
import random
import threading
import tracemalloc
import warnings
from dataclasses import fields, replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfzoo.preprocessing import lxmert_features
from tfzoo.preprocessing.lxmert_features import (
    RegionFeatureError,
    RegionFeatures,
    RegionFeatureWarning,
    check_region_features,
    normalize_boxes,
    open_region_features,
    region_batch,
    write_region_features,
)

WIDTH = 6


def record(name: str, regions: int = 3, width: int = WIDTH, objects: bool = True) -> RegionFeatures:
    """An image of 480 x 640 with random regions."""
    rng = np.random.default_rng(sum(name.encode()))
    corners = np.sort(rng.random((regions, 2, 2), "float32"), axis=1).reshape(regions, 4)
    extras = {}
    if objects:
        extras = {
            "object_ids": rng.integers(0, 1600, regions),
            "object_scores": rng.random(regions, "float32"),
            "attribute_ids": rng.integers(0, 400, regions),
            "attribute_scores": rng.random(regions, "float32"),
        }
    boxes = corners * np.float32([640, 480, 640, 480])
    return RegionFeatures(name, 480, 640, boxes, rng.random((regions, width), "float32"), **extras)


NAMES = ["COCO_val2014_000000000042", "n161313", "ä b"]
RECORDS = [record(name, regions=i + 2) for i, name in enumerate(NAMES)]


def assert_equal(got: RegionFeatures, want: RegionFeatures, *, extras: bool = True) -> None:
    for f in fields(want):
        a, b = getattr(got, f.name), getattr(want, f.name)
        if f.name.startswith(("object", "attribute")) and not extras:
            assert a is None
        elif isinstance(b, np.ndarray):
            assert a.dtype == b.dtype, f.name
            assert np.array_equal(a, b), f.name
        else:
            assert (a, type(a)) == (b, type(b)), f.name


def line(**changes: bytes) -> bytes:
    """One line of the public files, spelt out field by field."""
    encode = lambda array: base64.b64encode(array.tobytes())  # noqa: E731
    parts = {
        "img_id": b"n161313",
        "img_h": b"480",
        "img_w": b"640",
        "objects_id": encode(np.array([5, 7], "int64")),
        "objects_conf": encode(np.array([0.5, 0.25], "float32")),
        "attrs_id": encode(np.array([1, 2], "int64")),
        "attrs_conf": encode(np.array([0.75, 0.125], "float32")),
        "num_boxes": b"2",
        "boxes": encode(np.array([[0, 0, 64, 48], [320, 240, 639, 479]], "float32")),
        "features": encode(np.arange(12, dtype="float32")),
    }
    return b"\t".join({**parts, **changes}.values()) + b"\n"


# ---- files
def test_the_public_form_is_read(tmp_path: Path) -> None:
    path = tmp_path / "vg_gqa_obj36.tsv"
    path.write_bytes(line() + line(img_id=b"second"))
    with open_region_features(path) as images:
        got = images["n161313"]
        assert (got.height, got.width, got.image_id) == (480, 640, "n161313")
        assert got.object_ids.tolist() == [5, 7]
        assert got.attribute_scores.tolist() == [0.75, 0.125]
        assert got.boxes.tolist() == [[0, 0, 64, 48], [320, 240, 639, 479]]
        assert got.features.tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
        assert list(images) == ["n161313", "second"]
        assert "third" not in images
        with pytest.raises(KeyError):
            images["third"]
    assert got.normalized_boxes()[0].tolist() == pytest.approx([0, 0, 0.1, 0.1])


def test_the_older_form_is_read_with_a_header_too(tmp_path: Path) -> None:
    parts = line().split(b"\t")
    old = b"\t".join([parts[0], b"640", b"480", *parts[7:]])
    header = b"image_id\timage_w\timage_h\tnum_boxes\tboxes\tfeatures\n"
    for raw in (old, header + old):
        (tmp_path / "x.tsv").write_bytes(raw)
        with open_region_features(tmp_path / "x.tsv") as images:
            assert (images["n161313"].height, images["n161313"].width) == (480, 640)
            assert images["n161313"].object_ids is None
            assert len(list(images.records())) == len(images) == 1


@pytest.mark.parametrize("target", ["x.tsv", "folder", "x.h5"])
def test_what_is_written_comes_back(target: str, tmp_path: Path) -> None:
    path = tmp_path / target
    assert write_region_features(path, iter(RECORDS)) == 3
    with open_region_features(path) as images:
        assert sorted(images) == sorted(NAMES)
        assert len(images) == 3
        for want in RECORDS:
            assert_equal(images[want.image_id], want, extras=target != "x.h5")
        streamed = {got.image_id: got for got in images.records()}
    for want in RECORDS:
        assert_equal(streamed[want.image_id], want, extras=target != "x.h5")
    with pytest.raises(FileExistsError):
        write_region_features(path, RECORDS)
    assert write_region_features(path, RECORDS[:1], force=True) == 1
    assert {entry.name for entry in tmp_path.iterdir()} == {target}


@pytest.mark.parametrize("target", ["x.tsv", "folder", "x.h5"])
def test_a_failure_leaves_the_old_file(target: str, tmp_path: Path) -> None:
    path = tmp_path / target
    write_region_features(path, RECORDS[:1])

    def failing():
        yield RECORDS[1]
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        write_region_features(path, failing(), force=True)
    with open_region_features(path) as images:
        assert list(images) == NAMES[:1]
    assert {entry.name for entry in tmp_path.iterdir()} == {target}


def test_one_cache_from_another(tmp_path: Path) -> None:
    write_region_features(tmp_path / "x.tsv", RECORDS)
    with open_region_features(tmp_path / "x.tsv") as images:
        write_region_features(tmp_path / "x.h5", images.records())
    with open_region_features(tmp_path / "x.h5") as images:
        for want in RECORDS:
            assert_equal(images[want.image_id], want, extras=False)


def test_npz_files_of_a_popular_extractor(tmp_path: Path) -> None:
    want = RECORDS[0]
    np.savez(
        tmp_path / "42.npz",
        x=want.features,
        bbox=want.boxes,
        num_bbox=len(want.boxes),
        image_h=480,
        image_w=640,
    )
    with open_region_features(tmp_path) as images:
        assert_equal(images["42"], replace(want, image_id="42"), extras=False)
        for name in ("../42", "43", "", "a/b"):
            with pytest.raises(KeyError):
                images[name]


@pytest.mark.parametrize("target", ["x.tsv", "folder", "x.h5"])
def test_memory_stays_that_of_one_image(target: str, tmp_path: Path) -> None:
    count, regions, width = 60, 36, 2048  # 18 MB in all

    def images():
        return (record(f"image{i}", regions, width) for i in range(count))

    tracemalloc.start()
    try:
        write_region_features(tmp_path / target, images())
        with open_region_features(tmp_path / target) as source:
            assert sum(r.features.nbytes for r in source.records()) == count * regions * width * 4
            assert source["image37"].features.shape == (regions, width)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


def test_the_index_of_a_tsv_file_is_kept(tmp_path: Path) -> None:
    path, index = tmp_path / "x.tsv", tmp_path / "kept" / "x.index.json"
    write_region_features(path, RECORDS)
    with open_region_features(path, index=index) as images:
        assert not index.exists()  # streaming needs none
        list(images.records())
        assert not index.exists()
        images[NAMES[2]]
    kept = json.loads(index.read_text())
    assert sorted(kept["offsets"]) == sorted(NAMES)
    kept["offsets"] = {"n161313": kept["offsets"]["n161313"]}
    index.write_text(json.dumps(kept))
    with open_region_features(path, index=index) as images:
        assert list(images) == ["n161313"]  # it is used
        assert images["n161313"].width == 640
    kept["offsets"] = {"n161313": 0}
    index.write_text(json.dumps(kept))
    with (
        open_region_features(path, index=index) as images,
        pytest.raises(RegionFeatureError, match="expected image 'n161313' at byte 0"),
    ):
        images["n161313"]
    write_region_features(path, RECORDS[:2], force=True)  # another file: the index is made anew
    os.utime(path, ns=(1, 1))
    with open_region_features(path, index=index) as images:
        assert sorted(images) == sorted(NAMES[:2])
    for text in ("{", "[]", json.dumps({**json.loads(index.read_text()), "offsets": {"a": "b"}})):
        index.write_text(text)
        with open_region_features(path, index=index) as images, pytest.raises(RegionFeatureError):
            len(images)


def test_threads_share_a_file(tmp_path: Path) -> None:
    write_region_features(tmp_path / "x.tsv", [record(str(i)) for i in range(20)])
    wrong = []
    with open_region_features(tmp_path / "x.tsv") as images:

        def look(seed: int) -> None:
            rng = random.Random(seed)
            for _ in range(100):
                name = str(rng.randrange(20))
                if images[name].image_id != name:
                    wrong.append(name)

        threads = [threading.Thread(target=look, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", None),
        (b"a\tb\n", "expected the 10 fields img_id, .* found 2"),
        (line()[:200], "fields|damaged|do not fit"),
        (line(boxes=b"!!!!"), "a field is damaged"),
        (line(boxes=b"AAA="), "a field is damaged"),
        (line(features=b"AAAA"), "a field is damaged"),
        (line(img_h=b"tall"), "a field is damaged"),
        (line(img_h=b"0"), "a positive height and width"),
        (line(num_boxes=b"0"), "expected 1 to 10000 boxes, found 0"),
        (line(num_boxes=b"-1"), "found -1"),
        (line(num_boxes=b"3"), "do not fit 3 boxes"),
        (line(num_boxes=b"99999999999"), "found 99999999999"),
        (line(objects_id=b""), "objects_id has 0 numbers"),
        (line(features=b""), "features has 0 numbers"),
        (line(img_id=b"\xff"), "a field is damaged"),
    ],
)
def test_damaged_lines_are_named(raw: bytes, message: str | None, tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_bytes(line() + raw)
    with open_region_features(tmp_path / "x.tsv") as images:
        stream = images.records()
        assert next(stream).image_id == "n161313"
        if message is None:
            assert list(stream) == []
            return
        with pytest.raises(RegionFeatureError, match=f"x.tsv, line 2: .*{message}"):
            next(stream)


def test_what_cannot_be_read_or_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(RegionFeatureError, match="no such file"):
        open_region_features(tmp_path / "none.tsv")
    (tmp_path / "x.npz").write_bytes(b"")
    with pytest.raises(RegionFeatureError, match="a folder of .npz files"):
        open_region_features(tmp_path / "x.npz")
    with open_region_features(tmp_path) as images, pytest.raises(RegionFeatureError, match="npz"):
        images["x"]
    np.savez(tmp_path / "y.npz", features=np.zeros((1, 2)))
    with open_region_features(tmp_path) as images, pytest.raises(RegionFeatureError, match="expec"):
        images["y"]
    np.savez(tmp_path / "z.npz", features=np.array([{}], object), boxes=1, height=1, width=1)
    with open_region_features(tmp_path) as images, pytest.raises(RegionFeatureError, match="pickl"):
        images["z"]
    (tmp_path / "twice.tsv").write_bytes(line() + line())
    with (
        open_region_features(tmp_path / "twice.tsv") as images,
        pytest.raises(RegionFeatureError, match="'n161313' stands twice"),
    ):
        len(images)
    for target, bad, message in (
        ("a.tsv", replace(RECORDS[0], image_id="a\tb"), "cannot stand in a TSV file"),
        ("folder", replace(RECORDS[0], image_id="../b"), "cannot name a file"),
    ):
        with pytest.raises(RegionFeatureError, match=message):
            write_region_features(tmp_path / target, [bad])
    for bad, message in (
        ([], "no images to write"),
        ([RECORDS[0], RECORDS[0]], "came twice"),
        ([RECORDS[0], record("other", width=7)], "expected features of width 6, got 7"),
    ):
        with pytest.raises(RegionFeatureError, match=message):
            write_region_features(tmp_path / "x.h5", bad)
    assert not (tmp_path / "x.h5").exists()


def test_other_h5_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.h5").write_bytes(b"nothing")
    with pytest.raises(RegionFeatureError, match="no sound HDF5 file"):
        open_region_features(tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["image_features"] = np.zeros((2, 3, 4))
    with pytest.raises(RegionFeatureError, match="it lacks image_ids, heights"):
        open_region_features(tmp_path / "x.h5")
    write_region_features(tmp_path / "x.h5", RECORDS, force=True)
    with h5py.File(tmp_path / "x.h5", "a") as file:
        file["heights"].resize(2, axis=0)
    with pytest.raises(RegionFeatureError, match="arrays of different lengths"):
        open_region_features(tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5", "a") as file:
        file["heights"].resize(3, axis=0)
        file["image_ids"][:] = "same"
    with pytest.raises(RegionFeatureError, match="an image stands twice"):
        open_region_features(tmp_path / "x.h5")


# ---- boxes
def test_boxes_become_fractions_as_the_authors_make_them() -> None:
    boxes = np.array([[[0, 0, 640, 480], [64, 120, 320, 240]], [[0, 0, 10, 20], [5, 5, 5, 5]]])
    got = normalize_boxes(boxes, np.array([480, 20]), np.array([640, 10]))
    assert got.dtype == np.float32
    np.testing.assert_allclose(
        got, [[[0, 0, 1, 1], [0.1, 0.25, 0.5, 0.5]], [[0, 0, 1, 1], [0.5, 0.25, 0.5, 0.25]]]
    )
    assert normalize_boxes(np.zeros((0, 4)), 4, 4).shape == (0, 4)
    edge = normalize_boxes(np.array([[-0.5, 0, 640.9, 480.3]]), 480, 640)
    assert edge.tolist() == [[0, 0, 1, 1]]


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([[10, 10, 700, 20]], "reach to x = 700 and y = 20.*swapped"),
        ([[10, 10, 20, 600]], "of width 640 and height 480"),
        ([[-30, 10, 20, 60]], "from -30"),
        ([[100, 100, 50, 120]], "end before they begin, such as"),
        ([[0.1, 0.2, 0.3, 0.9]], "between 0 and 1 already"),
        ([[np.nan, 0, 1, 2]], "NaN"),
        ([[np.inf, 0, np.inf, 2]], "NaN"),
        ([[0, 1, 2]], r"expected boxes \(..., N, 4\)"),
        ([0, 1, 2, 3], r"expected boxes \(..., N, 4\)"),
    ],
)
def test_boxes_that_are_no_corners_in_pixels(boxes: list, message: str) -> None:
    with pytest.raises(RegionFeatureError, match=message):
        normalize_boxes(np.array(boxes), height=480, width=640)
    with pytest.raises(RegionFeatureError, match="positive height"):
        normalize_boxes(np.array([[0, 0, 4, 4]]), height=0, width=640)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(
    height=st.integers(2, 4000),
    width=st.integers(2, 4000),
    parts=st.lists(st.tuples(*[st.floats(0, 1)] * 4), min_size=1, max_size=9),
)
def test_any_box_inside_an_image_lands_between_0_and_1(height, width, parts) -> None:
    corners = np.sort(np.array(parts).reshape(-1, 2, 2), axis=1).reshape(-1, 4)
    corners[0] = [0, 0, 1, 1]
    got = normalize_boxes(corners * [width, height, width, height], height, width)
    np.testing.assert_allclose(got, corners, atol=1e-5)


# ---- what to check
def good(regions: int = 36, width: int = 2048) -> tuple[np.ndarray, np.ndarray]:
    made = record("good", regions, width)
    return 3 * made.features[None], made.normalized_boxes()[None]


def test_sound_features_pass_without_a_word() -> None:
    feats, boxes = good()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_region_features(feats, boxes)
        check_region_features(feats[0], boxes[0])
        check_region_features(feats[:, :9], boxes[:, :9], num_boxes=9)
        check_region_features(feats[:, :9], boxes[:, :9], num_boxes=None)
        check_region_features(feats, boxes, np.ones((1, 36)))
        check_region_features(feats, 50 * np.tile(boxes, 2), box_width=8)


def change(name: str, value: object, at: object = ...) -> dict:
    feats, boxes = good()
    arrays = {"visual_feats": feats.copy(), "visual_pos": boxes.copy()}
    arrays[name][at] = value
    return arrays


PIXELS = good()[1] * [640, 480, 640, 480]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (change("visual_pos", PIXELS), "visual_pos reaches from .* pass normalize_boxes"),
        (change("visual_pos", 1.1, (0, 3, 2)), "reaches from .* to 1.1"),
        (change("visual_pos", -0.1, (0, 3, 0)), "reaches from -0.1"),
        (change("visual_pos", [0.8, 0.8, 0.1, 0.1], (0, 3)), "1 of 36 boxes end before they begin"),
        (change("visual_pos", 0), "visual_pos is zero everywhere"),
        (change("visual_feats", 0), "visual_feats is zero everywhere"),
        (change("visual_pos", np.nan, (0, 1, 2)), "visual_pos has 1 NaN or infinite"),
        (change("visual_feats", np.inf, (0, 1)), "visual_feats has 2048 NaN or infinite"),
        ({"visual_feats": good()[0][..., :1024], "visual_pos": good()[1]}, "width 2048, got 1024"),
        ({"visual_feats": good()[0], "visual_pos": good()[1][..., :2]}, "width 4, got 2"),
        ({"visual_feats": good()[0], "visual_pos": good()[1][:, :35]}, r"visual_pos has \(1, 35\)"),
        ({"visual_feats": good()[0][0], "visual_pos": good()[1]}, "or both without B"),
        ({"visual_feats": good()[0], "visual_pos": good()[1][0]}, "or both without B"),
    ],
)
def test_what_would_ruin_the_answers_is_refused(arrays: dict, message: str) -> None:
    with pytest.raises(RegionFeatureError, match=message):
        check_region_features(**arrays)


def test_masks_are_heeded() -> None:
    arrays = change("visual_pos", [np.nan, 5, 0, 0], (0, 35))
    mask = np.ones((1, 36), int)
    with pytest.raises(RegionFeatureError, match="NaN"):
        check_region_features(**arrays, visual_attention_mask=mask)
    mask[0, 35] = 0
    check_region_features(**arrays, visual_attention_mask=mask)
    with pytest.raises(RegionFeatureError, match=r"visual_attention_mask: expected \(1, 36\)"):
        check_region_features(**arrays, visual_attention_mask=mask[:, 1:])
    with pytest.raises(RegionFeatureError, match="no region counts"):
        check_region_features(**arrays, visual_attention_mask=0 * mask)


def sizes_instead_of_corners() -> dict:
    feats, boxes = good()
    return {
        "visual_feats": feats,
        "visual_pos": np.concatenate([0.3 * boxes[..., :2], 0.3 * boxes[..., :2] + 0.1], -1),
    }


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (dict(zip(("visual_feats", "visual_pos"), good(20), strict=True)), "20 regions an image"),
        (change("visual_pos", 0, (0, slice(30, None))), "6 of 36 boxes are zero"),
        (change("visual_feats", 0, (0, slice(30, None))), "6 of 36 regions have features of zeros"),
        (change("visual_feats", -1.0, (0, slice(18))), "50 % of visual_feats are negative"),
        (sizes_instead_of_corners(), r"looks like \(x, y, width, height\)"),
        (
            change("visual_feats", good()[0] / np.linalg.norm(good()[0], axis=-1, keepdims=True)),
            "every row of visual_feats has the length 1",
        ),
    ],
)
def test_what_probably_is_not_meant_is_warned_of(arrays: dict, message: str) -> None:
    with pytest.warns(RegionFeatureWarning, match=message) as caught:
        check_region_features(**arrays)
    assert len(caught) == 1
    assert caught[0].filename == __file__


# ---- batches
def test_batches_are_padded_and_masked() -> None:
    batch = region_batch(RECORDS)
    assert {name: array.shape for name, array in batch.items()} == {
        "visual_feats": (3, 4, WIDTH),
        "visual_pos": (3, 4, 4),
        "visual_attention_mask": (3, 4),
    }
    assert batch["visual_attention_mask"].tolist() == [[1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    assert np.array_equal(batch["visual_feats"][0, :2], RECORDS[0].features)
    assert not batch["visual_feats"][0, 2:].any()
    assert batch["visual_pos"].max() <= 1
    check_region_features(**batch, feature_width=WIDTH, num_boxes=None)
    with pytest.raises(RegionFeatureError, match=r"one feature width, got the widths \[6, 7\]"):
        region_batch([RECORDS[0], record("other", width=7)])
    with pytest.raises(RegionFeatureError, match=r"got the widths \[\]"):
        region_batch([])
    outside = replace(RECORDS[0], width=100)
    with pytest.raises(RegionFeatureError, match=f"image '{NAMES[0]}': boxes reach"):
        region_batch([outside])


def test_records_must_fit_together() -> None:
    boxes, feats = RECORDS[0].boxes, RECORDS[0].features
    for arguments in (
        (480, 640, boxes[:1], feats),
        (480, 640, boxes[0], feats),
        (480, 640, boxes, feats[0]),
        (0, 640, boxes, feats),
    ):
        with pytest.raises(RegionFeatureError, match="image 'x': expected"):
            RegionFeatures("x", *arguments)


def test_the_public_module_has_it_all() -> None:
    for name in lxmert_features.__all__:
        assert getattr(lxmert_features, name) is not None
