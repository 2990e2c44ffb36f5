"""Tokens that are added to a tokenizer, and the rows that they get in a model's embedding."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfzoo
from tests.support.lxmert_checkpoint import write_lxmert_checkpoint


def lxmert_inputs() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    features = rng.random((1, 3, 2048), "float32")
    return {"visual_feats": features, "visual_pos": rng.random((1, 3, 4), "float32")}


# Family: what writes a small checkpoint, its classes of model and tokenizer, and other inputs.
WRITERS: dict[str, tuple[Callable[[Path], Any], str, str, Callable[[], dict[str, Any]]]] = {
    "lxmert": (
        write_lxmert_checkpoint,
        "TFLxmertForQuestionAnswering",
        "LxmertTokenizerFast",
        lxmert_inputs,
    ),
}


@pytest.mark.parametrize("family", WRITERS)
def test_added_tokens_get_rows_that_are_saved_and_loaded(family: str, tmp_path: Path) -> None:
    write, model_name, tokenizer_name, others = WRITERS[family]
    write(tmp_path / "old")
    tokenizer = getattr(tfzoo, tokenizer_name).from_pretrained(tmp_path / "old")
    model = getattr(tfzoo, model_name).from_pretrained(tmp_path / "old")
    plain, more = tokenizer("a cup", return_tensors="np"), others()
    before = model(**plain, **more)[model.main_output]

    assert tokenizer.add_tokens(["zoocup", "zoocat"]) == 2
    assert tokenizer.add_special_tokens({"additional_special_tokens": ["<zoo>"]}) == 1
    ids = tokenizer("a zoocup <zoo>", return_tensors="np").input_ids
    rows = len(tokenizer)
    assert sorted(ids[0])[-2:] == [rows - 3, rows - 1]
    with pytest.raises(ValueError, match="vocab"):
        model(input_ids=ids, **more)

    model.resize_token_embeddings(rows)
    assert model.get_input_embeddings().embeddings.shape[0] == rows
    np.testing.assert_array_equal(model(**plain, **more)[model.main_output], before)
    changed = model(input_ids=ids, **more)[model.main_output]
    assert np.isfinite(changed).all()

    model.save_pretrained(tmp_path / "new")
    tokenizer.save_pretrained(tmp_path / "new")
    tokenizer = getattr(tfzoo, tokenizer_name).from_pretrained(tmp_path / "new")
    model = getattr(tfzoo, model_name).from_pretrained(tmp_path / "new")
    assert len(tokenizer) == rows
    found = model(**tokenizer("a zoocup <zoo>", return_tensors="np"), **more)
    np.testing.assert_array_equal(found[model.main_output], changed)
