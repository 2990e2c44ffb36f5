"""Small files that would ask for much: work, memory and sizes are bounded by what a file holds."""

from __future__ import annotations

import struct
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.core.test_untrusted import POINTER
from tests.weights_convert.torch_toys import (
    Entry,
    Raw,
    archive,
    encode,
    named,
    program,
    state,
    torch_file,
)
from weights_convert.checkpoint import WEIGHT_FILES, open_checkpoint
from weights_convert.errors import CheckpointError
from weights_convert.formats.pickle_reader import ByteSource

ORDERED = b"ccollections\nOrderedDict\n"
STORAGE = Raw(encode(("storage", named("torch FloatStorage"), "0", "cpu", 1)) + b"Q")


@contextmanager
def soon(seconds: float = 5.0, megabytes: float = 200.0) -> Iterator[None]:
    """What is done inside takes little time and memory, though `tracemalloc` makes it slow."""
    tracemalloc.start()
    begin = time.perf_counter()
    try:
        yield
        assert time.perf_counter() - begin < seconds
        assert tracemalloc.get_traced_memory()[1] < megabytes * 1e6
    finally:
        tracemalloc.stop()


def pairs(count: int) -> bytes:
    """A list of pairs of text and None, in a tuple of arguments that is remembered as 3."""
    rows = b"".join(b"U\x05" + b"%05d" % number + b"N\x86" for number in range(count))
    return b"](" + rows + b"e\x85q\x03"


BOMBS = {
    "a list shared by many dictionaries": pairs(5000) + ORDERED + b"q\x04" + b"h\x04h\x03R" * 5000,
    "arguments shared by many tensors": encode((STORAGE, 0, (1,), (1,), *[None] * 5000))
    + b"q\x03ctorch._utils\n_rebuild_tensor_v2\nq\x04"
    + b"h\x04h\x03R" * 5000,
    "a tuple of twice itself": b")q\x01" + b"h\x01h\x01\x86q\x01" * 5000,
    "a list of itself": b"]q\x01" + b"h\x01a" * 5000,
}


@pytest.mark.parametrize("case", BOMBS)
def test_pickles_that_multiply_are_refused_soon(case: str, tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(archive(b"\x80\x02" + BOMBS[case] + b".", {}))
    with soon(), pytest.raises(CheckpointError, match=r"pytorch_model\.bin"):
        open_checkpoint(path)


def test_the_bound_is_that_of_all_calls_together(tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    for calls, message in ((100, "expected a dictionary"), (300, "more than 1000000 items in all")):
        raw = b"\x80\x02" + pairs(5000) + ORDERED + b"q\x04" + b"h\x04h\x03R" * calls
        path.write_bytes(archive(raw + ORDERED + b".", {}))
        with pytest.raises(CheckpointError, match=message):
            open_checkpoint(path)


@pytest.mark.parametrize("form", ["today's", "Python 2's"])
def test_checkpoints_of_thousands_of_tensors_are_read(form: str, tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    arrays = {f"layer.{number}.weight": np.full(2, number, "f4") for number in range(4000)}
    if form == "today's":
        path.write_bytes(torch_file(arrays))
    else:
        entries = {name: Entry(array, str(i)) for i, (name, array) in enumerate(arrays.items())}
        rows = [[name, Raw(entry.code(False))] for name, entry in entries.items()]
        raw = program(Raw(ORDERED + encode((rows,)) + b"R"))
        path.write_bytes(archive(raw, {e.key: e.array.tobytes() for e in entries.values()}))
    with open_checkpoint(path) as checkpoint:
        assert len(checkpoint) == 4000
        assert checkpoint.read("layer.3999.weight").tolist() == [3999, 3999]


def test_names_are_read_across_blocks() -> None:
    raw = b"a" * 65_000 + b"b" * 999 + b"\n" + b"c" * 10 + b"\n" + b"d" * 2000
    source = ByteSource(lambda at, size: raw[at : at + size], 0, len(raw))
    source.take(65_000)
    assert source.line() == "b" * 999
    assert source.line() == "c" * 10
    with pytest.raises(CheckpointError, match="more than 1000 bytes"):
        source.line()
    source = ByteSource(lambda at, size: raw[at : at + size], len(raw) - 20, len(raw))
    with pytest.raises(CheckpointError, match="breaks off"):
        source.line()


@pytest.mark.parametrize(("count", "is_sound"), [(16, True), (200, False)])
def test_a_storage_is_shared_by_some_tensors(count: int, is_sound: bool, tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    array = np.zeros(2**18, "f4")
    pickle = state({f"t{number}": Entry(array) for number in range(count)})
    path.write_bytes(archive(pickle, {"0": bytes(2**20)}))
    if is_sound:
        open_checkpoint(path).close()
        return
    with pytest.raises(CheckpointError, match="too many share the same bytes"):
        open_checkpoint(path)


def test_names_of_one_weight_are_few(tmp_path: Path) -> None:
    path = tmp_path / "tf_model.h5"
    with h5py.File(path, "w") as file:
        first = file.create_dataset("lxmert/m/lxmert/l0/bias:0", data=np.zeros(2**18, "f4"))
        for number in range(1, 200):
            file[f"lxmert/m/lxmert/l{number}/bias:0"] = first
    with pytest.raises(CheckpointError, match="too many share the same bytes"):
        open_checkpoint(path)


def test_members_of_an_archive_do_not_overlap(tmp_path: Path) -> None:
    arrays = {"a": np.arange(4, dtype="f4"), "b": np.arange(4, dtype="f4")}
    raw = bytearray(torch_file(arrays))
    entry = raw.index(b"archive/data/0", raw.index(b"PK\1\2")) - 46
    size = 16 + 44 + 1  # its own bytes, the header of the next, and a byte of that
    struct.pack_into("<2L", raw, entry + 20, size, size)
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match="inside another member"):
        open_checkpoint(path)


@pytest.mark.parametrize("name", [name for name in WEIGHT_FILES if not name.endswith(".json")])
def test_a_pointer_of_git_lfs_is_named_as_such(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(POINTER)
    with pytest.raises(CheckpointError, match="is a Git LFS pointer"):
        open_checkpoint(tmp_path)
