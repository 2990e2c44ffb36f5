"""`tfzoo export`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfzoo
from tests.cli.helpers import fails, run_json
from tests.support.paths import FIXTURES
from tests.support.served import FORMATS
from tfzoo.cli.__main__ import main
from tfzoo.cli.console import UsageError
from tfzoo.cli.export import _texts
from tfzoo.export import formats
from tfzoo.export.saved_model import WARMUP_FILE, read_signatures


def test_export_for_a_server(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(tiny), str(tmp_path / "clips"), "--top-k", "2"]) == 0
    captured = capsys.readouterr()
    folder = tmp_path / "clips" / "1"
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    assert captured.out == (
        f"{folder}: TFTimesformerForVideoClassification, {size:,} bytes\n"
        "  classify_frames: frames -> labels, scores\n"
        "  serving_default: pixel_values -> logits\n"
    )
    assert captured.err == ""
    assert (folder / WARMUP_FILE).is_file()
    _, outputs = read_signatures(folder)["classify_frames"]
    assert np.all([spec.shape[0] is None for spec in outputs.values()])


def test_keras_files(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "tiny.keras"
    tfzoo.TFTimesformerForVideoClassification.from_pretrained(tiny).save(file)
    wanted = ("--signature", "classify_frames", "--no-warmup")
    message = fails(capsys, "export", file, tmp_path / "x", *wanted)
    assert f"{file} holds no processor, and neither does its folder" in message
    (tmp_path / "empty").mkdir()
    more = ("--processor", tmp_path / "empty", *wanted)
    assert "empty holds no processor." in fails(
        capsys, "export", file, tmp_path / "x", *more, code=2
    )
    answer = run_json(capsys, "export", file, tmp_path / "x", "--processor", tiny, *wanted)
    assert sorted(answer["signatures"]) == ["classify_frames", "serving_default"]


@pytest.mark.slow
def test_labels_come_from_a_file(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import tensorflow as tf

    file = tmp_path / "labels.txt"
    file.write_text("one, or first\ntwo\nthree\n", encoding="utf-8")
    photo = (FIXTURES / "photos" / "coffee.jpg").read_bytes()
    answer = run_json(
        capsys,
        *("export", tiny, tmp_path / "clips", "--labels", file, "--version", "7"),
        *("--signature", "classify_frames", "--no-warmup"),
    )
    assert answer["target"] == str(tmp_path / "clips" / "7")
    assert sorted(answer["signatures"]) == ["classify_frames", "serving_default"]
    assert not (Path(answer["target"]) / WARMUP_FILE).exists()
    signature = tf.saved_model.load(answer["target"]).signatures["classify_frames"]
    found = signature(frames=tf.constant([[photo] * 4]))["labels"].numpy()[0]
    assert sorted(label.decode() for label in found) == sorted(file.read_text().splitlines())


@pytest.mark.slow
def test_versions_are_kept(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    version = tmp_path / "clips" / "1"
    version.mkdir(parents=True)
    assert f"{version} exists" in fails(capsys, "export", tiny, version.parent)
    assert os.listdir(version.parent) == ["1"]
    assert os.listdir(version) == []


def test_wrong_usage(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refusal(*args: str | Path, code: int = 2) -> str:
        message = fails(capsys, "export", *args, code=code)
        assert not (tmp_path / "x").exists()
        return message

    target = tmp_path / "x"
    assert "there is no file absent.txt" in refusal(tiny, target, "--labels", "absent.txt")
    assert "text 2 of a,,b is empty" in refusal(tiny, target, "--labels", "a,,b")
    lite = ("--format", "litert")
    assert "--version is for --format savedmodel" in refusal(tiny, target, "--version", "3", *lite)
    assert "--top-k is for --format" in refusal(tiny, target, "--top-k", "3", *lite)
    assert "--shape is for" in refusal(tiny, target, "--shape", "pixel_values=1")
    assert "must look like" in refusal(tiny, target, "--shape", "pixel_values", *lite)
    assert "No such file" in refusal("model.keras", target, code=1)
    assert "--dtype is for checkpoints" in refusal("a.keras", target, "--dtype", "bfloat16")
    assert "each of the 3 classes" in refusal(tiny, target, "--labels", "a,b", code=1)
    assert "no queries" in refusal(tiny, target, "--queries", "a,b", code=1)
    message = refusal(tiny, target, "--signature", "clasify_frames", code=1)
    assert "did you mean 'classify_frames'" in message
    assert main(["export", str(tiny), str(target), "--version", "one"]) == 2
    assert "expected a whole number from 0" in capsys.readouterr().err


def test_texts_as_other_programs_write_them(tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_bytes("\ufeffa cat\r\nein Löwe\r\n".encode())
    assert list(_texts("--labels", str(file))) == ["a cat", "ein Löwe"]
    file.write_bytes("ein Löwe".encode("latin-1"))
    with pytest.raises(UsageError, match=r"labels\.txt is not text in UTF-8"):
        list(_texts("--labels", str(file)))
    many = [f"class {number}" for number in range(1000)]  # more than the name of a file may have
    assert list(_texts("--labels", ",".join(many))) == many


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.slow
def test_other_formats(
    format: str, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / f"clips{formats.SUFFIXES[format]}"
    answer = run_json(capsys, "export", tiny, target, "--format", format)
    assert answer["bytes"] == target.stat().st_size > 40_000
    assert 0 < answer["differences"]["logits"] < 1e-4
    assert answer["shapes"]["pixel_values"][0] is None
    assert "exists: choose another name" in fails(
        capsys, "export", tiny, target, "--format", format
    )
    wrong = tmp_path / "clips.bin"
    message = fails(capsys, "export", tiny, wrong, "--format", format)
    assert f"ends in {formats.SUFFIXES[format]}, got 'clips.bin'" in message
    assert os.listdir(tmp_path) == [target.name]


@pytest.mark.slow
def test_text_shows_the_differences(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "clips.onnx"
    assert main(["export", str(tiny), str(target), "--format", "onnx"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{target}: TFTimesformerForVideoClassification, ")
    assert lines[1] == "  takes pixel_values: any, any, 3, any, any"
    assert lines[2].startswith("  logits: differs by ")


@pytest.mark.slow
def test_operations_in_the_way_are_named(
    tiny: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import tensorflow as tf

    cls = tfzoo.TFTimesformerForVideoClassification
    original = cls.serving_outputs

    def with_strings(self: Any, **inputs: Any) -> dict[str, Any]:
        outputs = original(self, **inputs)
        hashed = tf.strings.to_hash_bucket_strong(
            tf.strings.as_string(outputs["logits"]), 9, [1, 2]
        )
        return {"hashed": hashed}

    monkeypatch.setattr(cls, "serving_outputs", with_strings)
    target = tmp_path / "clips.onnx"
    message = fails(capsys, "export", tiny, target, "--format", "onnx")
    assert "StringToHashBucketStrong" in message
    assert os.listdir(tmp_path) == []
