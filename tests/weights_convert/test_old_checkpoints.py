"""Checkpoints as years of files have them: other dtypes, old names, shards of every form."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.models.lxmert.cases import CASES as LXMERT
from tests.models.xclip.cases import CASES as XCLIP
from tests.support.cases import Case
from tests.weights_convert.torch_toys import torch_file
from tests.weights_convert.toys import source
from tfzoo.core.variables import slots
from weights_convert.checkpoint import open_checkpoint, write_checkpoint
from weights_convert.compare import rounded
from weights_convert.formats import tensor_file
from weights_convert.tensors import bfloat16_to_float32

HEADS = next(case for case in LXMERT if case.model == "TFLxmertForPreTraining")
PAIRS = next(case for case in XCLIP if case.model == "TFXCLIPModel")


def arrays_of(case: Case) -> dict[str, np.ndarray]:
    with open_checkpoint(case.folder) as tensors:
        return {name: tensors.read(name) for name in tensors}


def write(case: Case, folder: Path, arrays: dict[str, np.ndarray], form: str) -> Path:
    """Write the arrays as one file, or in two shards, and the config beside them."""
    folder.mkdir(exist_ok=True)
    shutil.copy(case.folder / "config.json", folder)
    if form == "safetensors":
        write_checkpoint(folder, [source(name, array) for name, array in arrays.items()])
    elif form == "safetensors shards":
        rows = [source(name, array) for name, array in arrays.items()]
        total = sum(array.nbytes for array in arrays.values())
        write_checkpoint(folder, rows, max_shard_bytes=total // 3)
    elif form == "bin shards":
        halves = [dict(list(arrays.items())[i::2]) for i in (0, 1)]
        names = [f"pytorch_model-0000{i}-of-00002.bin" for i in (1, 2)]
        for name, half, old in zip(names, halves, (False, True), strict=True):
            (folder / name).write_bytes(torch_file(half, old=old))
        places = {key: name for name, half in zip(names, halves, strict=True) for key in half}
        index = {"metadata": {}, "weight_map": places}
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    else:
        (folder / "pytorch_model.bin").write_bytes(torch_file(arrays, old=form == "legacy bin"))
    return folder


def assert_loads_alike(case: Case, folder: Path) -> None:
    found, expected = slots(case.tf_class.from_pretrained(folder)), slots(case.load())
    for path, slot in expected.items():
        np.testing.assert_array_equal(found[path].variable, slot.variable, err_msg=path)


@pytest.mark.parametrize(
    "form", ["safetensors", "safetensors shards", "bin", "legacy bin", "bin shards"]
)
def test_every_form_loads_alike(form: str, tmp_path: Path) -> None:
    assert_loads_alike(PAIRS, write(PAIRS, tmp_path, arrays_of(PAIRS), form))


OLD: dict[str, Callable[[str], str]] = {
    "gamma and beta": lambda name: (
        name.replace("LayerNorm.weight", "LayerNorm.gamma")
        .replace("LayerNorm.bias", "LayerNorm.beta")
        .replace("visn_layer_norm.weight", "visn_layer_norm.gamma")
    ),
    "no base prefix": lambda name: name.removeprefix("lxmert."),
}


@pytest.mark.parametrize("change", OLD)
@pytest.mark.parametrize("form", ["safetensors", "bin"])
def test_old_names_are_known(form: str, change: str, tmp_path: Path) -> None:
    arrays = arrays_of(HEADS)
    renamed = {OLD[change](name): array for name, array in arrays.items()}
    assert set(renamed) != set(arrays)
    assert_loads_alike(HEADS, write(HEADS, tmp_path, renamed, form))


def test_a_base_model_takes_its_part_of_a_whole_one(tmp_path: Path) -> None:
    """An extra prefix: the heads are left out, and what is left is the bare model."""
    import tfzoo

    bare = tfzoo.TFLxmertModel.from_pretrained(HEADS.folder)
    whole = slots(HEADS.load())
    for path, slot in slots(bare).items():
        np.testing.assert_array_equal(slot.variable, whole[f"lxmert.{path}"].variable)
    bare.save_pretrained(tmp_path)
    with open_checkpoint(tmp_path) as tensors:
        assert not any(name.startswith("lxmert.") for name in tensors)


@pytest.mark.parametrize("form", ["safetensors", "bin"])
def test_buffers_are_not_weights(form: str, tmp_path: Path) -> None:
    arrays = arrays_of(PAIRS)
    ids = np.arange(77, dtype=np.float32)[None]
    arrays["text_model.embeddings.position_ids"] = ids
    assert_loads_alike(PAIRS, write(PAIRS, tmp_path, arrays, form))


@pytest.mark.parametrize("code", ["F64", "F32", "F16", "BF16"])
def test_every_float_loads_into_float32(code: str, tmp_path: Path) -> None:
    arrays = {name: rounded(array, "F32", code) for name, array in arrays_of(PAIRS).items()}
    shutil.copy(PAIRS.folder / "config.json", tmp_path)
    write_checkpoint(tmp_path, [source(name, array, code) for name, array in arrays.items()])
    model = PAIRS.tf_class.from_pretrained(tmp_path)
    assert {str(weight.dtype) for weight in model.weights} == {"float32"}
    stored = arrays["visual_projection.weight"]
    expected = bfloat16_to_float32(stored) if code == "BF16" else stored.astype(np.float32)
    np.testing.assert_array_equal(model.visual_projection.kernel, expected.T)


@pytest.mark.parametrize("form", ["safetensors shards", "bin shards"])
def test_shards_are_opened_once_and_read_when_asked(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = arrays_of(PAIRS)
    write(PAIRS, tmp_path, arrays, form)
    opened, read = [], []
    plain_open, plain_read = open, tensor_file.TensorFile.array_at

    def counted_open(path: Path, *args: object, **kwargs: object) -> object:
        opened.append(Path(path).name)
        return plain_open(path, *args, **kwargs)

    def counted_read(
        self: object, at: int, shape: tuple, dtype: np.dtype, name: str, *more: object
    ) -> object:
        read.append(name)
        return plain_read(self, at, shape, dtype, name, *more)

    monkeypatch.setattr(tensor_file, "open", counted_open, raising=False)
    monkeypatch.setattr(tensor_file.TensorFile, "array_at", counted_read)
    with open_checkpoint(tmp_path) as tensors:
        assert not set(read) & set(arrays), "opening reads no tensor"
        for name in tensors:
            tensors.read(name)
    assert sorted(opened) == sorted(set(opened))
    assert len(opened) == len(
        [p for p in tmp_path.iterdir() if p.suffix in (".safetensors", ".bin")]
    )
    assert sorted(name for name in read if name in arrays) == sorted(arrays)
