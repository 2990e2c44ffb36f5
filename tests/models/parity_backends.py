"""The models on Keras's other backends give the numbers that were recorded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.support.cases import Case
from tests.support.compare import assert_same
from tests.support.families import declared
from tests.support.family_checks import first_of_each_class, first_of_each_whole_class
from tests.support.processes import run_python

_BACKEND = """
import json, sys, numpy as np, keras, tfzoo
from tests.support.compare import flatten
assert keras.backend.backend() != "tensorflow"
to_numpy = keras.ops.convert_to_numpy

def check(folder, name, flags, trains):
    model = getattr(tfzoo, name).from_pretrained(folder)
    inputs = dict(np.load(folder + "/inputs.npz"))
    outputs = model(inputs, **{flag: True for flag in flags})
    np.savez(folder + "/outputs.npz", **flatten(outputs, to_numpy))
    if not trains:  # as the others do, by the same code: compiling takes seconds
        return
    if model.labels_input is None:
        model.compile("sgd")
        assert np.isfinite(model.fit(inputs, verbose=0).history["loss"][0])
    if model.labels_input in inputs:
        y = inputs.pop(model.labels_input)
        model.compile("sgd")
        if len(y) == len(next(iter(inputs.values()))):
            assert np.isfinite(model.fit(inputs, y, verbose=0).history["loss"][0])
    predicted = model.predict(inputs, verbose=0)[model.main_output]
    np.testing.assert_allclose(predicted, to_numpy(model(inputs)[model.main_output]), 1e-4, 1e-4)

for folder, *job in json.loads(open(sys.argv[1]).read()):
    print(*job, flush=True)
    check(folder, *job)
"""
LEARN_ON_JAX = ("lxmert", "tvp")  # texts; videos, and statistics that move


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_all_families_agree(backend: str, tmp_path: Path) -> None:
    """In one process for all, which takes seconds to start."""
    compared, jobs = [], []
    for family, cases in declared("cases", "CASES").items():
        learns = next(case.model for case in cases if case.has_loss)
        chosen: Sequence[Case] = first_of_each_class(cases)
        if backend == "jax":  # which compiles every operation for each shape
            chosen = first_of_each_whole_class(cases)[:1]
            learns = learns if family in LEARN_ON_JAX else ""
        for case in chosen:
            folder = tmp_path / str(len(jobs))
            case.load().save_pretrained(folder)
            np.savez(folder / "inputs.npz", **case.make_inputs())
            compared.append((folder / "outputs.npz", case))
            jobs.append((str(folder), case.model, list(case.all_flags), case.model == learns))
    (tmp_path / "jobs.json").write_text(json.dumps(jobs), "utf-8")
    run_python(_BACKEND, tmp_path / "jobs.json", seconds=900, KERAS_BACKEND=backend)
    for file, case in compared:
        with np.load(file) as outputs:
            assert_same(dict(outputs), case.recorded("outputs"), what=case.name)
