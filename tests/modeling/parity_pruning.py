"""Pruned heads against the reference: TVP's is pruned itself, of the others heads are silenced.

The reference's X-CLIP, OWLv2 and LXMERT document `prune_heads` and fail; a head whose rows of the
output projection are zero adds what a pruned one does.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfzoo
from tests.modeling.test_pruning import PRUNED, numbered, silence
from tests.support import reference
from tests.support.cases import Case
from tests.support.compare import assert_same, flatten
from tests.support.processes import run_python
from weights_convert.checkpoint import open_checkpoint

TVP = PRUNED[-1][0]
_BACKEND = """
import json, sys, numpy as np, keras, tfzoo
from tests.support.compare import flatten
assert keras.backend.backend() == sys.argv[2]
for folder, name, heads in json.loads(sys.argv[1]):
    model = getattr(tfzoo, name).from_pretrained(folder)
    model.prune_heads({int(number): gone for number, gone in heads.items()})
    model.save_pretrained(folder + "/pruned")
    again = getattr(tfzoo, name).from_pretrained(folder + "/pruned")
    inputs = dict(np.load(folder + "/inputs.npz"))
    for kind, one in (("pruned", model), ("loaded", again)):
        np.savez(f"{folder}/{kind}.npz", **flatten(one(inputs), keras.ops.convert_to_numpy))
"""


@pytest.mark.parametrize(("case", "heads"), PRUNED, ids=lambda v: getattr(v, "model", None))
def test_numbers_are_the_references(case: Case, heads: Any, tmp_path: Path) -> None:
    model = case.load()
    heads = numbered(model, heads)
    whole, inputs = case.load(), case.make_inputs(with_labels=False)
    silence(whole, heads)
    whole.save_pretrained(tmp_path)
    oracle = reference.load_strictly(case.torch_class, tmp_path)
    model.prune_heads(heads)
    assert_same(model(inputs), reference.run(oracle, inputs))


def test_checkpoints_go_both_ways(tmp_path: Path) -> None:
    """TVP can be pruned on both sides."""
    oracle = reference.load_strictly("TvpForVideoGrounding", TVP.folder)
    model, inputs, heads = TVP.load(), TVP.make_inputs(with_labels=False), {0: [1]}
    oracle.prune_heads(heads)
    model.prune_heads(heads)
    expected = reference.run(oracle, inputs)
    assert_same(model(inputs), expected)
    oracle.save_pretrained(tmp_path / "theirs")
    model.save_pretrained(tmp_path / "ours")
    saved = json.loads((tmp_path / "theirs" / "config.json").read_text())
    assert saved["pruned_heads"] == {"0": [1]}
    assert_same(tfzoo.TFTvpForVideoGrounding.from_pretrained(tmp_path / "theirs")(inputs), expected)
    with open_checkpoint(tmp_path / "ours") as ours, open_checkpoint(tmp_path / "theirs") as theirs:
        assert sorted(ours) == sorted(theirs)
        for name in ours:
            assert ours.read(name).tobytes() == theirs.read(name).tobytes(), name


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_prune_as_well(backend: str, tmp_path: Path) -> None:
    jobs, expected = [], []
    chosen = PRUNED[3::2] if backend == "jax" else PRUNED  # which compiles each operation
    for i, (case, heads) in enumerate(chosen):
        folder = tmp_path / str(i)
        model = case.load()
        heads = numbered(model, heads)
        model.save_pretrained(folder)
        inputs = case.make_inputs(with_labels=False)
        np.savez(folder / "inputs.npz", **inputs)
        jobs.append((str(folder), case.model, heads))
        model.prune_heads(heads)
        expected.append(model(inputs))
    run_python(_BACKEND, json.dumps(jobs), backend, seconds=600, KERAS_BACKEND=backend)
    for (folder, name, _), want in zip(jobs, expected, strict=True):
        for kind in ("pruned", "loaded"):
            with np.load(f"{folder}/{kind}.npz") as outputs:
                assert_same(dict(outputs), flatten(want), what=name)
