"""What `save_pretrained` writes: files, shards, failures. A case of each family."""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from typing import ClassVar

import pytest

from tests.support.cases import Case
from tfzoo.registry import families
from weights_convert.checkpoint import open_checkpoint

FILES = ["config.json", "model.safetensors"]
CASES = tuple(
    importlib.import_module(f"tests.models.{family.name}.cases").CASES[0] for family in families()
)


class TestSavedCheckpoints:
    cases: ClassVar[tuple[Case, ...]] = CASES

    def test_saved_folder_is_as_pytorch_writes_it(self, case: Case, tmp_path: Path) -> None:
        case.load().save_pretrained(tmp_path)
        assert sorted(p.name for p in tmp_path.iterdir()) == FILES
        saved = json.loads((tmp_path / "config.json").read_text())
        assert saved["model_type"] == case.tf_class.config_class.model_type
        assert saved["architectures"] == [case.torch_class]
        assert saved["torch_dtype"] == "float32"
        with open_checkpoint(tmp_path) as tensors:
            assert tensors.metadata == {"format": "pt"}
            assert {tensors[name].dtype for name in tensors} <= {"F32", "I64"}

    def test_shards_are_bit_equal(self, case: Case, tmp_path: Path) -> None:
        model = case.load()
        with open_checkpoint(case.folder) as before:
            sizes = {name: before.read(name).nbytes for name in before}
            limit = max(max(sizes.values()), sum(sizes.values()) // 3)
            model.save_pretrained(tmp_path, max_shard_size=limit)
            shards = sorted(tmp_path.glob("model-*.safetensors"))
            assert len(shards) > 1
            for shard in shards:
                with open_checkpoint(shard) as tensors:
                    assert tensors.metadata == {"format": "pt"}
                    assert sum(sizes[name] for name in tensors) <= limit
            with open_checkpoint(tmp_path) as after:
                assert sorted(after) == sorted(before)
                for name in before:
                    assert before.read(name).tobytes() == after.read(name).tobytes(), name
        model.save_pretrained(tmp_path)  # the shards of before must not stay
        assert sorted(p.name for p in tmp_path.iterdir()) == FILES

    def test_broken_write_leaves_the_old_checkpoint(
        self, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = case.load()
        model.save_pretrained(tmp_path)
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        last = model.weights[-1]
        last.assign(last + 1)

        def fail(*_: object) -> None:
            raise OSError("disk full")

        monkeypatch.setattr(os, "fsync", fail)  # once the bytes are written
        with pytest.raises(OSError, match="disk full"):
            model.save_pretrained(tmp_path)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
