"""The reader of `pytorch_model.bin` beside PyTorch's own."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

import tfzoo
from tests.models.timesformer.cases import CASES
from tests.support import reference
from tests.support.compare import assert_same
from tests.support.record_torch_pickle import as_arrays, state_dict
from tests.support.reference import torch, transformers
from tests.weights_convert.torch_toys import DATA, torch_file
from weights_convert.checkpoint import open_checkpoint
from weights_convert.errors import CheckpointError


def assert_equal(path: Path, tensors: dict) -> None:
    with open_checkpoint(path) as checkpoint:
        assert list(checkpoint) == list(tensors)
        for name, want in as_arrays(tensors).items():
            got = checkpoint.read_raw(name)
            assert (got.dtype, got.shape) == (want.dtype, want.shape), name
            assert got.tobytes() == np.ascontiguousarray(want).tobytes(), name


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("zipped", [True, False])
def test_whatever_pytorch_writes_today_is_read(zipped: bool, protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    settings = {"_use_new_zipfile_serialization": zipped, "pickle_protocol": protocol}
    torch.save(state_dict(), path, **settings)
    assert_equal(path, state_dict())


def test_random_views(tmp_path: Path) -> None:
    rng = random.Random(0)
    base = torch.arange(5040, dtype=torch.float32).reshape(3, 4, 5, 7, 12)
    views = {}
    for i in range(60):
        view = base.permute(rng.sample(range(5), 5))
        index = [slice(rng.randrange(n), None, rng.randint(1, 3)) for n in view.shape]
        view = view[tuple(index)]
        views[f"view.{i}"] = view[..., 0] if rng.random() < 0.5 else view
    torch.save(views, tmp_path / "views.bin")
    assert_equal(tmp_path / "views.bin", views)


def test_the_recorded_file_is_still_pytorchs() -> None:
    """The older form it writes, but cannot read back itself: of uint16 and wider it stumbles."""
    assert_equal(DATA / "zip.bin", torch.load(DATA / "zip.bin", weights_only=True))


@pytest.mark.parametrize("old", [False, True])
def test_the_toys_of_the_default_tests_are_pytorchs(old: bool, tmp_path: Path) -> None:
    arrays = {"a": np.arange(6.0, dtype="float32").reshape(2, 3), "b": np.arange(4)}
    (tmp_path / "toy.bin").write_bytes(torch_file(arrays, old=old))
    loaded = torch.load(tmp_path / "toy.bin", weights_only=True)
    assert {k: v.numpy().tolist() for k, v in loaded.items()} == {
        k: v.tolist() for k, v in arrays.items()
    }


@pytest.mark.parametrize(
    "value",
    [
        torch.nn.Linear(2, 3),
        {"a": torch.zeros(2).to_sparse()},
        {"a": torch.zeros(2, dtype=torch.complex64)},
        {"a": torch.zeros(2, dtype=torch.float8_e5m2)},
        {"a": np.float64(1.5)},
    ],
    ids=["a module", "sparse", "complex", "float8", "numpy"],
)
@pytest.mark.filterwarnings("ignore")
def test_other_than_plain_tensors_is_refused(value: object, tmp_path: Path) -> None:
    torch.save(value, tmp_path / "x.bin")
    with pytest.raises(CheckpointError, match="the pickle names "):
        open_checkpoint(tmp_path / "x.bin")


@pytest.mark.parametrize("shard_size", ["5GB", "20kB"])
def test_folders_of_the_reference_load(shard_size: str, tmp_path: Path) -> None:
    case = CASES[0]
    oracle = reference.make(case, seed=4)
    oracle.save_pretrained(tmp_path, safe_serialization=False, max_shard_size=shard_size)
    files = {path.name for path in tmp_path.glob("pytorch_model*")}
    assert ("pytorch_model.bin.index.json" in files) == (shard_size == "20kB")
    assert not list(tmp_path.glob("*.safetensors"))
    model = case.tf_class.from_pretrained(tmp_path)
    expected = reference.run(oracle, case.make_inputs(), **case.all_flags)
    assert_same(model(case.make_inputs(), **case.all_flags), expected)


def test_tied_weights_of_a_file_are_one(tmp_path: Path) -> None:
    """Unlike safetensors, a .bin file lists both names; both lead to the same values."""
    config = transformers.LxmertConfig(
        vocab_size=12,
        hidden_size=8,
        num_attention_heads=2,
        intermediate_size=8,
        l_layers=1,
        x_layers=1,
        r_layers=1,
        num_qa_labels=4,
        num_object_labels=3,
        num_attr_labels=3,
        visual_feat_dim=5,
    )
    oracle = transformers.LxmertForPreTraining(config)
    oracle.save_pretrained(tmp_path, safe_serialization=False)
    with open_checkpoint(tmp_path) as checkpoint:
        tied = checkpoint.read("cls.predictions.decoder.weight")
        assert np.array_equal(tied, checkpoint.read("lxmert.embeddings.word_embeddings.weight"))
        assert len(checkpoint) == len(oracle.state_dict())
    model = tfzoo.TFLxmertForPreTraining.from_pretrained(tmp_path)
    assert model.count_params() == sum(p.numel() for p in oracle.parameters())
