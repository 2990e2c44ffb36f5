"""Perceiver's signatures: the answers of the host path; an error for a bad request alone."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tfzoo
from tests.support.endpoints import as_bytes, read, traced
from tests.support.paths import FIXTURES
from tfzoo.export import ServingError, ServingOptions
from tfzoo.export.graph.flow import patches_of
from tfzoo.models.perceiver.serving import endpoints

PHOTOS = sorted((FIXTURES / "photos").glob("*.*g"))
TINY: dict[str, Any] = {
    "num_latents": 4,
    "d_latents": 16,
    "d_model": 16,
    "num_self_attends_per_block": 1,
    "num_self_attention_heads": 2,
    "num_cross_attention_heads": 1,
    "initializer_range": 0.4,  # answers that differ
}
TOKENIZER = tfzoo.PerceiverTokenizer()
IMAGES = tfzoo.PerceiverImageProcessor(crop_size=72, size=64)


def tiny(head: str, **fields: Any) -> Any:
    """A fresh model."""
    keras.utils.set_random_seed(1)
    return getattr(tfzoo, f"TFPerceiverFor{head}")(tfzoo.PerceiverConfig(**{**TINY, **fields}))


def refuses(run: Callable, words: str, **inputs: Any) -> None:
    """A request must fail, and not by anything of Python's."""
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        run(**inputs)


# ---- texts
@pytest.fixture(scope="module")
def filler() -> tuple[Any, Callable]:
    model = tiny("MaskedLM", max_position_embeddings=48)
    return model, traced(model, TOKENIZER, "fill_mask", top_k=4)


TEXTS = ("m[MASK]ssing", "two [MASK][MASK] and é[MASK]", "[MASK]", "[SEP]日本[MASK]語\x00[PAD]")


def test_fill_mask_equals_the_hosts(filler: tuple[Any, Callable]) -> None:
    model, run = filler
    answer = run(text=as_bytes(*TEXTS))
    expected = tfzoo.fill_mask(model, TOKENIZER, TEXTS, top_k=4)
    assert [text.decode() for text in answer["text"]] == [filled.text for filled in expected]
    assert answer["num_masks"].tolist() == [1, 3, 1, 1]
    assert answer["tokens"].shape == answer["scores"].shape == (4, 3, 4)
    for row, filled in enumerate(expected):
        for place, candidates in enumerate(filled.candidates):
            tokens = [token.decode() for token in answer["tokens"][row, place]]
            assert tokens == [token for token, _ in candidates]
            scores = [score for _, score in candidates]
            np.testing.assert_allclose(answer["scores"][row, place], scores, rtol=1e-4)
        count = len(filled.candidates)
        assert set(answer["tokens"][row, count:].flat) <= {b""}
        assert not answer["scores"][row, count:].any()


def test_fill_mask_takes_invalid_utf8(filler: tuple[Any, Callable]) -> None:
    model, run = filler
    text = b"\xff\xc3 [MASK] \xf5\xed\xa0\x80"
    (answer,) = run(text=as_bytes(text))["text"]
    filled = tfzoo.fill_mask(model, TOKENIZER, text.decode("utf-8", errors="replace"))
    assert answer.decode() == filled.text


def test_fill_mask_refuses_bad_texts_and_goes_on(filler: tuple[Any, Callable]) -> None:
    _, run = filler
    first = run(text=as_bytes(TEXTS[0]))["text"]
    refuses(run, r"expected \[MASK\] in place of each byte", text=as_bytes(TEXTS[0], "none"))
    refuses(run, r"at most 46 bytes.*47", text=as_bytes("[MASK]" + "x" * 46))
    assert run(text=as_bytes("[MASK]" + "x" * 45))["num_masks"] == 1
    assert run(text=as_bytes(TEXTS[0]))["text"] == first


@pytest.mark.parametrize("problem", ["single_label_classification", "multi_label_classification"])
def test_classify_text_equals_the_hosts(problem: str) -> None:
    labels = ["bad", "fair", "göod"]
    fields = {"num_labels": 3, "max_position_embeddings": 24, "problem_type": problem}
    model = tiny("SequenceClassification", **fields)
    run = traced(model, TOKENIZER, "classify_text", labels=labels, top_k=9)
    texts = ["", "a word", "a text that is too long for the model", "[MASK]é\x80"]
    answer = run(text=as_bytes(*texts))
    inputs = TOKENIZER(texts, padding=True, truncation=True, max_length=24, return_tensors="np")
    logits = model(**inputs).logits
    probabilities = tf.sigmoid(logits) if problem.startswith("multi") else tf.nn.softmax(logits)
    order = np.argsort(-probabilities, axis=1)
    assert answer["labels"].tolist() == [[labels[i].encode() for i in row] for row in order]
    np.testing.assert_allclose(answer["scores"], np.sort(probabilities)[:, ::-1], rtol=1e-5)


# ---- photos
def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(
    scope="module",
    params=[
        "Learned",
        *(pytest.param(p, marks=pytest.mark.slow) for p in ("Fourier", "ConvProcessing")),
    ],
)
def classifier(request: pytest.FixtureRequest) -> tuple[Any, Callable]:
    model = tiny(f"ImageClassification{request.param}", image_size=64, num_labels=6)
    return model, traced(model, IMAGES, "classify_image", top_k=3)


def test_classify_image_equals_the_hosts(classifier: tuple[Any, Callable]) -> None:
    model, run = classifier
    answer = run(image=read(*PHOTOS))
    expected = tfzoo.classify_image(model, PHOTOS, IMAGES, top_k=3)
    names = [[label.decode() for label in row] for row in answer["labels"]]
    assert names == [[label for label, _ in row] for row in expected]
    scores = [[score for _, score in row] for row in expected]
    np.testing.assert_allclose(answer["scores"], scores, atol=2e-3)


def test_classify_image_refuses_bad_photos_and_goes_on(classifier: tuple[Any, Callable]) -> None:
    _, run = classifier
    good = read(PHOTOS[0])
    first = run(image=good)["scores"]
    refuses(run, "JPEG or PNG", image=as_bytes(good[0], b"no photo"))
    refuses(run, ".", image=as_bytes(good[0][:700]))
    np.testing.assert_array_equal(run(image=good)["scores"], first)


# ---- flow
@pytest.fixture(scope="module")
def flow() -> tuple[Any, Callable]:
    model = tiny("OpticalFlow", train_size=[24, 32])
    return model, traced(model, IMAGES, "flow")


def frames(height: int, width: int) -> list[np.ndarray]:
    """The same part of two frames of a film."""
    pair = (FIXTURES / "flow" / f"sintel_{n}.png" for n in (16, 17))
    return [np.asarray(Image.open(path).convert("RGB"))[:height, :width] for path in pair]


@pytest.mark.parametrize("size", [(24, 32), (25, 60), (60, 33)])
def test_flow_equals_the_hosts(size: tuple[int, int], flow: tuple[Any, Callable]) -> None:
    model, run = flow
    first, second = frames(*size)
    expected = tfzoo.compute_flow(model, first, second, progress=False)
    one, two = png(first), png(second)
    answer = run(image1=as_bytes(one, two), image2=as_bytes(two, one))["flow"]
    assert answer.shape == (2, *size, 2)
    scale = np.abs(expected).max()
    assert scale > 1e-3
    # sums are taken in another order: of one tile the host's answers differ as much by its batch
    np.testing.assert_allclose(answer[0], expected, atol=5e-5 * scale)
    backwards = tfzoo.compute_flow(model, second, first, progress=False)
    np.testing.assert_allclose(answer[1], backwards, atol=5e-5 * scale)


def test_patches_equal_the_hosts() -> None:
    pair = np.stack(frames(9, 11))
    answer = patches_of(tf.constant(pair[None], tf.float32))[0]
    np.testing.assert_allclose(answer, tfzoo.flow_patches(pair), atol=2e-7)


def test_flow_refuses_bad_frames_and_goes_on(flow: tuple[Any, Callable]) -> None:
    _, run = flow
    one, two = map(png, frames(24, 32))
    small, large = png(frames(23, 32)[0]), png(frames(30, 40)[0])
    first = run(image1=as_bytes(one), image2=as_bytes(two))["flow"]
    refuses(run, "at least 24 x 32", image1=as_bytes(small), image2=as_bytes(small))
    refuses(run, "must have one size", image1=as_bytes(one), image2=as_bytes(large))
    refuses(run, "JPEG or PNG", image1=as_bytes(one), image2=as_bytes(b"GIF89a"))
    np.testing.assert_array_equal(run(image1=as_bytes(one), image2=as_bytes(two))["flow"], first)


# ---- refusals
@pytest.mark.parametrize(
    ("head", "processor", "options", "words"),
    [
        ("MaskedLM", IMAGES, {}, "MaskedLM is served with a PerceiverTokenizer, got a Perceiver"),
        ("MaskedLM", TOKENIZER, {"labels": ["a"]}, "has no labels"),
        ("OpticalFlow", IMAGES, {"labels": ["a"]}, "has no labels"),
        ("SequenceClassification", TOKENIZER, {"labels": ["a"]}, "each of the 2 classes .* got 1"),
        ("ImageClassificationConvProcessing", TOKENIZER, {}, "with a PerceiverImageProcessor"),
        ("ImageClassificationLearned", IMAGES, {}, "images of 64 x 64 pixels, the .* 56 x 56"),
        ("OpticalFlow", tfzoo.VideoMAEImageProcessor(), {}, "got a VideoMAEImageProcessor"),
    ],
)
def test_what_does_not_fit_is_refused(
    head: str, processor: Any, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ServingError, match=words):
        endpoints(tiny(head, train_size=[8, 8]), processor, ServingOptions(**options))


def test_other_models_are_refused() -> None:
    options = ServingOptions()
    with pytest.raises(ServingError, match="PerceiverModel has no signature .*TFPerceiverForMaske"):
        endpoints(tfzoo.TFPerceiverModel(tfzoo.PerceiverConfig(**TINY)), TOKENIZER, options)
    with pytest.raises(ServingError, match="has 262 ids, the model takes 30"):
        endpoints(tiny("MaskedLM", vocab_size=30), TOKENIZER, options)
    model = tiny("SequenceClassification", num_labels=1, problem_type="regression")
    with pytest.raises(ServingError, match="'regression' has no labels"):
        endpoints(model, TOKENIZER, options)
