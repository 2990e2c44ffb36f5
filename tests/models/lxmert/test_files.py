"""LXMERT from each kind of file that its checkpoints come in; the class asked for is what counts.

The fixtures in tests/fixtures/lxmert_tf were written by transformers' TensorFlow classes, with
their outputs: whoever used those changes the import and gets the same numbers.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

import tfzoo
from tests.support.compare import assert_same, flatten
from tests.support.lxmert_tf import DATA, FLAGS, inputs
from tests.weights_convert.torch_toys import torch_file
from tfzoo.core.variables import slots
from weights_convert.__main__ import main
from weights_convert.checkpoint import open_checkpoint, write_checkpoint
from weights_convert.errors import CheckpointError

CLASSES = {"pretraining": "TFLxmertForPreTraining", "bare": "TFLxmertModel"}
FORMATS = ("h5", "bin", "old bin", "safetensors")


def folder_of(kind: str, case: str, target: Path, *, tied_twice: bool = True) -> Path:
    """A folder with a config and the weights of a fixture in one format, nothing else."""
    target.mkdir(parents=True)
    shutil.copy(DATA / case / "config.json", target)
    if kind == "h5":
        shutil.copy(DATA / case / "tf_model.h5", target)
        return target
    with open_checkpoint(DATA / case) as tensors:
        arrays = {name: np.ascontiguousarray(tensors.read(name)) for name in tensors}
    if case == "bare":  # PyTorch leaves the prefix out where there is no head
        arrays = {name.removeprefix("lxmert."): array for name, array in arrays.items()}
    elif tied_twice and kind != "safetensors":
        words = arrays["lxmert.embeddings.word_embeddings.weight"]
        arrays["cls.predictions.decoder.weight"] = words
    if kind == "safetensors":
        rows = [(name, "F32", a.shape, lambda a=a: a) for name, a in arrays.items()]
        write_checkpoint(target, rows)
    else:
        raw = torch_file(arrays, old=kind == "old bin")
        (target / "pytorch_model.bin").write_bytes(raw)
    return target


def recorded(case: str) -> dict[str, np.ndarray]:
    with np.load(DATA / case / "outputs.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize("case", CLASSES)
@pytest.mark.parametrize("kind", FORMATS)
def test_any_format_gives_the_old_classes_numbers(kind: str, case: str, tmp_path: Path) -> None:
    folder = folder_of(kind, case, tmp_path / "checkpoint")
    model = getattr(tfzoo, CLASSES[case]).from_pretrained(folder)
    assert_same(flatten(model(inputs(), **FLAGS)), recorded(case))


@pytest.mark.parametrize("kind", FORMATS)
def test_a_bare_model_takes_its_part_of_a_headed_file(kind: str, tmp_path: Path) -> None:
    folder = folder_of(kind, "pretraining", tmp_path / "checkpoint")
    bare = tfzoo.TFLxmertModel.from_pretrained(folder)
    whole = tfzoo.TFLxmertForPreTraining.from_pretrained(folder)
    for path, slot in slots(bare).items():
        full = path if path.startswith("lxmert.") else f"lxmert.{path}"
        assert np.array_equal(slot.variable, slots(whole)[full].variable), path


@pytest.mark.parametrize("kind", FORMATS)
def test_a_headed_model_takes_a_bare_file_and_says_what_is_fresh(kind: str, tmp_path: Path) -> None:
    folder = folder_of(kind, "bare", tmp_path / "checkpoint")
    with pytest.warns(UserWarning, match=r"has no weights for .*answer_head"):
        model = tfzoo.TFLxmertForQuestionAnswering.from_pretrained(folder)
    bare = tfzoo.TFLxmertModel.from_pretrained(folder)
    feed = inputs()
    assert_same(
        {"x": np.asarray(model.lxmert(feed).pooled_output)},
        {"x": np.asarray(bare(feed).pooled_output)},
    )


@pytest.mark.parametrize("kind", FORMATS)
def test_question_answering_from_the_pretraining_file(kind: str, tmp_path: Path) -> None:
    """What TensorFlow never had: the answers' head, from the file of the old class."""
    folder = folder_of(kind, "pretraining", tmp_path / "checkpoint")
    model = tfzoo.TFLxmertForQuestionAnswering.from_pretrained(folder)
    score = np.asarray(model(inputs()).question_answering_score)
    assert_same({"x": score}, {"x": recorded("pretraining")["question_answering_score"]})


@pytest.mark.parametrize("twice", [True, False])
def test_the_tied_decoder_may_be_stored_or_not(twice: bool, tmp_path: Path) -> None:
    folder = folder_of("bin", "pretraining", tmp_path / "checkpoint", tied_twice=twice)
    model = tfzoo.TFLxmertForPreTraining.from_pretrained(folder)
    assert_same(flatten(model(inputs(), **FLAGS)), recorded("pretraining"))


@pytest.mark.parametrize("kind", ["h5", "bin"])
def test_from_there_to_safetensors_and_back(kind: str, tmp_path: Path) -> None:
    folder = folder_of(kind, "pretraining", tmp_path / "checkpoint")
    tfzoo.TFLxmertForPreTraining.from_pretrained(folder).save_pretrained(tmp_path / "saved")
    assert {p.name for p in (tmp_path / "saved").iterdir()} == {"config.json", "model.safetensors"}
    with open_checkpoint(folder) as before, open_checkpoint(tmp_path / "saved") as after:
        assert set(before) - set(after) <= {"cls.predictions.decoder.weight"}
        for name in after:
            assert np.array_equal(before.read(name), after.read(name)), name


def test_the_first_of_several_files_is_taken(tmp_path: Path) -> None:
    folder = folder_of("safetensors", "bare", tmp_path / "checkpoint")
    (folder / "pytorch_model.bin").write_bytes(b"damaged")
    (folder / "tf_model.h5").write_bytes(b"damaged")
    model = tfzoo.TFLxmertModel.from_pretrained(folder)
    assert_same(flatten(model(inputs(), **FLAGS)), recorded("bare"))
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin"):
        tfzoo.TFLxmertModel.from_pretrained(folder)


def cached(folder: Path, cache: Path) -> None:
    """Put a folder into a download cache, as the repository `org/lxmert`."""
    home, commit = cache / "models--org--lxmert", "0" * 40
    shutil.copytree(folder, home / "snapshots" / commit)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(commit)


@pytest.mark.parametrize("kind", FORMATS)
def test_repositories_with_any_of_the_files(kind: str, tmp_path: Path) -> None:
    cached(folder_of(kind, "bare", tmp_path / "checkpoint"), tmp_path / "cache")
    where = {"cache_dir": tmp_path / "cache", "local_files_only": True}
    model = tfzoo.TFLxmertModel.from_pretrained("org/lxmert", **where)
    assert_same(flatten(model(inputs(), **FLAGS)), recorded("bare"))


def test_repositories_with_shards(tmp_path: Path) -> None:
    folder = folder_of("bin", "bare", tmp_path / "checkpoint")
    with open_checkpoint(folder) as tensors:
        arrays = {name: tensors.read(name) for name in tensors}
    (folder / "pytorch_model.bin").unlink()
    shards = [f"pytorch_model-0000{i + 1}-of-00002.bin" for i in range(2)]
    weight_map = {name: shards[i % 2] for i, name in enumerate(arrays)}
    for shard in shards:
        part = {name: array for name, array in arrays.items() if weight_map[name] == shard}
        (folder / shard).write_bytes(torch_file(part))
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    cached(folder, tmp_path / "cache")
    where = {"cache_dir": tmp_path / "cache", "local_files_only": True}
    for source, settings in ((folder, {}), ("org/lxmert", where)):
        model = tfzoo.TFLxmertModel.from_pretrained(source, **settings)
        assert_same(flatten(model(inputs(), **FLAGS)), recorded("bare"))
    shutil.rmtree(tmp_path / "cache")
    (folder / shards[1]).unlink()
    cached(folder, tmp_path / "cache")
    with pytest.raises(tfzoo.HubError, match=shards[1]):
        tfzoo.TFLxmertModel.from_pretrained("org/lxmert", **where)


@pytest.mark.parametrize("kind", FORMATS)
def test_the_commands_read_each_format(kind: str, tmp_path: Path, capsys) -> None:
    folder = folder_of(kind, "pretraining", tmp_path / "checkpoint")
    assert main(["inspect", str(folder)]) == 0
    assert "lxmert.encoder.layer.*.attention.self.query.weight" in capsys.readouterr().out
    assert main(["plan", str(folder)]) == 0
    assert "transpose" in capsys.readouterr().out


def test_an_h5_file_of_another_model_is_refused(tmp_path: Path) -> None:
    shutil.copy(DATA / "bare" / "config.json", tmp_path)
    with h5py.File(tmp_path / "tf_model.h5", "w") as file:
        file["bert/tf_bert_model/bert/pooler/dense/bias:0"] = np.zeros(8, "float32")
    with pytest.raises(CheckpointError, match="expected the layers of TensorFlow's LXMERT.*bert"):
        tfzoo.TFLxmertModel.from_pretrained(tmp_path)


def test_a_model_of_other_sizes_is_refused_as_pytorch_spells_it(tmp_path: Path) -> None:
    folder = folder_of("h5", "bare", tmp_path / "checkpoint")
    with pytest.raises(CheckpointError, match=r"weight: expected \(8, 9\), found \(8, 7\)"):
        tfzoo.TFLxmertModel.from_pretrained(folder, visual_feat_dim=9)


def test_a_folder_without_weights_lists_what_was_looked_for(tmp_path: Path) -> None:
    shutil.copy(DATA / "bare" / "config.json", tmp_path)
    with pytest.raises(tfzoo.HubError, match=r"lacks model\.safetensors.*pytorch_model\.bin.*h5"):
        tfzoo.TFLxmertModel.from_pretrained(tmp_path)
