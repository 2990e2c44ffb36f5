"""docs/features.md names the features that are tested, for the families that they are tested on."""

from __future__ import annotations

import pytest

from tests.benchmarks.tables.features import FAMILIES, documented_rows, features
from tests.features.families import FAMILIES as HEADS


def test_every_family_has_a_head() -> None:
    assert sorted(tiny.name for tiny in HEADS) == sorted(FAMILIES)


def test_every_feature_is_documented() -> None:
    assert list(documented_rows()) == list(features().values())


@pytest.mark.parametrize("feature", features().values())
def test_every_feature_works_where_it_has_a_meaning(feature: str) -> None:
    cells = documented_rows()[feature]
    missing = ["tvp"] if feature == "`class_weight`" else []
    assert cells == ["–" if name in missing else "yes" for name in FAMILIES]
