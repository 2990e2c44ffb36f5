"""The planted faults fit the tree; `python -m tests.planted_faults` plants them."""

from __future__ import annotations

import ast

from tests.planted_faults.list import FAULTS
from tests.support.paths import ROOT


def test_every_fault_can_be_planted() -> None:
    for fault in FAULTS:
        ast.parse(fault.planted(ROOT))  # raises where its text has moved, or breaks the file
        missing = [path for path in fault.tests.split() if not (ROOT / path).is_file()]
        assert not missing, f"{fault.name}: {missing}"


def test_names_tell_faults_apart() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) > 60
