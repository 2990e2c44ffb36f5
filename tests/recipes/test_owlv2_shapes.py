"""The recipe of the small OWLv2: its scenes, its queries, a few steps."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from PIL import Image

from recipes import owlv2_shapes as recipe
from recipes.scenes import COLOURS, HELD_OUT, PAIRS, SHAPES, TRAINING, draw_scene, shape_mask
from tests.recipes.untrained import first_batches, same, trains, use_test_photos
from tests.support.processes import run_python

PLAIN = Image.new("RGB", (300, 200), (128, 128, 128))


def test_held_out_pairs_are_new_though_their_parts_are_not() -> None:
    assert len(HELD_OUT) == len(COLOURS) == 8
    assert set(HELD_OUT).isdisjoint(TRAINING)
    assert set(HELD_OUT) | set(TRAINING) == set(PAIRS)
    for part, known in ((0, COLOURS), (1, SHAPES)):
        assert {pair[part] for pair in TRAINING} == set(known)
        assert {pair[part] for pair in HELD_OUT} == set(known)


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_fill_their_boxes(shape: str) -> None:
    mask = shape_mask(shape, 30, 5.0)
    assert mask.min() >= 0
    assert mask.max() <= 1
    for border in (mask[0], mask[-1], mask[:, 0], mask[:, -1]):
        assert border.max() >= 0.5
    assert 0.2 < mask.mean() < 0.95
    assert (mask[tuple(n // 2 for n in mask.shape)] < 0.5) == (shape == "ring")
    with pytest.raises(ValueError, match="shape must be one of"):
        shape_mask("blob", 30, 0.0)


def test_boxes_hold_the_colours() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        scene = draw_scene(PLAIN, 96, [TRAINING[i] for i in rng.permutation(30)[:3]], rng)
        assert len(scene.boxes) == len(scene.pairs) >= 1
        assert scene.boxes.min() >= 0
        assert scene.boxes.max() <= 96
        for (x0, y0, x1, y1), (colour, _) in zip(scene.boxes.astype(int), scene.pairs, strict=True):
            inside = scene.image[y0:y1, x0:x1].reshape(-1, 3).astype(int)
            close = np.abs(inside - COLOURS[colour]).max(axis=1) < 40
            assert close.mean() > 0.15, scene.pairs


def test_queries_name_what_is_there() -> None:
    rng = np.random.default_rng(0)
    kinds = set()
    for _ in range(60):
        scene = draw_scene(PLAIN, 96, [TRAINING[i] for i in rng.permutation(40)[:3]], rng)
        texts, indices = recipe.queries_for(scene, rng)
        assert len(texts) == len(set(texts)) == recipe.QUERIES
        unseen = {f"{colour} {shape}" for colour, shape in HELD_OUT}
        assert not any(name in text for text in texts for name in unseen)
        for (colour, shape), index in zip(scene.pairs, indices, strict=True):
            has = colour in texts[index], shape in texts[index]
            assert any(has)
            kinds.add(has)
    assert kinds == {(True, True), (True, False), (False, True)}


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch):
    use_test_photos(monkeypatch, recipe)
    return recipe.new_processor()


def test_batches(processor) -> None:
    one, other = (first_batches(recipe.batches(processor, 3, size=4)) for _ in range(2))
    assert same(one, other), "the seed decides"
    (inputs,) = one[0]
    assert inputs["input_ids"].shape == inputs["attention_mask"].shape == (32, 16)
    assert (inputs["input_ids"][:, 0] > 0).all(), "no query counts as padding"
    assert inputs["pixel_values"].shape == (4, 3, 96, 96)
    labels = inputs["labels"]["class_labels"]
    assert labels.shape == (4, 3)
    assert (labels[:, 0] >= 0).all()
    real = inputs["labels"]["boxes"][labels >= 0]
    assert real.min() > 0
    assert real.max() < 1


@pytest.mark.slow
def test_a_few_steps(processor, tmp_path) -> None:
    keras.utils.set_random_seed(0)
    model = recipe.new_model(len(processor.tokenizer))
    before = [keras.ops.convert_to_numpy(w) for w in model.trainable_weights]
    history = recipe.train(model, processor, 0, steps=2, size=2, run_eagerly=True)
    trains(model, history, before)
    assert recipe.save(tmp_path, model, processor) <= 1_500_000
    assert 0 <= recipe.evaluate(model, processor, scenes=10) <= 1
    assert 0 <= recipe.guided_accuracy(model, processor, scenes=2) <= 1


_SHORT = """
import hashlib
from recipes import owlv2_shapes as recipe
from recipes.camera_motion import photos
from recipes.running import start
recipe.photos = lambda split: photos("test")
start(3)
processor = recipe.new_processor()
model = recipe.new_model(len(processor.tokenizer))
recipe.train(model, processor, 3, steps=2, size=2, run_eagerly=True)
weights = b"".join(weight.numpy().tobytes() for weight in model.weights)
print(hashlib.sha256(weights).hexdigest())
"""


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights() -> None:
    one, again = (run_python(_SHORT).split()[-1] for _ in range(2))
    assert one == again
