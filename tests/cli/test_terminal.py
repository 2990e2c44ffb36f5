"""Names from anybody's files are printed so that they steer no terminal and fake no line."""

from __future__ import annotations

import ast
import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from tests.support.paths import ROOT
from tests.weights_convert.toys import source
from tfzoo.cli import __main__ as command
from tfzoo.cli.console import Progress, note
from weights_convert.__main__ import main as weights_convert
from weights_convert.checkpoint import write_checkpoint
from weights_convert.console import print_table, show, show_json
from weights_convert.errors import WeightMismatchError

EVIL = "\x1b[2J\x9b0m\nerror: none\u202e\x7f\r\ud800"
SHOWN = r"\x1b[2J\x9b0m\nerror: none\u202e\x7f\r\ud800"


def plain(text: str) -> str:
    """The text, which has no character that a terminal acts on but ends of lines."""
    assert text.replace("\n", "").isprintable()
    return text


def test_lines_tables_and_json(capsys: pytest.CaptureFixture) -> None:
    show(EVIL, f"a {EVIL}")
    print_table(("name", "size"), [(EVIL, "1"), ("b", "22")])
    out = plain(capsys.readouterr().out)
    width = len(SHOWN)
    assert out.splitlines() == [
        SHOWN,
        f"a {SHOWN}",
        f"{'name':{width}}  size",
        f"{SHOWN}  1",
        f"{'b':{width}}  22",
    ]
    show_json({EVIL: [EVIL]}, indent=1)
    out = plain(capsys.readouterr().out)
    assert json.loads(out) == {EVIL: [EVIL]}


def test_notes_warnings_and_progress(capsys: pytest.CaptureFixture) -> None:
    note(f"error: {EVIL}")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        command._show_warning(UserWarning(EVIL))
    with Progress(load=f"reading {EVIL}") as progress:
        assert progress._bar.desc == f"reading {SHOWN}: "
    assert plain(capsys.readouterr().err) == f"tfzoo: error: {SHOWN}\ntfzoo: warning: {SHOWN}\n"


def test_errors_of_several_lines(capsys: pytest.CaptureFixture) -> None:
    error = WeightMismatchError([EVIL], [f"b{EVIL}"], [(EVIL, (1,), (2,))])
    text = plain(str(error))
    assert f"  - {SHOWN}\n" in text
    assert error.missing == (EVIL,), "whoever handles the error has the true names"


def test_inspect_shows_names_and_metadata(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    name = EVIL.replace("\ud800", "")  # half a character is refused when the file is opened
    write_checkpoint(tmp_path, [source(name, np.zeros(2, "f4"))], metadata={name: name})
    (tmp_path / "config.json").write_text(json.dumps({"model_type": name, name: name}))
    assert weights_convert(["inspect", str(tmp_path)]) == 0
    assert SHOWN.replace(r"\ud800", "") in plain(capsys.readouterr().out)
    broken = tmp_path / "a\x1b[2Jb.bin"
    broken.touch()
    assert weights_convert(["inspect", str(broken)]) == 1
    assert r"a\x1b[2Jb.bin: the pickle breaks off" in plain(capsys.readouterr().err)


def test_everything_is_printed_by_the_console() -> None:
    """Nothing else calls print, or writes to the standard streams."""
    places = [*(ROOT / "tfzoo").rglob("*.py"), *(ROOT / "weights_convert").rglob("*.py")]
    wrong = []
    for path in places:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if called in ("print", "tqdm.write", "sys.stdout.write", "sys.stderr.write"):
                wrong.append(f"{path.relative_to(ROOT)}: {called}")
    assert sorted(wrong) == [
        "tfzoo/cli/console.py: tqdm.write",
        "weights_convert/console.py: print",
        "weights_convert/console.py: print",
    ]
