"""LXMERT's `answer`: the names and scores of the host path; an error for a bad request alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import tfzoo
from tests.support.endpoints import traced
from tests.support.lxmert_checkpoint import ANSWERS, write_lxmert_checkpoint
from tfzoo.export import ServingError, ServingOptions
from tfzoo.models.lxmert.serving import endpoints

QUESTIONS = ["What is on the table?", "how many", "is there a dog in the picture, or is it a cat?"]
TINY = {"hidden_size": 12, "num_attention_heads": 2, "intermediate_size": 16}
DEPTH = {"l_layers": 1, "x_layers": 1, "r_layers": 1}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    folder = write_lxmert_checkpoint(tmp_path_factory.mktemp("lxmert"))
    model = tfzoo.TFLxmertForQuestionAnswering.from_pretrained(folder)
    rng = np.random.default_rng(0)
    for weight in model.weights:  # answers that differ
        weight.assign(weight + 0.2 * rng.normal(size=weight.shape))
    return model, tfzoo.LxmertTokenizerFast.from_pretrained(folder)


@pytest.fixture(scope="module")
def run(loaded: tuple[Any, Any]) -> Callable:
    return traced(*loaded, "answer", top_k=2)


def request(tokenizer: Any, objects: int = 5) -> dict[str, np.ndarray]:
    """Questions about three images; the last object of the second is padding."""
    rng = np.random.default_rng(2)
    text = tokenizer(QUESTIONS, padding=True, return_token_type_ids=False, return_tensors="np")
    corners = np.sort(rng.random((3, objects, 2, 2)), axis=2).reshape(3, objects, 4)
    mask = np.ones((3, objects), "int64")
    mask[1, -1] = 0
    return {
        **text,
        "visual_feats": rng.exponential(size=(3, objects, 2048)).astype("float32"),
        "visual_pos": corners.astype("float32"),
        "visual_attention_mask": mask,
    }


@pytest.mark.parametrize("objects", [1, 36])
def test_answers_equal_the_hosts(objects: int, loaded: tuple[Any, Any], run: Callable) -> None:
    model, tokenizer = loaded
    inputs = request(tokenizer, objects)
    answer = run(**inputs)
    probabilities = tf.nn.softmax(model(**inputs).question_answering_score).numpy()
    order = np.argsort(-probabilities, axis=1)[:, :2]
    assert answer["answers"].tolist() == [[ANSWERS[i].encode() for i in row] for row in order]
    expected = np.take_along_axis(probabilities, order, axis=1)
    np.testing.assert_allclose(answer["scores"], expected, rtol=1e-4)


def test_answers_have_the_names_they_are_given(loaded: tuple[Any, Any], run: Callable) -> None:
    names = ["ja", "nein", "zwei"]
    inputs = request(loaded[1])
    others = traced(*loaded, "answer", labels=names, top_k=3)(**inputs)["answers"]
    translated = dict(zip(ANSWERS.values(), names, strict=True))
    expected = [[translated[a.decode()].encode() for a in row] for row in run(**inputs)["answers"]]
    assert others[:, :2].tolist() == expected


def test_bad_requests_are_refused_and_the_next_is_answered(
    loaded: tuple[Any, Any], run: Callable
) -> None:
    good = request(loaded[1])
    first = run(**good)["scores"]
    ids = good["input_ids"]
    long = np.ones((3, 513), "int64")
    bad = [
        ({"input_ids": ids[:0], "attention_mask": ids[:0]}, "at least one text"),
        ({"input_ids": ids - 5}, r"ids from 0 to 30521.*\[-5\]"),
        ({"input_ids": ids + 30522}, "ids from 0 to 30521"),
        ({"input_ids": long, "attention_mask": long}, r"at most 512 tokens.*513"),
        ({"visual_pos": good["visual_pos"][:, :2]}, "visual_pos and visual_feats must be equally"),
        ({"visual_feats": good["visual_feats"] * np.nan}, "visual_feats: expected finite numbers"),
        ({"visual_pos": good["visual_pos"] + np.inf}, "visual_pos: expected finite numbers"),
        ({"attention_mask": good["attention_mask"][:, :1]}, "attention_mask and input_ids must"),
        ({"visual_attention_mask": good["visual_attention_mask"][:1]}, "visual_attention_mask and"),
    ]
    for changed, words in bad:
        with pytest.raises(tf.errors.InvalidArgumentError, match=words):
            run(**{**good, **changed})
        np.testing.assert_array_equal(run(**good)["scores"], first)


def test_what_does_not_fit_is_refused(loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    options = ServingOptions()
    with pytest.raises(ServingError, match="TFLxmertModel has no signature"):
        endpoints(tfzoo.TFLxmertModel(tfzoo.LxmertConfig(**TINY, **DEPTH)), tokenizer, options)
    with pytest.raises(ServingError, match="with a LxmertTokenizerFast, got a PerceiverTokenizer"):
        endpoints(model, tfzoo.PerceiverTokenizer(), options)
    with pytest.raises(ServingError, match="each of the 3 classes .* got 1"):
        endpoints(model, tokenizer, ServingOptions(labels=["yes"]))
    nameless = tfzoo.LxmertConfig(**TINY, **DEPTH, num_qa_labels=5)
    nameless = tfzoo.TFLxmertForQuestionAnswering(nameless)
    with pytest.raises(ServingError, match="has 5 classes, and its config names 2: pass"):
        endpoints(nameless, tokenizer, options)
    small = tfzoo.LxmertConfig(**TINY, **DEPTH, vocab_size=99)
    with pytest.raises(ServingError, match=r"ids, the model takes 99 \(vocab_size\)"):
        endpoints(tfzoo.TFLxmertForQuestionAnswering(small), tokenizer, options)
