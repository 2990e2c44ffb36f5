"""LXMERT's signature: the answer to a question about an image."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfzoo.export.endpoint import (
    Endpoint,
    ServingOptions,
    check_head,
    check_processor,
    check_tokenizer,
    class_names,
)
from tfzoo.export.graph.answers import checked_ids, checked_sizes, probabilities, ranked
from tfzoo.models.lxmert.model import TFLxmertForQuestionAnswering
from tfzoo.models.lxmert.tokenizer import LxmertTokenizer, LxmertTokenizerFast

__all__ = ["OPTIONS", "endpoints"]

OPTIONS = frozenset({"labels", "top_k"})

_QUESTION, _OBJECTS = "what is it?", 2  # of the example


def endpoints(
    model: TFLxmertForQuestionAnswering,
    processor: LxmertTokenizerFast | LxmertTokenizer,
    options: ServingOptions,
) -> list[Endpoint]:
    """The signatures of an LXMERT model.

    Features and boxes of objects come from an external detector, see `tfzoo.data.regions`.

    Args:
        model: A `TFLxmertForQuestionAnswering`.
        processor: Its `LxmertTokenizerFast` or `LxmertTokenizer`.
        options: `labels`, the answers by name, where the config has none; `top_k`.

    Returns:
        `answer`.

    Raises:
        ServingError: Another model or tokenizer, or names of another number of answers.
    """
    check_head(model, TFLxmertForQuestionAnswering)
    check_processor(model, processor, LxmertTokenizerFast, LxmertTokenizer)
    check_tokenizer(processor, model.config.vocab_size)
    return [_answer(model, processor, options)]


def _answer(
    model: TFLxmertForQuestionAnswering,
    tokenizer: LxmertTokenizerFast | LxmertTokenizer,
    options: ServingOptions,
) -> Endpoint:
    """`answer`: ids, and features and boxes of objects -> answers, scores."""
    config = model.config
    names = class_names(options, model.num_qa_labels, config.id2label, type(model).__name__)

    def answer(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        ids = checked_ids(inputs["input_ids"], config.vocab_size, config.max_position_embeddings)
        text = {"input_ids": ids, "attention_mask": inputs["attention_mask"]}
        objects = {name: value for name, value in inputs.items() if name not in text}
        inputs = checked_sizes(text, "input_ids") | checked_sizes(objects, "visual_feats")
        outputs = model(**inputs, training=False, return_dict=True)
        scores = probabilities(outputs.question_answering_score)
        answers, scores = ranked(scores, names, options.top_k)
        return {"answers": answers, "scores": scores}

    ids = np.array([tokenizer(_QUESTION).input_ids], "int64")
    return Endpoint.of(
        "answer",
        answer,
        input_ids=ids,
        attention_mask=np.ones_like(ids),
        visual_feats=np.zeros((1, _OBJECTS, config.visual_feat_dim), "float32"),
        visual_pos=np.zeros((1, _OBJECTS, config.visual_pos_dim), "float32"),
        visual_attention_mask=np.ones((1, _OBJECTS), "int64"),
    )
