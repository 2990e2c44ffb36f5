"""LXMERT beside transformers' own TensorFlow classes, with files that they write now."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import tfzoo
from tests.support.compare import assert_same, flatten
from tests.support.lxmert_tf import CASES, DATA, FLAGS, RECORDED, inputs
from tests.support.migration import tables
from tests.support.processes import run_python

_WRITE = """
import sys, warnings
warnings.simplefilter("ignore")
from tests.support.lxmert_tf import main
main(["write", *sys.argv[1:]])
"""


def written(folder: Path, case: str, seed: int) -> dict[str, np.ndarray]:
    """Let the old class write a random model into the folder; returns its outputs."""
    folder.mkdir(exist_ok=True)
    run_python(_WRITE, folder, case, str(seed), USE_TF="1", USE_TORCH="0")
    with np.load(folder / "outputs.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize("case", [case for case in CASES if case not in RECORDED])
def test_files_of_the_old_classes_give_their_numbers(case: str, tmp_path: Path) -> None:
    expected = written(tmp_path, case, seed=5)
    assert {path.name for path in tmp_path.iterdir()} == {
        "config.json",
        "outputs.npz",
        "tf_model.h5",
    }
    model = getattr(tfzoo, CASES[case][0]).from_pretrained(tmp_path)
    assert_same(flatten(model(inputs(), **FLAGS)), expected)


@pytest.mark.parametrize("case", RECORDED)
def test_recorded_answers_are_the_old_classes(case: str, tmp_path: Path) -> None:
    expected = written(tmp_path, case, seed=0)
    with np.load(DATA / case / "outputs.npz") as recorded:
        assert_same(dict(recorded), expected, bound=2e-6)


_NAMES = """
import inspect, json, warnings
warnings.simplefilter("ignore")
import transformers
classes = [transformers.TFLxmertModel, transformers.TFLxmertForPreTraining]
calls = {c.__name__: list(inspect.signature(c.call).parameters)[1:] for c in classes}
loading = list(inspect.signature(classes[0].from_pretrained).parameters)
head = transformers.TFLxmertForPreTraining
methods = [name for name in dir(head) if callable(getattr(head, name))]
print(json.dumps({"calls": calls, "loading": loading, "methods": methods}))
"""


def test_the_migration_tables_hold_every_old_argument() -> None:
    old = json.loads(run_python(_NAMES, USE_TF="1", USE_TORCH="0").splitlines()[-1])
    rows = {key: [name for name, _ in table] for key, table in tables().items()}
    for name, arguments in old["calls"].items():
        assert rows["call", name] == arguments
    named = [name for name in old["loading"] if name not in ("model_args", "kwargs")]
    assert rows["from_pretrained", "TFLxmertModel"][: len(named)] == named
    assert set(rows["methods", "TFLxmertForPreTraining"]) <= set(old["methods"])
