"""The notebooks: run one as a reader would, and keep their files in one form.

    python -m tests.support.notebooks tidy                # after editing: no outputs, plain ids
    python -m tests.support.notebooks run FOLDER [NAME]   # with their outputs, into FOLDER

A notebook runs in a process of its own, whose kernel is the same Python, in an empty folder and
without a network: `offline_kernel.py` refuses every connection that leaves the machine.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nbformat

from tests.support.paths import ROOT

__all__ = ["FOLDER", "codes", "execute", "main", "pictures", "said", "text_of", "tidy"]

FOLDER = ROOT / "notebooks"
_KERNEL = Path(__file__).with_name("offline_kernel.py")
_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def text_of(notebook: Any) -> str:
    """A notebook as its file has it: no outputs, cells numbered, one form of JSON.

    Args:
        notebook: As nbformat reads it.
    """
    cells = []
    for number, cell in enumerate(notebook.cells):
        plain = {"cell_type": cell.cell_type, "id": f"cell-{number:02}", "metadata": {}}
        if cell.cell_type == "code":
            plain |= {"execution_count": None, "outputs": []}
        lines = cell.source.strip("\n").splitlines(keepends=True)
        cells.append(dict(sorted({**plain, "source": lines}.items())))
    whole = {"cells": cells, "metadata": _METADATA, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def tidy(path: Path) -> None:
    """Bring a notebook's file into the form that `text_of` gives."""
    path.write_text(text_of(nbformat.read(path, 4)), "utf-8")


def codes(notebook: Any) -> Iterator[str]:
    """The Python of each cell of code; IPython's own commands are calls in it."""
    from IPython.core.inputtransformer2 import TransformerManager

    for cell in notebook.cells:
        if cell.cell_type == "code":
            yield TransformerManager().transform_cell(cell.source)


def execute(path: Path, out: Path) -> None:
    """Run a notebook from top to bottom and write it with its outputs.

    Args:
        path: The notebook.
        out: The file to write; also when a cell fails.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell failed, or took more than three minutes.
    """
    from jupyter_client import KernelManager
    from jupyter_client.kernelspec import KernelSpecManager
    from nbclient import NotebookClient

    notebook = nbformat.read(path, 4)
    with tempfile.TemporaryDirectory(prefix="nb") as home:
        _prepare(Path(home))
        specs = KernelSpecManager(kernel_dirs=[f"{home}/kernels"], ensure_native_kernel=False)
        manager = KernelManager(
            kernel_name="here",
            kernel_spec_manager=specs,
            transport="ipc",  # no ports that two test workers could both pick
            ip=f"{home}/ipc",
            connection_file=f"{home}/connection.json",
        )
        client = NotebookClient(notebook, km=manager, timeout=180)
        try:
            client.execute(cwd=f"{home}/work")
        finally:
            nbformat.write(notebook, out)
            manager.shutdown_kernel(now=True)


def _prepare(home: Path) -> None:
    """Folders and settings of a kernel that leaves no trace and finds none."""
    for name in ("work", "kernels/here", "ipython", "matplotlib", "jupyter"):
        (home / name).mkdir(parents=True)
    spec = {
        "argv": [sys.executable, str(_KERNEL), "-f", "{connection_file}"],
        "display_name": "here",
        "language": "python",
    }
    (home / "kernels/here/kernel.json").write_text(json.dumps(spec))
    os.environ |= {
        "IPYTHONDIR": str(home / "ipython"),
        "MPLCONFIGDIR": str(home / "matplotlib"),
        "JUPYTER_DATA_DIR": str(home / "jupyter"),
        "JUPYTER_RUNTIME_DIR": str(home / "jupyter"),
        "HF_HOME": str(home / "hub"),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
        "PYTHONPATH": str(ROOT),
    }


def said(notebook: Any, stream: str) -> str:
    """All that the cells wrote to `stdout` or `stderr`."""
    outputs = [one for cell in notebook.cells for one in cell.get("outputs", ())]
    return "".join(one.text for one in outputs if one.get("name") == stream)


def pictures(notebook: Any) -> int:
    """How many pictures the cells show."""
    outputs = [one for cell in notebook.cells for one in cell.get("outputs", ())]
    return sum("image/png" in one.get("data", ()) for one in outputs)


def main(words: Sequence[str]) -> None:
    """`tidy`, or `run FOLDER [NAME]`."""
    action, *rest = words
    if action == "tidy":
        for path in sorted(FOLDER.glob("*.ipynb")):
            tidy(path)
    else:
        folder, names = Path(rest[0]), rest[1:]
        for path in sorted(FOLDER.glob("*.ipynb")):
            if not names or path.stem in names:
                execute(path, folder / path.name)


if __name__ == "__main__":
    main(sys.argv[1:])
