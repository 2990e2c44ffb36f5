"""The recipes of the small Perceivers: bytes, flow, digits."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image, ImageFilter

import tfzoo
from recipes import perceiver_bytes, perceiver_digits, perceiver_flow
from recipes.prose import baselines, held_out_prose, paragraphs, training_prose
from tests.recipes.untrained import first_batches, same, trains, use_test_photos

SENTENCE = (
    "The quick brown fox jumps over the lazy dog, and then it rests in the shade for a while. "
)


def values(model) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(w) for w in model.trainable_weights]


# ---- bytes
def test_prose_is_told_from_code() -> None:
    text = f"Heading\n\n{2 * SENTENCE}\n\n    >>> {3 * SENTENCE}\n\nx = [1, 2]"
    assert paragraphs(text) == [(2 * SENTENCE).strip()]
    assert paragraphs(4 * "Ünïcode " + 2 * SENTENCE) == []
    found = training_prose(("numpy",))
    assert len(found) == len(set(found)) > 100
    assert set(found).isdisjoint(held_out_prose())
    assert all(map(str.isascii, held_out_prose()))
    with pytest.raises(FileNotFoundError, match="nosuchpackage"):
        training_prose(("nosuchpackage",))


def test_baselines_count() -> None:
    windows = np.frombuffer(b"abaX", np.uint8).reshape(1, 4)
    masked = np.array([[False, True, True, False]])
    figures = baselines(["ababab", "aba"], windows, masked)
    assert figures == {"unigram": 0.5, "bigram": 1.0, "between": 0.5}


def test_masked_windows() -> None:
    lines = [2 * SENTENCE, SENTENCE]
    one, other = (first_batches(perceiver_bytes.batches(lines, 3, size=40)) for _ in range(2))
    assert same(one, other), "the seed decides"
    inputs, labels = one[0]
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    assert ids.shape == mask.shape == labels.shape == (40, 96)
    hidden = ids == 3
    assert ((labels != -100) == hidden).all(), "what is masked is to be guessed, nothing else"
    assert 0.1 < hidden.sum() / mask.sum() < 0.2
    tokenizer = tfzoo.PerceiverTokenizer()
    for row, row_mask, row_labels in zip(ids, mask, labels, strict=True):
        length = int(row_mask.sum())
        assert row[0] == 4
        assert row[length - 1] == 5
        assert (row[length:] == 0).all()
        whole = np.where(row == 3, row_labels, row)[1 : length - 1]
        assert tokenizer.decode(whole.tolist()) in lines[0]
        assert tokenizer(tokenizer.decode(whole.tolist())).input_ids == [4, *whole, 5]


def test_attention_begins_at_its_own_place() -> None:
    keras.utils.set_random_seed(0)
    model = perceiver_bytes.new_model()
    ids = np.random.default_rng(0).integers(6, 262, (1, 96))
    outputs = model(input_ids=ids, output_attentions=True)
    across = keras.ops.convert_to_numpy(outputs.cross_attentions[0])[0]
    assert (np.abs(across.argmax(-1) - np.arange(96)) <= 1).mean() > 0.95


@pytest.mark.slow
def test_bytes_train(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    model = perceiver_bytes.new_model()
    before = values(model)
    lines = [2 * SENTENCE]
    history = perceiver_bytes.train(model, lines, 0, steps=2, size=4, run_eagerly=True)
    trains(model, history, before)
    tokenizer = tfzoo.PerceiverTokenizer(model_max_length=96)
    assert perceiver_bytes.save(tmp_path, model, tokenizer) <= 1_500_000
    figures = perceiver_bytes.evaluate(model, lines)
    assert set(figures) == {"accuracy", "unigram", "bigram", "between"}
    assert tfzoo.fill_mask(model, tokenizer, "a word is m[MASK]ssing").text


# ---- flow
def test_the_field_leads_from_one_frame_to_the_other() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 220, 3), np.uint8)
    photo = Image.fromarray(noise).filter(ImageFilter.GaussianBlur(4))
    photo = Image.fromarray(
        np.clip((np.asarray(photo, float) - 127) * 6 + 127, 0, 255).astype("u1")
    )
    rng = np.random.default_rng(2)
    for _ in range(5):
        frames, flow = perceiver_flow.frame_pair(photo, rng, size=32)
        first, second = frames.astype(float).mean(-1)
        rows, columns = np.meshgrid(np.arange(6, 26), np.arange(6, 26), indexing="ij")
        x, y = (places + flow[rows, columns, i] for i, places in enumerate((columns, rows)))
        x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
        a, b = x - x0, y - y0
        moved = (1 - b) * ((1 - a) * second[y0, x0] + a * second[y0, x0 + 1])
        moved += b * ((1 - a) * second[y0 + 1, x0] + a * second[y0 + 1, x0 + 1])
        still = np.abs(second[rows, columns] - first[rows, columns]).mean()
        assert np.abs(moved - first[rows, columns]).mean() < max(0.4 * still, 3)


@pytest.mark.slow
def test_flow_trains(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_test_photos(monkeypatch, perceiver_flow)
    one, other = (first_batches(perceiver_flow.batches(3, size=2)) for _ in range(2))
    assert same(one, other), "the seed decides"
    inputs, flow = one[0]
    assert inputs["inputs"].shape == (2, 2, 27, 24, 24)
    assert flow.shape == (2, 24, 24, 2)
    keras.utils.set_random_seed(0)
    model = perceiver_flow.new_model(0)
    before = values(model)
    history = perceiver_flow.train(model, 0, steps=2, size=2, run_eagerly=True)
    trains(model, history, before)
    assert perceiver_flow.save(tmp_path, model) <= 1_500_000
    figures = perceiver_flow.evaluate(model, pairs=4)
    assert figures["zero_flow"] > 0.3


# ---- digits
@pytest.mark.slow
def test_digits_train(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 8, 8, 3), np.uint8), np.arange(20) % 10
    monkeypatch.setattr(perceiver_digits, "digits", lambda split: images)
    processor = perceiver_digits.new_processor()
    one, other = (first_batches(perceiver_digits.batches(processor, 3, size=6)) for _ in range(2))
    assert same(one, other), "the seed decides"
    assert one[0][0]["pixel_values"].shape == (6, 3, 16, 16)
    keras.utils.set_random_seed(0)
    model = perceiver_digits.new_model()
    before = values(model)
    history = perceiver_digits.train(model, processor, 0, steps=2, size=4, run_eagerly=True)
    trains(model, history, before)
    assert perceiver_digits.save(tmp_path, model, processor) <= 1_500_000
    assert 0 <= perceiver_digits.evaluate(model, processor) <= 1


def test_held_out_digits(tmp_path: Path) -> None:
    images, labels = perceiver_digits.digits("test")
    assert images.shape == (perceiver_digits.TEST, 8, 8, 3)
    assert images.max() == 255
    assert np.bincount(labels, minlength=10).min() > 30
    perceiver_digits.write_sample(tmp_path)
    assert (tmp_path / "sample.png").is_file()


def test_another_split_is_refused() -> None:
    with pytest.raises(ValueError, match="split must be"):
        perceiver_digits.digits("validation")
