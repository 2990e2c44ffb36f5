"""Region features for LXMERT: files read as they come, boxes brought to form, faults noticed."""

from __future__ import annotations

import base64
import json
import os
import random
import threading
import tracemalloc
from dataclasses import fields, replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from tfzoo.data.regions import (
    RegionFeatureError,
    RegionFeatures,
    open_region_features,
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


def test_the_older_form_is_read_also_with_a_header(tmp_path: Path) -> None:
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
    write_region_features(path, RECORDS[:2], force=True)  # another file: the index is rebuilt
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
        pytest.raises(RegionFeatureError, match="'n161313' appears twice"),
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
    with pytest.raises(RegionFeatureError, match="not a sound HDF5 file"):
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
    with pytest.raises(RegionFeatureError, match="an image appears twice"):
        open_region_features(tmp_path / "x.h5")
