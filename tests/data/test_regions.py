"""Region features for LXMERT: files read as they come, boxes brought to form, faults noticed."""

from __future__ import annotations

import base64
import json
import os
import random
import threading
import tracemalloc
import zipfile
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tfzoo.data.regions import (
    RegionFeatureError,
    RegionFeatures,
    arrays,
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
        (line(img_h=b"48_0"), "a field is damaged: expected a whole number, got b'48_0'"),
        (line(img_h=b"0" * 20 + b"480"), "a field is damaged: expected a whole number"),
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
        ("folder", replace(RECORDS[0], image_id="a\0b"), "cannot name a file"),
        ("folder", replace(RECORDS[0], image_id="x" * 252), "cannot name a file"),
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
    with pytest.raises(RegionFeatureError, match="the image .same. appears twice"):
        open_region_features(tmp_path / "x.h5")


def test_a_byte_order_mark_and_empty_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_bytes(b"\xef\xbb\xbf" + line() + b"\r\n\n" + line(img_id=b"second") + b" \n\n")
    with open_region_features(path) as images:
        assert list(images) == ["n161313", "second"]
        assert images["n161313"].width == images["second"].width == 640
        assert [got.image_id for got in images.records()] == ["n161313", "second"]
    path.write_bytes(line() + b"\n" + b"a\tb\n")
    with open_region_features(path) as images, pytest.raises(RegionFeatureError, match="line 3"):
        list(images.records())


@pytest.mark.parametrize("offset", [-5, 10**9, True, 2**70])
def test_places_outside_the_file_are_refused(offset: int, tmp_path: Path) -> None:
    path, index = tmp_path / "x.tsv", tmp_path / "x.json"
    write_region_features(path, RECORDS)
    with open_region_features(path, index=index) as images:
        list(images)
    index.write_text(json.dumps({**json.loads(index.read_text()), "offsets": {"a": offset}}))
    with (
        open_region_features(path, index=index) as images,
        pytest.raises(RegionFeatureError, match="not an index"),
    ):
        list(images)


# ---- files of strangers
def write_h5(path: Path, **changed: Any) -> Path:
    """Two regions of an image, some arrays of it changed: values, or a function of the file."""
    given = {
        "image_ids": np.array(["a"], object),
        "heights": np.array([100]),
        "widths": np.array([200]),
        "num_boxes": np.array([2]),
        "boxes": np.array([[[0, 0, 9, 9], [1, 1, 5, 5]]], "float32"),
        "features": np.ones((1, 2, WIDTH), "float32"),
    }
    with h5py.File(path, "w") as file:
        for name, value in {**given, **changed}.items():
            if callable(value):
                value(file)
            elif name == "image_ids":
                file.create_dataset(name, data=value, dtype=h5py.string_dtype())
            else:
                file[name] = value
    return path


def elsewhere(file: h5py.File) -> None:
    file.create_dataset("features", (1, 2, WIDTH), "f4", external=[("/etc/passwd", 0, 48)])


def linked(file: h5py.File) -> None:
    file["features"] = h5py.ExternalLink("other.h5", "/features")


def soft(file: h5py.File) -> None:
    file["other"] = np.ones((1, 2, WIDTH), "float32")
    file["features"] = h5py.SoftLink("/other")


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((1, 2, WIDTH), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "features", (1, 2, WIDTH))
    file.create_virtual_dataset("features", layout)


def unwritten(regions: int, chunk: int, width: int = 2048) -> dict[str, Any]:
    """Arrays of many regions, of which the file holds none."""

    def boxes(file: h5py.File) -> None:
        file.create_dataset("boxes", (1, regions, 4), "f4", chunks=(1, 100, 4))[0, 0] = 1

    def features(file: h5py.File) -> None:
        data = file.create_dataset(
            "features", (1, regions, width), "f4", chunks=(1, chunk, width), compression="gzip"
        )
        if chunk * width < 10**7:
            data[0, 0] = 1

    return {"num_boxes": np.array([regions]), "boxes": boxes, "features": features}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"features": elsewhere}, "features: expected an array that lies in this file"),
        ({"features": linked}, "features: expected an array that lies in this file"),
        ({"features": soft}, "features: expected an array that lies in this file"),
        ({"features": virtual}, "features: expected an array that lies in this file"),
        ({"features": lambda file: file.create_group("features")}, "expected an array that lies"),
        ({"num_boxes": np.array([-1])}, "expected 1 to 2 boxes, found -1"),
        ({"num_boxes": np.array([0])}, "expected 1 to 2 boxes, found 0"),
        ({"num_boxes": np.array([99])}, "expected 1 to 2 boxes, found 99"),
        ({"num_boxes": np.array([2.0])}, "num_boxes: expected numbers in 1 axes, found float64"),
        ({"heights": np.array(["x"], "S1")}, "heights: expected numbers"),
        ({"image_ids": lambda file: file.create_dataset("image_ids", data=[1])}, "expected texts"),
        ({"boxes": np.ones((1, 2, 5), "float32")}, r"expected boxes \(images, N, 4\)"),
        ({"features": np.ones((1, 2), "float32")}, "features: expected numbers in 3 axes"),
        ({"widths": np.array([0])}, "a positive height and width"),
        (unwritten(10**6, 1000, 16), "expected 1 to 10000 boxes, found 1000000"),
        (unwritten(10_000, 100), "bytes of an image in a file of"),
        (unwritten(10**6, 10**6, 256), "pieces of 1024000000 bytes"),
        ({"features": lambda f: f.create_dataset("features", (1, 2, 9), "f4")}, "never written"),
    ],
)
def test_h5_files_are_not_believed(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = write_h5(tmp_path / "x.h5", **changed)
    assert path.stat().st_size < 10**6
    tracemalloc.start()
    try:
        with (
            pytest.raises(RegionFeatureError, match=message) as caught,
            open_region_features(path) as images,
        ):
            images["a"]
        assert str(path) in str(caught.value)
        assert tracemalloc.get_traced_memory()[1] < 10**7
    finally:
        tracemalloc.stop()


def test_a_sound_h5_file_of_another_program(tmp_path: Path) -> None:
    ids = lambda file: file.create_dataset("image_ids", data=np.array(["a"], "S3"))  # noqa: E731
    path = write_h5(tmp_path / "x.h5", image_ids=ids, heights=np.array([100], "uint16"))
    with open_region_features(path) as images:
        assert images["a"].features.tolist() == [[1.0] * WIDTH] * 2


def npz(folder: Path, **changed: Any) -> Path:
    """The file of an image, some arrays of it changed."""
    given = {"height": 4, "width": 4, "boxes": np.zeros((1, 4)), "features": np.ones((1, 3))}
    np.savez_compressed(folder / "a.npz", **{**given, **changed})
    return folder / "a.npz"


def header(shape: str, dtype: str = "<f4") -> bytes:
    """An array's head, and nothing after it."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header("(1, 2000000000)"), r"the shape \(1, 2000000000\) does not fit its"),
        (header("(-1, 4)"), "does not fit"),
        (header("(1, 9)") + b"\0" * 8, "cut off"),
        (header("(1, 1)", "|O") + b"\0" * 8, "no pickle"),
        (b"\x93NUMPY\x07\x00", "an unknown version"),
        (b"\x93NUMPY\x01\x00\xff\xff{", "not a sound .npz file"),
        (header("(" * 3000 + ")"), "not a sound .npz file|does not fit"),
        (b"", "not a sound .npz file"),
    ],
    ids=["huge", "negative", "cut", "pickle", "version", "head", "deep", "empty"],
)
def test_npz_files_are_not_believed(content: bytes, message: str, tmp_path: Path) -> None:
    path = npz(tmp_path)
    with zipfile.ZipFile(path) as old:
        others = {name: old.read(name) for name in old.namelist() if name != "features.npy"}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in {**others, "features.npy": content}.items():
            archive.writestr(name, data)
    with (
        open_region_features(tmp_path) as images,
        pytest.raises(RegionFeatureError, match=rf"a\.npz: .*({message})"),
    ):
        images["a"]


def test_zeros_that_hardly_take_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npz(tmp_path, features=np.zeros((100, 1000)))
    monkeypatch.setattr(arrays, "LARGEST", 2**19)
    with (
        open_region_features(tmp_path) as images,
        pytest.raises(RegionFeatureError, match="expected at most 524288 bytes, found 8"),
    ):
        images["a"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"height": [1, 2]}, "expected one number as height"),
        ({"width": float("nan")}, "expected one number as width"),
        ({"features": 3.0}, "expected features of each region"),
        ({"boxes": np.zeros((1, 4), complex)}, "expected numbers"),
        ({"boxes": np.zeros((2, 4))}, r"expected boxes \(N, 4\)"),
    ],
)
def test_npz_files_of_other_forms(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    npz(tmp_path, **changed)
    with open_region_features(tmp_path) as images, pytest.raises(RegionFeatureError, match=message):
        images["a"]


def test_a_pointer_of_git_lfs_is_named(tmp_path: Path) -> None:
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    for name in ("x.tsv", "x.h5", "a.npz"):
        (tmp_path / name).write_text(text)
    for name in ("x.tsv", "x.h5"):
        with pytest.raises(RegionFeatureError, match="is a Git LFS pointer"):
            open_region_features(tmp_path / name)
    with open_region_features(tmp_path) as images, pytest.raises(RegionFeatureError, match="LFS"):
        images["a"]
