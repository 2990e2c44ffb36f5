"""Tables that stand in a page of the documentation, each behind a mark of its own."""

from __future__ import annotations

from pathlib import Path

__all__ = ["replace_table", "table_of"]


def table_of(page: Path, mark: str) -> str:
    """The table behind a mark."""
    return _split(page, mark)[1]


def replace_table(page: Path, mark: str, table: str) -> None:
    """Put another table behind a mark; the rest of the page stays."""
    before, _, after = _split(page, mark)
    page.write_text(before + table + after, encoding="utf-8")


def _split(page: Path, mark: str) -> tuple[str, str, str]:
    """The page before its table, the table, and what follows."""
    before, after = page.read_text(encoding="utf-8").split(mark)
    lines = after.splitlines(keepends=True)
    count = next((i for i, line in enumerate(lines) if not line.startswith("|")), len(lines))
    return before + mark, "".join(lines[:count]), "".join(lines[count:])
