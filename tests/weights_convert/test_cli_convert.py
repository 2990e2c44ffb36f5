"""`convert` of the command line: every format, and what is there already."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.cli.helpers import TINY
from tests.support.paths import ROOT
from weights_convert.__main__ import main

FORMATS = {
    "pytorch": "folder",
    "keras": "x.keras",
    "weights": "x.weights.h5",
    "savedmodel": "served",
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A TimeSformer of 10,000 weights, with its processor."""
    import tfzoo

    folder = tmp_path_factory.mktemp("tiny") / "checkpoint"
    tfzoo.TFTimesformerForVideoClassification(tfzoo.TimesformerConfig(**TINY)).save_pretrained(
        folder
    )
    tfzoo.VideoMAEImageProcessor(size={"shortest_edge": 16}, crop_size=16).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def converted(tiny, tmp_path_factory):
    """That checkpoint in each format."""
    folder = tmp_path_factory.mktemp("converted")
    for to, name in FORMATS.items():
        assert main(["convert", str(tiny), str(folder / name), "--to", to]) == 0
    return folder


def convert(source, target, to, *more):
    return main(["convert", str(source), str(target), "--to", to, *more])


def snapshot(path):
    """Content and time of every file: a file that was written again has another time."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {str(f): (f.read_bytes(), f.stat().st_mtime_ns) for f in files if f.is_file()}


@pytest.mark.parametrize("to", FORMATS)
def test_what_is_finished_is_left(to, tiny, converted, capsys):
    target = converted / FORMATS[to]
    before = snapshot(target)
    assert convert(tiny, target, to, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["written"] is False
    assert (report["class"], report["to"]) == ("TFTimesformerForVideoClassification", to)
    assert report["bytes"] == sum(len(content) for content, _ in before.values())
    assert snapshot(target) == before
    assert convert(tiny, target, to) == 0
    assert "finished before: kept" in capsys.readouterr().out


def break_off(target, to):
    """Leave half of the target, as a full disk or an interrupted copy does."""
    if to == "pytorch":
        target = target / "model.safetensors"
    elif to == "savedmodel":
        target = target / "variables" / "variables.data-00000-of-00001"
    target.write_bytes(target.read_bytes()[: target.stat().st_size // 2])


@pytest.mark.parametrize("to", FORMATS)
def test_what_cannot_be_read_is_precious(to, tiny, converted, tmp_path, capsys):
    source, target = converted / FORMATS[to], tmp_path / FORMATS[to]
    (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    break_off(target, to)
    before = snapshot(target)
    assert convert(tiny, target, to) == 1
    assert "choose another name, or replace it with --force" in capsys.readouterr().err
    assert snapshot(target) == before
    assert convert(tiny, target, to, "--force", "--json") == 0
    assert json.loads(capsys.readouterr().out)["written"] is True
    assert convert(tiny, target, to, "--json") == 0
    assert json.loads(capsys.readouterr().out)["written"] is False
    assert os.listdir(tmp_path) == [FORMATS[to]]


@pytest.mark.parametrize("to", FORMATS)
def test_a_finished_conversion_of_something_else_is_precious(to, tiny, converted, tmp_path, capsys):
    """Here: of the same model in another dtype."""
    target = converted / FORMATS[to]
    before = snapshot(target)
    assert convert(tiny, target, to, "--dtype", "bfloat16") == 1
    assert "choose another name, or replace it with --force" in capsys.readouterr().err
    assert snapshot(target) == before


def test_files_beside_the_weights_count(tiny, tmp_path, capsys):
    target = tmp_path / "out"
    assert convert(tiny, target, "pytorch") == 0
    (target / "preprocessor_config.json").write_text("{}")
    assert convert(tiny, target, "pytorch") == 1
    assert "--force" in capsys.readouterr().err
    (target / "preprocessor_config.json").unlink()
    assert convert(tiny, target, "pytorch") == 1
    assert convert(tiny, target, "pytorch", "--force") == 0
    config = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps(config | {"num_frames": 5}))
    assert convert(tiny, target, "pytorch") == 1
    (target / "notes.txt").write_text("mine")
    assert convert(tiny, target, "pytorch") == 1
    assert (target / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "files",
    [
        {"vocab.txt": "my words", "tokenizer.json": "{}"},
        {"config.json": "{}", "model-best.safetensors": "weeks of training"},
        {"variables/mine": "weeks of training"},
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("to", ["pytorch", "savedmodel"])
def test_a_folder_of_somebody_else_stays(to, files, tiny, tmp_path):
    target = tmp_path / "dst"
    for name, text in files.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_text(text)
    before = snapshot(target)
    assert convert(tiny, target, to) == 1
    assert snapshot(target) == before


def test_an_empty_folder_is_not_in_the_way(tiny, tmp_path):
    assert convert(tiny, tmp_path, "pytorch") == 0
    assert (tmp_path / "config.json").is_file()


def test_a_conversion_in_shards_is_finished(tiny, tmp_path):
    import tfzoo

    target = tmp_path / "out"
    model = tfzoo.TFTimesformerForVideoClassification.from_pretrained(tiny)
    model.save_pretrained(target, max_shard_size="10KB")
    shutil.copy(tiny / "preprocessor_config.json", target)
    before = snapshot(target)
    assert convert(tiny, target, "pytorch") == 0
    assert snapshot(target) == before
    (target / "model.safetensors.index.json").unlink()
    assert convert(tiny, target, "pytorch") == 1
    assert convert(tiny, target, "pytorch", "--force") == 0
    assert {path.name for path in target.iterdir()} == {
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
    }


KILLED = """
import sys, time
from tfzoo.cli import convert
from weights_convert.__main__ import main
write = convert._write
def write_slowly(model, path, to):
    write(model, path, to)
    print("written", flush=True)
    time.sleep(60)
convert._write = write_slowly
main(["convert", *sys.argv[1:], "--to", "keras"])
"""


@pytest.mark.slow
def test_nothing_of_a_killed_process_stays(tiny, tmp_path):
    target = tmp_path / "x.keras"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tiny), str(target)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "written\n"
        (workshop,) = tmp_path.iterdir()
        assert (workshop / "x.keras").is_file()
        assert convert(tiny, tmp_path / "other.keras", "keras") == 0
        assert convert(tiny, target, "keras") == 0  # while the other is at work: it keeps its own
        assert workshop.is_dir()
        target.unlink()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
        process.stdout.close()
    assert workshop.is_dir()
    start = time.monotonic()
    assert convert(tiny, target, "keras") == 0
    assert sorted(os.listdir(tmp_path)) == ["other.keras", "x.keras"]
    assert time.monotonic() - start < 60


def test_wrong_usage_is_2_and_faults_are_1(tiny, tmp_path, capsys):
    assert convert(tiny, tmp_path / "x.h5", "keras") == 2
    assert "DST must end in .keras" in capsys.readouterr().err
    assert convert(tmp_path / "none", tmp_path / "x.keras", "keras") == 1
    assert "weights_convert: There is no file or folder" in capsys.readouterr().err
    (tmp_path / "x.keras").write_text("precious")
    assert convert(tiny, tmp_path / "x.keras", "keras") == 1
    assert (tmp_path / "x.keras").read_text() == "precious"
