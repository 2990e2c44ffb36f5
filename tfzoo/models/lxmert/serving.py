"""What LXMERT serves: the answer to a question about an image."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfzoo.export.answers import checked_ids, checked_sizes, class_names, probabilities, ranked
from tfzoo.export.endpoint import Endpoint, ServingError
from tfzoo.export.fitting import check_head, check_tokenizer
from tfzoo.export.options import ServingOptions
from tfzoo.models.lxmert.question_answering import TFLxmertForQuestionAnswering
from tfzoo.models.lxmert.tokenizer import LxmertTokenizer, LxmertTokenizerFast

__all__ = ["OPTIONS", "endpoints"]

OPTIONS = frozenset({"labels", "top_k"})

_QUESTION, _OBJECTS = "what is it?", 2  # of the example


def endpoints(model: Any, processor: Any, options: ServingOptions) -> list[Endpoint]:
    """The signatures of an LXMERT model.

    Features and boxes of objects come from an external detector, see
    `tfzoo.data.regions`.

    Args:
        model: A `TFLxmertForQuestionAnswering`.
        processor: Its `LxmertTokenizerFast` or `LxmertTokenizer`.
        options: `labels`, the answers by name, where the config has none; `top_k`.

    Returns:
        `answer`.

    Raises:
        ServingError: Another model or tokenizer, or names of another number of answers.
    """
    name = type(model).__name__
    check_head(model, TFLxmertForQuestionAnswering)
    if not isinstance(processor, (LxmertTokenizer, LxmertTokenizerFast)):
        raise ServingError(
            f"{name} is served with an LxmertTokenizerFast, got a {type(processor).__name__}."
        )
    check_tokenizer(processor, model.config.vocab_size)
    return [_answer(model, processor, options)]


def _answer(model: Any, tokenizer: Any, options: ServingOptions) -> Endpoint:
    """`answer`: ids, and features and boxes of objects -> answers, scores."""
    config = model.config
    names = class_names(options, model.num_qa_labels, config.id2label, type(model).__name__)

    def answer(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        ids = checked_ids(inputs["input_ids"], config.vocab_size, config.max_position_embeddings)
        text = {"input_ids": ids, "attention_mask": inputs["attention_mask"]}
        objects = {name: value for name, value in inputs.items() if name not in text}
        inputs = checked_sizes(text, "input_ids") | checked_sizes(objects, "visual_feats")
        outputs = model(**inputs, training=False, return_dict=True)
        odds = probabilities(outputs.question_answering_score)
        answers, scores = ranked(odds, names, options.top_k)
        return {"answers": answers, "scores": scores}

    ids = np.array([tokenizer(_QUESTION).input_ids], "int64")
    features = np.zeros((1, _OBJECTS, config.visual_feat_dim), "float32")
    example = {
        "input_ids": ids,
        "attention_mask": np.ones_like(ids),
        "visual_feats": features,
        "visual_pos": np.zeros((1, _OBJECTS, config.visual_pos_dim), "float32"),
        "visual_attention_mask": np.ones((1, _OBJECTS), "int64"),
    }
    fixed = {"visual_feats": config.visual_feat_dim, "visual_pos": config.visual_pos_dim}
    inputs = {
        name: tf.TensorSpec(
            [None, None, fixed[name]] if name in fixed else [None, None], value.dtype, name
        )
        for name, value in example.items()
    }
    return Endpoint("answer", answer, inputs, example)
