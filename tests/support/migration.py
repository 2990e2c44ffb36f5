"""The tables of docs/lxmert_migration.md, so that tests can hold them against the code."""

from __future__ import annotations

import re

from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "lxmert_migration.md"


def tables() -> dict[tuple[str, str], list[tuple[str, str]]]:
    """(kind, class) -> (old name, name here) of each row of a marked table; "-" for none."""
    found = {}
    for block in PAGE.read_text(encoding="utf-8").split("<!-- table: ")[1:]:
        head, _, rest = block.partition(" -->\n")
        rows = []
        for line in rest.splitlines():
            if not line.startswith("|"):
                break
            cells = [cell.strip().strip("`") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            rows.append((cells[0], cells[1]))
        found[tuple(head.split())] = rows[2:]  # behind the titles and the rule
    return found
