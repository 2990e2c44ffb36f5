from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from tests.weights_convert.toys import source
from weights_convert.__main__ import main
from weights_convert.checkpoint import open_checkpoint, write_checkpoint


@pytest.fixture
def folder(tmp_path):
    """A checkpoint whose layers run past nine, with a config beside it."""
    arrays = [
        source(f"layer.{i}.weight", np.zeros((2, 500), np.float32)) for i in (0, 1, 10, 11, 2)
    ]
    arrays += [
        source("layer.3.weight", np.zeros((3, 500), np.float16), "F16"),
        source("conv1.weight", np.zeros(4, np.float32)),
    ]
    write_checkpoint(tmp_path, arrays, metadata={"format": "pt"})
    config = {"model_type": "toy", "width": 500, "id2label": {str(i): "name" for i in range(9)}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def test_inspect_folds_indices(folder, capsys):
    assert main(["inspect", str(folder), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["model_type"] == "toy"
    assert report["metadata"] == {"format": "pt"}
    assert report["config"]["width"] == 500
    assert (report["tensors"], report["bytes"]) == (7, 5 * 4000 + 3000 + 16)
    conv, layers = report["groups"]
    assert conv["name"] == "conv1.weight"
    assert layers == {
        "name": "layer.*.weight",
        "count": 6,
        "dtypes": ["F32", "F16"],
        "shapes": [[2, 500], [3, 500]],
        "bytes": 23_000,
    }


def test_inspect_prints_a_table(folder, capsys):
    assert main(["inspect", str(folder / "model.safetensors")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("7 tensors, 0.02 MB")
    assert lines[1:3] == ["model_type: toy", 'metadata: {"format": "pt"}']
    assert lines[3] == "config: id2label=9 entries, width=500"
    assert lines[-1].split() == [
        "6",
        "F32",
        "F16",
        "(2,",
        "500)",
        "(3,",
        "500)",
        "0.02",
        "layer.*.weight",
    ]


def test_inspect_needs_no_framework(folder):
    code = (
        "import sys; from weights_convert.__main__ import main; "
        f"code = main(['inspect', {str(folder)!r}]); "
        "heavy = {'tensorflow', 'keras', 'torch', 'tfzoo.auto'} & set(sys.modules); "
        "sys.exit(code or len(heavy))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_the_package_is_a_command(folder):
    command = [sys.executable, "-m", "weights_convert", "inspect", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "layer.*.weight" in done.stdout


def fault(arguments, capsys) -> str:
    """Run a command that must fail, and return its one message."""
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("weights_convert: ")
    assert "Traceback" not in captured.err
    return captured.err


def test_a_malformed_checkpoint_is_one_message(folder, capsys):
    (folder / "model.safetensors").write_bytes(b"1234")
    assert "expected at least 8 bytes, found 4" in fault(["inspect", str(folder)], capsys)


def test_a_malformed_config_is_one_message(folder, capsys):
    (folder / "config.json").write_text("{")
    assert "not valid JSON" in fault(["inspect", str(folder)], capsys)
    (folder / "config.json").write_text("[]")
    assert "must hold a JSON object" in fault(["inspect", str(folder)], capsys)


def test_inspect_without_a_config_says_so(folder, capsys):
    (folder / "config.json").unlink()
    assert main(["inspect", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "model_type: unknown, no config.json beside it names one"
    assert lines[3] == "config: none"


@pytest.mark.parametrize(
    "words",
    [["inspect"], ["plan"], ["convert", "out.keras", "--to", "keras"], ["verify", "no-other"]],
    ids=lambda words: words[0],
)
def test_a_missing_checkpoint_is_one_message(words, tmp_path, capsys):
    command, *rest = words
    assert "no-such-folder" in fault([command, str(tmp_path / "no-such-folder"), *rest], capsys)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["inspect"],
        ["paint", "x"],
        ["inspect", "x", "--xml"],
        ["convert", "a", "b"],
        ["convert", "a", "b", "--to", "onnx"],
        ["convert", "a", "b", "--to", "keras", "--dtype", "int8"],
        ["verify", "a"],
        ["verify", "a", "b", "--tolerance", "small"],
    ],
)
def test_misspelt_commands_exit_with_2(words, capsys):
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A tiny TimeSformer classifier, saved."""
    from tfzoo import TFTimesformerForVideoClassification, TimesformerConfig

    config = TimesformerConfig(
        image_size=16,
        patch_size=8,
        num_frames=2,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=12,
        num_labels=3,
    )
    folder = tmp_path_factory.mktemp("classifier")
    TFTimesformerForVideoClassification(config).save_pretrained(folder)
    return folder


def test_plan_shows_where_every_tensor_goes(classifier, capsys):
    assert main(["plan", str(classifier), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["fits"] is True
    rows = {row["tensor"]: row for row in report["rows"]}
    with open_checkpoint(classifier) as checkpoint:
        assert set(rows) == set(checkpoint)
    assert rows["timesformer.encoder.layer.0.attention.attention.qkv.weight"] == {
        "status": "ok",
        "tensor": "timesformer.encoder.layer.0.attention.attention.qkv.weight",
        "found": [24, 8],
        "variable": "timesformer.encoder.layer.0.attention.qkv.kernel",
        "expected": [24, 8],
        "transform": "transpose (1, 0)",
    }
    assert rows["timesformer.embeddings.cls_token"]["transform"] == "as is"


def test_plan_puts_what_does_not_fit_first(classifier, tmp_path, capsys):
    with open_checkpoint(classifier) as checkpoint:
        arrays = {name: checkpoint.read(name) for name in checkpoint}
    arrays["classifier.weight"] = np.zeros((5, 8), np.float32)
    arrays["timesformer.norm.weight"] = arrays.pop("timesformer.layernorm.weight")
    write_checkpoint(tmp_path, [source(name, array) for name, array in arrays.items()])
    (tmp_path / "config.json").write_bytes((classifier / "config.json").read_bytes())
    assert main(["plan", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert captured.err == ""
    rows = [line.split() for line in captured.out.splitlines()]
    assert rows[0] == ["status", "tensor", "found", "variable", "expected", "transform"]
    assert rows[1][:3] == ["missing", "timesformer.layernorm.weight", "-"]
    assert rows[2] == ["unexpected", "timesformer.norm.weight", "(8)", "-", "-", "-"]
    assert rows[3][:4] == ["mismatched", "classifier.weight", "(5,", "8)"]
    assert {row[0] for row in rows[4:]} == {"ok"}


def test_plan_without_a_config_is_one_message(folder, capsys):
    (folder / "config.json").unlink()
    assert "config.json" in fault(["plan", str(folder)], capsys)
