"""Pruned heads against the reference: TVP's is pruned itself, of the others heads are silenced.

The reference's X-CLIP, OWLv2 and LXMERT document `prune_heads` and fail; a head whose rows of the
output projection are zero adds what a pruned one does.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import tfzoo
from tests.modeling.test_pruning import PRUNED, numbered, silence
from tests.support import reference
from tests.support.cases import Case
from tests.support.compare import assert_same
from weights_convert.checkpoint import open_checkpoint

TVP = PRUNED[-1][0]


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
