"""LXMERT's tf_model.h5: what TensorFlow wrote is presented as PyTorch names and shapes it."""

from __future__ import annotations

import json
import shutil
import time

import h5py
import numpy as np
import pytest

from tests.support.lxmert_tf import DATA
from tests.support.processes import run_python
from weights_convert.checkpoint import open_checkpoint
from weights_convert.errors import CheckpointError

CASES = ("pretraining", "bare")
PRE = "lxmert/tf_lxmert_model/lxmert/"


@pytest.mark.parametrize("case", CASES)
def test_names_and_shapes_are_pytorchs(case):
    sizes = json.loads((DATA / case / "config.json").read_text())
    width, inner = sizes["hidden_size"], sizes["intermediate_size"]
    with open_checkpoint(DATA / case) as checkpoint:
        shapes = {name: info.shape for name, info in checkpoint.items()}
        assert {info.dtype for info in checkpoint.values()} == {"F32"}
        assert checkpoint.metadata == {"format": "tf"}
    assert shapes["lxmert.embeddings.word_embeddings.weight"] == (sizes["vocab_size"], width)
    assert shapes["lxmert.embeddings.position_embeddings.weight"] == (10, width)
    assert shapes["lxmert.embeddings.LayerNorm.bias"] == (width,)
    assert shapes["lxmert.encoder.layer.0.intermediate.dense.weight"] == (inner, width)
    assert shapes["lxmert.encoder.x_layers.0.visual_attention.att.key.bias"] == (width,)
    assert shapes["lxmert.encoder.visn_fc.visn_fc.weight"] == (width, 7)
    heads = {name.split(".")[0] for name in shapes} - {"lxmert"}
    if case == "bare":
        assert heads == set()
        return
    assert heads == {"cls", "obj_predict_head", "answer_head"}
    assert shapes["obj_predict_head.decoder_dict.attr.weight"] == (4, width)
    assert shapes["answer_head.logit_fc.2.weight"] == (2 * width,)
    assert shapes["answer_head.logit_fc.3.weight"] == (5, 2 * width)
    assert shapes["cls.seq_relationship.weight"] == (2, width)
    assert not [name for name in shapes if "embeddings" in name and name.startswith("cls")]


def test_values_are_the_files_and_kernels_are_turned():
    with h5py.File(DATA / "bare" / "tf_model.h5") as file, open_checkpoint(DATA / "bare") as ours:
        kernel = file[f"{PRE}encoder/r_layers_._0/output/dense/kernel:0"][()]
        bias = file[f"{PRE}pooler/dense/bias:0"][()]
        assert np.array_equal(ours.read("lxmert.encoder.r_layers.0.output.dense.weight"), kernel.T)
        assert np.array_equal(ours.read("lxmert.pooler.dense.bias"), bias)


def h5(path, layers):
    """A file with these arrays."""
    with h5py.File(path, "w") as file:
        for name, value in layers.items():
            file[name] = value
    return path


def test_files_of_other_models_are_refused(tmp_path):
    words = np.zeros((2, 2), "f4")
    for layers, found in (
        ({"bert/tf_bert/bert/pooler/dense/kernel:0": words, "nsp___cls/a/b:0": words}, "bert, nsp"),
        (
            {f"{PRE}pooler/bias:0": words, "classifier/kernel:0": words},
            "classifier",
        ),
        ({"layers/dense/vars/0": words}, "found layers.*load_weights"),
        ({"cls/m/cls/seq_relationship/bias:0": words}, "found cls"),
        ({}, "found none"),
    ):
        path = h5(tmp_path / "tf_model.h5", layers)
        with pytest.raises(CheckpointError, match=f"layers of TensorFlow's LXMERT.*{found}") as e:
            open_checkpoint(tmp_path)
        assert str(path) in str(e.value)


MALFORMED = {
    "another name": ({f"{PRE}pooler/dense/vector:0": np.zeros(2, "f4")}, "has no weight of this"),
    "no scope": ({"lxmert/kernel:0": np.zeros(2, "f4")}, "has no weight of this"),
    "another layer's": (
        {"lxmert/m/bert/dense/kernel:0": np.zeros((2, 2), "f4")},
        "has no weight of this",
    ),
    "a convolution": ({f"{PRE}dense/kernel:0": np.zeros((3, 2, 2), "f4")}, "a kernel of two axes"),
    "big-endian": ({f"{PRE}dense/bias:0": np.zeros(2, ">f4")}, "expected little-endian numbers"),
    "complex": ({f"{PRE}dense/bias:0": np.zeros(2, "c8")}, "found complex64"),
    "text": ({f"{PRE}dense/bias:0": "abc"}, "found object"),
    "two copies": (
        {
            f"{PRE}embeddings/word_embeddings/weight:0": np.zeros((3, 2), "f4"),
            "cls/m/lxmert/embeddings/word_embeddings/weight:0": np.zeros((4, 2), "f4"),
        },
        "of its other copy",
    ),
    "a link": ({f"{PRE}dense": h5py.SoftLink("/lxmert")}, "found a link"),
    "a link outside": ({f"{PRE}dense": h5py.ExternalLink("/etc/passwd", "/")}, "found a link"),
    "a type": ({f"{PRE}dense": np.dtype("f4")}, "found a Datatype"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_not_a_weight_is_named(case, tmp_path):
    layers, message = MALFORMED[case]
    with pytest.raises(CheckpointError, match=message):
        open_checkpoint(h5(tmp_path / "x.h5", layers))


def test_only_weights_in_one_piece_of_this_file_are_read(tmp_path):
    name = f"{PRE}pooler/dense/bias:0"
    (tmp_path / "outside").write_bytes(bytes(80))
    for settings in (
        {"data": np.zeros(20, "f4"), "chunks": (5,)},
        {"data": np.zeros(20, "f4"), "compression": "gzip"},
        {"shape": 20, "dtype": "f4", "external": str(tmp_path / "outside")},
        {"shape": 2**50, "dtype": "f4"},  # never written: no bytes at all
    ):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file.create_dataset(name, **settings)
        with pytest.raises(CheckpointError, match="in one piece"):
            open_checkpoint(tmp_path / "x.h5")


def test_circles_end(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        group = file.create_group("lxmert/a")
        for i in range(4):
            group[str(i)] = file["lxmert"]
    with pytest.raises(CheckpointError, match="in a circle"):
        open_checkpoint(tmp_path / "x.h5")


def test_a_user_block_is_allowed_for(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w", userblock_size=512) as file:
        file[f"{PRE}pooler/dense/bias:0"] = np.arange(5, dtype="f4")
    with open_checkpoint(tmp_path / "x.h5") as checkpoint:
        assert checkpoint.read("lxmert.pooler.dense.bias").tolist() == [0, 1, 2, 3, 4]


def test_other_files_are_refused(tmp_path):
    for raw in (b"", b"\x89HDF\r\n\x1a\n" + bytes(100), b"PK\3\4", bytes(5000)):
        (tmp_path / "x.h5").write_bytes(raw)
        with pytest.raises(CheckpointError, match="not a sound HDF5 file"):
            open_checkpoint(tmp_path / "x.h5")
    with pytest.raises(CheckpointError, match="no such file"):
        open_checkpoint(tmp_path / "none.h5")


def test_a_truncated_file_is_refused(tmp_path):
    raw = (DATA / "bare" / "tf_model.h5").read_bytes()
    for keep in (10, 500, 5000, len(raw) // 2, len(raw) - 1):
        (tmp_path / "x.h5").write_bytes(raw[:keep])
        with pytest.raises(CheckpointError):
            open_checkpoint(tmp_path / "x.h5")


def small_file(path, form):
    """A sound file of few bytes, so that most changes hit its structure."""
    with h5py.File(path, "w", libver="latest" if form == "latest" else "earliest") as file:
        for leaf in ("kernel", "bias"):
            file[f"{PRE}pooler/dense/{leaf}:0"] = np.ones((2, 2), "f4")
        if form != "bare":  # what Keras notes beside the weights
            file.attrs["layer_names"] = [b"lxmert"]
            file.attrs["backend"] = "tensorflow"
            file["lxmert"].attrs["weight_names"] = [b"kernel:0", b"bias:0"]
    return path.read_bytes()


def mutated(sound, rng):
    """The file with some bytes changed; one in five is cut, or says a part of itself twice."""
    raw = bytearray(sound)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        raw[rng.randrange(len(raw))] = rng.choice((0, 255, rng.randrange(256)))
    choice = rng.random()
    if choice < 0.1:
        del raw[rng.randrange(len(raw)) :]
    elif choice < 0.2:
        at, length = rng.randrange(len(raw)), rng.randrange(64)
        raw[at:at] = raw[at : at + length]
    return bytes(raw)


FUZZ = """
import random, resource, sys
from pathlib import Path
from tests.weights_convert.test_tf_h5 import judge, mutated, small_file
folder, form, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
sound, rng, fine = small_file(folder / "small.h5", form), random.Random(3), 0
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(count):
    fine += judge(folder / "x.h5", mutated(sound, rng))
print(fine, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def judge(path, raw):
    """Whether a file is read; else it must be refused by its name."""
    path.write_bytes(raw)
    try:
        checkpoint = open_checkpoint(path)
    except CheckpointError as error:
        assert str(path) in str(error)  # noqa: PT017 - both ends are right
        return False
    with checkpoint:
        for name, info in checkpoint.items():
            assert checkpoint.read(name).shape == info.shape
            assert info.nbytes <= len(raw)
    return True


@pytest.mark.parametrize("form", ["bare", "attributes", "latest"])
def test_mutated_files(form, tmp_path):
    """In a process of its own: were the HDF5 library to crash, this test alone would say so."""
    count, start = 800, time.perf_counter()
    fine, grown = map(int, run_python(FUZZ, tmp_path, form, str(count)).split())
    assert 0 < fine < count
    assert grown < 100_000, "kilobytes, for files of some ten"
    assert time.perf_counter() - start < 60


def test_safetensors_and_bin_come_first(tmp_path):
    shutil.copy(DATA / "bare" / "tf_model.h5", tmp_path)
    with open_checkpoint(tmp_path) as checkpoint:
        assert checkpoint.file_of("lxmert.pooler.dense.bias").name == "tf_model.h5"
    (tmp_path / "pytorch_model.bin").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin"):
        open_checkpoint(tmp_path)
