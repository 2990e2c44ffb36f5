"""The ResNet by hand: sizes of its feature maps, its padding, its folded norms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from tfzoo.layers.resnet import ConvNorm, ResNet, ResNetSizes

SIZES = ResNetSizes(3, 4, (8, 12), (1, 2))


def filled(layer: object) -> object:
    """The layer, built, with random weights and statistics."""
    layer.build()
    rng = np.random.default_rng(0)
    for weight in layer.weights:
        values = np.asarray(rng.normal(size=weight.shape))
        is_variance = "moving_variance" in weight.path
        weight.assign(0.5 + np.abs(values) if is_variance else 0.3 * values)
    return layer


@pytest.mark.parametrize("layer_type", ["basic", "bottleneck"])
@pytest.mark.parametrize("first", [False, True], ids=["", "first_stage"])
@pytest.mark.parametrize("size", [(32, 32), (35, 70), (7, 1)])
def test_maps_have_the_promised_sizes(layer_type: str, first: bool, size: tuple[int, int]) -> None:
    sizes = replace(SIZES, layer_type=layer_type, downsample_in_first_stage=first)
    maps = filled(ResNet(sizes, (0, 1, 2)))(np.ones((2, *size, 3), "float32"))
    for index, channels in enumerate((4, 8, 12)):
        expected = (2, *(sizes.grid(side, index) for side in size), channels)
        assert tuple(maps[index].shape) == expected


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [1, 3, 7])
@pytest.mark.parametrize("size", [8, 9])
def test_padding_is_the_same_on_all_sides(stride: int, side: int, size: int) -> None:
    """A mirrored kernel on a mirrored image gives the mirrored map where the stride divides."""
    conv = filled(ConvNorm(3, 5, side, stride))
    x = np.random.default_rng(1).normal(size=(1, size, size, 3)).astype("float32")
    padded = np.pad(x, ((0, 0), *([(side // 2, side // 2)] * 2), (0, 0)))
    plain = tf.nn.conv2d(padded, conv.convolution.kernel.value, stride, "VALID")
    expected = np.maximum(np.asarray(conv.normalization(plain)), 0)
    np.testing.assert_allclose(np.asarray(conv(x)), expected, atol=1e-5)


@pytest.mark.parametrize("in_bottleneck", [False, True])
def test_no_kernel_of_one_pixel_strides(in_bottleneck: bool) -> None:
    """TensorFlow's gradients of such kernels are wrong, or end the process, now and then."""
    resnet = filled(ResNet(replace(SIZES, downsample_in_bottleneck=in_bottleneck), (2,)))
    graph = tf.function(lambda x: resnet(x, training=True)).get_concrete_function(
        tf.TensorSpec((2, 35, 70, 3))
    )
    found = [op for op in graph.graph.get_operations() if op.type == "Conv2D"]
    strided = [op.inputs[1].shape[0] for op in found if op.get_attr("strides")[1] > 1]
    assert sorted(strided) == ([7] if in_bottleneck else [3, 7])
    assert sum(op.inputs[1].shape[0] == 1 for op in found) == 8


def test_the_shortcut_is_added_before_the_activation() -> None:
    conv = filled(ConvNorm(3, 5))
    x = np.random.default_rng(1).normal(size=(1, 6, 6, 3)).astype("float32")
    residual = np.full((1, 6, 6, 5), -100.0, "float32")
    assert not np.asarray(conv(x, residual)).any()


def test_the_pool_pads_with_nothing() -> None:
    """Where an activation goes below 0, a border of zeros would win over it."""
    resnet = filled(ResNet(replace(SIZES, activation="linear"), (0,)))
    resnet.stem.normalization.gamma.assign(np.zeros(4))
    resnet.stem.normalization.beta.assign(-np.ones(4))
    maps = resnet(np.ones((1, 16, 16, 3), "float32"))
    np.testing.assert_array_equal(maps[0], -np.ones((1, 4, 4, 4)))


def test_all_batch_norms_are_found() -> None:
    resnet = filled(ResNet(SIZES, (2,)))
    norms = resnet.batch_norms()
    moving = [w for w in resnet.weights if "moving_mean" in w.path]
    assert len(norms) == len(moving) == 1 + 4 + 4 + 3
    assert {id(norm.moving_mean) for norm in norms} == {id(w) for w in moving}
