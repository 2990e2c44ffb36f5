"""Attention rollout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tfzoo
from tests.models.timesformer.cases import CASES, TINY, clips
from tfzoo.core.variables import slots
from tfzoo.viz import attention_rollout, rollout_divided, rollout_joint

PLACE = 5  # of the patch that is looked at: row 1, column 2 of 3 x 3


def stochastic(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Random attention weights whose rows sum to one."""
    maps = rng.random(shape)
    return maps / maps.sum(-1, keepdims=True)


def random_maps(layers: int = 2, frames: int = 3, places: int = 4) -> tuple[list, list]:
    """Maps over time and over space."""
    rng = np.random.default_rng(0)
    time = [stochastic(rng, 2, places, 5, frames, frames) for _ in range(layers)]
    space = [stochastic(rng, 2, frames, 5, places + 1, places + 1) for _ in range(layers)]
    return time, space


def test_rows_sum_to_one() -> None:
    flow = rollout_divided(*random_maps())
    assert flow.shape == (2, 13, 13)
    assert flow.min() >= 0
    np.testing.assert_allclose(flow.sum(-1), 1, rtol=1e-12)
    rng = np.random.default_rng(1)
    joint = rollout_joint([stochastic(rng, 2, 3, 7, 7) for _ in range(4)])
    np.testing.assert_allclose(joint.sum(-1), 1, rtol=1e-12)


def test_later_layers_look_at_earlier_ones() -> None:
    """Token 1 takes token 2 in the first layer, and token 0 takes token 1 in the second."""
    first, second = np.eye(3), np.eye(3)
    first[1], second[0] = [0, 0, 1], [0, 1, 0]
    flow = rollout_joint([maps[None, None] for maps in (first, second)])
    expected = [[1 / 2, 1 / 4, 1 / 4], [0, 1 / 2, 1 / 2], [0, 0, 1]]
    np.testing.assert_allclose(flow[0], expected, rtol=1e-12)


def test_divided_rollout_is_a_product_of_matrices() -> None:
    """Against whole matrices (1 + S T, 1 + S T), written one number after the other."""
    time_maps, space_maps = random_maps()
    frames, places = 3, 4
    flow = np.eye(13)

    def token(place: int, frame: int) -> int:
        return 1 + place * frames + frame

    for time, space in zip(time_maps, space_maps, strict=True):
        over_time, over_space = np.zeros((13, 13)), np.zeros((13, 13))
        over_time[0, 0] = 1
        for s in range(places):
            for t in range(frames):
                for u in range(frames):
                    over_time[token(s, t), token(s, u)] = time[1, s, :, t, u].mean()
        for t in range(frames):
            where = [0, *(token(s, t) for s in range(places))]
            mean = space[1, t].mean(0)
            over_space[0, where] += mean[0] / frames
            for i, row in enumerate(where[1:], start=1):
                over_space[row, where] = mean[i]
        for matrix in (over_time, over_space):
            flow = (matrix + np.eye(13)) / 2 @ flow
    np.testing.assert_allclose(rollout_divided(time_maps, space_maps)[1], flow, rtol=1e-10)


def model_that_attends_to_brightness(**config: Any) -> Any:
    """Every query is a large constant, and every key how bright its patch is."""
    model = tfzoo.TFTimesformerModel(tfzoo.TimesformerConfig(**{**TINY, **config}))
    places = slots(model)
    for path, slot in places.items():
        if not path.endswith("gamma"):
            slot.variable.assign(np.zeros(slot.shape, "float32"))
    kernel = np.zeros(places["embeddings.patch_embeddings.projection.kernel"].shape, "float32")
    kernel[..., 0] = 1.0
    places["embeddings.patch_embeddings.projection.kernel"].variable.assign(kernel)
    width, firsts = 16, [0, 4, 8, 12]  # the first number of each head
    for layer in range(2):
        name = f"encoder.layer.{layer}.attention.qkv"
        keys, queries = np.zeros((width, 3 * width), "float32"), np.zeros(3 * width, "float32")
        keys[0, [width + i for i in firsts]] = 1.0
        queries[firsts] = 100.0
        places[f"{name}.kernel"].variable.assign(keys)
        places[f"{name}.bias"].variable.assign(queries)
    return model


@pytest.mark.parametrize("kind", ["divided_space_time", "joint_space_time", "space_only"])
def test_a_model_that_attends_to_one_patch(kind: str) -> None:
    pixels = np.zeros((1, 4, 3, 12, 12), "float32")
    pixels[..., 4:8, 8:12] = 1.0
    maps = attention_rollout(model_that_attends_to_brightness(attention_type=kind), pixels)
    assert maps.shape == (1, 4, 3, 3)
    flat = maps.reshape(4, 9)
    assert (flat.argmax(-1) == PLACE).all()
    # Half of the class token in each of two layers: 1 - 1/4 goes to the patch.
    share = 0.75 * (4 if kind == "space_only" else 1)
    assert flat[:, PLACE].sum() == pytest.approx(share, rel=1e-6)
    assert np.delete(flat, PLACE, axis=1).max() < 1e-9


@pytest.mark.parametrize("case", CASES[:2], ids=lambda case: case.name)
def test_shares_of_a_real_model_sum_to_one(case: Any) -> None:
    model, inputs = case.load(), case.make_inputs(with_labels=False)
    maps = attention_rollout(model, inputs)
    assert maps.shape == (2, 4, 3, 3)
    assert maps.min() > 0
    own = 1 - maps.sum((1, 2, 3))  # the class token's own share: at least a half of each layer
    assert (own >= 0.25 - 1e-9).all()
    assert (own < 1).all()
    np.testing.assert_array_equal(attention_rollout(model, inputs["pixel_values"]), maps)


def test_wrong_inputs_are_refused() -> None:
    model = CASES[0].load()
    with pytest.raises(ValueError, match="expected the config's 4 frames, got 8"):
        attention_rollout(model, clips(np.random.default_rng(0), 1, 8, 3, 12, 12))
    time, space = random_maps()
    with pytest.raises(ValueError, match=r"over 3 frames at 4 places expected \(2, 3, 5, 5\)"):
        rollout_divided(time, [maps[:, :, :, 1:, 1:] for maps in space])
    with pytest.raises(ValueError, match=r"one \(B, H, N, N\) of each layer"):
        rollout_joint([])

    class Other:
        config = tfzoo.TvpConfig()

    with pytest.raises(TypeError, match="expected a TimeSformer, got a Other"):
        attention_rollout(Other(), np.zeros((1, 4, 3, 12, 12)))
