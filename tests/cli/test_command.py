"""`tfzoo list`, and the command as a whole."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import struct
import subprocess
import sys
import termios
import warnings
from pathlib import Path
from typing import Any

import pytest

import tfzoo
from tests.cli.helpers import (
    PHOTO,
    VIDEO,
    environment,
    fails,
)
from tests.support.paths import ROOT
from tfzoo.assets import card_of, shipped_checkpoints
from tfzoo.cli import listing
from tfzoo.cli.__main__ import main
from tfzoo.registry import families


def test_list_shows_the_registry(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    words = capsys.readouterr().out.split()
    for family in families():
        assert {f"{family.name}:", *family.classes, *family.checkpoints} <= set(words)


def test_list_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert sorted(rows) == [family.name for family in families()]
    row = rows["timesformer"]
    assert row["title"] == "TimeSformer"
    assert row["model_types"] == ["timesformer"]
    assert "TFTimesformerForVideoClassification" in row["classes"]
    assert "facebook/timesformer-base-finetuned-k400" in row["checkpoints"]
    (shipped,) = row["shipped"]
    assert shipped["name"] == "timesformer-camera-motion"
    assert shipped["knows"] == "seven motions of a camera"
    assert shipped["bytes"] == pytest.approx(1e6, rel=0.2)


def test_list_shows_what_the_readme_says_of_shipped_checkpoints(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["list"]) == 0
    printed = capsys.readouterr().out
    readme = (ROOT / "README.md").read_text("utf-8")
    for name in shipped_checkpoints():
        (row,) = [line for line in readme.splitlines() if line.startswith(f"| `{name}` |")]
        score = row.split(" | ")[-1].removesuffix(" |")
        assert f"{name} ({card_of(name).task}, " in printed
        assert f"knows {card_of(name).knows}: {score}\n" in printed


# The frame around the commands


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"tfzoo {tfzoo.__version__}\n"
    for command in ([], ["predict"], ["convert"], ["list"]):
        assert main([*command, "--help"]) == 0
        assert "usage: tfzoo" in capsys.readouterr().out


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["fly"],
        ["predict", "x", "--top-k", "0"],
        ["predict", "x", "--num-frames", "two"],
        ["convert", "a", "b"],
        ["convert", "a", "b", "--to", "onnx"],
        ["convert", "a", "b", "--to", "keras", "--dtype", "int8"],
    ],
)
def test_wrong_usage(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    assert "usage: tfzoo" in capsys.readouterr().err


def failing_list(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail() -> tuple[Any, ...]:
        raise error

    monkeypatch.setattr(listing, "families", fail)


def test_unexpected_errors_say_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_list(monkeypatch, KeyError("lost"))
    assert "unexpected KeyError: 'lost' (TFZOO_DEBUG=1 shows where)" in fails(capsys, "list")
    failing_list(monkeypatch, ValueError())
    assert "error: ValueError\n" in fails(capsys, "list")
    monkeypatch.setenv("TFZOO_DEBUG", "1")
    with pytest.raises(ValueError, match=r"^$"):
        main(["list"])


def test_interrupt(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    failing_list(monkeypatch, KeyboardInterrupt())
    assert main(["list"]) == 130
    assert capsys.readouterr().err == "tfzoo: interrupted\n"


@pytest.mark.filterwarnings("always")
def test_warnings_take_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def warn() -> tuple[Any, ...]:
        warnings.warn("mind the gap", stacklevel=1)
        return families()

    monkeypatch.setattr(listing, "families", warn)
    before = warnings.showwarning
    assert main(["list"]) == 0
    assert capsys.readouterr().err == "tfzoo: warning: mind the gap\n"
    assert warnings.showwarning is before


_COMMANDS = """
import json, sys
from tfzoo.cli.__main__ import main
for words in json.loads(sys.argv[1]):
    assert main(words) == 0
"""


@pytest.mark.slow  # tests/core/test_quiet.py listens to a fresh process
def test_processes_keep_stderr_clean(tmp_path: Path) -> None:
    """Neither chatter of TensorFlow nor progress bars, whatever is predicted."""
    drawn = [tmp_path / "found.png", tmp_path / "moment.png"]
    labels = ("--labels", "a cat", "a dog")
    asked = {
        "timesformer-camera-motion": (VIDEO,),
        "xclip-camera-motion": (VIDEO, *labels),
        "owlv2-shapes": (PHOTO, *labels, "--draw", drawn[0]),
        "tvp-pans": (VIDEO, "--query", "a pan", "--draw", drawn[1]),
    }
    commands = []
    for name, words in asked.items():  # elsewhere they do not say what little they know
        folder = shutil.copytree(shipped_checkpoints()[name], tmp_path / name)
        commands.append(["predict", *words, "--model", folder])
    result = subprocess.run(
        [sys.executable, "-c", _COMMANDS, json.dumps(commands, default=str)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    for text in ("frames 0 ", *(f"picture {path}\n" for path in drawn)):
        assert text in result.stdout


def read_all(terminal: int) -> str:
    """What was written to a terminal whose other side is closed."""
    chunks = []
    try:
        while chunk := os.read(terminal, 1 << 16):
            chunks.append(chunk)
    except OSError:  # how Linux says that the other side is closed
        return b"".join(chunks).decode()
    return b"".join(chunks).decode()


@pytest.mark.slow
def test_process_shows_progress_on_a_terminal(tiny: Path) -> None:
    terminal, side = os.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("4H", 24, 100, 0, 0))  # 24 lines of 100
    command = [
        sys.executable,
        "-m",
        "tfzoo.cli",
        "predict",
        str(VIDEO),
        "--model",
        str(tiny),
    ]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=side)
    os.close(side)
    shown = read_all(terminal)
    out, _ = process.communicate(timeout=60)
    os.close(terminal)
    assert process.returncode == 0, shown
    for step in ("loading:", "predicting:"):
        assert step in shown
        assert step.encode() not in out


def test_process_survives_a_closed_pipe() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run(
        [sys.executable, "-m", "tfzoo.cli", "list"],
        env=environment(),
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=120,
    )
    os.close(writer)
    assert result.returncode == 1
    assert result.stderr == b""


def test_closed_streams_lead_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """`>&-` in a shell; later files must not get their numbers."""
    for command, code in ((["list"], 0), (["--version"], 0), (["fly"], 2)):
        for name in ("stdin", "stdout", "stderr"):
            monkeypatch.setattr(sys, name, None)
        assert main(command) == code
        opened = (sys.stdin, sys.stdout, sys.stderr)
        assert {stream.name for stream in opened} == {os.devnull}
        for stream in opened:
            stream.close()
    monkeypatch.undo()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no such device")
def test_a_full_disk(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert "No space left on device" in fails(capsys, "list")
        monkeypatch.undo()  # and closing the file raises nothing


def test_command_is_light_until_it_works() -> None:
    code = "import sys, tfzoo.cli.__main__ as c; c.main(['list', '--json']); "
    code += "print([m for m in ('keras', 'tensorflow', 'av', 'huggingface_hub', 'PIL') "
    code += "if m in sys.modules], file=sys.stderr)"
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=120
    )
    assert result.stderr.strip() == "[]"
