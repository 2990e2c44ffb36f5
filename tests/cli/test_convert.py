"""`tfzoo convert`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file

import tfzoo
from tests.cli.helpers import (
    LABELS,
    TINY,
    fails,
)
from tests.models.perceiver.cases import CASES as PERCEIVER
from tfzoo.cli import convert
from tfzoo.cli.__main__ import main


def as_pytorch(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / "model.safetensors")


def assert_same_tensors(actual: Path, expected: Path) -> None:
    have, want = as_pytorch(actual), as_pytorch(expected)
    assert sorted(have) == sorted(want)
    for name in want:
        np.testing.assert_array_equal(have[name], want[name], err_msg=name)


def test_convert_to_pytorch(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "new" / "folder"  # parents are made
    assert main(["convert", str(tiny), str(target), "--to", "pytorch"]) == 0
    assert_same_tensors(target, tiny)
    for name in ("preprocessor_config.json", "config.json"):
        assert (target / name).read_bytes() == (tiny / name).read_bytes()
    captured = capsys.readouterr()
    size = sum(file.stat().st_size for file in target.iterdir())
    assert captured.out == (
        f"{target}: TFTimesformerForVideoClassification, 10,563 parameters, {size:,} bytes\n"
    )
    assert captured.err == ""
    assert [path.name for path in target.parent.iterdir()] == ["folder"]


def test_convert_to_keras_and_back(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive, folder = tmp_path / "tiny.keras", tmp_path / "back"
    assert main(["convert", str(tiny), str(archive), "--to", "keras"]) == 0
    loaded = keras.models.load_model(archive)
    assert loaded.config.id2label == LABELS
    assert main(["convert", str(archive), str(folder), "--to", "pytorch"]) == 0
    assert_same_tensors(folder, tiny)
    assert "holds no preprocessor_config.json" in capsys.readouterr().err
    assert not (folder / "preprocessor_config.json").exists()


def test_convert_to_weights(tiny: Path, tmp_path: Path) -> None:
    target = tmp_path / "tiny.weights.h5"
    assert main(["convert", str(tiny), str(target), "--to", "weights"]) == 0
    model = tfzoo.TFTimesformerForVideoClassification(tfzoo.TimesformerConfig(**TINY))
    model.load_weights(target)
    model.save_pretrained(tmp_path / "back")
    assert_same_tensors(tmp_path / "back", tiny)


def test_convert_to_saved_model(tiny: Path, tmp_path: Path) -> None:
    import tensorflow as tf

    target = tmp_path / "served"
    assert main(["convert", str(tiny), str(target), "--to", "savedmodel"]) == 0
    clip = np.random.default_rng(0).normal(size=(2, 4, 3, 16, 16)).astype("float32")
    served = tf.saved_model.load(target).signatures["serving_default"](pixel_values=clip)
    model = tfzoo.TFTimesformerForVideoClassification.from_pretrained(tiny)
    np.testing.assert_allclose(
        served["logits"], np.asarray(model(pixel_values=clip).logits), rtol=1e-4, atol=1e-5
    )


def test_convert_dtype(tiny: Path, tmp_path: Path) -> None:
    archive = tmp_path / "tiny.keras"
    assert main(["convert", str(tiny), str(archive), "--to", "keras"]) == 0
    halves = [tmp_path / "from_folder", tmp_path / "from_archive"]
    for source, target in zip((tiny, archive), halves, strict=True):
        args = ["convert", str(source), str(target), "--to", "pytorch", "--dtype", "float16"]
        assert main(args) == 0
    want = as_pytorch(tiny)
    for target in halves:
        assert json.loads((target / "config.json").read_text())["torch_dtype"] == "float16"
        for name, value in as_pytorch(target).items():
            assert value.dtype == np.float16
            np.testing.assert_array_equal(value, want[name].astype("float16"), err_msg=name)


def test_convert_dtype_keeps_statistics(tmp_path: Path) -> None:
    """Those of a batch norm, which are weights that no step trains."""
    case = next(case for case in PERCEIVER if case.name == "perceiver/conv")
    archive, target = tmp_path / "conv.keras", tmp_path / "half"
    case.load().save(archive)
    args = ["convert", str(archive), str(target), "--to", "pytorch", "--dtype", "float16"]
    assert main(args) == 0
    have, want = as_pytorch(target), as_pytorch(case.folder)
    names = [name for name in want if "running_" in name]
    assert len(names) == 2
    for name in names:
        np.testing.assert_allclose(have[name], want[name], rtol=1e-3, err_msg=name)


def test_convert_keeps_what_exists(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "x.keras"
    target.write_text("precious")
    message = fails(capsys, "convert", tiny, target, "--to", "keras")
    assert f"{target} exists: choose another name, or replace it with --force." in message
    assert target.read_text() == "precious"
    assert main(["convert", str(tiny), str(target), "--to", "keras", "--force"]) == 0
    assert keras.models.load_model(target).config.num_frames == 4
    assert os.listdir(tmp_path) == ["x.keras"]


def test_convert_replaces_a_whole_folder(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / "model-00001-of-00002.safetensors").write_text("a shard of something older")
    assert main(["convert", str(copy), str(copy), "--to", "pytorch", "--force"]) == 0
    assert sorted(os.listdir(copy)) == [
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
    ]
    assert os.listdir(copy.parent) == ["copy"]
    capsys.readouterr()


def test_convert_refuses_dangerous_targets(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusal(target: Path, to: str) -> str:
        return fails(capsys, "convert", copy, target, "--to", to, "--force")

    assert "holds SRC or the working directory" in refusal(tmp_path, "pytorch")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert "holds SRC or the working directory" in refusal(Path("."), "savedmodel")
    folder = tmp_path / "folder.keras"
    folder.mkdir()
    assert "is a folder and would become a file" in refusal(folder, "keras")
    file = tmp_path / "file"
    file.write_text("precious")
    assert "is a file and would become a folder" in refusal(file, "pytorch")
    assert "cannot be written to" in refusal(file / "inside", "pytorch")
    assert file.read_text() == "precious"
    assert sorted(os.listdir(tmp_path)) == ["copy", "file", "folder.keras", "here"]


@pytest.mark.parametrize(("to", "suffix"), [("keras", ".keras"), ("weights", ".weights.h5")])
def test_convert_wants_the_right_suffix(
    to: str, suffix: str, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = fails(capsys, "convert", tiny, tmp_path / "x.h5", "--to", to, code=2)
    assert f"DST must end in {suffix} for --to {to}" in message


def test_convert_refuses_bad_sources(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "out"
    archive = tmp_path / "broken.keras"
    assert "broken.keras" in fails(capsys, "convert", archive, target, "--to", "pytorch")
    archive.write_text("not a zip file")
    message = fails(capsys, "convert", archive, target, "--to", "pytorch")
    assert "is not a .keras file" in message
    message = fails(capsys, "convert", tmp_path / "absent", target, "--to", "pytorch")
    assert "There is no file or folder" in message
    assert not target.exists()


@pytest.mark.parametrize("existing", [False, True])
def test_failed_conversion_leaves_no_trace(
    existing: bool,
    tiny: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def write_half(model: Any, path: Path, *_: Any) -> None:
        path.mkdir()
        (path / "model.safetensors").write_text("half")
        raise OSError("No space left on device")

    target = tmp_path / "out"
    if existing:
        target.mkdir()
        (target / "old").write_text("old")
    monkeypatch.setattr(convert, "_write", write_half)
    message = fails(capsys, "convert", tiny, target, "--to", "pytorch", "--force")
    assert "No space left on device" in message
    assert os.listdir(tmp_path) == (["out"] if existing else [])
    assert not existing or (target / "old").read_text() == "old"


def test_target_that_appears_meanwhile_is_kept(
    tiny: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target = tmp_path / "out.keras"

    def write_slowly(model: Any, path: Path, *_: Any) -> None:
        path.write_text("ours")
        target.write_text("theirs")

    monkeypatch.setattr(convert, "_write", write_slowly)
    message = fails(capsys, "convert", tiny, target, "--to", "keras")
    assert "has come to exist meanwhile" in message
    assert target.read_text() == "theirs"
    assert os.listdir(tmp_path) == ["out.keras"]
