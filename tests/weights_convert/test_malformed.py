"""Every way in which a file can lie: each must raise an error that says what is wrong."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.weights_convert.toys import raw_file, source, tensor
from weights_convert.checkpoint import (
    INDEX_NAME,
    SINGLE_NAME,
    open_checkpoint,
    shard_names,
    write_checkpoint,
)
from weights_convert.errors import CheckpointError

F32 = tensor("F32", [2], 0, 8)
EIGHT = bytes(8)


def header_twice() -> bytes:
    entry = json.dumps(F32)
    return f'{{"a":{entry},"a":{entry}}}'.encode()


MALFORMED = {
    "empty": (b"", "expected at least 8 bytes, found 0"),
    "shorter than a length": (b"1234567", "expected at least 8 bytes, found 7"),
    "no header": (raw_file(b""), "expected a JSON object as header, found b''"),
    "longer than the file": (raw_file({}, length=3), r"at most 2 bytes .* found a length of 3"),
    "a huge length": (raw_file({}, length=2**64 - 1), "found a length of 18446744073709551615"),
    "no JSON": (raw_file(b"{nonsense"), "not valid JSON"),
    "no object": (raw_file([1, 2]), r"expected a JSON object as header, found b'\[1, 2\]'"),
    "no text": (raw_file(b'{"\xff": 1}'), "not valid JSON"),
    "nested without end": (raw_file(b'{"a":' * 200_000), "not valid JSON"),
    "half a surrogate": (raw_file(rb'{"\ud800": 1}'), "not valid JSON.*surrogates"),
    "a zip file": (b"PK\x03\x04" + bytes(100), "not a safetensors file"),
    "two of one name": (raw_file(header_twice(), EIGHT), "the key 'a' appears twice"),
    "a field twice": (raw_file(b'{"a":{"dtype":"F32","dtype":"F32"}}'), "'dtype' appears twice"),
    "no entry": (raw_file({"a": 3}), "'a': expected the fields .*, found 3"),
    "a field too few": (raw_file({"a": {"dtype": "F32", "shape": []}}), "expected the fields"),
    "a field too many": (raw_file({"a": F32 | {"x": 1}}, EIGHT), "expected the fields"),
    "unknown dtype": (raw_file({"a": tensor("F33", [2], 0, 8)}, EIGHT), "found 'F33'"),
    "dtype no text": (raw_file({"a": F32 | {"dtype": ["F32"]}}, EIGHT), r"found \['F32'\]"),
    "negative length": (raw_file({"a": tensor("F32", [-2], 0, 8)}, EIGHT), r"found \[-2\]"),
    "length no integer": (raw_file({"a": F32 | {"shape": [2.0]}}, EIGHT), r"found \[2.0\]"),
    "length a bool": (raw_file({"a": tensor("F32", [2, True], 0, 8)}, EIGHT), "a shape, found"),
    "shape no list": (raw_file({"a": F32 | {"shape": 2}}, EIGHT), "expected a shape, found 2"),
    "too many axes": (raw_file({"a": tensor("F32", [1] * 33, 0, 4)}, b"1234"), "expected a shape"),
    "overflowing": (raw_file({"a": tensor("F32", [2**62, 0, 4], 0, 0)}), "expected a shape"),
    "one offset": (raw_file({"a": F32 | {"data_offsets": [0]}}, EIGHT), r"\[begin, end\]"),
    "negative offset": (raw_file({"a": tensor("F32", [2], -8, 0)}, EIGHT), r"\[begin, end\]"),
    "offset no integer": (raw_file({"a": F32 | {"data_offsets": [0, "8"]}}, EIGHT), "begin, end"),
    "reversed offsets": (raw_file({"a": tensor("F32", [2], 8, 0)}, EIGHT), "expected 8 bytes"),
    "too few bytes": (
        raw_file({"a": tensor("F32", [3], 0, 8)}, EIGHT),
        "expected 12 bytes for F32",
    ),
    "too many bytes": (
        raw_file({"a": tensor("F16", [2], 0, 8)}, EIGHT),
        "expected 4 bytes for F16",
    ),
    "truncated": (raw_file({"a": F32}, EIGHT[:-1]), "truncated: expected 8 bytes of data, found 7"),
    "out of range": (raw_file({"a": tensor("F32", [2], 0, 8)}), "truncated: expected 8 .* found 0"),
    "a rest": (raw_file({"a": F32}, EIGHT + b"!"), "longer than its header says: expected 8"),
    "a rest of nothing": (raw_file({}, b"!"), "longer than its header says: expected 0"),
    "a gap first": (
        raw_file({"a": tensor("F32", [1], 4, 8)}, EIGHT),
        "'a' leaves a gap behind the",
    ),
    "a gap": (
        raw_file({"a": tensor("U8", [1], 0, 1), "b": tensor("U8", [1], 2, 3)}, b"123"),
        "'b' leaves a gap behind 'a': expected offset 1, found 2",
    ),
    "an overlap": (
        raw_file({"a": tensor("U8", [2], 0, 2), "b": tensor("U8", [2], 1, 3)}, b"123"),
        "'b' overlaps 'a': expected offset 2, found 1",
    ),
    "the same bytes twice": (
        raw_file({"a": tensor("U8", [3], 0, 3), "b": tensor("U8", [3], 0, 3)}, b"123"),
        "'b' overlaps 'a'",
    ),
    "metadata no object": (raw_file({"__metadata__": "pt"}), "expected an object of text to text"),
    "metadata of numbers": (raw_file({"__metadata__": {"a": 1}}), "text to text, found {'a': 1}"),
    "metadata unprintable": (raw_file(rb'{"__metadata__":{"a":"\ud800"}}'), "surrogates"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_file_is_named_with_its_fault(tmp_path, case):
    raw, message = MALFORMED[case]
    path = tmp_path / "broken.safetensors"
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match=message) as caught:
        open_checkpoint(path)
    assert str(path) in str(caught.value)


def test_a_header_past_the_limit_is_refused_without_reading_it(tmp_path):
    path = tmp_path / "big.safetensors"
    with open(path, "wb") as file:  # sparse: it takes no room on the disk
        file.write(raw_file(b"{", length=2**24 + 1))
        file.truncate(2**25)
    with pytest.raises(CheckpointError, match="at most 16777216 bytes"):
        open_checkpoint(path)


def test_what_is_not_a_file_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        open_checkpoint(tmp_path / "none.safetensors")
    with pytest.raises(CheckpointError, match="expected model.safetensors or .*index.json"):
        open_checkpoint(tmp_path)
    (tmp_path / SINGLE_NAME).mkdir()
    with pytest.raises(CheckpointError, match="expected a regular file"):
        open_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match="no such file"):
        open_checkpoint("x" * 5000 + ".safetensors")


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(CheckpointError, match="expected a regular file"):
        open_checkpoint(tmp_path / "pipe.safetensors")


@pytest.fixture
def sharded(tmp_path):
    """A checkpoint of two shards, `a` in the first and `b` in the second."""
    folder = tmp_path / "sharded"
    arrays = [source(name, np.full(4, i, np.float32)) for i, name in enumerate("ab")]
    write_checkpoint(folder, arrays, max_shard_bytes=16)
    return folder


def rewrite_index(folder, **weight_map):
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / INDEX_NAME).write_text(json.dumps(index))


FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


@pytest.mark.parametrize(
    "name",
    ["../x.safetensors", "/etc/passwd", "sub/x.safetensors", "..", ".", "", "a\\b", "C:x", "a\0b"],
)
def test_a_shard_elsewhere_is_refused(sharded, name):
    rewrite_index(sharded, a=FIRST, b=name)
    with pytest.raises(CheckpointError, match="expected the name of a file beside it"):
        open_checkpoint(sharded)
    with pytest.raises(CheckpointError, match="expected the name of a file beside it"):
        shard_names(sharded / INDEX_NAME)


@pytest.mark.parametrize("name", ["none.safetensors", "x" * 5000])
def test_a_missing_shard_is_named(sharded, name):
    rewrite_index(sharded, a=FIRST, b=name)
    with pytest.raises(CheckpointError, match=f"the shard '{name[:150]}.* is missing") as caught:
        open_checkpoint(sharded)
    assert len(str(caught.value)) < 600
    assert shard_names(sharded / INDEX_NAME) == (FIRST, name)  # so that it can be fetched


def test_a_shard_that_is_a_link_out_of_the_folder_is_refused(sharded, tmp_path):
    (sharded / SECOND).rename(tmp_path / "outside.safetensors")
    (sharded / SECOND).symlink_to(tmp_path / "outside.safetensors")
    with pytest.raises(CheckpointError, match=f"'{SECOND}' is a link to another folder"):
        open_checkpoint(sharded)


def test_the_links_of_a_download_cache_are_followed(sharded, tmp_path):
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "1a2b"
    sharded.rename(blobs)
    snapshot.mkdir(parents=True)
    for file in blobs.iterdir():
        (snapshot / file.name).symlink_to(f"../../blobs/{file.name}")
    with open_checkpoint(snapshot) as checkpoint:
        assert checkpoint.read("b").tolist() == [1, 1, 1, 1]


def test_a_tensor_in_two_shards_is_refused(sharded):
    (sharded / SECOND).write_bytes((sharded / FIRST).read_bytes())
    with pytest.raises(CheckpointError, match=f"'a' is both in {FIRST} and in {SECOND}"):
        open_checkpoint(sharded)


def test_an_index_may_begin_with_a_byte_order_mark(sharded):
    (sharded / INDEX_NAME).write_bytes("\ufeff".encode() + (sharded / INDEX_NAME).read_bytes())
    with open_checkpoint(sharded) as checkpoint:
        assert sorted(checkpoint) == ["a", "b"]


def test_an_index_must_agree_with_its_shards(sharded):
    rewrite_index(sharded, a=SECOND, b=FIRST)
    with pytest.raises(CheckpointError, match=f"expected 'a' in '{SECOND}', found it in {FIRST}"):
        open_checkpoint(sharded)
    rewrite_index(sharded, a=FIRST, b=SECOND, c=SECOND)
    with pytest.raises(CheckpointError, match=f"expected 'c' in '{SECOND}', found it in no shard"):
        open_checkpoint(sharded)
    both = [source(name, np.zeros(1, np.float32)) for name in "bc"]
    write_checkpoint(sharded / "more.safetensors", both)
    rewrite_index(sharded, a=FIRST, b="more.safetensors")
    with pytest.raises(CheckpointError, match="found also 'c' in more.safetensors"):
        open_checkpoint(sharded)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "expected a weight_map"),
        ("{}", "expected a weight_map"),
        ('{"weight_map": {}}', "expected a weight_map"),
        ('{"weight_map": {"a": 1}}', "expected a weight_map"),
        ('{"weight_map": {"a": "x", "a": "y"}}', "the key 'a' appears twice"),
        ('{"a":' * 200_000, "not valid JSON"),
    ],
)
def test_a_malformed_index_is_named(sharded, text, message):
    (sharded / INDEX_NAME).write_text(text)
    with pytest.raises(CheckpointError, match=message):
        open_checkpoint(sharded)


SOUND = raw_file(
    {
        "__metadata__": {"format": "pt"},
        "a": tensor("F32", [2, 1], 0, 8),
        "b.weight": tensor("BF16", [3], 8, 14),
        "c": tensor("I64", [], 14, 22),
    },
    bytes(range(22)),
)


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, len(SOUND) - 23), st.integers(0, 255)), min_size=1, max_size=4
    ),
    cut=st.integers(0, 30),
)
def test_a_mutated_file_raises_or_loads_what_its_header_says(tmp_path_factory, changes, cut):
    raw = bytearray(SOUND)
    for position, value in changes:
        raw[position] = value
    path = tmp_path_factory.getbasetemp() / "mutated.safetensors"
    path.write_bytes(raw[: len(raw) - max(0, cut - 20)])  # two in three stay whole
    try:
        checkpoint = open_checkpoint(path)
    except CheckpointError as error:
        assert str(path) in str(error)  # noqa: PT017 - both ends are right
        return
    with checkpoint:
        total = sum(checkpoint.read_raw(name).nbytes for name in checkpoint)
        shapes = {name: checkpoint.read(name).shape for name in checkpoint}
    assert total == 22  # whatever it was renamed to, all data is covered once
    assert shapes == {name: info.shape for name, info in checkpoint.items()}
