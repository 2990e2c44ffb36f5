"""X-CLIP's signatures: the host's scores, with texts baked in and with texts as input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import tfzoo
from tests.support.endpoints import as_bytes, read, traced
from tests.support.pictures import PHOTOS, broken_files
from tests.support.xclip_checkpoint import write_xclip_checkpoint
from tfzoo.export import ServingError, ServingOptions
from tfzoo.models.xclip.serving import endpoints

TEXTS = ["playing sports", "a cat's dog", "eating spaghetti!"]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    folder: Path = write_xclip_checkpoint(tmp_path_factory.mktemp("xclip"))
    model = tfzoo.TFXCLIPModel.from_pretrained(folder)
    rng = np.random.default_rng(0)
    for weight in model.weights:  # scores that differ
        weight.assign(weight + 0.1 * rng.normal(size=weight.shape))
    return model, tfzoo.XCLIPProcessor.from_pretrained(folder)


@pytest.fixture(scope="module")
def baked(loaded: tuple[Any, Any]) -> Callable:
    return traced(*loaded, "classify_frames", labels=TEXTS)


@pytest.fixture(scope="module")
def with_texts(loaded: tuple[Any, Any]) -> Callable:
    return traced(*loaded, "classify_frames_with_texts", top_k=2)


@pytest.fixture(scope="module")
def encode(loaded: tuple[Any, Any]) -> Callable:
    return traced(*loaded, "encode_texts")


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return np.resize(read(*PHOTOS), (3, 8))


@pytest.fixture(scope="module")
def probabilities(loaded: tuple[Any, Any], frames: np.ndarray) -> np.ndarray:
    """The host's, (3, texts)."""
    model, processor = loaded
    images = [[tfzoo.read_image(file) for file in row] for row in frames]
    inputs = processor(text=TEXTS, videos=images, padding=True, return_tensors="np")
    return tf.nn.softmax(model(**inputs).logits_per_video).numpy()


def answer_of(scores: np.ndarray, names: list[str]) -> tuple[list[list[bytes]], np.ndarray]:
    order = np.argsort(-scores, axis=1)
    labels = [[names[i].encode() for i in row] for row in order]
    return labels, np.take_along_axis(scores, order, axis=1)


def test_baked_texts_have_the_hosts_scores(
    baked: Callable, frames: np.ndarray, probabilities: np.ndarray
) -> None:
    labels, scores = answer_of(probabilities, TEXTS)
    assert scores.std(axis=0).max() > 1e-3  # the videos differ
    answer = baked(frames=frames)
    assert answer["labels"].tolist() == labels
    np.testing.assert_allclose(answer["scores"], scores, rtol=2e-4)


def test_texts_of_each_clip_have_the_hosts_scores(
    loaded: tuple[Any, Any],
    encode: Callable,
    with_texts: Callable,
    frames: np.ndarray,
    probabilities: np.ndarray,
) -> None:
    ids = loaded[1].tokenizer(TEXTS, padding=True, return_tensors="np").input_ids
    features = encode(input_ids=ids)["text_features"]
    orders = np.array([[0, 1, 2], [2, 0, 1], [1, 1, 1]])  # each clip has texts of its own
    names = np.array(TEXTS, object)[orders]
    asked = {"text_features": features[orders], "labels": [as_bytes(*row) for row in names]}
    answer = with_texts(frames=frames, **asked)
    labels, scores = answer_of(probabilities, TEXTS)
    for row in (0, 1):
        assert answer["labels"][row].tolist() == labels[row][:2]
        np.testing.assert_allclose(answer["scores"][row], scores[row][:2], rtol=2e-4)
    np.testing.assert_allclose(answer["scores"][2], [1 / 3] * 2, rtol=1e-5)
    assert answer["labels"][2].tolist() == [TEXTS[1].encode()] * 2


def test_texts_are_encoded_as_on_the_host(loaded: tuple[Any, Any], encode: Callable) -> None:
    model, processor = loaded
    inputs = processor.tokenizer(TEXTS, padding=True, return_tensors="np")
    features = encode(input_ids=inputs["input_ids"])["text_features"]
    np.testing.assert_allclose(features, model.get_text_features(**inputs), rtol=1e-4, atol=1e-5)
    alone = [
        encode(input_ids=processor.tokenizer([text], return_tensors="np").input_ids)
        for text in TEXTS
    ]
    rows = np.concatenate([one["text_features"] for one in alone])
    np.testing.assert_allclose(rows, features, rtol=1e-4, atol=1e-5)


def test_bad_requests_are_refused_and_the_next_is_answered(
    baked: Callable, with_texts: Callable, encode: Callable, frames: np.ndarray
) -> None:
    good = frames[:1]
    first = baked(frames=good)["scores"]
    for file, words in broken_files().values():
        spoilt = good.copy()
        spoilt[0, 2] = file
        with pytest.raises(tf.errors.InvalidArgumentError, match=words):
            baked(frames=spoilt)
    for clips, words in ((good[:, 1:], "8 frames.*7"), (good[:0], "at least one image")):
        with pytest.raises(tf.errors.InvalidArgumentError, match=words):
            baked(frames=clips)
    np.testing.assert_array_equal(baked(frames=good)["scores"], first)
    features, names = np.ones((1, 2, 10), "float32"), as_bytes("a", "b")[None]
    for wrong in (
        {"labels": names[:, :1]},
        {"labels": names[:, :0], "text_features": features[:, :0]},
        {"labels": np.repeat(names, 2, 0), "text_features": np.repeat(features, 2, 0)},
    ):
        asked = {"frames": good, "text_features": features, "labels": names, **wrong}
        with pytest.raises(tf.errors.InvalidArgumentError, match="one or more texts for each clip"):
            with_texts(**asked)
    with pytest.raises(tf.errors.InvalidArgumentError, match="text_features: expected finite"):
        with_texts(frames=good, text_features=features * np.nan, labels=names)
    assert with_texts(frames=good, text_features=features, labels=names)["scores"].shape == (1, 2)
    for ids, words in (([[500]], "ids from 0 to"), ([[1] * 78], "at most 77"), ([[]], "at least")):
        with pytest.raises(tf.errors.InvalidArgumentError, match=words):
            encode(input_ids=np.array(ids, "int64"))


def test_without_labels_there_is_no_bank(loaded: tuple[Any, Any]) -> None:
    model, processor = loaded
    offered = endpoints(model, processor.image_processor, ServingOptions())
    assert [e.name for e in offered] == ["classify_frames_with_texts", "encode_texts"]


def test_what_does_not_fit_is_refused(loaded: tuple[Any, Any]) -> None:
    model, processor = loaded
    options = ServingOptions(labels=TEXTS)
    with pytest.raises(ServingError, match="pass the model's whole processor, got a VideoMAE"):
        endpoints(model, processor.image_processor, options)
    with pytest.raises(ServingError, match="VideoMAEImageProcessor, got a PerceiverImageProcessor"):
        endpoints(model, tfzoo.PerceiverImageProcessor(), options)
    with pytest.raises(ServingError, match="does not fit the model.*32 x 32 pixels"):
        endpoints(model, tfzoo.VideoMAEImageProcessor(), options)
    with pytest.raises(ServingError, match="labels: .*77"):
        endpoints(model, processor, ServingOptions(labels=["word " * 80]))
    tower = tfzoo.TFXCLIPTextModel(model.config.text_config)
    with pytest.raises(ServingError, match="TFXCLIPTextModel has no signature.*TFXCLIPModel"):
        endpoints(tower, processor, options)
