"""The vocabulary of every family that reads words can be resized; LXMERT has more tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfzoo
from tests.models.lxmert.cases import CASES as LXMERT
from tests.models.owlv2.cases import CASES as OWLV2
from tests.models.perceiver.cases import CASES as PERCEIVER
from tests.models.timesformer.cases import CASES as TIMESFORMER
from tests.models.tvp.cases import CASES as TVP
from tests.models.xclip.cases import CASES as XCLIP
from tests.support.cases import Case, case_of
from tests.support.compare import assert_same, flatten
from tfzoo.core.variables import slots

WORDS = tuple(
    case_of(cases, f"TF{name}")
    for cases, names in (
        (LXMERT, ("LxmertForQuestionAnswering",)),
        (OWLV2, ("Owlv2ForObjectDetection", "OwlViTTextModel")),
        (PERCEIVER, ("PerceiverForMaskedLM", "PerceiverForSequenceClassification")),
        (TVP, ("TvpForVideoGrounding",)),
        (XCLIP, ("XCLIPModel", "XCLIPTextModel")),
    )
    for name in names
)


def sizes(model: Any) -> Any:
    return getattr(model.config, "text_config", model.config)


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=[pytest.mark.slow] if c.is_part else [], id=c.model) for c in WORDS],
)
def test_words_can_be_added(case: Case, tmp_path: Path) -> None:
    model, inputs = case.load(), case.make_inputs(with_labels=False)
    old, before = sizes(model).vocab_size, flatten(model(inputs))
    layer = model.resize_token_embeddings(old + 3)
    assert sizes(model).vocab_size == layer.embeddings.shape[0] == old + 3
    assert len(model.weights) == len(slots(model))
    after = flatten(model(inputs))
    if case.model == "TFPerceiverForMaskedLM":  # it scores all ids
        assert after["logits"].shape[-1] == old + 3
        after["logits"] = after["logits"][..., :old]
    assert_same(after, before)
    inputs["input_ids"][0, 1] = old + 2  # which was refused before
    new = flatten(model(inputs))
    model.save_pretrained(tmp_path / "folder")
    model.save(tmp_path / "model.keras")
    assert_same(type(model).from_pretrained(tmp_path / "folder")(inputs), new)
    assert_same(tfzoo.auto.load_model(tmp_path / "model.keras")(inputs), new)


def test_models_without_words() -> None:
    for case in (
        TIMESFORMER[0],
        case_of(XCLIP, "TFXCLIPVisionModel"),
        case_of(PERCEIVER, "TFPerceiverForImageClassificationLearned"),
    ):
        with pytest.raises(ValueError, match="has no word embeddings"):
            case.load().resize_token_embeddings(50)


def test_frozen_words_stay_frozen() -> None:
    model = case_of(XCLIP, "TFXCLIPTextModel").load()
    model.freeze_layers("token_embedding$")
    count = len(model.trainable_weights)
    model.resize_token_embeddings(60)
    assert len(model.trainable_weights) == count
    table = np.asarray(model.get_input_embeddings().embeddings)
    assert table.shape[0] == 60
