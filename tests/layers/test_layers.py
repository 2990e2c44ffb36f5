"""The shared layers by hand."""

from __future__ import annotations

import math
from itertools import pairwise

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tfzoo.core.config import ConfigError
from tfzoo.layers import attention
from tfzoo.layers.activations import (
    ACTIVATIONS,
    WITH_WEIGHTS,
    gelu,
    get_activation,
    quick_gelu,
)
from tfzoo.layers.attention import SelfAttention, attend, attention_context
from tfzoo.layers.drop_path import DropPath, drop_path_rates
from tfzoo.layers.linear import Linear, chain
from tfzoo.layers.masks import score_offsets
from tfzoo.layers.mlp import MLP
from tfzoo.layers.norm import LayerNorm
from tfzoo.layers.patch_embedding import PatchEmbedding
from tfzoo.layers.positions import (
    bicubic_weights,
    nearest_indices,
    resize_grid_bicubic,
    resize_grid_nearest,
    resize_rows_nearest,
)

RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    """Random float32."""
    return RNG.normal(size=shape).astype("float32")


def test_gelu_is_exact() -> None:
    x = np.linspace(-6, 6, 101).astype("float32")
    expected = tf.nn.gelu(tf.constant(x, "float64"), approximate=False).numpy()
    np.testing.assert_allclose(gelu(ops.convert_to_tensor(x)), expected, atol=2e-6)
    np.testing.assert_allclose(
        quick_gelu(ops.convert_to_tensor(x)), x / (1 + np.exp(-1.702 * x)), atol=1e-6
    )


def _normal(x: float) -> float:
    """The normal distribution function."""
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


def _tanh_gelu(x: float) -> float:
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _selu(x: float) -> float:
    return 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * math.expm1(x))


TANH_GELUS = ("gelu_new", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_fast", "gelu_accurate")
FORMULAS = {
    **dict.fromkeys(("gelu", "gelu_python"), lambda x: x * _normal(x)),
    **dict.fromkeys(TANH_GELUS, _tanh_gelu),
    "gelu_10": lambda x: min(max(x * _normal(x), -10), 10),
    "quick_gelu": lambda x: x / (1 + math.exp(-1.702 * x)),
    "relu": lambda x: max(x, 0),
    "relu2": lambda x: max(x, 0) ** 2,
    "relu6": lambda x: min(max(x, 0), 6),
    "leaky_relu": lambda x: x if x > 0 else 0.01 * x,
    "selu": _selu,
    **dict.fromkeys(("silu", "swish"), lambda x: x / (1 + math.exp(-x))),
    "mish": lambda x: x * math.tanh(math.log1p(math.exp(x))),
    "laplace": lambda x: _normal((x - 0.707107) / 0.282095),
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "tanh": math.tanh,
    "linear": lambda x: x,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_by_name(name: str) -> None:
    x = np.linspace(-12, 12, 97)
    expected = [FORMULAS[name](value) for value in x]
    found = get_activation(name)(ops.convert_to_tensor(x, "float32"))
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-6)


def test_other_activations() -> None:
    with pytest.raises(ConfigError, match="Unknown activation 'x'; known are gelu, gelu_new"):
        get_activation("x")
    for name in WITH_WEIGHTS:
        with pytest.raises(ConfigError, match=f"'{name}' is not supported, since it has weights"):
            get_activation(name)
    assert get_activation(abs) is abs


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4), (2, 1, 3, 4)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_is_dense(shape: tuple[int, ...], bias: bool) -> None:
    layer = Linear(5, use_bias=bias, activation=gelu)
    x = normal(*shape)
    out = layer(x)
    expected = x @ layer.kernel.numpy() + (layer.bias.numpy() if bias else 0)
    np.testing.assert_allclose(out, gelu(ops.convert_to_tensor(expected)), atol=1e-6)
    assert out.shape == (*shape[:-1], 5)


def test_linear_takes_lora() -> None:
    layer = Linear(5)
    layer.build((None, 4))
    layer.enable_lora(2)
    layer.lora_kernel_b.assign(normal(2, 5))
    x = normal(3, 4)
    np.testing.assert_allclose(layer(x), x @ ops.convert_to_numpy(layer.kernel), atol=1e-6)


@pytest.mark.parametrize("rows", [2, 50])
def test_chain_is_both_layers(rows: int) -> None:
    first, second = Linear(6), Linear(5)
    first.build((None, 4))
    second.build((None, 6))
    for layer in (first, second):
        layer.bias.assign(normal(layer.units))
    x = ops.convert_to_tensor(normal(2, rows, 4))
    np.testing.assert_allclose(chain(x, first, second), second(first(x)), atol=1e-5)


@pytest.mark.parametrize("keys", [7, 2])  # more and fewer than the width of 4
def test_attention_by_hand(keys: int) -> None:
    q, k, v = normal(2, 3, 5, 4), normal(2, 3, keys, 4), normal(2, 3, keys, 4)
    scores = np.einsum("bhnk,bhmk->bhnm", q, k) / 2.0
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    context, found = attend(*map(ops.convert_to_tensor, (q, k, v)))
    np.testing.assert_allclose(found, weights, atol=1e-6)
    np.testing.assert_allclose(context, np.einsum("bhnm,bhmk->bhnk", weights, v), atol=1e-5)


def test_few_keys_do_not_overflow_in_half_precision() -> None:
    """Scores of 90,000 before they are scaled, which float16 cannot hold."""
    query = ops.full((1, 1, 1, 400), 15.0, "float16")
    key = ops.concatenate([query, -query], axis=2)
    _, weights = attend(query, key, key)
    assert np.asarray(weights).tolist() == [[[[1.0, 0.0]]]]


def test_attention_orders_query_key_value_head_after_head() -> None:
    layer = SelfAttention(4, 2)
    layer.build((None, None, 4))
    x = normal(1, 3, 4)
    qkv = x @ layer.qkv.kernel.numpy()
    heads = [qkv[..., i * 4 : (i + 1) * 4].reshape(1, 3, 2, 2).swapaxes(1, 2) for i in range(3)]
    context, _ = attend(*map(ops.convert_to_tensor, heads))
    context = np.swapaxes(context, 1, 2).reshape(1, 3, 4)
    np.testing.assert_allclose(layer(x)[0], context @ layer.out.kernel.numpy(), atol=1e-6)
    with pytest.raises(ValueError, match="width 5 is not a multiple of the 2 heads"):
        SelfAttention(5, 2)


def test_mlp_by_hand() -> None:
    layer = MLP(6, 4, "relu")
    layer.build((None, None, 4))
    x = normal(2, 3, 4)
    hidden = np.maximum(x @ layer.fc1.kernel.numpy(), 0)
    np.testing.assert_allclose(layer(x), hidden @ layer.fc2.kernel.numpy(), atol=1e-6)


def test_patches_are_those_of_a_convolution() -> None:
    layer = PatchEmbedding(5, 4, 3)
    layer.build()
    layer.projection.bias.assign(normal(5))
    images = normal(2, 3, 9, 14)  # one row and two columns of pixels are dropped
    expected = layer.projection(images.transpose(0, 2, 3, 1))
    np.testing.assert_allclose(layer(images), np.reshape(expected, (2, 6, 5)), atol=1e-5)
    assert layer.grid(9, 14) == (2, 3)


def test_drop_path_drops_whole_rows_and_keeps_the_mean() -> None:
    keras.utils.set_random_seed(0)
    layer = DropPath(0.25)
    x = np.ones((4000, 2, 3), "float32")
    out = np.asarray(layer(x, training=True))
    rows = out.reshape(4000, -1)
    assert set(np.unique(rows)) == {0.0, np.float32(1 / 0.75)}
    assert (rows.min(1) == rows.max(1)).all()
    assert rows.mean() == pytest.approx(1.0, abs=0.03)
    assert layer(x) is not None
    np.testing.assert_array_equal(layer(x), x)
    assert drop_path_rates(0.3, 4) == pytest.approx([0, 0.1, 0.2, 0.3])
    assert drop_path_rates(0.3, 1) == [0.0]


def test_nearest_rule_is_that_of_float32() -> None:
    assert nearest_indices(4, 8).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    exact = [i * 8 // 82 for i in range(82)]
    found = nearest_indices(8, 82).tolist()
    assert found != exact  # where float32 rounds below a whole number
    assert max(abs(a - b) for a, b in zip(found, exact, strict=True)) == 1
    for size_in, size_out in ((8, 82), (3, 7), (14, 9), (5, 5)):
        symbolic = tf.function(lambda n, size=size_in: nearest_indices(size, n))
        assert (
            symbolic(tf.constant(size_out)).numpy().tolist()
            == nearest_indices(size_in, size_out).tolist()
        )


def test_tables_are_resized_by_rows_and_by_grid() -> None:
    table = normal(4, 2)
    assert resize_rows_nearest(table, 4) is table
    np.testing.assert_array_equal(resize_rows_nearest(table, 2), table[[0, 2]])
    assert resize_grid_nearest(table, 1, 4) is table  # the same count: as it is
    np.testing.assert_array_equal(resize_grid_nearest(table, 2, 4), table[[0, 0, 1, 1, 2, 2, 3, 3]])

    @tf.function
    def dynamic(height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
        return resize_grid_nearest(tf.constant(table), height, width)

    for size in ((2, 2), (1, 4), (2, 4), (3, 3), (1, 2)):
        np.testing.assert_array_equal(
            dynamic(*map(tf.constant, size)), resize_grid_nearest(table, *size)
        )


def test_bicubic_weights_are_those_of_pytorch() -> None:
    """Keys's kernel with a = -0.75, worked out for distances of 1/4, 3/4, 5/4 and 7/4."""
    far, near, middle, edge = -0.03515625, 0.87890625, 0.26171875, -0.10546875
    rows = [
        [far + middle + near, edge, 0, 0],  # what lies outside counts for the border
        [edge + near, middle, far, 0],
        [far + middle, near, edge, 0],
        [edge, near, middle, far],
    ]
    expected = [*rows, *(row[::-1] for row in rows[::-1])]  # the same from the other end
    np.testing.assert_allclose(bicubic_weights(4, 8), expected, atol=1e-7)
    symbolic = tf.function(lambda n: bicubic_weights(4, n))
    np.testing.assert_allclose(symbolic(tf.constant(8)), expected, atol=1e-7)


def test_grids_are_resized_by_rows_and_by_columns() -> None:
    """To 1 x 2 of 2 x 2 places: the mean of the rows, and both columns as they are."""
    table = normal(4, 3)
    assert resize_grid_bicubic(table, 2, 2) is table
    mean = (table[:2] + table[2:]) / 2
    np.testing.assert_allclose(resize_grid_bicubic(table, 1, 2), mean, atol=1e-6)
    mean = (table[::2] + table[1::2]) / 2
    np.testing.assert_allclose(resize_grid_bicubic(table, 2, 1), mean, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_float16", "bfloat16"])
@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False, "epsilon": 0.5}])
def test_layer_norm(dtype: str, options: dict) -> None:
    x = 3.0 + 5.0 * normal(2, 7, 16)
    norm = LayerNorm(dtype=dtype, **options)
    norm.build(x.shape)
    for weight in norm.weights:
        weight.assign(normal(16))
    values = {w.name: np.asarray(ops.cast(w, "float64")) for w in norm.weights}
    seen = np.asarray(ops.cast(ops.cast(x, norm.compute_dtype), "float64"))
    centred = seen - seen.mean(-1, keepdims=True)
    expected = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + norm.epsilon)
    expected = expected * values.get("gamma", 1.0) + values.get("beta", 0.0)
    got = norm(x)
    assert keras.backend.standardize_dtype(got.dtype) == norm.compute_dtype
    bound = {"float32": 3e-6, "float64": 1e-13, "float16": 3e-3, "bfloat16": 3e-2}
    error = np.abs(np.asarray(ops.cast(got, "float64")) - expected).max()
    assert error < bound[norm.compute_dtype] * np.abs(expected).max()


def test_blocks_of_attention_run_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph would begin all of them, and hold all scores that the blocks are there to spare."""
    monkeypatch.setattr(attention, "SCORES_AT_ONCE", 2 * 9 * 3)  # three queries of two heads
    query, key, value = (normal(1, 2, 9, 4) for _ in range(3))
    mask = (RNG.random((1, 1, 9, 9)) < 0.3).astype("int8")
    expected = attend(query, key, value, mask)[0]
    inputs = (query / 2.0, key, value, score_offsets(mask))
    np.testing.assert_allclose(attention_context(*inputs), expected, atol=1e-6)

    call = tf.function(attention_context, autograph=False)
    np.testing.assert_allclose(call(*inputs), expected, atol=1e-6)
    graph = call.get_concrete_function(*inputs).graph
    softmaxes = [op for op in graph.get_operations() if op.type == "Softmax"]
    assert len(softmaxes) == 3
    for earlier, later in pairwise(softmaxes):
        assert earlier in _before(later)
        assert later not in _before(earlier)


@pytest.mark.parametrize("rows", ["one for all", "one for each"])
@pytest.mark.parametrize("compiled", [False, True])
def test_attention_over_blocks_of_keys(
    rows: str, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first blocks hold hidden keys alone, the last one is shorter."""
    query, key, value = normal(1, 2, 3, 4), normal(2, 2, 23, 4), normal(2, 2, 23, 4)
    mask = np.zeros((2, 1, 1 if rows == "one for all" else 3, 23), "int8")
    mask[..., :13] = 1
    mask[1, ..., 17] = 2
    expected = attend(query, key, value, mask)[0]
    monkeypatch.setattr(attention, "SCORES_AT_ONCE", 2 * 2 * 3 * 5)  # five keys of two samples
    call = tf.function(attention_context, autograph=False) if compiled else attention_context
    found = call(query / 2.0, key, value, score_offsets(mask))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def _before(operation: tf.Operation) -> set[tf.Operation]:
    """All operations that have to run before one of a graph."""
    found: set[tf.Operation] = set()
    left = [operation]
    while left:
        last = left.pop()
        needed = {tensor.op for tensor in last.inputs} | set(last.control_inputs)
        left += needed - found
        found |= needed
    return found
