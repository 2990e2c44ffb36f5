"""Tokens that are added to a tokenizer, and the rows that they get in a model's embedding."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfzoo
from tests.support.lxmert_checkpoint import write_lxmert_checkpoint
from tests.support.owlv2_checkpoint import write_owlv2_checkpoint
from tests.support.perceiver_checkpoint import write_perceiver_checkpoint
from tests.support.tvp_checkpoint import write_tvp_checkpoint
from tests.support.xclip_checkpoint import write_xclip_checkpoint


def floats(**shapes: tuple[int, ...]) -> Callable[[], dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    return lambda: {name: rng.random(shape, "float32") for name, shape in shapes.items()}


# What writes a small checkpoint, its classes of model and tokenizer, and inputs beside the text.
ROWS: dict[str, tuple[Callable[[Path], Any], str, str, Callable[[], dict[str, Any]]]] = {
    "lxmert": (
        write_lxmert_checkpoint,
        "TFLxmertForQuestionAnswering",
        "LxmertTokenizerFast",
        floats(visual_feats=(1, 3, 2048), visual_pos=(1, 3, 4)),
    ),
    "owlv2": (
        write_owlv2_checkpoint,
        "TFOwlv2ForObjectDetection",
        "CLIPTokenizerFast",
        floats(pixel_values=(1, 3, 32, 32)),
    ),
    "perceiver": (
        lambda folder: write_perceiver_checkpoint(folder, "language-perceiver"),
        "TFPerceiverForMaskedLM",
        "PerceiverTokenizer",
        dict,
    ),
    "tvp": (
        write_tvp_checkpoint,
        "TFTvpForVideoGrounding",
        "BertTokenizerFast",
        floats(pixel_values=(1, 4, 3, 64, 64)),
    ),
    "xclip": (
        write_xclip_checkpoint,
        "TFXCLIPModel",
        "CLIPTokenizerFast",
        floats(pixel_values=(1, 8, 3, 32, 32)),
    ),
}
FAMILIES = [
    name for name, row in ROWS.items() if hasattr(getattr(tfzoo, row[1]), "resize_token_embeddings")
]


def encoded(tokenizer: Any, text: str) -> dict[str, np.ndarray]:
    found = tokenizer(text, return_tensors="np")
    return {name: found[name] for name in ("input_ids", "attention_mask")}


@pytest.mark.parametrize(  # the rows of the others: tests/modeling/test_vocabulary.py
    "family", ["tvp", *(pytest.param(f, marks=pytest.mark.slow) for f in FAMILIES if f != "tvp")]
)
def test_added_tokens_get_rows_that_are_saved_and_loaded(family: str, tmp_path: Path) -> None:
    write, model_name, tokenizer_name, others = ROWS[family]
    write(tmp_path / "old")
    tokenizer = getattr(tfzoo, tokenizer_name).from_pretrained(tmp_path / "old")
    model = getattr(tfzoo, model_name).from_pretrained(tmp_path / "old")
    more = others()

    def output(text: str) -> np.ndarray:
        found = model(**encoded(tokenizer, text), **more, training=False)
        return np.asarray(found[model.main_output])

    before = output("a cup")
    assert tokenizer.add_tokens(["zoocup", "zoocat"]) == 2
    assert tokenizer.add_special_tokens({"additional_special_tokens": ["<zoo>"]}) == 1
    rows, text = len(tokenizer), "a zoocup <zoo>"
    assert sorted(encoded(tokenizer, text)["input_ids"][0])[-2:] == [rows - 3, rows - 1]
    with pytest.raises(ValueError, match="vocab"):
        output(text)

    model.resize_token_embeddings(rows)
    scores = before.shape[-1]  # of a head that scores words there are more now
    np.testing.assert_allclose(output("a cup")[..., :scores], before, rtol=1e-5, atol=1e-6)
    changed = output(text)
    assert np.isfinite(changed).all()
    model.save_pretrained(tmp_path / "new")
    tokenizer.save_pretrained(tmp_path / "new")
    tokenizer = getattr(tfzoo, tokenizer_name).from_pretrained(tmp_path / "new")
    model = getattr(tfzoo, model_name).from_pretrained(tmp_path / "new")
    assert len(tokenizer) == rows
    np.testing.assert_array_equal(output(text), changed)
