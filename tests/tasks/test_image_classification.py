"""`classify_image`: the labels of an image."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

import tfzoo
from tests.tasks.helpers import FRAMES, PHOTO, make


@pytest.mark.parametrize("kind", ["Learned", "Fourier", "ConvProcessing"])
def test_images_are_classified(kind: str) -> None:
    names = {0: "cup", 1: "cat", 2: "rocket", 3: "face"}
    model = make(f"ImageClassification{kind}", image_size=24, id2label=names)
    processor = tfzoo.PerceiverImageProcessor(size=24, crop_size=28)
    ranking = tfzoo.classify_image(model, PHOTO, processor, top_k=3)
    pixels = processor(PHOTO, return_tensors="np").pixel_values
    powers = np.exp(keras.ops.convert_to_numpy(model(pixel_values=pixels).logits)[0])
    expected = powers / powers.sum()
    assert [label for label, _ in ranking] == [names[i] for i in np.argsort(-expected)[:3]]
    np.testing.assert_allclose([p for _, p in ranking], np.sort(expected)[:0:-1], rtol=1e-5)
    several = tfzoo.classify_image(model, [PHOTO, FRAMES[0]], processor, top_k=3)
    assert [label for label, _ in several[0]] == [label for label, _ in ranking]
    assert len(several) == 2
    assert len(tfzoo.classify_image(model, np.zeros((3, 30, 30, 3), np.uint8), processor)) == 3


def test_independent_labels_have_their_own_probabilities() -> None:
    fields = {"num_labels": 4, "problem_type": "multi_label_classification"}
    model = make("ImageClassificationFourier", **fields)
    processor = tfzoo.PerceiverImageProcessor(size=12)
    ranking = tfzoo.classify_image(model, PHOTO, processor)
    pixels = processor(PHOTO, return_tensors="np").pixel_values
    logits = keras.ops.convert_to_numpy(model(pixel_values=pixels).logits)[0]
    expected = np.sort(1 / (1 + np.exp(-logits)))[::-1]
    np.testing.assert_allclose([p for _, p in ranking], expected, rtol=1e-5)


def test_the_processor_of_a_checkpoint(tmp_path: Path) -> None:
    model = make("ImageClassificationFourier", num_labels=3)
    with pytest.raises(ValueError, match="its processor is unknown"):
        tfzoo.classify_image(model, PHOTO)
    model.save_pretrained(tmp_path)
    processor = tfzoo.PerceiverImageProcessor(size=20)
    processor.save_pretrained(tmp_path)
    again = tfzoo.TFPerceiverForImageClassificationFourier.from_pretrained(tmp_path)
    assert tfzoo.classify_image(again, PHOTO) == tfzoo.classify_image(again, PHOTO, processor)
    with pytest.raises(TypeError, match="got a TFPerceiverForMaskedLM"):
        tfzoo.classify_image(make("MaskedLM", max_position_embeddings=4), PHOTO)


def test_damaged_weights_are_reported() -> None:
    model = make("ImageClassificationFourier", num_labels=3)
    model.weights[0].assign(model.weights[0] * np.nan)
    with pytest.raises(ValueError, match="outputs are not finite"):
        tfzoo.classify_image(model, PHOTO, tfzoo.PerceiverImageProcessor(size=8))
