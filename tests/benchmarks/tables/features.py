"""Which of Keras's features work with which family: `docs/features.md`, from the tests' results.

    python -m tests.benchmarks.tables.features

Runs `tests/features` and writes the page's table anew, with a column for each family; ends with 1
where a test failed. A test's row is the first part of its docstring, before the colon.
"""

from __future__ import annotations

import argparse
import ast
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from tests.benchmarks.harness.environment import worker_env
from tests.benchmarks.tables.pages import replace_table, table_of
from tests.support.paths import ROOT
from tfzoo.registry import families

__all__ = ["FAMILIES", "documented_rows", "features", "main", "results", "table"]

FOLDER = ROOT / "tests" / "features"
PAGE = ROOT / "docs" / "features.md"
FAMILIES = tuple(family.name for family in families())
MARK = "<!-- table: features -->\n"


def features() -> dict[tuple[str, str], str]:
    """(module, test) -> its feature, in the order of the files; tests without one are left out."""
    found = {}
    for path in sorted(FOLDER.glob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            doc = ast.get_docstring(node) if isinstance(node, ast.FunctionDef) else None
            if doc and node.name.startswith("test_") and ": " in doc.splitlines()[0]:
                found[path.stem, node.name] = doc.split(": ")[0]
    return found


def results(report: Path) -> dict[tuple[str, str], dict[str, bool]]:
    """(module, test) -> family -> whether all its tests passed, from pytest's XML."""
    found: dict[tuple[str, str], dict[str, bool]] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        name, _, parameters = case.get("name", "").partition("[")
        module = case.get("classname", "").split(".")[-1]
        passed = not any(case.find(tag) is not None for tag in ("failure", "error", "skipped"))
        for family in set(parameters.rstrip("]").split("-")) & set(FAMILIES):
            cells = found.setdefault((module, name), {})
            cells[family] = cells.get(family, True) and passed
    return found


def table(found: Mapping[tuple[str, str], Mapping[str, bool]]) -> str:
    """The table in Markdown."""
    titles = {family.name: family.title for family in families()}
    lines = ["| | " + " | ".join(titles[name] for name in FAMILIES) + " |"]
    lines.append("|---" * (1 + len(FAMILIES)) + "|")
    for test, feature in features().items():
        cells = found.get(test, {})
        words = [{True: "yes", False: "no", None: "–"}[cells.get(name)] for name in FAMILIES]
        lines.append(f"| {feature} | " + " | ".join(words) + " |")
    return "\n".join(lines) + "\n"


def documented_rows() -> dict[str, dict[str, str]]:
    """Feature -> family -> cell, as the page has them; a family without a column is not there."""
    names = {family.title: family.name for family in families()}
    lines = table_of(PAGE, MARK).splitlines()
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    columns = [names[title] for title in head[1:]]
    return {feature: dict(zip(columns, cells, strict=True)) for feature, *cells in rows}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tests and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--report", type=Path, help="pytest's --junitxml of an earlier run")
    args = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        report, code = args.report, 0
        if report is None:
            report = Path(folder) / "report.xml"
            command = [sys.executable, "-m", "pytest", "-q", str(FOLDER), "-m", "not network"]
            command += [f"--junitxml={report}", f"--ignore={FOLDER / 'test_documentation.py'}"]
            code = subprocess.run(
                command,
                env={**worker_env(ROOT, 2), "TFZOO_EVERY_FAMILY": "1"},
                cwd=ROOT,
                check=False,
            ).returncode
        replace_table(PAGE, MARK, table(results(report)))
    return code


if __name__ == "__main__":
    sys.exit(main())
