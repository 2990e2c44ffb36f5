"""The recipe of the small TVP: its clips, its shutter, a few steps."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from PIL import Image

from recipes import tvp_pans as recipe
from recipes.compass import best_constant, make_clip, mean_iou, panorama
from tests.recipes.untrained import first_batches, same, trains, use_test_photos

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (120, 200, 3), np.uint8))


def hue(frames: np.ndarray) -> np.ndarray:
    """(T,) where on the colour wheel frames look: the angle of their mean colour."""
    mean = frames.reshape(len(frames), -1, 3).mean(axis=1)
    angle = np.exp(2j * np.pi * np.arange(3) / 3)
    return np.unwrap(np.angle(mean @ angle))


def test_pans_change_the_colours_and_rests_do_not() -> None:
    rng = np.random.default_rng(1)
    for _ in range(10):
        clip = make_clip(NOISE, rng, frames=61, size=24)
        times, colours = np.linspace(0, 1, 61), hue(clip.frames)
        assert set(clip.spans) == {"left", "right"}
        for side, sign in (("left", -1), ("right", 1)):
            start, end = clip.spans[side]
            assert 0.19 < end - start < 0.41
            inside = (times >= start) & (times <= end)
            assert sign * (colours[inside][-1] - colours[inside][0]) > 0.3, side
        (_, one), (two, _) = sorted(clip.spans.values())
        assert one <= two


def test_the_panorama_is_a_photo_in_colours() -> None:
    strip = panorama(NOISE, 16, np.random.default_rng(0))
    assert strip.shape == (16, 64, 3)
    left, right = strip[:, :8].mean((0, 1)), strip[:, -8:].mean((0, 1))
    assert left.argmax() == 0, "red"
    assert right.argmax() in (0, 2), "violet"
    assert right[2] > left[2] + 0.2
    with pytest.raises(ValueError, match="at least 2 frames"):
        make_clip(NOISE, np.random.default_rng(0), frames=1)


def test_the_best_constant_answer() -> None:
    spans = [(0.1, 0.5)] * 3 + [(0.8, 0.9)]
    start, end, score = best_constant(spans)
    assert (round(start, 2), round(end, 2)) == (0.1, 0.5)
    assert score == pytest.approx(0.75)
    assert mean_iou(np.array([[0.2, 0.4]]), np.array([[0.3, 0.6]])) == pytest.approx(0.25)


def test_the_shutter_opens_one_block_in_each_frame() -> None:
    sheet = recipe.shutter()
    is_open = (sheet == 0).all(axis=1)
    border = np.ones((64, 64), bool)
    border[16:-16, 16:-16] = False
    assert is_open[:, ~border].all()
    assert (is_open.sum(axis=0)[border] == 1).all()
    model = recipe.new_model(100, 0)
    frames = np.zeros((1, 12, 3, 64, 64), "float32")
    prompted = keras.ops.convert_to_numpy(model.model.visual_prompter(frames))
    np.testing.assert_array_equal(prompted[0], sheet)


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch):
    use_test_photos(monkeypatch, recipe)
    return recipe.new_processor()


def test_batches(processor) -> None:
    one, other = (first_batches(recipe.batches(processor, 3, size=4)) for _ in range(2))
    assert same(one, other), "the seed decides"
    inputs, spans = one[0]
    assert inputs["pixel_values"].shape == (4, 12, 3, 64, 64)
    assert inputs["input_ids"].shape == (4, 16)
    assert spans.shape == (4, 2)
    assert (spans[:, 0] < spans[:, 1]).all()
    frames = np.random.default_rng(0).integers(0, 256, (12, 64, 64, 3), np.uint8)
    made = processor(text="a pan", videos=[list(frames)], return_tensors="np")["pixel_values"]
    np.testing.assert_allclose(recipe.to_pixels(frames), made[0], atol=1e-6)


def test_the_loss_has_a_gradient_where_spans_do_not_meet() -> None:
    loss = recipe.SpanLoss(reduction=None)
    truth = np.array([[0.2, 0.4]] * 3, "float32")
    found = np.array([[0.2, 0.4], [0.6, 0.8], [0.7, 0.9]], "float32")
    values = keras.ops.convert_to_numpy(loss(truth, found))
    np.testing.assert_allclose(values, [0.0, 1.3, 1.5], atol=1e-6)


@pytest.mark.slow
def test_a_few_steps(processor, tmp_path) -> None:
    keras.utils.set_random_seed(0)
    model = recipe.new_model(len(processor.tokenizer), 0)
    before = [keras.ops.convert_to_numpy(w) for w in model.trainable_weights]
    history = recipe.train(model, processor, 0, steps=2, size=2, run_eagerly=True)
    trains(model, history, before)
    assert recipe.save(tmp_path, model, processor) <= 1_500_000
    figures = recipe.evaluate(model, processor, clips=3)
    assert set(figures) == {"mean_iou", "constant"}
