"""Batch norm: PyTorch's rules by hand, and Keras's layer where the two agree."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfzoo.core.variables import slots
from tfzoo.layers.batch_norm import BatchNorm

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(1.0, 3.0, (2, 3, 1, 4)).astype("float32")
ROWS = IMAGES.reshape(6, 4)


def random_norm(**kwargs: Any) -> BatchNorm:
    """A norm of 4 channels whose weights are all away from 0 and 1."""
    norm, rng = BatchNorm(**kwargs), np.random.default_rng(1)
    norm.build((None, None, None, 4))
    for weight in norm.weights:
        weight.assign(rng.uniform(0.5, 2.0, weight.shape) * (7 if weight.dtype == "int64" else 1))
    return norm


def normed(norm: BatchNorm, mean: Any, variance: Any) -> np.ndarray:
    rows = (ROWS - mean) / np.sqrt(np.asarray(variance) + 1e-5)
    return (rows * norm.gamma.numpy() + norm.beta.numpy()).reshape(IMAGES.shape)


@pytest.mark.parametrize("jit_compile", [None, False, True], ids=["eager", "graph", "xla"])
def test_statistics_move_as_in_pytorch(jit_compile: bool | None) -> None:
    """A tenth of the way, to a variance with the divisor n - 1; outputs have the divisor n."""
    norm = random_norm()
    mean, variance, count = (
        w.numpy() for w in (norm.moving_mean, norm.moving_variance, norm.num_batches_tracked)
    )
    assert count >= 3
    call = lambda x: norm(x, training=True)  # noqa: E731
    if jit_compile is not None:
        signature = [tf.TensorSpec((None, None, None, 4))]  # the number of pixels is not known
        call = tf.function(call, signature, jit_compile=jit_compile)
    out = call(tf.constant(IMAGES))
    expected = normed(norm, ROWS.mean(0), ROWS.var(0))
    np.testing.assert_allclose(out, expected, atol=1e-5)
    np.testing.assert_allclose(norm.moving_mean, 0.9 * mean + 0.1 * ROWS.mean(0), rtol=1e-5)
    wanted = 0.9 * variance + 0.1 * ROWS.var(0, ddof=1)
    np.testing.assert_allclose(norm.moving_variance, wanted, rtol=1e-5)
    assert norm.num_batches_tracked == count + 1


@pytest.mark.parametrize("frozen", ["live", "trainable", "inference"])
def test_frozen_statistics_are_used_and_stay(frozen: str) -> None:
    norm = random_norm()
    if frozen != "inference":
        setattr(norm, frozen, False)
    before = [weight.numpy() for weight in norm.weights]
    assert not norm.uses_batch(frozen != "inference")
    out = norm(IMAGES, training=frozen != "inference")
    np.testing.assert_allclose(out, normed(norm, *before[2:4]), atol=1e-5)
    scale, shift = norm.affine()
    np.testing.assert_allclose(out, IMAGES * scale.numpy() + shift.numpy(), atol=1e-5)
    for weight, value in zip(norm.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_frozen_statistics_leave_scale_and_shift_trainable() -> None:
    norm = random_norm(live=False)
    assert [weight.name for weight in norm.trainable_weights] == ["gamma", "beta"]
    norm.trainable = False
    assert norm.trainable_weights == []


def test_gradients_are_those_of_keras() -> None:
    """They go through the batch's mean and variance, and not through the moving ones."""
    norm = random_norm()
    keras_norm = keras.layers.BatchNormalization(epsilon=1e-5)
    keras_norm.build(IMAGES.shape)
    keras_norm.set_weights([weight.numpy() for weight in norm.weights[:4]])
    found = []
    for layer in (norm, keras_norm):
        x = tf.constant(IMAGES)
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(x, training=True) ** 3)
        found.append(tape.gradient(loss, [x, layer.gamma.value, layer.beta.value]))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * np.abs(theirs).max())


def test_one_value_for_a_channel() -> None:
    """n - 1 = 0 divides nothing: the variance goes towards 0."""
    norm = random_norm()
    variance = norm.moving_variance.numpy()
    out = norm(np.ones((1, 1, 1, 4), "float32"), training=True)
    np.testing.assert_allclose(np.ravel(out), norm.beta, atol=1e-4)  # epsilon alone divides
    np.testing.assert_allclose(norm.moving_variance, 0.9 * variance, rtol=1e-6)


def test_half_precision_computes_in_float32() -> None:
    """Numbers whose squares no float16 holds; statistics and scales keep their own precision."""
    norm = random_norm(dtype="mixed_float16")
    mean = norm.moving_mean.numpy()
    images = (IMAGES * 3000).astype("float16")
    out = norm(images, training=True)
    assert (out.dtype, norm.moving_mean.dtype, norm.gamma.dtype) == (tf.float16, *["float32"] * 2)
    rows = images.reshape(6, 4).astype("float32")
    np.testing.assert_allclose(norm.moving_mean, 0.9 * mean + 0.1 * rows.mean(0), rtol=1e-5)
    normalised = (rows - rows.mean(0)) / rows.std(0) * norm.gamma.numpy() + norm.beta.numpy()
    np.testing.assert_allclose(np.reshape(out, (6, 4)), normalised, atol=5e-3)


def test_constructed_again_from_its_config() -> None:
    norm = BatchNorm(live=False, name="norm")
    again = BatchNorm.from_config(norm.get_config())
    assert (again.live, again.momentum, again.epsilon) == (False, 0.9, 1e-5)


def test_places_of_its_weights() -> None:
    found = slots(random_norm())
    assert {slot.kind for slot in found.values()} == {"norm"}
    assert list(found) == ["gamma", "beta", "moving_mean", "moving_variance", "num_batches_tracked"]
