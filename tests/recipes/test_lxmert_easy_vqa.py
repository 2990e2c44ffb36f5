"""The recipe of the small LXMERT, on a few images in the form of the package's."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from recipes import easy_vqa_regions as data
from recipes import lxmert_easy_vqa as recipe
from tests.recipes.untrained import first_batches, same, trains
from tests.support.paths import FIXTURES

ANSWERS = ["blue", "no", "red", "yes"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four images of a red or blue square, two questions about each."""
    folder = tmp_path_factory.mktemp("vqa")
    (folder / "train" / "images").mkdir(parents=True)
    rows = []
    for number in range(4):
        colour, paint = (("red", (220, 20, 20)), ("blue", (20, 20, 220)))[number % 2]
        image = Image.new("RGB", (64, 64), (230, 225, 235))
        image.paste(paint, (8 * number, 16, 8 * number + 16, 40))
        image.save(folder / "train" / "images" / f"{number}.png")
        rows.append(["what color is the square?", colour, number])
        rows.append(["is there a red square?", "yes" if colour == "red" else "no", number])
    (folder / "train" / "questions.json").write_text(json.dumps(rows))
    return folder


def test_reading(folder: Path) -> None:
    split = data.questions("train", folder)
    assert split.texts[:2] == ("what color is the square?", "is there a red square?")
    assert split.answers[:4] == ("red", "yes", "blue", "no")
    assert split.images.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [path.name for path in split.paths] == [f"{n}.png" for n in range(4)]
    with pytest.raises(ValueError, match="split must be"):
        data.questions("dev", folder)


def test_regions_find_what_stands_out(folder: Path) -> None:
    features, boxes = data.regions(data.questions("train", folder).paths[2])
    assert features.shape == (data.REGIONS, data.FEATURES)
    assert boxes.shape == (data.REGIONS, 4)
    np.testing.assert_allclose(boxes[1], np.array([16, 16, 32, 40]) / 64)
    red = np.array([220, 20, 20]) / 255
    np.testing.assert_allclose(features[1].reshape(-1, 3), np.tile(red, (144, 1)), atol=1e-6)
    _, empty = data.regions(Image.new("RGB", (64, 64)))
    assert empty[1].tolist() == [0, 0, 1, 1]


def test_blind_answers_are_the_most_frequent(folder: Path) -> None:
    split = data.questions("train", folder)
    texts = ["is there a red square?", "what color is the square?", "why?"]
    assert data.blind_answers(split, texts) == ["no", "blue", None], "ties by the alphabet"


@pytest.mark.slow
def test_a_few_steps(folder: Path, tmp_path: Path) -> None:
    split = data.questions("train", folder)
    tokenizer = recipe.new_tokenizer(split.texts)
    encoded = recipe.Encoded(split, tokenizer, ANSWERS)
    one, other = (first_batches(encoded.batches(3, size=4), 3) for _ in range(2))
    assert same(one, other), "the seed decides"
    assert sorted(np.concatenate([one[0][1], one[1][1]])) == sorted(encoded.labels)
    keras.utils.set_random_seed(0)
    model = recipe.new_model(len(tokenizer), ANSWERS)
    before = [keras.ops.convert_to_numpy(w) for w in model.trainable_weights]
    history = recipe.train(model, encoded, 0, steps=2, size=4, run_eagerly=True)
    trains(model, history, before)
    assert recipe.save(tmp_path, model, tokenizer) <= 1_500_000
    assert recipe.evaluate(model, encoded, size=3).shape == (8,)


def test_the_held_out_images_here(tmp_path: Path) -> None:
    split = data.questions("test", FIXTURES / "easy_vqa")
    assert len(split.paths) == 100
    assert len(split.texts) == len(split.answers) > 900
    found = np.array([data.regions(path)[1][1] for path in split.paths])
    sides = found[:, 2:] - found[:, :2]
    assert sides.min() > 0.05, "in each image something is found,"
    assert np.prod(sides, axis=1).max() < 0.95, "that is not all of it"
    recipe.write_sample(tmp_path, split)
    assert {path.name for path in tmp_path.iterdir()} == {"demo.json", "sample.png", "sample.tsv"}
