"""Heads that are pruned: what is left computes as if their outputs were zero."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfzoo
from tests.models.lxmert.cases import CASES as LXMERT
from tests.models.owlv2.cases import CASES as OWLV2
from tests.models.timesformer.cases import CASES as TIMESFORMER
from tests.models.tvp.cases import CASES as TVP
from tests.models.xclip.cases import CASES as XCLIP
from tests.support.cases import Case, case_of
from tests.support.compare import assert_same, flatten
from tfzoo.core.config import ConfigError
from tfzoo.core.variables import slots

PAIRS = case_of(XCLIP, "TFXCLIPModel")
# Each with some layers of every stack, the last one included.
PRUNED = (
    (PAIRS, {0: [1, 3], 2: [0], 3: [0, 2]}),
    (case_of(XCLIP, "TFXCLIPVisionModel"), {1: [1]}),
    (case_of(OWLV2, "TFOwlv2ForObjectDetection"), {0: [0], -1: [1]}),
    (case_of(OWLV2, "TFOwlViTTextModel"), {0: [1]}),
    (case_of(LXMERT, "TFLxmertForPreTraining"), {0: [0], 1: [1], -1: [0]}),
    (case_of(TVP, "TFTvpForVideoGrounding"), {0: [1]}),
)


def numbered(model: Any, heads: dict[int, list[int]]) -> dict[int, list[int]]:
    """Without negative numbers, which stand for layers counted from the last one."""
    count = len(model.base_model.attention_layers())
    return {number % count: list(gone) for number, gone in heads.items()}


def silence(model: Any, heads: dict[int, list[int]]) -> None:
    """Let heads add nothing, without taking them away."""
    for number, gone in heads.items():
        layer = model.base_model.attention_layers()[number]
        kernel = keras.ops.convert_to_numpy(layer.out.kernel).copy()
        for head in gone:
            kernel[head * layer.head_width : (head + 1) * layer.head_width] = 0
        layer.out.kernel.assign(kernel)


def outputs(case: Case, model: Any) -> dict[str, np.ndarray]:
    return flatten(model(case.make_inputs(with_labels=False)))


@pytest.mark.parametrize(("case", "heads"), PRUNED, ids=lambda v: getattr(v, "model", None))
def test_what_is_left_computes_the_same(case: Case, heads: Any, tmp_path: Path) -> None:
    model, whole = case.load(), case.load()
    heads, size = numbered(model, heads), model.num_parameters()
    silence(whole, heads)
    expected = outputs(case, whole)
    model.prune_heads(heads)
    assert_same(outputs(case, model), expected)
    assert model.config.pruned_heads == heads
    assert model.num_parameters() < size
    assert len(model.weights) == len(slots(model))
    model.save_pretrained(tmp_path / "folder")
    model.save(tmp_path / "model.keras")
    for again in (
        type(model).from_pretrained(tmp_path / "folder"),
        tfzoo.auto.load_model(tmp_path / "model.keras"),
    ):
        assert again.config.pruned_heads == heads
        assert_same(outputs(case, again), expected)


def test_towers_are_pruned_as_the_whole(tmp_path: Path) -> None:
    model = PAIRS.load()
    model.prune_heads({0: [1], 3: [0, 2]})
    assert model.config.text_config.pruned_heads == {0: [1]}
    assert model.config.vision_config.pruned_heads == {1: [0, 2]}
    model.save_pretrained(tmp_path)
    for name, heads in (("Text", {0: [1]}), ("Vision", {1: [0, 2]})):
        tower = getattr(tfzoo, f"TFXCLIP{name}Model").from_pretrained(tmp_path)
        assert tower.config.pruned_heads == heads
    layers = tower.attention_layers()
    assert [layer.num_heads for layer in layers] == [3, 1]
    assert layers[1].heads == (1,)


def test_heads_keep_their_numbers() -> None:
    once, twice = PAIRS.load(), PAIRS.load()
    once.prune_heads({0: [0, 2], 2: [1]})
    twice.prune_heads({0: [0]})
    twice.prune_heads({0: [2, 0], 2: [1]})  # the third one, as before; the first is gone
    assert twice.config.pruned_heads == once.config.pruned_heads == {0: [0, 2], 2: [1]}
    assert_same(outputs(PAIRS, twice), outputs(PAIRS, once))


def test_pruned_models_train() -> None:
    model = PAIRS.load()
    model.compile("sgd", run_eagerly=True)
    batch = tf.data.Dataset.from_tensors(PAIRS.make_inputs())
    model.fit(batch, shuffle=False, verbose=0)
    model.prune_heads({0: [0]})
    assert not model.compiled
    model.compile("sgd", run_eagerly=True)
    before = model.attention_layers()[0].query.kernel.numpy()
    assert np.isfinite(model.fit(batch, shuffle=False, verbose=0).history["loss"][0])
    assert not np.array_equal(model.attention_layers()[0].query.kernel, before)


@pytest.mark.parametrize(
    ("heads", "message"),
    [
        ({4: [0]}, "has 4 layers whose heads can be pruned, numbered from 0; got 4"),
        ({-1: [0]}, "numbered from 0; got -1"),
        ({"0": [0]}, "numbered from 0; got '0'"),
        ({True: [0]}, "numbered from 0; got True"),
        ({0: [4]}, "layer 0: expected heads from 0 to 3, got 4"),
        ({0: [0.0]}, "expected heads from 0 to 3, got 0.0"),
        ({0: 1}, "layer 0: expected a list of heads, got 1"),
        ({0: "1"}, "expected a list of heads, got '1'"),
        ({1: [0], 2: [0, 1, 2]}, "layer 2: at least one of the 3 heads must stay"),
        ([0], r"expected heads by layer, such as {0: \[1, 2\]}, got \[0\]"),
    ],
)
def test_wrong_heads_change_nothing(heads: Any, message: str) -> None:
    model = PAIRS.tf_class(PAIRS.tf_class.config_class(**PAIRS.config))
    with pytest.raises(ValueError, match=message):
        model.prune_heads(heads)
    assert model.config.pruned_heads == {}
    assert {layer.num_heads for layer in model.attention_layers()} == {3, 4}


def test_models_that_cannot_be_pruned() -> None:
    with pytest.raises(ValueError, match="has 0 layers whose heads can be pruned"):
        TIMESFORMER[0].load().prune_heads({0: [0]})
    adapted = PAIRS.load()
    adapted.enable_lora(2)
    with pytest.raises(ValueError, match="cannot be pruned while it has adapters or int8"):
        adapted.prune_heads({0: [0]})
    config = PAIRS.tf_class.config_class(**PAIRS.config, pruned_heads={"9": [0]})
    with pytest.raises(ConfigError, match="has 4 layers whose heads can be pruned"):
        PAIRS.tf_class(config)
