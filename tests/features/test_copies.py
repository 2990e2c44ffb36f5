"""Copies of models: `copy.deepcopy`, `pickle` and `keras.models.clone_model`."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import tfzoo
from tests.features.families import FAMILIES, Tiny, assert_close, learning, weights

COPIES: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
}
HOW = ("pickle", pytest.param("deepcopy", marks=pytest.mark.slow))


@pytest.mark.parametrize("how", HOW)
def test_copies_are_equal_and_independent(tiny: Tiny, how: str) -> None:
    model = tiny.load()
    values = weights(model)
    copied = COPIES[how](model)
    assert type(copied) is type(model)
    assert copied.config is not model.config
    assert copied.config.to_json_dict() == model.config.to_json_dict()
    assert_close(weights(copied), values, 0)
    np.testing.assert_array_equal(tiny.output(copied), tiny.output(model))
    copied.set_weights([np.zeros_like(value) for value in values])
    assert_close(weights(model), values, 0)


def test_clones_have_fresh_weights(tiny: Tiny) -> None:
    model = tiny.load()
    values = weights(model)
    clone = keras.models.clone_model(model)
    assert type(clone) is type(model)
    assert [v.shape for v in clone.weights] == [v.shape for v in model.weights]
    assert not all(map(np.array_equal, weights(clone), values))
    clone.set_weights(values)
    assert_close(weights(clone), values, 0)


@pytest.mark.parametrize("how", HOW)
def test_copies_keep_what_was_changed(how: str) -> None:
    tiny = FAMILIES[0]
    model = tiny.load()
    model.enable_lora(2, train="classifier")
    copied = COPIES[how](model)
    assert learning(copied) == learning(model)
    assert_close(weights(copied), weights(model), 0)
    model = tiny.load(dtype="mixed_bfloat16")
    model.freeze_layers("embeddings")
    copied = COPIES[how](model)
    assert learning(copied) == learning(model)
    assert copied.dtype_policy.name == "mixed_bfloat16"


@pytest.mark.parametrize("how", HOW)
def test_copies_of_compiled_models_go_on_training(how: str) -> None:
    tiny = FAMILIES[0]
    model = tiny.compiled(keras.optimizers.SGD(0.01))
    copied = COPIES[how](model)
    losses = [
        m.fit(tiny.batches(), shuffle=False, verbose=0).history["loss"] for m in (model, copied)
    ]
    assert losses[0] == losses[1]
    assert_close(weights(copied), weights(model))


def test_configs_and_outputs_are_copied() -> None:
    model = FAMILIES[0].load()
    outputs = model(**FAMILIES[0].inputs())
    for copied in (copy.deepcopy(outputs), pickle.loads(pickle.dumps(outputs))):
        assert type(copied) is type(outputs)
        np.testing.assert_array_equal(copied.logits, outputs.logits)
    for config in (copy.deepcopy(model.config), pickle.loads(pickle.dumps(model.config))):
        assert isinstance(config, tfzoo.TimesformerConfig)
        assert config.to_dict() == model.config.to_dict()
