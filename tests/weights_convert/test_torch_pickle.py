"""pytorch_model.bin without PyTorch: what it wrote is read to the last bit."""

from __future__ import annotations

import json
import sys
import tracemalloc

import numpy as np
import pytest

from tests.support.processes import run_python
from tests.weights_convert.torch_toys import (
    DATA,
    Entry,
    Raw,
    archive,
    encode,
    legacy,
    named,
    state,
    torch_file,
)
from weights_convert.checkpoint import open_checkpoint
from weights_convert.errors import CheckpointError

FORMS = ("zip", "legacy")
ARRAY = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.mark.parametrize("form", FORMS)
def test_recorded_files_hold_what_pytorch_put_in(form):
    with (
        np.load(DATA / "expected.npz") as expected,
        open_checkpoint(DATA / f"{form}.bin") as checkpoint,
    ):
        assert list(checkpoint) == list(expected)
        for name, want in expected.items():
            got = checkpoint.read_raw(name)
            assert got.dtype == want.dtype, name
            assert got.shape == want.shape == checkpoint[name].shape, name
            assert got.tobytes() == want.tobytes(), name
            assert got.flags.c_contiguous, name
            assert got.ctypes.data % 64 == 0 or got.size == 0, name
            got.fill(0)  # a copy of its own: the next reader finds the file's values
            assert checkpoint.read_raw(name).tobytes() == want.tobytes(), name
        assert checkpoint["dtype.bfloat16"].dtype == "BF16"
        assert checkpoint.read("dtype.bfloat16").tolist() == [[0, 1, 2], [3, 1, 0]]


def test_pytorch_is_not_needed():
    code = """
import sys
sys.modules["torch"] = None  # an import would fail
from weights_convert.checkpoint import open_checkpoint
for path in sys.argv[1:]:
    with open_checkpoint(path) as checkpoint:
        print(checkpoint.read("slice").tolist())
heavy = {"tensorflow", "keras", "torch", "h5py", "zipfile", "pickle"} & set(sys.modules)
print({name for name in heavy if sys.modules[name]} - {"zipfile", "pickle"})
"""
    said = run_python(code, *(DATA / f"{form}.bin" for form in FORMS))
    assert said.splitlines() == ["[5.0, 7.0, 9.0, 11.0, 13.0]"] * 2 + ["set()"]


@pytest.mark.parametrize("old", [False, True])
def test_files_of_these_tests_are_sound(old, tmp_path):
    arrays = {"a.weight": ARRAY, "b": np.arange(3), "c": np.float64([[0.5]])}
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(torch_file(arrays, old=old))
    with open_checkpoint(tmp_path) as checkpoint:
        assert {name: checkpoint.read(name).tolist() for name in checkpoint} == {
            name: array.tolist() for name, array in arrays.items()
        }
        assert checkpoint.file_of("b") == path
        assert checkpoint.metadata == {}


def test_folders_prefer_safetensors(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(torch_file({"a": ARRAY}))
    (tmp_path / "tf_model.h5").write_bytes(b"not looked at")
    with open_checkpoint(tmp_path) as checkpoint:
        assert checkpoint.file_of("a").name == "pytorch_model.bin"
    header = b'{"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"!")
    with open_checkpoint(tmp_path) as checkpoint:
        assert list(checkpoint) == ["b"]


def test_shards(tmp_path):
    names = [f"pytorch_model-0000{i}-of-00002.bin" for i in (1, 2)]
    (tmp_path / names[0]).write_bytes(torch_file({"a": ARRAY}))
    (tmp_path / names[1]).write_bytes(torch_file({"b": ARRAY + 1}, old=True))
    index = {"metadata": {}, "weight_map": {"a": names[0], "b": names[1]}}
    path = tmp_path / "pytorch_model.bin.index.json"
    path.write_text(json.dumps(index))
    for source in (tmp_path, path):
        with open_checkpoint(source) as checkpoint:
            assert checkpoint.read("b").tolist() == (ARRAY + 1).tolist()
            assert checkpoint.file_of("a").name == names[0]
    path.write_text(json.dumps({"weight_map": {"a": names[0], "b": "../evil.bin"}}))
    with pytest.raises(CheckpointError, match="expected the name of a file beside it"):
        open_checkpoint(tmp_path)


def open_state(tmp_path, pickle, storages):
    path = tmp_path / "x.bin"
    path.write_bytes(archive(pickle, storages))
    return open_checkpoint(path)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (Entry(ARRAY, shape=(4, 3), strides=(1, 4)), ARRAY.T),
        (Entry(ARRAY, shape=(2,), strides=(5,), offset=3), ARRAY.reshape(-1)[3::5]),
        (Entry(ARRAY, shape=(2, 3), strides=(0, 1), offset=9), [[9, 10, 11]] * 2),
        (Entry(ARRAY, shape=(3, 3), strides=(1, 1)), [[0, 1, 2], [1, 2, 3], [2, 3, 4]]),
        (Entry(ARRAY, shape=(1, 3), strides=(999, 1)), [[0, 1, 2]]),
        (Entry(ARRAY, shape=(), strides=(), offset=11), 11),
        (Entry(ARRAY, shape=(0, 7), strides=(1, 1), offset=12), np.zeros((0, 7))),
        (Entry(ARRAY, function="torch._utils _rebuild_tensor", more=()), ARRAY),
        (Entry(ARRAY, more=(True, Raw(b"}"), Raw(b"}"))), ARRAY),  # with metadata
    ],
)
def test_views_of_a_storage(entry, expected, tmp_path):
    with open_state(tmp_path, state({"a": entry}), {"0": ARRAY.tobytes()}) as checkpoint:
        np.testing.assert_array_equal(checkpoint.read("a"), expected)
        assert checkpoint["a"].shape == np.shape(expected)


def test_dictionaries_of_old_pythons(tmp_path):
    """Python 2 passed an OrderedDict's items as a list of pairs, and texts as bytes."""
    entry = Raw(Entry(ARRAY).code(legacy=False))
    pairs = Raw(b"](](U\x01a" + entry.code + b"ee")
    pickle = b"\x80\x02" + named("collections OrderedDict").code + encode((pairs,)) + b"R."
    with open_state(tmp_path, pickle, {"0": ARRAY.tobytes()}) as checkpoint:
        assert list(checkpoint) == ["a"]


def test_tensors_share_a_storage(tmp_path):
    entries = {"all": Entry(ARRAY), "row": Entry(ARRAY, shape=(4,), strides=(1,), offset=4)}
    for raw in (
        archive(state(entries), {"0": ARRAY.tobytes()}),
        legacy(state(entries, legacy=True), {"0": ARRAY.tobytes()}),
    ):
        path = tmp_path / "x.bin"
        path.write_bytes(raw)
        with open_checkpoint(path) as checkpoint:
            assert checkpoint.read("row").tolist() == ARRAY[1].tolist()


def test_reading_is_lazy_and_lean(tmp_path):
    """A tensor behind 400 MB of holes costs its own bytes."""
    size = 10**8
    path = tmp_path / "large.bin"
    small, hole = np.arange(3, dtype=np.float32), np.empty(size, np.float32)
    entries = {"hole": Entry(hole, "0"), "small": Entry(small, "1")}
    with open(path, "wb") as file:
        head = legacy(state(entries, legacy=True), {}, keys=["0", "1"])
        file.write(head + size.to_bytes(8, "little"))
        file.seek(4 * size, 1)
        file.write((3).to_bytes(8, "little") + small.tobytes())
    tracemalloc.start()
    try:
        with open_checkpoint(path) as checkpoint:
            assert checkpoint.read("small").tolist() == [0, 1, 2]
            assert checkpoint["hole"].shape == (size,)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_a_file_truncated_under_the_reader_raises(tmp_path):
    path = tmp_path / "x.bin"
    path.write_bytes(torch_file({"a": np.zeros(5000)}, old=True))
    with open_checkpoint(path) as checkpoint:
        with open(path, "r+b") as file:
            file.truncate(3000)
        with pytest.raises(CheckpointError, match="truncated since it was opened"):
            checkpoint.read("a")


def test_pickles_are_not_imported_by_the_reader():
    reader = sys.modules["weights_convert.formats.pickle_reader"]
    assert not hasattr(reader, "importlib")
    assert not hasattr(reader, "pickle")
