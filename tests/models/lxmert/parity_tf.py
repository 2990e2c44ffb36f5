"""LXMERT beside transformers' own TensorFlow classes, with files that they write now."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfzoo
from tests.support.compare import assert_same, flatten
from tests.support.lxmert_tf import CASES, DATA, FLAGS, RECORDED, inputs
from tests.support.migration import tables
from tests.support.processes import run_python
from tests.support.shared import made_once

_RUN = """
import inspect, json, sys, warnings
warnings.simplefilter("ignore")
from pathlib import Path
import transformers
from tests.support.lxmert_tf import CASES, RECORDED, write
for case in CASES:
    folder = Path(sys.argv[1], case)
    folder.mkdir()
    write(folder, case, seed=0 if case in RECORDED else 5)
classes = [transformers.TFLxmertModel, transformers.TFLxmertForPreTraining]
calls = {c.__name__: list(inspect.signature(c.call).parameters)[1:] for c in classes}
loading = list(inspect.signature(classes[0].from_pretrained).parameters)
head = transformers.TFLxmertForPreTraining
methods = [name for name in dir(head) if callable(getattr(head, name))]
print(json.dumps({"calls": calls, "loading": loading, "methods": methods}))
"""


@pytest.fixture(scope="module")
def old_classes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder with a random model of each case, as the old classes write it, and their names."""

    def make(folder: Path) -> str:  # in one process, whose start takes most of the time
        said = run_python(_RUN, folder, USE_TF="1", USE_TORCH="0")
        return json.dumps([str(folder), json.loads(said.splitlines()[-1])])

    folder, names = json.loads(made_once(tmp_path_factory, "lxmert_tf", make))
    return Path(folder), names


def outputs_of(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "outputs.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize("case", [case for case in CASES if case not in RECORDED])
def test_files_of_the_old_classes_give_their_numbers(case: str, old_classes: Any) -> None:
    folder = old_classes[0] / case
    assert {path.name for path in folder.iterdir()} == {
        "config.json",
        "outputs.npz",
        "tf_model.h5",
    }
    model = getattr(tfzoo, CASES[case][0]).from_pretrained(folder)
    assert_same(flatten(model(inputs(), **FLAGS)), outputs_of(folder))


@pytest.mark.parametrize("case", RECORDED)
def test_recorded_answers_are_the_old_classes(case: str, old_classes: Any) -> None:
    assert_same(outputs_of(DATA / case), outputs_of(old_classes[0] / case), bound=2e-6)


def test_the_migration_tables_hold_every_old_argument(old_classes: Any) -> None:
    old = old_classes[1]
    rows = {key: [name for name, _ in table] for key, table in tables().items()}
    for name, arguments in old["calls"].items():
        assert rows["call", name] == arguments
    named = [name for name in old["loading"] if name not in ("model_args", "kwargs")]
    assert rows["from_pretrained", "TFLxmertModel"][: len(named)] == named
    assert set(rows["methods", "TFLxmertForPreTraining"]) <= set(old["methods"])
