"""`verify` and the outputs, without PyTorch; with it: tests/weights_convert/parity_verify.py."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from tests.models.xclip.cases import CASES
from tests.support.processes import run_python
from tests.weights_convert.test_cli_convert import converted, tiny  # noqa: F401 - fixtures
from tfzoo.cli import outputs
from weights_convert.__main__ import main
from weights_convert.reference import flatten


@pytest.fixture
def reference(monkeypatch):
    """Stands for PyTorch: gives tfzoo's own outputs, off by what `noise` says."""
    noise: dict[str, float] = {}

    def run(folder, torch_class, inputs):
        import tfzoo

        model = getattr(tfzoo, f"TF{torch_class}").from_pretrained(folder)
        found = {name: np.array(v) for name, v in flatten(model(dict(inputs))).items()}
        for name, off in noise.items():
            if name == "lost":
                del found["logits"]
            else:
                found[name].reshape(-1)[0] += off * np.abs(found[name]).max()
        return found

    monkeypatch.setattr(outputs, "_reference", run)
    return noise


@pytest.mark.parametrize("swapped", [False, True])
def test_outputs_are_compared_and_tabled(swapped, tiny, converted, reference, capsys):  # noqa: F811
    sides = [str(tiny), str(converted / "x.keras")][:: -1 if swapped else 1]
    assert main(["verify", *sides, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["outputs"]
    assert (row["output"], row["shape"], row["difference"]) == ("logits", [1, 3], 0)
    assert row["magnitude"] > 0
    reference["logits"] = 0.01
    assert main(["verify", *sides]) == 1, "the weights are equal, the outputs are not"
    lines = capsys.readouterr().out.splitlines()
    assert "tensors are equal, bit by bit" in lines[0]
    assert lines[2].split() == [
        "output",
        "shape",
        "largest",
        "magnitude",
        "largest",
        "difference",
        "relative",
    ]
    assert lines[3].split()[:3] == ["logits", "(1,", "3)"]
    assert float(lines[3].split()[-1]) == pytest.approx(0.01, rel=0.1)
    assert main(["verify", *sides, "--tolerance", "0.1"]) == 0


def test_nan_is_too_far(tiny, converted, reference, capsys):  # noqa: F811
    reference["logits"] = float("nan")
    assert main(["verify", str(tiny), str(converted / "x.keras")]) == 1


def test_other_outputs_are_an_error(tiny, converted, reference, capsys):  # noqa: F811
    reference["lost"] = 1
    assert main(["verify", str(tiny), str(converted / "x.keras")]) == 1
    assert "the outputs have other names or shapes" in capsys.readouterr().err


@pytest.mark.slow
def test_without_pytorch_the_weights_are_compared(tiny, converted, tmp_path):  # noqa: F811
    """And nothing of PyTorch is ever imported into the process itself."""
    (tmp_path / "torch.py").write_text("raise ImportError('not installed')")
    code = """
import contextlib, io, os, sys
from weights_convert.__main__ import main
os.environ["PYTHONPATH"] = sys.argv[1]
with contextlib.redirect_stderr(io.StringIO()) as said:
    print(main(["verify", *sys.argv[2:]]))
print("torch and transformers are not installed" in said.getvalue())
print({"torch", "transformers"} & set(sys.modules))
"""
    said = run_python(code, tmp_path, tiny, converted / "folder").splitlines()
    assert said[1:] == ["0", "True", "set()"]


@pytest.mark.parametrize(
    ("program", "message"),
    [("raise ValueError('no such thing')", "no such thing"), ("raise SystemExit(9)", "code 9")],
)
def test_a_failing_reference_is_one_message(
    program,
    message,
    tiny,  # noqa: F811
    tmp_path,
    monkeypatch,
    capsys,
):
    (tmp_path / "torch.py").write_text(program)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert main(["verify", str(tiny), str(tiny)]) == 1
    captured = capsys.readouterr()
    assert "TimesformerForVideoClassification of transformers fails on" in captured.err
    assert message in captured.err
    assert "--weights-only" in captured.err
    assert main(["verify", str(tiny), str(tiny), "--weights-only"]) == 0


def test_what_has_no_outputs_to_compare_says_so(converted, capsys):  # noqa: F811
    files = [str(converted / name) for name in ("x.keras", "x.weights.h5")]
    assert main(["verify", *files]) == 0
    assert "neither side is of PyTorch's form" in capsys.readouterr().err


def test_random_inputs_are_what_the_models_take():
    """The same in every run, of every family's kinds: here pixels, ids and masks."""
    model = next(case for case in CASES if case.model == "TFXCLIPModel").load()
    made = outputs.random_inputs(model)
    again = outputs.random_inputs(model)
    assert {name: (a.shape, a.dtype.kind) for name, a in made.items()} == {
        "input_ids": ((1, 8), "i"),
        "attention_mask": ((1, 8), "i"),
        "pixel_values": ((1, *model._table.specs(model.config)["pixel_values"].shape[1:]), "f"),
    }
    assert all(np.array_equal(made[name], again[name]) for name in made)
    assert (made["attention_mask"] == 1).all()
    assert made["input_ids"].min() > 0
    assert "torch" not in sys.modules
