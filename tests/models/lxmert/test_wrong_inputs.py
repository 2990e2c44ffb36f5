"""What LXMERT refuses, and what the errors say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.models.lxmert.cases import CASES, all_labels, objects, texts

BY_NAME = {case.name.split("/")[1]: case for case in CASES}
ORDER = (
    "input_ids",
    "visual_feats",
    "visual_pos",
    "attention_mask",
    "visual_attention_mask",
    "token_type_ids",
    "inputs_embeds",
)

BY_NAME = {case.name.split("/")[1]: case for case in CASES}


@pytest.fixture(scope="module")
def model() -> Any:
    return BY_NAME["model"].load()


@pytest.fixture(scope="module")
def inputs() -> dict[str, np.ndarray]:
    return BY_NAME["model"].make_inputs()


# ---- bad input
def test_missing_visual_features_are_named(model: Any, inputs: dict[str, np.ndarray]) -> None:
    for name in ("visual_feats", "visual_pos"):
        rest = {k: v for k, v in inputs.items() if k != name}
        with pytest.raises(ValueError, match=rf"TFLxmertModel: {name} is required, of shape"):
            model(**rest)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("visual_feats", (3, 6, 11), r"visual_feat_dim=10\), got \(3, 6, 11\)"),
        ("visual_pos", (3, 6, 6), r"visual_pos_dim=4\), got \(3, 6, 6\)"),
        ("visual_pos", (3, 5, 4), r"\(3, 5, 4\) does not go with visual_feats.* objects .* 6"),
        ("visual_attention_mask", (3, 9), "does not go with visual_feats, whose objects"),
        ("visual_attention_mask", (3, 6, 6), r"must have shape \(batch, objects\)"),
        ("attention_mask", (3, 1, 1, 9), r"must have shape \(batch, sequence\)"),
        ("attention_mask", (3, 6), "does not go with input_ids, whose sequence axis has length 9"),
        ("token_type_ids", (2, 9), "does not go with input_ids, whose batch axis has length 3"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    model: Any, inputs: dict[str, np.ndarray], name: str, shape: tuple[int, ...], message: str
) -> None:
    wrong = np.ones(shape, inputs[name].dtype)
    with pytest.raises(ValueError, match=f"TFLxmertModel: {name} .*{message}"):
        model({**inputs, name: wrong})


def test_more_text_than_positions_is_refused(model: Any) -> None:
    given = {**texts(np.random.default_rng(0), 3, 16), **objects(np.random.default_rng(0))}
    assert model(given).language_output.shape == (3, 16, 12)
    longer = {**texts(np.random.default_rng(0), 3, 17), **objects(np.random.default_rng(0))}
    with pytest.raises(ValueError, match="hold 17 tokens, the model has positions for 16 .*trunca"):
        model(longer)
    vectors = np.zeros((3, 17, 12), "float32")
    seen = objects(np.random.default_rng(0))
    with pytest.raises(ValueError, match="inputs_embeds hold 17 tokens"):
        model(inputs_embeds=vectors, **seen)


def test_both_or_neither_of_ids_and_vectors_are_refused(
    model: Any, inputs: dict[str, np.ndarray]
) -> None:
    vectors = np.zeros((3, 9, 12), "float32")
    with pytest.raises(ValueError, match="either input_ids or inputs_embeds, got input_ids and in"):
        model(**inputs, inputs_embeds=vectors)
    rest = {k: v for k, v in inputs.items() if k != "input_ids"}
    with pytest.raises(ValueError, match="either input_ids or inputs_embeds, got neither"):
        model(**rest)
    with pytest.raises(ValueError, match=r"inputs_embeds must have shape .*hidden_size=12\), got"):
        model(**rest, inputs_embeds=vectors[..., :8])


def test_ids_outside_the_tables_are_refused(model: Any, inputs: dict[str, np.ndarray]) -> None:
    for wrong in (37, -1):
        ids = np.where(np.arange(9) == 4, wrong, inputs["input_ids"])
        with pytest.raises(ValueError, match=r"input_ids must lie in \[0, 37\) \(vocab_size\)"):
            model({**inputs, "input_ids": ids})
    with pytest.raises(ValueError, match=r"token_type_ids must lie in \[0, 3\)"):
        model({**inputs, "token_type_ids": inputs["token_type_ids"] + 3})


LABELS = all_labels(np.random.default_rng(5))
PAIRS = LABELS["obj_labels"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            {"obj_labels": {**PAIRS, "kind": PAIRS["obj"]}},
            "some of obj, attr, feat .* got .*'kind'",
        ),
        ({"obj_labels": [1, 2]}, "must map some of obj, attr, feat to pairs .* got list"),
        ({"obj_labels": {"obj": PAIRS["obj"]}}, "obj_labels lack attr, feat; this config trains"),
        ({"obj_labels": {**PAIRS, "obj": PAIRS["obj"][0]}}, "must be a pair of label and confid"),
        (
            {"obj_labels": {**PAIRS, "obj": (PAIRS["obj"][0] + 5, PAIRS["obj"][1])}},
            r"label of obj_labels\['obj'\] must lie in \[0, 5\)",
        ),
        (
            {"obj_labels": {**PAIRS, "feat": (PAIRS["feat"][0][..., :3], PAIRS["feat"][1])}},
            r"label of obj_labels\['feat'\] must have shape \(3, 6, 10\), got \(3, 6, 3\)",
        ),
        (
            {"obj_labels": {**PAIRS, "attr": (PAIRS["attr"][0], PAIRS["attr"][1][:, :2])}},
            r"confidence of obj_labels\['attr'\] must have shape \(3, 6\), got \(3, 2\)",
        ),
        ({"ans": np.array([0, 7, 1])}, r"ans must lie in \[0, 7\) .* got \[7\]"),
        ({"ans": np.array([0, -1, 1])}, r"ans must lie in \[0, 7\) .* got \[-1\]"),
        ({"ans": np.eye(7, dtype="int64")[:3]}, r"ans must be class indices of shape \(batch,\)"),
        ({"ans": np.zeros(3, "float32")}, "ans must be integers, got float32"),
        ({"matched_label": np.array([0, 1, 2])}, r"matched_label must lie in \[0, 2\)"),
        ({"masked_lm_labels": np.full((3, 9), 37)}, r"masked_lm_labels must lie in \[0, 37\)"),
        ({"masked_lm_labels": np.zeros((3, 8), int)}, r"class indices of shape \(3, 9\), got shap"),
        (
            {"masked_lm_labels": np.zeros((3, 9), int), "labels": np.zeros((3, 9), int)},
            "two names of one",
        ),
    ],
)
def test_wrong_labels_are_refused(
    inputs: dict[str, np.ndarray], labels: dict[str, Any], message: str
) -> None:
    model = BY_NAME["pretraining"].load()
    with pytest.raises(ValueError, match=message):
        model(**inputs, **labels)


@pytest.mark.parametrize("wrong", [7, -1])
def test_answers_out_of_range_are_refused(inputs: dict[str, np.ndarray], wrong: int) -> None:
    model = BY_NAME["answers"].load()
    with pytest.raises(ValueError, match=rf"labels must lie in \[0, 7\) .* got \[{wrong}\]"):
        model(**inputs, labels=np.array([0, wrong, 1]))
    with pytest.raises(ValueError, match=r"labels must be class indices of shape \(batch,\), got"):
        model(**inputs, labels=np.eye(7, dtype="int64")[:3])
