"""`tfzoo demo`, and what `tfzoo predict` takes where no model is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import tfzoo
from recipes.samples import write_demo, write_film
from tests.cli.helpers import PHOTO, VIDEO, fails, run_json
from tests.support.lxmert_checkpoint import write_lxmert_checkpoint, write_regions
from tests.support.owlv2_checkpoint import write_owlv2_checkpoint
from tests.support.perceiver_checkpoint import write_perceiver_checkpoint
from tests.support.tvp_checkpoint import write_tvp_checkpoint
from tests.support.xclip_checkpoint import write_xclip_checkpoint
from tfzoo.assets import shipped_checkpoints
from tfzoo.cli.__main__ import main


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of untrained checkpoints under the names of the shipped ones."""
    home = tmp_path_factory.mktemp("assets")
    write_xclip_checkpoint(home / "xclip-camera-motion")
    write_owlv2_checkpoint(home / "owlv2-shapes")
    write_tvp_checkpoint(home / "tvp-pans")
    write_perceiver_checkpoint(home / "perceiver-bytes", "language-perceiver")
    write_lxmert_checkpoint(home / "lxmert-easy-vqa")
    for folder in home.iterdir():
        shutil.copy(tfzoo.default_checkpoint(folder.name) / "card.json", folder)
    return home


@pytest.fixture
def shipped(assets: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tfzoo.assets._HOME", assets)
    return assets


def test_the_names_of_the_shipped_checkpoints() -> None:
    found = shipped_checkpoints()
    assert list(found) == sorted(found)
    assert found["timesformer-camera-motion"] == tfzoo.default_checkpoint()
    with pytest.raises(FileNotFoundError, match="ships no checkpoint 'nothing'; it ships"):
        tfzoo.default_checkpoint("nothing")


def test_predict_takes_what_fits(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run_json(capsys, "predict", VIDEO, "--labels", "a cat", "a dog")
    assert found["model"] == "xclip-camera-motion"
    assert {row["label"] for row in found["predictions"]} == {"a cat", "a dog"}
    found = run_json(capsys, "predict", PHOTO, "--labels", "a cat", "--threshold", "0")
    assert found["model"] == "owlv2-shapes"
    assert found["detections"]
    found = run_json(capsys, "predict", VIDEO, "--query", "the dog runs")
    assert found["model"] == "tvp-pans"
    assert len(found["moments"]) == 1


def test_unknown_words_are_noted(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run_json(capsys, "predict", PHOTO, "--labels", "a red circle", "--threshold", "0")
    assert "note" not in found
    assert main(["predict", str(PHOTO), "--labels", "a cup", "--model", "owlv2-shapes"]) == 0
    assert capsys.readouterr().err == (
        f"tfzoo: {PHOTO}: knows coloured shapes only; for anything a text can name: --model "
        "google/owlv2-base-patch16-ensemble\n"
    )


def test_predict_fills_a_text(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run_json(capsys, "predict", "--text", "m[MASK]ssing")
    assert found["model"] == "perceiver-bytes"
    assert len(found["candidates"]) == 1


def test_demo_of_a_film(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = shipped / "xclip-camera-motion"
    frames = np.random.default_rng(0).integers(0, 256, (8, 40, 40, 3), np.uint8)
    write_film(folder / "sample.gif", frames)
    words = ["sample.gif", "--labels", "a pan", "a zoom"]
    write_demo(folder, "tells motions", "a pan", words)
    assert main(["demo", "xclip"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("xclip-camera-motion: tells motions\n$ tfzoo predict ")
    assert "a zoom" in printed
    assert printed.endswith("truth: a pan\n")
    found = run_json(capsys, "demo", "xclip")
    assert found["file"] == str(folder / "sample.gif")
    (folder / "demo.json").unlink()


def test_demo_of_a_question(
    shipped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shipped / "lxmert-easy-vqa"
    write_regions(folder / "sample.tsv", "7")
    write_demo(folder, "answers", "yes", ["sample.tsv", "--question", "is it a cat?"])
    found = run_json(capsys, "demo", "lxmert")
    assert found["question"] == "is it a cat?"
    assert found["answer"] in {"yes", "no", "two"}
    assert 1 / 3 <= found["score"] <= 1
    assert main(["demo"]) == 0, "all that there are"
    printed = capsys.readouterr().out
    assert printed.startswith("lxmert-easy-vqa: answers\n$ tfzoo predict ")
    assert "\nis it a cat?  " in printed
    assert "truth: yes" in printed
    message = fails(capsys, "demo", "tvp", code=2)
    assert "No checkpoint with a sample ships for tvp; there are such for lxmert." in message
    (folder / "demo.json").unlink()


def test_demo_refuses(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = fails(capsys, "demo", "bert", code=2)
    assert "expected one of the families lxmert" in message
    assert "got 'bert'" in message
    assert "No checkpoint with a sample ships" in fails(capsys, "demo", code=2)


def test_shipped_samples_are_whole() -> None:
    """Every `demo.json` beside a shipped checkpoint names files that are there."""
    for folder in shipped_checkpoints().values():
        path = folder / "demo.json"
        if path.is_file():
            sample = json.loads(path.read_text("utf-8"))
            assert set(sample) == {"about", "truth", "predict"}
            named = [word for word in sample["predict"] if "sample" in word]
            assert all((folder / name).is_file() for name in named)
