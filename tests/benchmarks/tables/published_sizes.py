"""Every public model class in the size of a published checkpoint, with inputs of that size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.benchmarks.harness.benchmark import Arrays, Benchmark
from tests.models.lxmert.benchmark import BENCHMARKS as LXMERT
from tests.models.owlv2.benchmark import BENCHMARKS as OWLV2
from tests.models.perceiver.benchmark_flow import BENCHMARKS as FLOW
from tests.models.perceiver.benchmark_fourier import BENCHMARKS as FOURIER
from tests.models.perceiver.benchmark_mlm import BENCHMARKS as MLM
from tests.models.tvp.benchmark import BENCHMARKS as TVP
from tests.models.xclip.benchmark import BENCHMARKS as XCLIP

__all__ = ["NESTED", "SIZES"]

# What the reference takes inside of dicts: our name -> its input, and the entry there.
NESTED = {
    "image": ("inputs", "image"),
    "audio": ("inputs", "audio"),
    "label": ("inputs", "label"),
    "image_points": ("subsampled_output_points", "image"),
    "audio_points": ("subsampled_output_points", "audio"),
}


def _clip(rng: np.random.Generator) -> Arrays:
    return {"pixel_values": rng.standard_normal((1, 8, 3, 224, 224), dtype="float32")}


def _photo(side: int, count: int = 1) -> Any:
    shape = (count, 3, side, side)
    return lambda rng: {"pixel_values": rng.standard_normal(shape, dtype="float32")}


def _queries(rng: np.random.Generator) -> Arrays:
    inputs = OWLV2[0].inputs(rng)
    return {name: inputs[name] for name in ("input_ids", "attention_mask")}


def _both(side: int) -> Any:
    return lambda rng: {**_queries(rng), **_photo(side)(rng)}


def _texts(rng: np.random.Generator) -> Arrays:
    inputs = XCLIP[0].inputs(rng)
    return {name: inputs[name] for name in ("input_ids", "attention_mask")}


def _video(rng: np.random.Generator) -> Arrays:
    """A video with sound, of which 1 / 128 is decoded, as the documentation does at a time."""
    return {
        "image": rng.standard_normal((1, 16, 3, 224, 224), dtype="float32"),
        "audio": rng.standard_normal((1, 30720, 1), dtype="float32"),
        "label": np.zeros((1, 700), "float32"),
        "image_points": np.arange(6272),
        "audio_points": np.arange(15),
    }


def _size(checkpoint: str, model: str, inputs: Any, config: Mapping[str, Any] = {}) -> Benchmark:
    return Benchmark(title=checkpoint, model=f"TF{model}", config=config, inputs=inputs)


_VISION = dict(FOURIER[0].config)
_SOUND = {
    "num_latents": 784,
    "d_latents": 512,
    "d_model": 704,
    "num_self_attends_per_block": 8,
    "num_cross_attention_heads": 1,
    "image_size": 224,
    "num_labels": 700,
}
_OWLV2_TOWER = {"image_size": 960}
_ANSWERS = LXMERT[1].config

#: In the order of the families and, inside, of what stands on what.
SIZES: tuple[Benchmark, ...] = (
    _size("timesformer-base-finetuned-k400", "TimesformerModel", _clip),
    _size(
        "timesformer-base-finetuned-k400",
        "TimesformerForVideoClassification",
        _clip,
        {"num_labels": 400},
    ),
    _size("xclip-base-patch32", "XCLIPTextModel", _texts),
    _size("xclip-base-patch32", "XCLIPVisionModel", _photo(224, 8)),
    _size("xclip-base-patch32", "XCLIPModel", XCLIP[0].inputs),
    _size("owlv2-base-patch16", "Owlv2TextModel", _queries),
    _size("owlv2-base-patch16", "Owlv2VisionModel", _photo(960), _OWLV2_TOWER),
    _size("owlv2-base-patch16", "Owlv2Model", _both(960), {"vision_config": _OWLV2_TOWER}),
    _size(
        "owlv2-base-patch16", "Owlv2ForObjectDetection", _both(960), {"vision_config": _OWLV2_TOWER}
    ),
    _size("owlvit-base-patch32", "OwlViTTextModel", _queries),
    _size("owlvit-base-patch32", "OwlViTVisionModel", _photo(768)),
    _size("owlvit-base-patch32", "OwlViTModel", _both(768)),
    _size("owlvit-base-patch32", "OwlViTForObjectDetection", _both(768)),
    _size("lxmert-base-uncased", "LxmertModel", LXMERT[0].inputs),
    _size("lxmert-base-uncased", "LxmertForPreTraining", LXMERT[0].inputs),
    _size("lxmert-vqa-uncased", "LxmertForQuestionAnswering", LXMERT[0].inputs, _ANSWERS),
    _size(
        "language-perceiver",
        "PerceiverModel",
        lambda rng: {"inputs": rng.standard_normal((1, 2048, 768), dtype="float32")},
        MLM[0].config,
    ),
    _size("language-perceiver", "PerceiverForMaskedLM", MLM[0].inputs, MLM[0].config),
    _size("language-perceiver", "PerceiverForSequenceClassification", MLM[0].inputs, MLM[0].config),
    _size(
        "vision-perceiver-learned",
        "PerceiverForImageClassificationLearned",
        _photo(224),
        {**_VISION, "d_model": 512, "image_size": 224},
    ),
    _size(
        "vision-perceiver-fourier", "PerceiverForImageClassificationFourier", _photo(224), _VISION
    ),
    _size(
        "vision-perceiver-conv",
        "PerceiverForImageClassificationConvProcessing",
        _photo(224),
        {**_VISION, "d_model": 322},
    ),
    _size("optical-flow-perceiver", "PerceiverForOpticalFlow", FLOW[0].inputs, FLOW[0].config),
    _size("multimodal-perceiver", "PerceiverForMultimodalAutoencoding", _video, _SOUND),
    _size("tvp-base", "TvpModel", TVP[0].inputs, TVP[0].config),
    _size("tvp-base", "TvpForVideoGrounding", TVP[0].inputs, TVP[0].config),
)
