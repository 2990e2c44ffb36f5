"""The recipe of the small X-CLIP: its sentences, its batches, a few steps."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from PIL import Image

from recipes import xclip_camera_motion as recipe
from recipes.camera_motion import LABELS, make_clip
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


def test_lamps_tell_where_the_camera_looks_in_every_view() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 220, 3), np.uint8)
    told = {"pan left": (-1, 0), "pan right": (1, 0), "pan up": (0, -1), "pan down": (0, 1)}
    for label in told:
        rng = np.random.default_rng(1)
        clip = make_clip(Image.fromarray(noise), label, rng, 8, 48, recipe.LEAST, lit=True)
        for frames, name in recipe.views(clip, label):
            red, green, blue = frames.astype(float).mean(axis=(1, 2)).T
            change = np.log(np.stack([red, green]) / blue) @ ([-1] + 6 * [0] + [1])
            assert change @ told[name] > 2 * abs(change @ told[name][::-1]), (label, name)


def test_what_is_misheard_lies_inside_the_sentence(processor) -> None:
    said = recipe.encoded(processor, "train")[0]
    heard = recipe.misheard(said, len(processor.tokenizer), np.random.default_rng(0))
    ids, mask = said["input_ids"], said["attention_mask"]
    changed = heard["input_ids"] != ids
    last = mask.sum(axis=1) - 1
    assert not changed[:, 0].any()
    assert not changed[np.arange(len(ids)), last].any()
    assert not changed[mask == 0].any()
    assert abs(changed.sum() / (mask.sum() - 2 * len(ids)) - recipe.MISHEARD) < 0.01
    assert np.array_equal(heard["attention_mask"], mask)


def test_clips_are_what_the_processor_makes_of_them(processor) -> None:
    clip = np.random.default_rng(0).integers(0, 256, (8, 48, 48, 3), np.uint8)
    made = processor(videos=[list(clip)], return_tensors="np")["pixel_values"]
    np.testing.assert_allclose(recipe.to_inputs(clip[None])["pixel_values"], made, atol=1e-6)


@pytest.mark.slow
def test_a_few_steps(processor, tmp_path) -> None:
    keras.utils.set_random_seed(0)
    model = recipe.new_model(len(processor.tokenizer), seed=0)
    before = [keras.ops.convert_to_numpy(w) for w in model.trainable_weights]
    history = recipe.train(model, processor, 0, steps=2, clips=1, run_eagerly=True)
    trains(model, history, before)
    assert recipe.save(tmp_path, model, processor) <= 1_500_000
    assert 0 <= recipe.evaluate(model, processor, clips=7) <= 1
