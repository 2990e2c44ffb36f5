"""The models on Keras's other backends give the numbers that were recorded, or TensorFlow's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.modeling.test_pruning import PRUNED, numbered
from tests.support.cases import Case
from tests.support.compare import assert_same, flatten
from tests.support.families import declared
from tests.support.family_checks import first_of_each_class, first_of_each_whole_class
from tests.support.processes import run_python

_BACKEND = """
import json, sys, numpy as np, keras, tfzoo
from tests.support.compare import flatten
assert keras.backend.backend() != "tensorflow"
to_numpy = keras.ops.convert_to_numpy

def check(folder, name, flags, trains, heads):
    cls = getattr(tfzoo, name)
    model = cls.from_pretrained(folder)
    inputs = dict(np.load(folder + "/inputs.npz"))
    if heads:
        model.prune_heads({int(number): gone for number, gone in heads.items()})
        model.save_pretrained(folder + "/pruned")
        outputs = cls.from_pretrained(folder + "/pruned")(inputs)
        np.savez(folder + "/loaded.npz", **flatten(outputs, to_numpy))
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
    """Whole models, and some without a few heads; in one process, which takes seconds to start."""
    jobs: list[tuple[Any, ...]] = []
    compared: list[tuple[Path, dict[str, np.ndarray]]] = []

    def add(case: Case, *how: Any, with_labels: bool = True) -> Path:
        folder = tmp_path / str(len(jobs))
        case.load().save_pretrained(folder)
        np.savez(folder / "inputs.npz", **case.make_inputs(with_labels=with_labels))
        jobs.append((str(folder), case.model, *how))
        return folder

    for family, cases in declared("cases", "CASES").items():
        learns = next(case.model for case in cases if case.has_loss)
        chosen: Sequence[Case] = first_of_each_class(cases)
        if backend == "jax":  # which compiles every operation for each shape
            chosen = first_of_each_whole_class(cases)[:1]
            learns = learns if family in LEARN_ON_JAX else ""
        for case in chosen:
            folder = add(case, list(case.all_flags), case.model == learns, None)
            compared.append((folder / "outputs.npz", case.recorded("outputs")))
    for case, places in PRUNED[-1:] if backend == "jax" else PRUNED:
        model = case.load()
        heads = numbered(model, places)
        folder = add(case, [], False, heads, with_labels=False)
        model.prune_heads(heads)
        expected = flatten(model(case.make_inputs(with_labels=False)))
        compared += [(folder / f"{name}.npz", expected) for name in ("outputs", "loaded")]
    (tmp_path / "jobs.json").write_text(json.dumps(jobs), "utf-8")
    run_python(_BACKEND, tmp_path / "jobs.json", seconds=900, KERAS_BACKEND=backend)
    for file, expected in compared:
        with np.load(file) as outputs:
            name = jobs[int(file.parent.name)][1]
            assert_same(dict(outputs), expected, what=f"{name}, {file.stem}")
