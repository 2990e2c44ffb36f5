"""TimeSformer's `classify_frames`: the host's labels and scores; errors for bad requests alone."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfzoo
from tests.models.timesformer.cases import TINY
from tests.support.endpoints import as_bytes, read, traced
from tests.support.paths import FIXTURES
from tests.support.pictures import PHOTOS, broken_files, encoded
from tfzoo.export import ServingError, ServingOptions
from tfzoo.models.timesformer.serving import endpoints

VIDEOS = sorted((FIXTURES / "videos").glob("*.mp4"))
SMALL = {"size": {"shortest_edge": 14}, "crop_size": {"height": 12, "width": 12}}


@pytest.fixture(scope="module")
def loaded() -> tuple[Any, Any]:
    """The checkpoint that ships with the package."""
    folder = tfzoo.default_checkpoint()
    model = tfzoo.TFTimesformerForVideoClassification.from_pretrained(folder)
    return model, tfzoo.AutoImageProcessor.from_pretrained(folder)


@pytest.fixture(scope="module")
def run(loaded: tuple[Any, Any]) -> Callable:
    return traced(*loaded, "classify_frames")


@pytest.fixture(scope="module")
def clips() -> list[np.ndarray]:
    return [tfzoo.read_video(path, num_frames=8).frames for path in VIDEOS]


def files(clips: list[np.ndarray], kind: str = "PNG") -> np.ndarray:
    """Clips as a request."""
    level = {"compress_level": 1} if kind == "PNG" else {"quality": 95}
    return np.array([[encoded(f, kind, **level) for f in clip] for clip in clips], object)


def tiny(**fields: Any) -> tuple[Any, Any]:
    """A small model with large weights, and its processor."""
    keras.utils.set_random_seed(5)
    config = tfzoo.TimesformerConfig(**{**TINY, "initializer_range": 0.5, **fields})
    model = tfzoo.TFTimesformerForVideoClassification(config)
    return model, tfzoo.VideoMAEImageProcessor(**SMALL)


def best(model: Any, scores: np.ndarray, count: int) -> tuple[list[list[bytes]], np.ndarray]:
    """The host's answer."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    names = [[model.config.id2label[i].encode() for i in row] for row in order.tolist()]
    return names, np.take_along_axis(scores, order, axis=1)


def test_classes_without_names_are_warned_of() -> None:
    model, processor = tiny()
    with pytest.warns(UserWarning, match="since its config has no names of classes") as caught:
        endpoints(model, processor, ServingOptions())
    assert caught[0].filename == __file__
    names = [f"class {index}" for index in range(model.config.num_labels)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        endpoints(model, processor, ServingOptions(labels=names))
        model.config.update({"id2label": dict(enumerate(names))})
        endpoints(model, processor, ServingOptions())


def test_answers_equal_the_hosts(
    loaded: tuple[Any, Any], run: Callable, clips: list[np.ndarray]
) -> None:
    model, processor = loaded
    answer = run(frames=files(clips))
    pixels = processor([list(clip) for clip in clips], return_tensors="np").pixel_values
    labels, scores = best(model, tf.nn.softmax(model(pixels).logits).numpy(), 5)
    assert answer["labels"].tolist() == labels
    assert answer["labels"][0, 0] != answer["labels"][1, 0]
    np.testing.assert_allclose(answer["scores"], scores, rtol=1e-4, atol=1e-6)


def test_photos_as_jpeg_in_any_size(loaded: tuple[Any, Any], run: Callable) -> None:
    model, processor = loaded
    frames = np.resize(read(*PHOTOS), (3, 8))
    images = [[tfzoo.read_image(file) for file in row] for row in frames]
    pixels = processor(images, return_tensors="np").pixel_values
    labels, scores = best(model, tf.nn.softmax(model(pixels).logits).numpy(), 5)
    answer = run(frames=frames)
    assert answer["labels"].tolist() == labels
    np.testing.assert_allclose(answer["scores"], scores, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_own_labels_and_fewer_answers(loaded: tuple[Any, Any], run: Callable) -> None:
    model, processor = loaded
    frames = np.resize(read(*PHOTOS[:3]), (1, 8))
    first = run(frames=frames)
    names = [f"Bewegung {i}" for i in range(7)]
    named = traced(model, processor, "classify_frames", labels=names, top_k=2)(frames=frames)
    own = [model.config.label2id[label.decode()] for label in first["labels"][0, :2]]
    assert named["labels"].tolist() == [[names[i].encode() for i in own]]
    np.testing.assert_array_equal(named["scores"], first["scores"][:, :2])
    every = traced(model, processor, "classify_frames", top_k=1000)(frames=frames)
    assert every["labels"].shape == every["scores"].shape == (1, 7)
    np.testing.assert_allclose(every["scores"].sum(), 1, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("attention", ["space_only", "joint_space_time"])
def test_other_attention(attention: str) -> None:
    model, processor = tiny(attention_type=attention)
    frames = read(*PHOTOS[:4])[None]
    pixels = processor([tfzoo.read_image(file) for file in frames[0]], return_tensors="np")
    logits = model(**pixels).logits.numpy()
    if attention == "space_only":  # logits of each frame
        assert logits.shape == (4, 3)
        logits = logits.mean(axis=0, keepdims=True)
    answer = traced(model, processor, "classify_frames")(frames=frames)
    labels, scores = best(model, tf.nn.softmax(logits).numpy(), 5)
    assert answer["labels"].tolist() == labels
    np.testing.assert_allclose(answer["scores"], scores, rtol=1e-4)


def test_independent_labels() -> None:
    model, processor = tiny(problem_type="multi_label_classification")
    frames = read(*PHOTOS[:4])[None]
    pixels = processor([tfzoo.read_image(file) for file in frames[0]], return_tensors="np")
    _, scores = best(model, tf.sigmoid(model(**pixels).logits).numpy(), 5)
    answer = traced(model, processor, "classify_frames")(frames=frames)
    np.testing.assert_allclose(answer["scores"], scores, rtol=1e-4)


def test_bad_requests_are_refused_and_the_next_is_answered(run: Callable) -> None:
    good = np.resize(read(*PHOTOS), (1, 8))
    first = run(frames=good)["scores"]
    bad = [(good[:, :3], "Expected 8 frames.*3"), (good[:0], "at least one image")]
    for file, words in broken_files().values():
        spoilt = good.copy()
        spoilt[0, 6] = file
        bad.append((spoilt, words))
    for frames, words in bad:
        with pytest.raises(tf.errors.InvalidArgumentError, match=words):
            run(frames=frames)
    np.testing.assert_array_equal(run(frames=good)["scores"], first)


def test_large_frames_are_refused_before_they_are_decoded(loaded: tuple[Any, Any]) -> None:
    run = traced(*loaded, "classify_frames", max_pixels=320 * 240)
    photo = encoded(np.zeros((241, 320, 3), np.uint8))
    with pytest.raises(tf.errors.InvalidArgumentError, match="up to 76800 pixels.*241 320"):
        run(frames=as_bytes(*[photo] * 8)[None])


def test_what_does_not_fit_is_refused(loaded: tuple[Any, Any]) -> None:
    model, processor = loaded
    options = ServingOptions()
    with pytest.raises(ServingError, match="TFTimesformerModel has no signature.*Classification"):
        endpoints(model.timesformer, processor, options)
    with pytest.raises(ServingError, match="VideoMAEImageProcessor, got a Owlv2ImageProcessor"):
        endpoints(model, tfzoo.Owlv2ImageProcessor(), options)
    with pytest.raises(ServingError, match="each of the 7 classes of .*, got 2"):
        endpoints(model, processor, ServingOptions(labels=["a", "b"]))
    with pytest.raises(ServingError, match="does not fit the model.*at least one patch"):
        endpoints(model, tfzoo.VideoMAEImageProcessor(size=3, crop_size=3), options)
    with pytest.raises(ServingError, match="num_channels=4"):
        endpoints(*tiny(num_channels=4), options)
    with pytest.raises(ServingError, match="no labels to serve"):
        endpoints(*tiny(problem_type="regression"), options)
    with pytest.raises(ServingError, match="no classifier to serve"):
        endpoints(*tiny(num_labels=0), options)
