"""What optimizers and dtype policies do. Each docstring begins with the feature's name."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tests.features.families import (
    RATE,
    SLOW,
    Tiny,
    assert_close,
    on_one_family,
    trainable,
    trained,
    weights,
)


@on_one_family
def test_gradient_accumulation(tiny: Tiny) -> None:
    """Gradient accumulation: two batches make one step of their mean gradient."""
    optimizer = keras.optimizers.SGD(RATE, gradient_accumulation_steps=2)
    model = tiny.compiled(optimizer)
    before = trainable(model)
    model.fit(tiny.batches(), shuffle=False, verbose=0)
    assert_close(trainable(model), before, 0)
    model.fit(tiny.batches(), shuffle=False, verbose=0)
    once = tiny.compiled()
    once.fit(tiny.batches(), shuffle=False, verbose=0)
    assert_close(trainable(model), trainable(once))


@on_one_family
def test_moving_average_of_the_weights(tiny: Tiny) -> None:
    """EMA: `fit` ends with the moving average of the weights."""
    model = tiny.compiled(keras.optimizers.SGD(RATE, use_ema=True, ema_momentum=0.5))
    model.fit(tiny.batches(2), shuffle=False, verbose=0)
    plain, steps = tiny.compiled(), []
    for _ in range(2):
        plain.fit(tiny.batches(), shuffle=False, verbose=0)
        steps.append(trainable(plain))
    mean = [(one + other) / 2 for one, other in zip(*steps, strict=True)]
    assert_close(trainable(model), mean)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.slow
@on_one_family
def test_mixed_precision(tiny: Tiny, policy: str) -> None:
    """`mixed_float16` and `mixed_bfloat16`: float32 weights learn, near the losses of float32."""
    model = tiny.load(dtype=policy)
    tiny.compile(model, keras.optimizers.SGD(SLOW))
    before = weights(model)
    if policy == "mixed_float16":
        assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
        model.optimizer.initial_scale = 1.0
    losses = model.fit(tiny.batches(), epochs=2, shuffle=False, verbose=0).history["loss"]
    expected, _ = trained(tiny, 3, SLOW)
    bound = 0.01 if policy == "mixed_float16" else 0.03
    assert losses == pytest.approx(expected[:2], rel=bound)
    assert {keras.backend.standardize_dtype(v.dtype) for v in model.trainable_weights} == {
        "float32"
    }
    assert all(np.isfinite(values).all() for values in weights(model))
    assert any((one != other).any() for one, other in zip(weights(model), before, strict=True))
