"""The notebooks run from top to bottom, offline, in a kernel that is this very Python."""

from __future__ import annotations

import ast
import re
import sys
import time
from pathlib import Path

import nbformat
import pytest

from tests.support.notebooks import FOLDER, codes, pictures, said, text_of
from tests.support.processes import run_python
from tfzoo.registry import families

PATHS = sorted(FOLDER.glob("*.ipynb"))
LONGEST = 180  # seconds
# What a reader needs beside tfzoo, all of which its extra `viz` brings.
ALLOWED = {"keras", "matplotlib", "numpy", "PIL", "safetensors", "tensorflow", "tfzoo"}
ALLOWED |= {"weights_convert", *sys.stdlib_module_names}
# TensorFlow's own reports of what machine it finds.
NATIVE = re.compile(
    r"(WARNING: All log messages before|[IWE]\d{4} |\d{4}-\d\d-\d\d .*: [IWE] ).*\n?"
)
EXPECTED = {"fine_tune": "has no weights for classifier"}  # a head that is fresh, as its text says
EXECUTE = """
import sys
from pathlib import Path
from tests.support.notebooks import execute
execute(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def read(path: Path) -> nbformat.NotebookNode:
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    return notebook


def published() -> set[str]:
    return {name for family in families() for name in family.checkpoints}


def test_each_is_of_a_family_or_a_task_and_in_the_readme() -> None:
    tasks = {"bring_your_checkpoint", "fine_tune", "serve"}
    assert tasks <= {path.stem for path in PATHS} <= {family.name for family in families()} | tasks
    readme = FOLDER.with_name("README.md").read_text("utf-8")
    assert [path.name for path in PATHS if f"notebooks/{path.name}" not in readme] == []


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_file_is_in_its_one_form(path: Path) -> None:
    expected = text_of(read(path))
    assert path.read_text("utf-8") == expected, "python -m tests.support.notebooks tidy"
    assert len(expected) < 30_000


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_it_needs_what_one_line_of_pip_brings(path: Path) -> None:
    notebook = read(path)
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    installs = [
        line.strip() for text in sources for line in text.splitlines() if "pip install" in line
    ]
    assert installs == ['%pip install -q "tfzoo[viz]"']
    assert "import tfzoo\nexcept ImportError:\n    %pip" in sources[0]
    for code in codes(notebook):
        for node in ast.walk(ast.parse(code)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            assert {name.split(".")[0] for name in names} <= ALLOWED


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_it_says_which_line_to_change(path: Path) -> None:
    cells = read(path).cells
    told = [
        (number, *re.findall(r'`checkpoint = "(.+?)"`', cell.source))
        for number, cell in enumerate(cells)
        if cell.cell_type == "markdown" and '`checkpoint = "' in cell.source
    ]
    assert told, "no line is named"
    for number, name in told:
        assert name in published()
        assert re.match(r"checkpoint = ", cells[number + 1].source), "the line is the first"
    everything = "\n".join(cell.source for cell in cells)
    assert re.search(r"\*\*To (use|start from) .*, change the (first|next) line\*\*", everything)


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_it_runs(path: Path, tmp_path: Path) -> None:
    started = time.monotonic()
    run_python(EXECUTE, path, tmp_path / path.name)  # fails where a cell does
    assert time.monotonic() - started < LONGEST
    notebook = nbformat.read(tmp_path / path.name, 4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    assert pictures(notebook) >= 1
    assert any("assert " in cell.source for cell in cells), "it checks nothing"
    errors = NATIVE.sub("", said(notebook, "stderr"))
    expected = EXPECTED.get(path.stem)
    if expected is None:
        assert errors.strip() == ""
    else:
        warnings = re.findall(r"\w*Warning: .*", errors)
        assert warnings
        assert [text for text in warnings if expected not in text] == []


@pytest.mark.slow
def test_a_failing_cell_and_the_network_are_noticed(tmp_path: Path) -> None:
    code = """
import socket
socket.create_server(("127.0.0.1", 0)).close()
socket.getaddrinfo("localhost", 80)
socket.create_connection(("192.0.2.1", 80), timeout=1)
"""
    cells = [nbformat.v4.new_code_cell(code)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "one.ipynb")
    with pytest.raises(AssertionError, match="must run offline, and asks for 192.0.2.1"):
        run_python(EXECUTE, tmp_path / "one.ipynb", tmp_path / "run.ipynb")
    assert (tmp_path / "run.ipynb").is_file(), "what was done until then"
