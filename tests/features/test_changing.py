"""Frozen layers, int8 weights, recomputed activations. Each docstring begins with its feature."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import tfzoo
from tests.benchmarks.tables.int8 import load
from tests.features.families import (
    FAMILIES,
    Tiny,
    assert_close,
    learning,
    on_first_family,
    on_one_family,
    trained,
    weights,
)
from tfzoo.core.variables import named_layers, slots
from tfzoo.layers.linear import Linear

pytestmark = pytest.mark.usefixtures("unfrozen")


def half(model: Any) -> list[str]:
    """Paths of the first half of the linear layers."""
    linear = [path for path, layer in named_layers(model).items() if isinstance(layer, Linear)]
    return linear[: len(linear) // 2]


@on_one_family
def test_freezing_by_name(tiny: Tiny, tmp_path: Path) -> None:
    """Freezing by a name pattern: frozen layers stay, others learn; a `.keras` file knows."""
    model = tiny.load()
    everything, paths = learning(model), half(model)
    pattern = "|".join(f"^{re.escape(path)}$" for path in paths)
    assert model.freeze_layers(pattern) == paths
    frozen = {p for p in slots(model) if p.rpartition(".")[0] in paths}
    assert learning(model) == everything - frozen
    model.save(tmp_path / "m.keras")
    assert learning(tfzoo.load_model(tmp_path / "m.keras")) == everything - frozen
    before = {p: keras.ops.convert_to_numpy(s.variable) for p, s in slots(model).items()}
    tiny.compile(model)
    model.fit(tiny.batches(), shuffle=False, verbose=0)
    moved = {p for p, s in slots(model).items() if (before[p] != np.asarray(s.variable)).any()}
    assert moved
    assert not moved & frozen
    model.unfreeze_layers()
    assert learning(model) == everything


@on_first_family  # the second is Perceiver, in test_int8_answers_as_well
def test_int8(tiny: Tiny, tmp_path: Path) -> None:
    """int8: `quantize` shrinks the model, and its files bring the same outputs back."""
    model = tiny.load()
    output, size = tiny.output(model), sum(array.nbytes for array in weights(model))
    linear = [x for x in named_layers(model).values() if isinstance(x, Linear)]
    kernels = sum(int(np.prod(layer.kernel.shape)) for layer in linear)
    columns = sum(layer.units for layer in linear)
    model.quantize("int8")
    assert sum(array.nbytes for array in weights(model)) == size - 3 * kernels + 4 * columns
    found = tiny.output(model)
    # Measured: 0.5 to 2 percent; OWLv2 9, whose scores are divided by what each box says.
    assert 0 < np.abs(found - output).max() <= 0.1 * np.abs(output).max()
    model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    bare = tiny.load()
    bare.quantize("int8")
    bare.load_weights(tmp_path / "m.weights.h5")
    for again in (tfzoo.load_model(tmp_path / "m.keras"), bare):
        assert_close([tiny.output(again)], [found], 0)
    with pytest.raises(ValueError, match="int8 weights, which a PyTorch checkpoint cannot hold"):
        model.save_pretrained(tmp_path / "refused")


@on_one_family
def test_recomputed_activations(tiny: Tiny) -> None:
    """Gradient checkpointing: under `keras.RematScope("activations")` the steps are the same."""
    with keras.RematScope(mode="activations"):
        model = tiny.load()
        tiny.compile(model)
        model.fit(tiny.batches(), epochs=2, shuffle=False, verbose=0)
    assert_close(weights(model), trained(tiny, 2)[1], 1e-3)


# ---- what is the same for all families
FIRST = FAMILIES[0]


def test_patterns_that_find_nothing_are_refused() -> None:
    model = FIRST.load()
    with pytest.raises(ValueError, match="no layer whose path matches 'embedings'; there are "):
        model.freeze_layers("embedings")
    with pytest.raises(ValueError, match="is not a regular expression"):
        model.freeze_layers("(")


def test_layers_inside_frozen_ones_may_train(tmp_path: Path) -> None:
    model = FIRST.load()
    assert model.freeze_layers("^timesformer$") == ["timesformer"]
    assert learning(model) == {"classifier.kernel", "classifier.bias"}
    model.unfreeze_layers(r"layer\.1\.mlp\.fc2$")
    expected = {"classifier.kernel", "classifier.bias"}
    expected |= {f"timesformer.encoder.layer.1.mlp.fc2.{leaf}" for leaf in ("kernel", "bias")}
    assert learning(model) == expected
    model.save(tmp_path / "m.keras")
    assert learning(tfzoo.load_model(tmp_path / "m.keras")) == expected


def test_int8_answers_as_well() -> None:
    """On a shipped classifier, on images that it never saw."""
    check, model, processor = load("perceiver-digits")
    before = check.figure(model, processor)
    model.quantize("int8")
    assert check.figure(model, processor) >= before - 0.02


def test_int8_refusals() -> None:
    model = FIRST.load()
    with pytest.raises(ValueError, match="quantize takes 'int8' .* got 'float8'"):
        model.quantize("float8")
    model.quantize("int8")
    with pytest.raises(ValueError, match="cannot be quantized: it has int8 weights"):
        model.quantize("int8")
    half_precision = FIRST.load(dtype="mixed_float16")
    with pytest.raises(ValueError, match="float16"):
        half_precision.quantize("int8")
    with_adapters = FIRST.load()
    with_adapters.enable_lora(2)
    with pytest.raises(ValueError, match="adapters"):
        with_adapters.quantize("int8")
