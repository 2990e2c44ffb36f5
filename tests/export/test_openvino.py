"""`serving_default` of each family by OpenVINO, which shares no kernel with TensorFlow.

So it is the graph that is right, not one program's reading of it. Signatures that decode images
or texts are left out: OpenVINO has no such operations.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino
import pytest

from tests.support.cases import Case
from tests.support.families import declared

pytestmark = pytest.mark.slow

# The first case of a family, or these.
OTHERS = {
    "lxmert": ["lxmert/answers"],
    "perceiver": ["perceiver/masked_lm", "perceiver/conv", "perceiver/flow"],
}
CASES = [
    case
    for family, cases in declared("cases", "CASES").items()
    for case in cases
    if case.name in OTHERS.get(family, [cases[0].name])
]
BOUND = 1e-5  # of each field's largest magnitude


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_openvino_computes_the_same(case: Case, tmp_path: Path) -> None:
    model, inputs = case.load(), case.make_inputs(with_labels=False)
    model.export(tmp_path / "1", verbose=False)
    specs = model._table.specs(model.config)
    given = {
        name: np.asarray(inputs[name] if name in inputs else np.ones_like(inputs["input_ids"]))
        for name in specs
    }
    given = {name: value.astype(specs[name].dtype) for name, value in given.items()}
    core = openvino.Core()
    compiled = core.compile_model(
        core.read_model(tmp_path / "1"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    result = compiled(given)
    found = {name: value for port, value in result.items() for name in port.get_names()}
    expected = model.serving_outputs(**given)
    assert len(expected) >= 1
    for name, value in expected.items():
        value = np.asarray(value)
        got = next(array for names, array in found.items() if names.split(":")[0] == name)
        assert got.shape == value.shape
        np.testing.assert_allclose(
            got, value, rtol=0, atol=BOUND * np.abs(value).max(), err_msg=name
        )
