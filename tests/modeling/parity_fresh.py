"""Fresh weights against the reference: how widely each tensor is drawn; and how many there are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import tfzoo
from tests.models.test_cases import NAMES, cases_of
from tests.support import reference
from tests.support.cases import Case
from tfzoo.modeling.checkpoint import checkpoint_sources

TOWER = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2}
TOWER |= {"num_attention_heads": 4, "initializer_factor": 0.5}
VISION = {**TOWER, "image_size": 32, "patch_size": 8}
MIT = {"mit_hidden_size": 64, "mit_intermediate_size": 96, "mit_num_attention_heads": 4}
TEXT = {**TOWER, "vocab_size": 200}
OWL = {"text_config": TEXT, "vision_config": VISION, "projection_dim": 64}
XCLIP = {**OWL, "vision_config": {**VISION, **MIT}, "prompt_num_attention_heads": 4}
BERT = {"hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4}
SMALL = {"d_latents": 64, "num_latents": 32, "num_self_attends_per_block": 1, "num_labels": 10}

MODELS: dict[str, dict[str, Any]] = {
    "XCLIPModel": {**XCLIP, "initializer_factor": 3.0},
    "XCLIPTextModel": TEXT,
    "XCLIPVisionModel": {**VISION, **MIT},
    "Owlv2Model": {**OWL, "initializer_factor": 3.0},
    "Owlv2ForObjectDetection": {**OWL, "initializer_factor": 3.0},
    "Owlv2TextModel": TEXT,
    "Owlv2VisionModel": VISION,
    "OwlViTModel": {**OWL, "initializer_factor": 3.0},
    "LxmertForPreTraining": {
        **BERT,
        "vocab_size": 200,
        "l_layers": 1,
        "x_layers": 1,
        "r_layers": 1,
        "initializer_range": 0.05,
    },
    "TimesformerForVideoClassification": {
        **BERT,
        "num_hidden_layers": 1,
        "image_size": 32,
        "patch_size": 8,
        "initializer_range": 0.05,
    },
    "PerceiverForMaskedLM": {**SMALL, "d_model": 64, "initializer_range": 0.05},
    "PerceiverForImageClassificationLearned": {**SMALL, "d_model": 512, "initializer_range": 0.05},
    "PerceiverForMultimodalAutoencoding": {
        **SMALL,
        "d_model": 704,
        "num_cross_attention_heads": 1,
        "initializer_range": 0.05,
    },
}


@pytest.mark.parametrize("name", MODELS)
def test_every_tensor_is_drawn_as_widely(name: str) -> None:
    cls, oracle_class = getattr(tfzoo, f"TF{name}"), getattr(reference.transformers, name)
    config, other = (c.config_class(**MODELS[name]) for c in (cls, oracle_class))
    if "initializer_factor" in MODELS[name]:  # which the reference's constructor overwrites
        other.initializer_factor = MODELS[name]["initializer_factor"]
    model = cls(config)
    torch.manual_seed(0)
    oracle = oracle_class(other).state_dict()
    for key, _, shape, read in checkpoint_sources(model):
        ours, theirs = read(), oracle[key].numpy()
        assert ours.shape == theirs.shape == tuple(shape)
        slack = max(0.05, 4 / np.sqrt(max(ours.size, 1)))  # 4 standard errors and more
        assert ours.std() == pytest.approx(theirs.std(), rel=slack, abs=1e-9), key
        if not theirs.std():
            assert np.array_equal(ours, theirs), key


@pytest.mark.parametrize("case", [cases_of(name).CASES[0] for name in NAMES], ids=lambda c: c.model)
def test_parameters_are_counted_as_there(case: Case) -> None:
    model, oracle = case.load(), reference.load_strictly(case.torch_class, case.folder)
    for flags in ({}, {"exclude_embeddings": True}, {"only_trainable": True}):
        assert model.num_parameters(**flags) == oracle.num_parameters(**flags), flags
    frozen = model.freeze_layers(r"\.(layer|layers|self_attends)\.0$")
    assert frozen
    assert model.num_parameters(only_trainable=True) < model.num_parameters()
