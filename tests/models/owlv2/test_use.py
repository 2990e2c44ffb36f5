"""OWLv2 as its users meet it: the documented examples in their TF form, on a real image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tfzoo
from tests.support.owlv2_checkpoint import write_owlv2_checkpoint
from tests.support.paths import FIXTURES

PHOTO = FIXTURES / "photos" / "chelsea.jpg"
TEXTS = [["a photo of a cat", "a photo of a dog"]]
SIDE, PATCHES = 32, 16
OPENAI_CLIP_MEAN = np.array([0.48145466, 0.4578275, 0.40821073])
OPENAI_CLIP_STD = np.array([0.26862954, 0.26130258, 0.27577711])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole checkpoint for images of 32 x 32 pixels."""
    return write_owlv2_checkpoint(tmp_path_factory.mktemp("owlv2"))


@pytest.fixture(scope="module")
def image() -> Image.Image:
    return Image.open(PHOTO)


def preprocessed_image(pixel_values: tf.Tensor) -> Image.Image:
    """The padded image that the model sees, made as in the documentation."""
    pixels = np.squeeze(pixel_values.numpy())
    pixels = pixels * OPENAI_CLIP_STD[:, None, None] + OPENAI_CLIP_MEAN[:, None, None]
    return Image.fromarray(np.moveaxis((pixels * 255).astype(np.uint8), 0, -1))


def test_first_example(folder: Path, image: Image.Image) -> None:
    processor = tfzoo.Owlv2Processor.from_pretrained(folder)
    model = tfzoo.TFOwlv2ForObjectDetection.from_pretrained(folder)
    inputs = processor(text=TEXTS, images=image, return_tensors="tf")
    outputs = model(**inputs)
    target_sizes = tf.constant([image.size[::-1]])
    results = processor.post_process_object_detection(
        outputs=outputs, target_sizes=target_sizes, threshold=0.1
    )
    found = list(zip(*(results[0][name] for name in ("boxes", "scores", "labels")), strict=True))
    assert len(results) == 1
    assert found
    for box, score, label in found:
        assert len(box.tolist()) == 4
        assert score.item() > 0.1
        assert TEXTS[0][label] in TEXTS[0]


def test_example_of_the_text_config() -> None:
    configuration = tfzoo.Owlv2TextConfig(num_hidden_layers=1, vocab_size=99)
    model = tfzoo.TFOwlv2TextModel(configuration)
    assert model.config is configuration


def test_example_of_the_vision_config() -> None:
    configuration = tfzoo.Owlv2VisionConfig(num_hidden_layers=1, image_size=32)
    model = tfzoo.TFOwlv2VisionModel(configuration)
    assert model.config is configuration


def test_example_of_the_model(folder: Path, image: Image.Image) -> None:
    model = tfzoo.TFOwlv2Model.from_pretrained(folder)
    processor = tfzoo.AutoProcessor.from_pretrained(folder)
    inputs = processor(text=TEXTS, images=image, return_tensors="tf")
    outputs = model(**inputs)
    probs = tf.nn.softmax(outputs.logits_per_image, axis=1)
    assert probs.shape == (1, 2)
    assert float(tf.reduce_sum(probs)) == pytest.approx(1.0)


def test_examples_of_the_features(folder: Path, image: Image.Image) -> None:
    model = tfzoo.TFOwlv2Model.from_pretrained(folder)
    processor = tfzoo.AutoProcessor.from_pretrained(folder)
    texts = [*TEXTS, ["an astronaut"]]
    text_features = model.get_text_features(**processor(text=texts, return_tensors="tf"))
    image_features = model.get_image_features(**processor(images=image, return_tensors="tf"))
    width = model.config.projection_dim
    assert text_features.shape == (4, width)  # the shorter list is padded
    assert image_features.shape == (1, width)


def test_example_of_the_text_model(folder: Path) -> None:
    model = tfzoo.TFOwlv2TextModel.from_pretrained(folder)
    processor = tfzoo.AutoProcessor.from_pretrained(folder)
    inputs = processor(text=[*TEXTS, ["an astronaut"]], return_tensors="tf")
    outputs = model(**inputs)
    assert outputs.last_hidden_state.shape == (4, 16, model.config.hidden_size)
    assert outputs.pooler_output.shape == (4, model.config.hidden_size)


def test_example_of_the_vision_model(folder: Path, image: Image.Image) -> None:
    model = tfzoo.TFOwlv2VisionModel.from_pretrained(folder)
    processor = tfzoo.AutoProcessor.from_pretrained(folder)
    outputs = model(**processor(images=image, return_tensors="tf"))
    assert outputs.last_hidden_state.shape == (1, PATCHES + 1, model.config.hidden_size)
    assert outputs.pooler_output.shape == (1, model.config.hidden_size)


def test_example_of_detection_on_the_padded_image(folder: Path, image: Image.Image) -> None:
    processor = tfzoo.AutoProcessor.from_pretrained(folder)
    model = tfzoo.TFOwlv2ForObjectDetection.from_pretrained(folder)
    inputs = processor(text=TEXTS, images=image, return_tensors="tf")
    outputs = model(**inputs)
    padded = preprocessed_image(inputs.pixel_values)
    assert padded.size == (SIDE, SIDE)
    target_sizes = tf.constant([padded.size[::-1]])
    (result,) = processor.post_process_object_detection(
        outputs=outputs, threshold=0.2, target_sizes=target_sizes
    )
    whole = outputs.pred_boxes.numpy()[0] * SIDE
    corners = np.concatenate([whole[:, :2] - whole[:, 2:] / 2, whole[:, :2] + whole[:, 2:] / 2], -1)
    kept = tf.sigmoid(tf.reduce_max(outputs.logits[0], -1)).numpy() > 0.2
    np.testing.assert_allclose(result["boxes"], corners[kept], rtol=1e-5, atol=1e-4)


def test_example_of_image_guided_detection(folder: Path, image: Image.Image) -> None:
    processor = tfzoo.AutoProcessor.from_pretrained(folder)
    model = tfzoo.TFOwlv2ForObjectDetection.from_pretrained(folder)
    query_image = image.crop((100, 50, 300, 200))
    inputs = processor(images=image, query_images=query_image, return_tensors="tf")
    outputs = model.image_guided_detection(**inputs)
    target_sizes = tf.constant([preprocessed_image(inputs.pixel_values).size[::-1]])
    best = float(tf.sigmoid(tf.reduce_max(outputs.logits)))
    (result,) = processor.post_process_image_guided_detection(
        outputs=outputs, threshold=best * 0.9, nms_threshold=0.3, target_sizes=target_sizes
    )
    assert result["labels"] is None
    assert len(result["boxes"])
    for box, score in zip(result["boxes"], result["scores"], strict=True):
        assert len(box.tolist()) == 4
        assert 0 <= score.item() <= 1
