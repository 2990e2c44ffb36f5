"""LXMERT base: eight questions of 20 tokens, each about 36 objects."""

from __future__ import annotations

import numpy as np

from tests.benchmarks.harness.benchmark import Arrays, Benchmark, Targets

__all__ = ["BENCHMARKS", "SIZES"]


def _inputs(rng: np.random.Generator, batch: int = 8) -> Arrays:
    """Questions of 12 to 20 tokens, and 36 objects as the usual caches have them."""
    lengths = rng.integers(12, 21, (batch, 1))
    mask = np.arange(20)[None] < lengths
    return {
        "input_ids": np.where(mask, rng.integers(1000, 30522, (batch, 20)), 0),
        "visual_feats": rng.standard_normal((batch, 36, 2048), dtype="float32"),
        "visual_pos": rng.random((batch, 36, 4), dtype="float32"),
        "attention_mask": mask.astype("int64"),
        "token_type_ids": np.zeros((batch, 20), "int64"),
    }


_CONFIG = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}  # equal losses
_TARGETS = {"float32": Targets(speed=0.95), "float32 train": Targets(speed=0.95)}
_TITLE = "LXMERT base-uncased, 20 tokens, 36 objects, batch 8"

BENCHMARKS = (
    Benchmark(
        title=_TITLE,
        model="TFLxmertForPreTraining",
        config=_CONFIG,
        inputs=_inputs,
        labels=lambda rng: {
            "labels": np.where(  # transformers 5 ignores the old name without a word
                rng.random((8, 20)) < 0.15, rng.integers(1000, 30522, (8, 20)), -100
            ),
            "matched_label": rng.integers(0, 2, 8),
            "ans": rng.integers(0, 9500, 8),
        },
        references=("torch", "newest", "tf_keras"),
        targets=_TARGETS,
    ),
    Benchmark(
        title=f"{_TITLE}, 3129 answers",
        model="TFLxmertForQuestionAnswering",
        config={**_CONFIG, "num_qa_labels": 3129},
        inputs=_inputs,
        labels=lambda rng: {"labels": rng.integers(0, 3129, 8)},
        targets=_TARGETS,
    ),
)

#: Every public model class in the size of a published checkpoint.
SIZES = (
    Benchmark("lxmert-base-uncased", "TFLxmertModel", {}, _inputs),
    Benchmark("lxmert-base-uncased", "TFLxmertForPreTraining", {}, _inputs),
    Benchmark("lxmert-vqa-uncased", "TFLxmertForQuestionAnswering", BENCHMARKS[1].config, _inputs),
)
