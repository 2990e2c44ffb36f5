"""`verify` of the command line: the bits of two checkpoints of either form."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from tests.support.lxmert_tf import DATA as LXMERT
from tests.weights_convert.test_cli_convert import (  # noqa: F401 - fixtures
    FORMATS,
    convert,
    converted,
    tiny,
)
from tests.weights_convert.torch_toys import torch_file
from tests.weights_convert.toys import source
from weights_convert.__main__ import main
from weights_convert.checkpoint import open_checkpoint, write_checkpoint

FORMS = ("pytorch", "keras", "weights")


def verify(capsys, first, second, *more, code=0):
    """The report of a comparison."""
    words = ["verify", str(first), str(second), "--weights-only", "--json", *more]
    assert main(words) == code
    report = json.loads(capsys.readouterr().out)
    assert report["same"] is (code == 0)
    return report


@pytest.mark.parametrize("second", FORMS)
@pytest.mark.parametrize("first", FORMS)
def test_every_form_is_equal_to_every_other(first, second, converted, capsys):  # noqa: F811
    files = [converted / FORMATS[form] for form in (first, second)]
    if first == second == "weights":
        assert main(["verify", *map(str, files)]) == 2
        assert "name no model" in capsys.readouterr().err
        return
    report = verify(capsys, *files)
    assert report["tensors"] == report["equal"] > 30
    assert report["differing"] == []


@pytest.mark.parametrize("form", FORMS)
def test_a_changed_weight_is_found_in_every_form(form, tiny, converted, tmp_path, capsys):  # noqa: F811
    import tfzoo

    model = tfzoo.TFTimesformerForVideoClassification.from_pretrained(tiny)
    value = np.array(model.timesformer.layernorm.gamma)
    value[3] += 0.5
    model.timesformer.layernorm.gamma.assign(value)
    model.save_pretrained(tmp_path / "changed")
    target = tmp_path / FORMATS[form]
    assert convert(tmp_path / "changed", target, form) == 0
    capsys.readouterr()
    report = verify(capsys, tiny, target, code=1)
    assert report["differing"] == [
        {
            "name": "timesformer.layernorm.weight",
            "status": "differs",
            "dtypes": ["F32", "F32"],
            "shapes": [[16], [16]],
            "largest": 0.5,
            "count": 1,
        }
    ]
    assert main(["verify", str(target), str(tiny), "--weights-only"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert (
        lines[0] == f"{report['tensors'] - 1} of {report['tensors']} tensors are equal, bit by bit"
    )
    assert lines[2].split()[:2] == ["differs", "timesformer.layernorm.weight"]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("form", FORMS)
def test_converted_dtypes_are_verified(form, dtype, tiny, tmp_path, capsys):  # noqa: F811
    target = tmp_path / FORMATS[form]
    assert convert(tiny, target, form, "--dtype", dtype) == 0
    capsys.readouterr()
    verify(capsys, tiny, target, "--dtype", dtype)
    report = verify(capsys, tiny, target, code=1)
    assert {row["status"] for row in report["differing"]} == {"dtype"}
    assert 0 < max(row["largest"] for row in report["differing"]) < 0.01


def test_old_files_are_equal_to_new_ones(tiny, tmp_path, capsys):  # noqa: F811
    """A pickle without the base prefix, with a buffer beside the weights."""
    with open_checkpoint(tiny) as tensors:
        arrays = {name.removeprefix("timesformer."): tensors.read(name) for name in tensors}
    (tmp_path / "pytorch_model.bin").write_bytes(torch_file(arrays))
    shutil.copy(tiny / "config.json", tmp_path)
    assert verify(capsys, tmp_path, tiny)["equal"] == len(arrays)
    assert verify(capsys, tiny / "model.safetensors", tmp_path / "pytorch_model.bin")["same"]


def test_tensorflows_lxmert_is_equal_to_its_conversion(tmp_path, capsys):
    target = tmp_path / "out"
    assert convert(LXMERT / "bare", target, "pytorch") == 0
    capsys.readouterr()
    verify(capsys, LXMERT / "bare", target)


def test_files_of_unknown_families_are_compared_by_name(tmp_path, capsys):
    ones = np.ones(3, np.float32)
    for folder, last in (("a", "x"), ("b", "y")):
        write_checkpoint(tmp_path / folder, [source("same", ones), source(last, ones)])
    (tmp_path / "a" / "config.json").write_text('{"model_type": "unheard-of"}')
    report = verify(capsys, tmp_path / "a", tmp_path / "b", code=1)
    assert [(row["name"], row["status"]) for row in report["differing"]] == [
        ("x", "missing"),
        ("y", "extra"),
    ]
    assert main(["verify", str(tmp_path / "a"), str(tmp_path / "a")]) == 0
    captured = capsys.readouterr()
    assert captured.out == "2 of 2 tensors are equal, bit by bit\n"
    assert "no config.json of a family of tfzoo; the weights alone were compared" in captured.err


def test_long_lists_are_cut(tmp_path, capsys):
    for value, folder in enumerate("ab"):
        arrays = [source(f"w{i}", np.full(2, value * (i + 1), np.float32)) for i in range(25)]
        write_checkpoint(tmp_path / folder, arrays)
    assert main(["verify", str(tmp_path / "a"), str(tmp_path / "b")]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "0 of 25 tensors are equal, bit by bit"
    assert lines[2].split()[1] == "w24", "the largest difference comes first"
    assert lines[-1] == "... and 5 more"


def test_what_cannot_be_compared(tiny, converted, tmp_path, capsys):  # noqa: F811
    served = converted / FORMATS["savedmodel"]
    assert main(["verify", str(tiny), str(served)]) == 2
    assert "is a SavedModel, not a checkpoint" in capsys.readouterr().err
    write_checkpoint(tmp_path, [source("a", np.ones(3, np.float32))])
    weights = converted / FORMATS["weights"]
    assert main(["verify", str(weights), str(tmp_path)]) == 2
    assert "names no model" in capsys.readouterr().err
    (tmp_path / "x.weights.h5").write_bytes(weights.read_bytes()[:1000])
    assert main(["verify", str(tiny), str(tmp_path / "x.weights.h5")]) == 1
    assert main(["verify", str(tiny), str(tmp_path / "none.weights.h5")]) == 1
    assert "no such file" in capsys.readouterr().err
    assert main(["verify", str(tiny), str(tmp_path / "none.keras")]) == 1
