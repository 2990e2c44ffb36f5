"""Reading and writing against the safetensors library, and what a failure leaves behind."""

from __future__ import annotations

import json
import os
import threading
import weakref

import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.numpy

from tests.weights_convert.toys import contents, raw_file, source, tensor
from weights_convert.checkpoint import INDEX_NAME, open_checkpoint, write_checkpoint
from weights_convert.errors import CheckpointError
from weights_convert.tensors import DTYPES, TensorInfo, bfloat16_to_float32, float32_to_bfloat16

RANDOM = np.random.default_rng(7)
PLAIN = [code for code in DTYPES if code != "BF16"]
ALL_BITS = np.arange(2**16, dtype=np.uint16)


def sample(code: str, shape: tuple[int, ...]) -> np.ndarray:
    dtype = DTYPES[code]
    return np.asarray(RANDOM.integers(0, 2 if code == "BOOL" else 100, shape)).astype(dtype)


def samples() -> dict[str, np.ndarray]:
    arrays = {f"plain.{code}": sample(code, (3, 5)) for code in PLAIN}
    return arrays | {"scalar": sample("F32", ()), "nothing": sample("F16", (0, 4))}


def codes(arrays: dict[str, np.ndarray]) -> dict[str, str]:
    by_dtype = {DTYPES[code]: code for code in PLAIN}
    return {name: by_dtype[array.dtype] for name, array in arrays.items()}


def assert_equal(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array, err_msg=name, strict=True)


def test_reads_what_the_library_writes(tmp_path):
    arrays = samples()
    path = tmp_path / "theirs.safetensors"
    safetensors.numpy.save_file(arrays, path, {"format": "pt", "note": "größer"})
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.metadata == {"format": "pt", "note": "größer"}
        assert {name: info.dtype for name, info in checkpoint.items()} == codes(arrays)
        assert_equal({name: checkpoint.read(name) for name in checkpoint}, arrays)


@pytest.mark.parametrize("shard", [10**9, 200])
def test_the_library_reads_what_is_written(tmp_path, shard):
    arrays = samples()
    kinds = codes(arrays)
    listed = [source(name, array, kinds[name]) for name, array in arrays.items()]
    write_checkpoint(tmp_path, listed, max_shard_bytes=shard)
    found = {}
    for path in tmp_path.glob("*.safetensors"):
        found |= safetensors.numpy.load_file(path)
        with safetensors.safe_open(path, "numpy") as file:
            assert file.metadata() == {"format": "pt"}
    assert_equal(found, arrays)


def test_the_data_and_every_tensor_are_aligned(tmp_path):
    path = tmp_path / "m.safetensors"
    listed = [
        source("bytes", np.zeros(3, np.uint8), "U8"),
        source("wide", np.zeros(2, np.int64), "I64"),
        source("half", np.zeros(1, np.float16), "F16"),
        source("full", np.zeros(1, np.float32), "F32"),
    ]
    write_checkpoint(path, listed)
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    assert length % 8 == 0
    for name, size in {"wide": 8, "full": 4, "half": 2}.items():
        assert header[name]["data_offsets"][0] % size == 0


def test_every_bfloat16_is_exact_both_ways(tmp_path):
    path = tmp_path / "m.safetensors"
    write_checkpoint(path, [source("all", ALL_BITS, "BF16")])
    with open_checkpoint(path) as checkpoint:
        assert checkpoint["all"] == TensorInfo("BF16", (2**16,))
        np.testing.assert_array_equal(checkpoint.read_raw("all"), ALL_BITS, strict=True)
        values = checkpoint.read("all")
    assert values.dtype == np.float32
    expected = ALL_BITS.view(ml_dtypes.bfloat16).astype(np.float32)
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(float32_to_bfloat16(values), ALL_BITS)  # NaN payloads too
    with safetensors.safe_open(path, "numpy") as file:
        stored = file.get_slice("all")
        assert (stored.get_dtype(), stored.get_shape()) == ("BF16", [2**16])


def test_bfloat16_may_come_as_bits_as_values_or_as_ml_dtypes(tmp_path):
    values = RANDOM.standard_normal((2, 3)).astype(np.float32)
    brain = values.astype(ml_dtypes.bfloat16)
    listed = [
        source("values", values, "BF16"),
        source("brain", brain.T, "BF16"),
        source("bits", brain.view(np.uint16), "BF16"),
    ]
    write_checkpoint(tmp_path, listed)
    with open_checkpoint(tmp_path) as checkpoint:
        for name in ("values", "bits"):
            np.testing.assert_array_equal(checkpoint.read(name), brain.astype(np.float32))
        np.testing.assert_array_equal(checkpoint.read("brain"), brain.T.astype(np.float32))


def test_rounding_to_bfloat16_is_to_the_nearest_with_ties_to_even():
    bits = RANDOM.integers(0, 2**32, 200_000, dtype=np.uint32)
    ties = (bits & 0xFFFF0000) | 0x8000
    for values in (bits.view(np.float32), ties.view(np.float32)):
        number = values[~np.isnan(values)]
        with np.errstate(over="ignore"):
            expected = number.astype(ml_dtypes.bfloat16).view(np.uint16)
        np.testing.assert_array_equal(float32_to_bfloat16(number), expected)
        nans = float32_to_bfloat16(values[np.isnan(values)])
        assert np.isnan(bfloat16_to_float32(nans)).all()
    assert float32_to_bfloat16(np.float32(1)).shape == ()


def test_layout_and_byte_order_of_the_array_do_not_matter(tmp_path):
    array = RANDOM.standard_normal((4, 6)).astype(np.float32)
    listed = [
        source("transposed", array.T),
        source("strided", array[::2, ::-1]),
        source("swapped", array.astype(">f4")),
    ]
    write_checkpoint(tmp_path, listed)
    found = safetensors.numpy.load_file(tmp_path / "model.safetensors")
    expected = {"transposed": array.T, "strided": array[::2, ::-1], "swapped": array}
    assert_equal(found, expected)


class TestShards:
    arrays = [source(f"t{i}", np.full(10, i, np.float32)) for i in range(5)]

    def test_shards_fill_up_in_order_and_the_index_lists_them(self, tmp_path):
        write_checkpoint(tmp_path, self.arrays, max_shard_bytes=100)
        one, two, three = (f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3))
        assert set(contents(tmp_path)) == {one, two, three, INDEX_NAME}
        assert json.loads((tmp_path / INDEX_NAME).read_text()) == {
            "metadata": {"total_size": 200},
            "weight_map": {"t0": one, "t1": one, "t2": two, "t3": two, "t4": three},
        }
        for path in (tmp_path, tmp_path / INDEX_NAME):
            with open_checkpoint(path) as checkpoint:
                assert [checkpoint.read(f"t{i}")[0] for i in range(5)] == [0, 1, 2, 3, 4]
                assert checkpoint.metadata == {"format": "pt"}

    def test_a_tensor_larger_than_a_shard_gets_its_own(self, tmp_path):
        write_checkpoint(tmp_path, self.arrays, max_shard_bytes=1)
        assert len(contents(tmp_path)) == 6

    def test_exactly_full_is_not_too_full(self, tmp_path):
        write_checkpoint(tmp_path, self.arrays, max_shard_bytes=200)
        assert list(contents(tmp_path)) == ["model.safetensors"]

    def test_a_file_names_its_own_shards(self, tmp_path):
        write_checkpoint(tmp_path / "half.safetensors", self.arrays, max_shard_bytes=120)
        assert set(contents(tmp_path)) == {
            "half-00001-of-00002.safetensors",
            "half-00002-of-00002.safetensors",
            "half.safetensors.index.json",
        }
        with open_checkpoint(tmp_path / "half.safetensors.index.json") as checkpoint:
            assert len(checkpoint) == 5

    def test_what_an_older_checkpoint_left_is_not_taken_for_the_new_one(self, tmp_path):
        (tmp_path / "model.safetensors.bak").write_text("mine")
        write_checkpoint(tmp_path, self.arrays[:1])
        write_checkpoint(tmp_path, self.arrays, max_shard_bytes=100)
        with open_checkpoint(tmp_path) as checkpoint:
            assert len(checkpoint) == 5
        write_checkpoint(tmp_path, self.arrays[:2])
        assert set(contents(tmp_path)) == {"model.safetensors", "model.safetensors.bak"}
        with open_checkpoint(tmp_path) as checkpoint:
            assert len(checkpoint) == 2


def test_the_peak_of_memory_is_one_tensor(tmp_path):
    arrays: list[weakref.ref] = []
    alive = []

    def fetch():
        alive.append(sum(array() is not None for array in arrays))
        array = np.zeros((3, 2), np.float32)
        arrays.append(weakref.ref(array))
        return array.T  # a view, which the writer must copy

    write_checkpoint(tmp_path, [(f"t{i}", "F32", (2, 3), fetch) for i in range(4)])
    assert alive == [0, 0, 0, 0]


class TestFailure:
    """Whatever goes wrong half-way, the folder is as it was."""

    good = [source(f"t{i}", np.full(4, i, np.float32)) for i in range(4)]

    def fails(self):
        raise RuntimeError("the accelerator fell off")

    @pytest.mark.parametrize("shard", [10**9, 16])
    @pytest.mark.parametrize("before", ["nothing", "one file", "shards"])
    def test_a_source_that_raises(self, tmp_path, shard, before):
        folder = tmp_path / "deep" / "checkpoint"
        if before != "nothing":
            write_checkpoint(folder, self.good, max_shard_bytes=16 if before == "shards" else 999)
            old = contents(folder)
        listed = [*self.good[:3], ("t3", "F32", (4,), self.fails)]
        with pytest.raises(RuntimeError, match="fell off"):
            write_checkpoint(folder, listed, max_shard_bytes=shard)
        if before == "nothing":
            assert list(tmp_path.iterdir()) == []
        else:
            assert contents(folder) == old

    def test_an_array_that_is_not_what_was_announced(self, tmp_path):
        array = np.zeros((2, 3), np.float32)
        for item, message in (
            (
                ("a", "F32", (3, 2), lambda: array),
                r"a: expected F32 .*\(3, 2\), got float32 \(2, 3\)",
            ),
            (("a", "F16", (2, 3), lambda: array), r"a: expected F16 .*, got float32"),
            (("a", "BF16", (2, 3), lambda: array.astype(np.float64)), "a: expected BF16"),
        ):
            with pytest.raises(ValueError, match=message):
                write_checkpoint(tmp_path, [item])
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("listed", "options", "message"),
        [
            ([good[0], good[0]], {}, "'t0': expected unique text"),
            ([source("__metadata__", np.zeros(1, np.float32))], {}, "expected unique text"),
            ([source("a", np.zeros(1), "FLOAT")], {}, "expected a dtype among"),
            (good, {"max_shard_bytes": 0}, "expected a positive number, got 0"),
            (good, {"metadata": {"epoch": 3}}, "expected an object of text to text"),
        ],
    )
    def test_bad_arguments(self, tmp_path, listed, options, message):
        with pytest.raises(ValueError, match=message):
            write_checkpoint(tmp_path, listed, **options)
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_in_the_way(self, tmp_path):
        (tmp_path / "model.safetensors" / "kept").mkdir(parents=True)
        with pytest.raises(IsADirectoryError, match="expected a file to replace"):
            write_checkpoint(tmp_path, self.good)
        assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]

    def test_a_full_disk(self, tmp_path, monkeypatch):
        write_checkpoint(tmp_path, self.good)
        old = contents(tmp_path)

        def full(handle):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            write_checkpoint(tmp_path, self.good[:2])
        assert contents(tmp_path) == old


def test_a_new_checkpoint_can_be_made_from_the_one_it_replaces(tmp_path):
    arrays = [source(f"t{i}", np.full(4, i, np.float32)) for i in range(4)]
    write_checkpoint(tmp_path, arrays, max_shard_bytes=16)
    with open_checkpoint(tmp_path) as checkpoint:
        copies = [
            (name, info.dtype, info.shape, lambda name=name: checkpoint.read_raw(name))
            for name, info in checkpoint.items()
        ]
        write_checkpoint(tmp_path, copies)
    assert_equal(
        safetensors.numpy.load_file(tmp_path / "model.safetensors"),
        {f"t{i}": np.full(4, i, np.float32) for i in range(4)},
    )


def test_reading_one_tensor_reads_no_other(tmp_path):
    """A tensor behind 2 GiB of holes: reading the holes would take seconds and the memory."""
    path, hole = tmp_path / "large.safetensors", 2**31
    header = {"hole": tensor("U8", [hole], 0, hole), "end": tensor("U8", [3], hole, hole + 3)}
    with open(path, "wb") as file:
        file.write(raw_file(header))
        file.seek(hole, os.SEEK_CUR)
        file.write(b"abc")
    with open_checkpoint(path) as checkpoint:
        reads = []
        home = checkpoint._home["end"]
        inner = home._file

        class Counting:
            def seek(self, offset):
                return inner.seek(offset)

            def readinto(self, buffer):
                reads.append(len(buffer))
                return inner.readinto(buffer)

            def close(self):
                inner.close()

        home._file = Counting()
        assert checkpoint.read("end").tobytes() == b"abc"
    assert reads == [3]


def test_a_file_truncated_under_the_reader_raises(tmp_path):
    path = tmp_path / "model.safetensors"
    write_checkpoint(
        path, [source("a", np.zeros(4, np.float32)), source("b", np.zeros(4, np.float32))]
    )
    with open_checkpoint(path) as checkpoint:
        os.truncate(path, path.stat().st_size - 4)
        assert checkpoint.read("a").shape == (4,)
        with pytest.raises(CheckpointError, match="'b': expected 16 bytes, found 12; .*truncated"):
            checkpoint.read("b")


def test_what_is_read_belongs_to_the_caller(tmp_path):
    write_checkpoint(tmp_path, [source("a", np.zeros(4, np.float32))])
    with open_checkpoint(tmp_path) as checkpoint:
        first = checkpoint.read("a")
        first += 1
        assert checkpoint.read("a").sum() == 0
        with pytest.raises(KeyError):
            checkpoint.read("b")
    assert first.sum() == 4
    with pytest.raises(ValueError, match="closed"):
        checkpoint.read("a")


def test_threads_may_read_at_once(tmp_path):
    arrays = {f"t{i}": np.full(50_000, i, np.float32) for i in range(16)}
    write_checkpoint(tmp_path, [source(name, array) for name, array in arrays.items()])
    wrong = []
    with open_checkpoint(tmp_path) as checkpoint:

        def work(names):
            for name in names:
                if not np.array_equal(checkpoint.read(name), arrays[name]):
                    wrong.append(name)

        names = list(arrays) * 4
        threads = [threading.Thread(target=work, args=(names[i::8],)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
