"""The recipe of the small X-CLIP: its sentences, its batches, a few steps."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from recipes import xclip_camera_motion as recipe
from recipes.camera_motion import LABELS
from recipes.motion_sentences import sentences
from tests.recipes.untrained import first_batches, same, trains, use_test_photos


def test_test_sentences_are_new_and_their_gist_is_known() -> None:
    heard = {text for label in LABELS for text in sentences(label, "train")}
    words = {word for text in heard for word in text.split()}
    gist = {
        "pan left": {"left", "leftwards"},
        "pan right": {"right", "rightwards"},
        "pan up": {"up", "upwards", "top"},
        "pan down": {"down", "downwards", "bottom"},
        "zoom in": {"in", "closer", "nearer"},
        "zoom out": {"out", "back", "away", "farther"},
        "still": {"still", "not"},
    }
    for label in LABELS:
        unheard = sentences(label, "test")
        assert heard.isdisjoint(unheard)
        assert len(set(unheard)) == len(unheard)
        for text in unheard:
            said = set(text.split()) - {"in", "this", "clip"}
            said |= {"in"} if "zooms in" in text else set()
            assert said & gist[label] & words, text
            assert set(text.split()) - words, f"{text}: every word was heard before"


def test_each_sentence_says_one_thing() -> None:
    for split in ("train", "test"):
        every = [text for label in LABELS for text in sentences(label, split)]
        assert len(set(every)) == len(every)
    with pytest.raises(ValueError, match="label must be one of"):
        sentences("roll", "train")
    with pytest.raises(ValueError, match="split must be"):
        sentences("still", "validation")


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch):
    use_test_photos(monkeypatch, recipe)
    return recipe.new_processor()


def test_batches(processor) -> None:
    one, other = (first_batches(recipe.batches(processor, 3, clips=7)) for _ in range(2))
    assert same(one, other), "the seed decides"
    inputs, labels = one[0]
    assert not same(one[0][0]["pixel_values"], one[1][0]["pixel_values"])
    assert inputs["pixel_values"].shape == (28, 8, 3, 48, 48)
    assert np.abs(inputs["pixel_values"]).max() <= 1
    assert len(inputs["input_ids"]) == len(inputs["attention_mask"]) == 7
    assert (np.bincount(labels, minlength=7) == 4).all()


def test_clips_are_what_the_processor_makes_of_them(processor) -> None:
    clip = np.random.default_rng(0).integers(0, 256, (8, 48, 48, 3), np.uint8)
    made = processor(videos=[list(clip)], return_tensors="np")["pixel_values"]
    np.testing.assert_allclose(recipe.to_inputs(clip[None])["pixel_values"], made, atol=1e-6)


def test_a_few_steps(processor, tmp_path) -> None:
    keras.utils.set_random_seed(0)
    model = recipe.new_model(len(processor.tokenizer), seed=0)
    before = [keras.ops.convert_to_numpy(w) for w in model.trainable_weights]
    history = recipe.train(model, processor, 0, steps=2, clips=1, jit_compile=False)
    trains(model, history, before)
    assert recipe.save(tmp_path, model, processor) <= 1_500_000
    assert 0 <= recipe.evaluate(model, processor, clips=7) <= 1
