"""docs/features.md names the features that are tested, for the families that it has columns for.

`python -m tests.benchmarks.tables.features` makes the table anew and adds a new family's column.
"""

from __future__ import annotations

import pytest

from tests.benchmarks.tables.features import documented_rows, features
from tests.features.families import FAMILIES as HEADS
from tfzoo.registry import families


def test_every_family_has_a_head() -> None:
    """`FEATURES` in its `tests/models/<family>/cases.py`."""
    assert {tiny.name for tiny in HEADS} == {family.name for family in families()}


def test_every_feature_is_documented() -> None:
    assert list(documented_rows()) == list(features().values())


@pytest.mark.parametrize("feature", features().values())
def test_every_feature_works_where_it_has_a_meaning(feature: str) -> None:
    cells = documented_rows()[feature]
    classes = {tiny.name: tiny.tells_classes for tiny in HEADS}
    assert cells == {
        name: "yes" if classes[name] or feature != "`class_weight`" else "–" for name in cells
    }
