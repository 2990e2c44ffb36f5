"""`verify` with PyTorch installed: every class, its outputs on random input beside PyTorch's.

PyTorch runs in this process for the classes, and as for users, in one of its own, in the last two.

The frames of TVP's down-padding prompter are left out: the reference fails on it, and the command
says so.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.cases import Case
from tests.support.family_checks import checks_of, first_of_each_class
from tfzoo.registry import families
from weights_convert import reference
from weights_convert.__main__ import main

CASES = [
    case for family in families() for case in first_of_each_class(checks_of(family.name).cases)
]


def run_here(job: list[str], **_: Any) -> SimpleNamespace:
    """Run the job that asks for PyTorch's outputs, without a process."""
    return SimpleNamespace(returncode=reference.main(job[3:]))


@pytest.mark.parametrize("checked", CASES, ids=lambda case: case.name)
def test_outputs_are_the_references(
    checked: Case,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subprocess, "run", run_here)
    target = tmp_path / "x.keras"
    assert main(["convert", str(checked.folder), str(target), "--to", "keras"]) == 0
    capsys.readouterr()
    words = ["verify", str(checked.folder), str(target), "--json", "--tolerance", "1e-5"]
    assert main(words) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["same"]
    assert report["equal"] == report["tensors"]
    assert report["outputs"], "nothing was compared"
    assert max(row["relative"] for row in report["outputs"]) <= 1e-5
    assert max(row["magnitude"] for row in report["outputs"]) > 0


def test_the_checkpoint_may_come_second(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, target = str(CASES[0].folder), str(tmp_path / "x.keras")
    assert main(["convert", folder, target, "--to", "keras"]) == 0
    assert main(["verify", target, folder]) == 0
    assert "outputs in PyTorch and in tfzoo" in capsys.readouterr().out


def test_a_failing_reference_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = CASES[-1].folder.parents[1] / "tvp" / "down_add"
    assert main(["verify", str(folder), str(folder)]) == 1
    assert "TvpForVideoGrounding of transformers fails on" in capsys.readouterr().err
    assert main(["verify", str(folder), str(folder), "--weights-only"]) == 0
