"""Perceiver's image classifier with a convolution: one image of 224 x 224 pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.benchmarks.harness.benchmark import Arrays, Benchmark
from tests.models.perceiver.benchmark_flow import BENCHMARKS as FLOW
from tests.models.perceiver.benchmark_fourier import BENCHMARKS as FOURIER
from tests.models.perceiver.benchmark_mlm import BENCHMARKS as MLM

__all__ = ["BENCHMARKS", "SIZES"]

BENCHMARKS = (
    Benchmark(
        title="Perceiver convolution, 224 x 224, batch 1",
        model="TFPerceiverForImageClassificationConvProcessing",
        config={**FOURIER[0].config, "d_model": 322},
        inputs=FOURIER[0].inputs,
        labels=FOURIER[0].labels,
    ),
)

_SOUND = {
    "num_latents": 784,
    "d_latents": 512,
    "d_model": 704,
    "num_self_attends_per_block": 8,
    "num_cross_attention_heads": 1,
    "image_size": 224,
    "num_labels": 700,
}


def _video(rng: np.random.Generator) -> Arrays:
    """A video with sound, of which 1 / 128 is decoded, as the documentation does at a time."""
    return {
        "image": rng.standard_normal((1, 16, 3, 224, 224), dtype="float32"),
        "audio": rng.standard_normal((1, 30720, 1), dtype="float32"),
        "label": np.zeros((1, 700), "float32"),
        "image_points": np.arange(6272),
        "audio_points": np.arange(15),
    }


#: Every public model class in the size of a published checkpoint.
SIZES = (
    Benchmark(
        "language-perceiver",
        "TFPerceiverModel",
        MLM[0].config,
        lambda rng: {"inputs": rng.standard_normal((1, 2048, 768), dtype="float32")},
    ),
    Benchmark("language-perceiver", "TFPerceiverForMaskedLM", MLM[0].config, MLM[0].inputs),
    Benchmark(
        "language-perceiver",
        "TFPerceiverForSequenceClassification",
        MLM[0].config,
        MLM[0].inputs,
    ),
    Benchmark(
        "vision-perceiver-learned",
        "TFPerceiverForImageClassificationLearned",
        {**FOURIER[0].config, "d_model": 512, "image_size": 224},
        FOURIER[0].inputs,
    ),
    replace(FOURIER[0], title="vision-perceiver-fourier"),
    replace(BENCHMARKS[0], title="vision-perceiver-conv"),
    replace(FLOW[0], title="optical-flow-perceiver"),
    Benchmark("multimodal-perceiver", "TFPerceiverForMultimodalAutoencoding", _SOUND, _video),
)
