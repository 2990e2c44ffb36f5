"""Cases of LXMERT: stacks of different depths, the heads of pretraining, answers."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.support.cases import Case
from tests.support.tiny import Tiny

# Every size differs, so that none can stand in for another.
SIZES: dict[str, Any] = {
    "vocab_size": 37,
    "hidden_size": 12,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "max_position_embeddings": 16,
    "type_vocab_size": 3,
    "num_qa_labels": 7,
    "num_object_labels": 5,
    "num_attr_labels": 6,
    "visual_feat_dim": 10,
    "l_layers": 2,
    "x_layers": 2,
    "r_layers": 1,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
IGNORED = -100


def config(**changed: Any) -> dict[str, Any]:
    """Fields of a tiny config with some changed."""
    return {**SIZES, **changed}


def texts(rng: np.random.Generator, count: int = 3, length: int = 9) -> dict[str, np.ndarray]:
    """Random texts of different lengths, padded with 0; the id 0 also stands inside of them."""
    lengths = rng.integers(2, length, size=count)
    lengths[0] = length
    places = np.arange(length)[None]
    mask = places < lengths[:, None]
    ids = np.where(mask, rng.integers(0, SIZES["vocab_size"], (count, length)), 0)
    ids[:, 1] = 0
    return {
        "input_ids": ids.astype("int64"),
        "attention_mask": mask.astype("int64"),
        "token_type_ids": (places >= lengths[:, None] // 2).astype("int64") * mask,
    }


def objects(
    rng: np.random.Generator, count: int = 3, number: int = 6, features: int = 10, box: int = 4
) -> dict[str, np.ndarray]:
    """Random features and boxes; the last objects of each sample but the first are padding."""
    numbers = rng.integers(1, number, size=count)
    numbers[0] = number
    return {
        "visual_feats": rng.normal(size=(count, number, features)).astype("float32"),
        "visual_pos": rng.random((count, number, box)).astype("float32"),
        "visual_attention_mask": (np.arange(number)[None] < numbers[:, None]).astype("int64"),
    }


def pairs(rng: np.random.Generator, **sizes: int) -> dict[str, np.ndarray]:
    """Texts and objects, of different numbers."""
    return {**texts(rng), **objects(rng, **sizes)}


def masked_words(rng: np.random.Generator, count: int = 3, length: int = 9) -> dict[str, Any]:
    """Labels of some words."""
    words = rng.integers(0, SIZES["vocab_size"], (count, length))
    words[rng.random((count, length)) < 0.6] = IGNORED
    words[:, 0] = 3
    return {"masked_lm_labels": words}


def all_labels(rng: np.random.Generator, count: int = 3, number: int = 6) -> dict[str, Any]:
    """Labels of every task; confidences and errors of all sizes, some classes ignored."""

    def classes(width: int) -> np.ndarray:
        labels = rng.integers(0, width, (count, number))
        labels[0, 1] = labels[-1, 0] = IGNORED
        return labels

    def confidence() -> np.ndarray:
        values = rng.random((count, number)).astype("float32")
        values[1, 0] = 0.0
        return values

    features = rng.normal(size=(count, number, SIZES["visual_feat_dim"])).astype("float32")
    return {
        **masked_words(rng, count),
        "obj_labels": {
            "obj": (classes(SIZES["num_object_labels"]), confidence()),
            "attr": (classes(SIZES["num_attr_labels"]), confidence()),
            "feat": (3 * features, confidence()),
        },
        "matched_label": rng.integers(0, 2, count),
        "ans": np.array([4, IGNORED, 6])[:count],
    }


CASES = (
    Case(
        name="lxmert/model",
        model="TFLxmertModel",
        is_part=True,
        config=config(),
        inputs=pairs,
    ),
    Case(
        name="lxmert/deep",
        model="TFLxmertModel",
        is_part=True,
        config=config(l_layers=1, x_layers=3, r_layers=2, visual_pos_dim=5, hidden_act="relu"),
        inputs=lambda rng: pairs(rng, box=5, number=12),
    ),
    Case(
        name="lxmert/no_cross",
        model="TFLxmertModel",
        is_part=True,
        config=config(x_layers=0, hidden_act="silu"),
        inputs=pairs,
    ),
    Case(
        name="lxmert/cross_alone",
        model="TFLxmertModel",
        is_part=True,
        config=config(l_layers=0, x_layers=1, r_layers=0, hidden_act="gelu_new"),
        inputs=pairs,
    ),
    Case(
        name="lxmert/pretraining",
        model="TFLxmertForPreTraining",
        config=config(l_layers=1, x_layers=1),
        inputs=pairs,
        labels=masked_words,
    ),
    Case(  # a head without answers, and two visual tasks of three
        name="lxmert/few_tasks",
        model="TFLxmertForPreTraining",
        config=config(
            l_layers=1, x_layers=1, task_qa=False, visual_attr_loss=False, hidden_act="relu"
        ),
        inputs=pairs,
        labels=masked_words,
    ),
    Case(  # the head's activation is GELU whatever the config says
        name="lxmert/answers",
        model="TFLxmertForQuestionAnswering",
        config=config(l_layers=1, x_layers=1, hidden_act="relu"),
        inputs=pairs,
        labels=lambda rng: {"labels": np.array([5, IGNORED, 0])},
    ),
)

#: What the features of Keras are tested on, see `tests/features`.
FEATURES = Tiny(CASES[-1])  # answers

# Which cases give an option a value other than its default. `tests/models/test_cases.py` holds it
# to the configs: a new option needs a case, or a test of its own if no output depends on it.
COVERED = {
    **{name: "model" for name in SIZES if not name.endswith("_prob")},
    "num_qa_labels": "pretraining answers",
    "num_object_labels": "pretraining",
    "num_attr_labels": "pretraining",
    "hidden_act": "deep no_cross cross_alone few_tasks answers",
    "l_layers": "model deep cross_alone",
    "x_layers": "deep no_cross cross_alone",
    "r_layers": "model deep cross_alone",
    "visual_pos_dim": "deep",
    "task_qa": "few_tasks",
    "visual_attr_loss": "few_tasks",
}
_TASKS = "test_training.py::test_labels_of_a_task_that_is_off_have_no_loss"
_TRAINING = "test_inputs.py::test_training_switches_dropout_on"
_VISUAL = "test_training.py::test_each_visual_loss_equals_the_reference"
ELSEWHERE = {
    "hidden_dropout_prob": _TRAINING,
    "attention_probs_dropout_prob": _TRAINING,
    "initializer_range": "test_model.py::test_fresh_weights_differ_and_have_the_std",
    "layer_norm_eps": "test_model.py::test_epsilon_is_the_configs",
    "visual_loss_normalizer": "test_training.py::test_the_normalizer_weighs_the_visual_loss",
    "task_matched": _TASKS,
    "task_mask_lm": _TASKS,
    "task_obj_predict": _TASKS,
    "visual_obj_loss": _VISUAL,
    "visual_feat_loss": _VISUAL,
}
