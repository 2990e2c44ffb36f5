"""Strange archives and damaged bytes: each loads right or is refused, soon and in little memory."""

from __future__ import annotations

import io
import os
import random
import struct
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.weights_convert.test_torch_malformed import (
    ARRAY,
    BYTES,
    refused,
    tensor,
)
from tests.weights_convert.torch_toys import (
    DATA,
    Entry,
    archive,
    legacy,
    program,
    state,
    torch_file,
)
from weights_convert.checkpoint import open_checkpoint
from weights_convert.errors import CheckpointError


def zipped(**options):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as file:
        file.writestr("x/data.pkl", tensor())
        file.writestr("x/data/0", BYTES["0"])
    return buffer.getvalue()


def changed(raw, at, value):
    return raw[:at] + value + raw[at + len(value) :]


def test_zip_archives_of_others_are_refused(tmp_path):
    path = tmp_path / "x.bin"
    sound = zipped()
    directory, end = sound.index(b"PK\1\2"), sound.index(b"PK\5\6")
    for raw, message in (
        (zipped(compression=zipfile.ZIP_DEFLATED), "compressed or encrypted"),
        (changed(sound, directory + 8, b"\1\0"), "compressed or encrypted"),
        (sound[:-30], "no table of contents at its end"),
        (sound + b"rest", "no table of contents at its end"),
        (changed(sound, end + 12, b"\xff\xff\xff\x7f"), "a table of contents of"),
        (changed(sound, end + 16, b"\xff\xff\xff\x7f"), "truncated or damaged"),
        (changed(sound, end + 10, b"\5\0"), "2 members, where its end says 5"),
        (changed(sound, directory, b"XX"), "breaks off"),
        (changed(sound, directory + 28, b"\xff\xff"), "breaks off"),
        (changed(sound, directory + 42, b"\1\0"), "not where the table of contents says"),
        (changed(sound, directory + 20, b"\xff\xff\0\0\xff\xff\0\0"), "beyond its"),
        (changed(sound, directory + 46, b"\xff"), "a member called"),
        (changed(sound, 30, b"y"), "not where the table of contents says"),
        (changed(sound, end + 10, b"\xff\xff"), "no 64-bit table of contents"),
        (sound.replace(b"x/data/0", b"x/data.pk")[: len(sound)], "breaks off|not where|no table"),
    ):
        path.write_bytes(raw)
        with pytest.raises(CheckpointError, match=message):
            open_checkpoint(path)
    twice = archive(tensor(), BYTES, **{"data/1": b""}).replace(b"data/1", b"data/0")
    assert "two members called 'archive/data/0'" in refused(path, twice)


def test_archives_past_four_gigabytes_have_wide_fields(tmp_path):
    """The 64-bit records, on a sparse file."""
    size = 2**30 + 3
    entry = Entry(np.empty(0, np.float32), shape=(size,), strides=(1,), items=size)
    path = tmp_path / "large.bin"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x/data.pkl", state({"a": entry, "b": Entry(ARRAY, "1")}))
    head = path.read_bytes()
    with open(path, "r+b") as file:  # the members again, by hand, with a hole among them
        file.truncate(head.index(b"PK\1\2"))
        file.seek(0, os.SEEK_END)
        table = [(0, b"x/data.pkl", len(state({"a": entry, "b": Entry(ARRAY, "1")})))]
        for name, length, raw in (
            (b"x/data/0", 4 * size, b""),
            (b"x/data/1", 48, BYTES["1" if "1" in BYTES else "0"]),
        ):
            table.append((file.tell(), name, length))
            file.write(
                struct.pack("<4s5H3L2H", b"PK\3\4", 45, 0, 0, 0, 0, 0, 0, 0, len(name), 0) + name
            )
            file.write(raw)
            file.seek(length - len(raw), os.SEEK_CUR)
        begin = file.tell()
        for offset, name, length in table:
            wide = struct.pack("<2H3Q", 1, 24, length, length, offset)
            file.write(
                struct.pack(
                    "<4s6H3L5H2L",
                    b"PK\1\2",
                    45,
                    45,
                    0,
                    0,
                    0,
                    0,
                    0,
                    2**32 - 1,
                    2**32 - 1,
                    len(name),
                    len(wide),
                    0,
                    0,
                    0,
                    0,
                    2**32 - 1,
                )
                + name
                + wide
            )
        end = file.tell()
        file.write(struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 3, 3, end - begin, begin))
        file.write(struct.pack("<4sLQL", b"PK\6\7", 0, end, 1))
        file.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 0))
    with open_checkpoint(path) as checkpoint:
        assert checkpoint["a"].shape == (size,)
        assert checkpoint.read("b").tolist() == ARRAY.tolist()
    with zipfile.ZipFile(path) as file:  # another reader finds the same
        assert [info.file_size for info in file.infolist()][1:] == [4 * size, 48]


@pytest.mark.parametrize(
    "body",
    [
        b"N" * 600_000,
        b"(" * 600_000,
        b"}" * 600_000,
        b"N" + b"\x85" * 450_000,
        b"N" + b"\x85" * 450_000 + b"N\x86Q",
        b"]" + b"]a" * 220_000,
        b"]q\x00" + b"h\x00a" * 220_000,
        b")" + b"\x85" * 450_000 + b"U\x01a\x93",
    ],
    ids=["many", "marks", "dictionaries", "deep", "deep id", "lists", "circles", "deep name"],
)
@pytest.mark.slow
def test_bombs_end_soon_and_take_little(body, tmp_path):
    raw = archive(b"\x80\x02" + body + b".", {})
    start = time.perf_counter()
    tracemalloc.start()
    try:
        refused(tmp_path / "x.bin", raw)
        assert tracemalloc.get_traced_memory()[1] < 300_000_000
    finally:
        tracemalloc.stop()
    assert time.perf_counter() - start < 60


def survives(path, raw):
    """A changed file either says what is wrong or holds tensors of the shapes that it states."""
    path.write_bytes(raw)
    try:
        checkpoint = open_checkpoint(path)
    except CheckpointError as error:
        assert str(path) in str(error)  # noqa: PT017 - both ends are right
        return False
    with checkpoint:
        for name, info in checkpoint.items():
            array = checkpoint.read_raw(name)
            assert array.shape == info.shape
            assert array.nbytes == info.nbytes <= len(raw) + 2**20
    return True


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_hundreds_of_mutated_files(form, tmp_path):
    sound = (DATA / f"{form}.bin").read_bytes()
    rng, start, fine, count = random.Random(5), time.perf_counter(), 0, 800
    for _ in range(count):
        raw = bytearray(sound)
        for _ in range(rng.choice((1, 1, 2, 5))):
            raw[rng.randrange(len(raw))] = rng.choice((0, 255, rng.randrange(256)))
        if rng.random() < 0.2:
            del raw[rng.randrange(len(raw)) :]
        elif rng.random() < 0.2:
            at, length = rng.randrange(len(raw)), rng.randrange(64)
            raw[at:at] = raw[at : at + length]
        fine += survives(tmp_path / "x.bin", bytes(raw))
    assert 0 < fine < count
    assert time.perf_counter() - start < 60


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)
sizes = st.integers(-2, 14) | st.sampled_from([2**31, 2**62, 2**70])
tuples = st.lists(sizes, max_size=4).map(tuple)


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(value=values, old=st.booleans())
def test_any_plain_value_is_judged(value, old, tmp_path_factory):
    """Values other than a state dict are refused; an empty dictionary is an empty one."""
    path = tmp_path_factory.getbasetemp() / "plain.bin"
    try:
        raw = program(value)
    except (OverflowError, ValueError, struct.error):
        return
    whole = legacy(raw, {}) if old else archive(raw, {})
    assert survives(path, whole) == (value == {} and isinstance(value, dict))


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(shape=tuples, strides=tuples, offset=sizes, items=sizes, old=st.booleans())
def test_any_description_of_a_tensor_is_judged(
    shape, strides, offset, items, old, tmp_path_factory
):
    path = tmp_path_factory.getbasetemp() / "view.bin"
    entry = Entry(ARRAY, shape=shape, strides=strides, offset=offset, items=items)
    whole = legacy(state({"a": entry}, True), BYTES) if old else archive(state({"a": entry}), BYTES)
    natural = all(n >= 0 for n in (*shape, *strides, offset)) and len(shape) == len(strides)
    last = sum((n - 1) * s for n, s in zip(shape, strides, strict=False))
    fits = natural and items == 12 and offset + (0 if 0 in shape else last + 1) <= 12
    small = np.prod([max(n, 1) for n in shape], dtype=object) <= 2**18
    assert survives(path, whole) == bool(fits and small)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(body=st.binary(max_size=120), old=st.booleans())
def test_any_program_ends(body, old, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "program.bin"
    raw = b"\x80\x02" + body + b"."
    survives(path, legacy(raw, {}) if old else archive(raw, {}))


def test_toys_are_sound(tmp_path):
    assert survives(tmp_path / "x.bin", torch_file({"a": ARRAY}))
    assert survives(tmp_path / "x.bin", torch_file({"a": ARRAY}, old=True))
