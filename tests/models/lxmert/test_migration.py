"""docs/lxmert_migration.md against the code: what it promises is there."""

from __future__ import annotations

import inspect

import pytest

import tfzoo
from tests.support.migration import PAGE, tables
from tfzoo.data import regions as lxmert_features

TABLES = tables()


def test_the_tables_are_found() -> None:
    assert {kind: len(rows) for kind, rows in TABLES.items()} == {
        ("call", "TFLxmertModel"): 11,
        ("call", "TFLxmertForPreTraining"): 15,
        ("from_pretrained", "TFLxmertModel"): 11,
        ("methods", "TFLxmertForPreTraining"): 9,
    }


@pytest.mark.parametrize("name", ["TFLxmertModel", "TFLxmertForPreTraining"])
def test_call_arguments_are_in_the_table_in_their_order(name: str) -> None:
    ours = list(inspect.signature(getattr(tfzoo, name).call).parameters)[1:]
    rows = TABLES["call", name]
    assert [new for _, new in rows] == ours
    assert [old for old, _ in rows] == ours  # nothing was renamed


def test_loading_arguments_exist() -> None:
    ours = inspect.signature(tfzoo.TFLxmertModel.from_pretrained).parameters
    for old, new in TABLES["from_pretrained", "TFLxmertModel"]:
        assert new == "-" or new in ours, new
        assert (new == "-") == (old not in ours), old


def test_methods_exist() -> None:
    for _, new in TABLES["methods", "TFLxmertForPreTraining"]:
        assert callable(getattr(tfzoo.TFLxmertForPreTraining, new)), new
    for name in ("resize_num_qa_labels", "get_qa_logit_layer", "set_qa_logit_layer"):
        assert callable(getattr(tfzoo.TFLxmertForPreTraining, name))
        assert callable(getattr(tfzoo.TFLxmertForQuestionAnswering, name))


def test_names_in_the_examples_exist() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.startswith("from tfzoo"):
            module, _, names = line.removeprefix("from ").partition(" import ")
            home = {"tfzoo": tfzoo, "tfzoo.data.regions": lxmert_features}[module]
            for name in names.split(", "):
                assert getattr(home, name) is not None
