"""Cases of Perceiver: each ready-made model, with masks, subsampling and odd sizes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.support.cases import Case
from tests.support.tiny import Tiny

# Every width and every number of heads differs, so that none can stand in for another.
TINY: dict[str, Any] = {
    "num_latents": 5,
    "d_latents": 12,
    "d_model": 16,
    "num_blocks": 2,
    "num_self_attends_per_block": 2,
    "num_self_attention_heads": 3,
    "num_cross_attention_heads": 4,
    "attention_probs_dropout_prob": 0.0,  # one step of training is compared
}
# Keys as narrow as the latents keep the fixtures small; the parity tests have others.
ONE_HEAD: dict[str, Any] = {
    **TINY,
    "num_cross_attention_heads": 1,
    "qk_channels": 12,
    "v_channels": 12,
}
TEXT: dict[str, Any] = {**TINY, "vocab_size": 30, "max_position_embeddings": 11}


def texts(rng: np.random.Generator, count: int, length: int) -> dict[str, np.ndarray]:
    """Random texts of different lengths, padded with 0."""
    lengths = rng.integers(2, length, size=count)
    lengths[0] = length
    mask = np.arange(length)[None] < lengths[:, None]
    ids = np.where(mask, rng.integers(1, 30, (count, length)), 0)
    return {"input_ids": ids.astype("int64"), "attention_mask": mask.astype("int64")}


VIDEO: dict[str, Any] = {
    **ONE_HEAD,
    "image_size": 8,
    "num_frames": 2,
    "audio_samples_per_frame": 24,
    "samples_per_patch": 4,
    "output_shape": [1, 2, 8, 8],
    "output_num_channels": 9,
    "_label_trainable_num_channels": 20,
}


def videos(rng: np.random.Generator, batch: int) -> dict[str, np.ndarray]:
    """Random videos with sound and label, and some points to decode."""
    return {
        "image": rng.normal(size=(batch, 2, 3, 8, 8)).astype("float32"),
        "audio": rng.normal(size=(batch, 48, 1)).astype("float32"),
        "label": rng.normal(size=(batch, 5)).astype("float32"),
        "image_points": rng.permutation(128)[:7],
        "audio_points": np.array([11, 0, 5]),
    }


def images(rng: np.random.Generator, *shape: int) -> dict[str, np.ndarray]:
    """Random pixels of the given shape."""
    return {"pixel_values": rng.normal(size=shape).astype("float32")}


def mlm_labels(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Random ids for every output, some of them ignored."""
    labels = rng.integers(0, 30, (3, 11))
    labels[rng.random((3, 11)) < 0.3] = -100
    return {"labels": labels.astype("int64")}


CASES = (
    Case(
        name="perceiver/masked_lm",
        model="TFPerceiverForMaskedLM",
        config=TEXT,
        inputs=lambda rng: texts(rng, 3, 8),
        labels=mlm_labels,
    ),
    Case(  # widths of their own, and none of the residuals but those of self-attention
        name="perceiver/widths",
        model="TFPerceiverForSequenceClassification",
        config={
            **TEXT,
            "qk_channels": 24,
            "v_channels": 12,
            "self_attention_widening_factor": 2,
            "cross_attention_widening_factor": 3,
            "use_query_residual": False,
            "hidden_act": "gelu_new",
            "num_labels": 3,
        },
        inputs=lambda rng: texts(rng, 4, 11),
        labels=lambda rng: {"labels": np.array([0, 2, 1, 2])},
    ),
    Case(  # one head across, as in the published models
        name="perceiver/learned",
        model="TFPerceiverForImageClassificationLearned",
        config={**ONE_HEAD, "image_size": 6, "num_labels": 4},
        inputs=lambda rng: images(rng, 3, 3, 6, 6),
        labels=lambda rng: {"labels": rng.integers(0, 2, (3, 4)).astype("float32")},
    ),
    Case(
        name="perceiver/fourier",
        model="TFPerceiverForImageClassificationFourier",
        config={
            **TINY,
            "num_cross_attention_heads": 1,
            "cross_attention_shape_for_attention": "q",
            "num_labels": 1,
        },
        inputs=lambda rng: images(rng, 2, 3, 7, 10),
        labels=lambda rng: {"labels": rng.normal(size=(2,)).astype("float32")},
    ),
    Case(
        name="perceiver/conv",
        model="TFPerceiverForImageClassificationConvProcessing",
        config={**ONE_HEAD, "hidden_act": "relu", "num_labels": 5},
        inputs=lambda rng: images(rng, 3, 3, 33, 25),
        labels=lambda rng: {"labels": np.array([4, -100, 0])},
    ),
    Case(
        name="perceiver/flow",
        model="TFPerceiverForOpticalFlow",
        config={**ONE_HEAD, "train_size": [4, 6]},
        inputs=lambda rng: {"inputs": rng.normal(size=(2, 2, 27, 4, 6)).astype("float32")},
    ),
    Case(
        name="perceiver/multimodal",
        model="TFPerceiverForMultimodalAutoencoding",
        config={**VIDEO, "num_labels": 5},
        inputs=lambda rng: videos(rng, 2),
    ),
    Case(  # no parts: tokens in, latents out
        name="perceiver/bare",
        model="TFPerceiverModel",
        is_part=True,
        config={**TINY, "num_blocks": 1},
        inputs=lambda rng: {"inputs": rng.normal(size=(2, 7, 16)).astype("float32")},
    ),
)

#: What the features of Keras are tested on, see `tests/features`.
FEATURES = Tiny(CASES[1])  # classes of texts

# Which cases give an option a value other than its default. `tests/models/test_cases.py` holds it
# to the configs: a new option needs a case, or a test of its own if no output depends on it.
COVERED = {
    **{name: "masked_lm" for name in TINY if not name.endswith("_prob")},
    "vocab_size": "masked_lm widths",
    "max_position_embeddings": "masked_lm widths",
    "qk_channels": "widths learned conv",
    "v_channels": "widths learned conv",
    "cross_attention_shape_for_attention": "fourier",
    "self_attention_widening_factor": "widths",
    "cross_attention_widening_factor": "widths",
    "hidden_act": "widths conv",
    "use_query_residual": "widths",
    "image_size": "learned multimodal",
    "train_size": "flow",
    **{name: "multimodal" for name in VIDEO if name not in TINY and not name.endswith("_channels")},
    "output_num_channels": "multimodal",
    "_label_trainable_num_channels": "multimodal",
    "num_labels": "widths learned fourier conv multimodal",
}
_DROPOUT = "test_training.py::test_dropout_acts_in_training_only"
ELSEWHERE = {
    "attention_probs_dropout_prob": _DROPOUT,
    "initializer_range": "../test_cases.py::test_fresh_weights_follow_the_config",
    "layer_norm_eps": "test_model.py::test_layer_norm_eps_has_no_effect",
}
