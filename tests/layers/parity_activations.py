"""Activations against the reference's table: values and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.support import reference
from tests.support.compare import assert_same
from tfzoo.layers.activations import ACTIVATIONS, WITH_WEIGHTS, get_activation

torch, transformers = reference.torch, reference.transformers
TABLE = transformers.activations.ACT2CLS


def test_the_whole_table_is_known() -> None:
    assert set(TABLE) == (set(ACTIVATIONS) - {"selu"}) | set(WITH_WEIGHTS)


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - {"selu"}))
def test_values_and_gradients(name: str) -> None:
    x = np.linspace(-12.03, 12.02, 1001).astype("float32")  # beside the kinks
    theirs = torch.tensor(x, requires_grad=True)
    expected = transformers.activations.ACT2FN[name](theirs)
    expected.sum().backward()
    ours = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(ours)
        found = get_activation(name)(ours)
    assert_same(found.numpy(), {"": expected.detach().numpy()}, bound=1e-6)
    assert_same(tape.gradient(found, ours).numpy(), {"": theirs.grad.numpy()})
