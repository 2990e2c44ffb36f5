"""OWLv2's and OWL-ViT's processors: forms of text, query images, decoding results, files."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import tfzoo
from tests.models.owlv2.image_cases import SMALL, outputs_of
from tests.preprocessing.videomae_cases import cat, cup
from tests.text.clip_files import read_json, write_json, write_vocabulary
from tfzoo.models.owlv2.processor import (
    Owlv2ImageProcessor,
    Owlv2Processor,
    OwlViTImageProcessor,
    OwlViTProcessor,
)
from tfzoo.text.clip import CLIPTokenizerFast

TEXT = {"pad_token": "!", "model_max_length": 16}
TEXTS = ["a cat", "a dog"]
IDS = ["input_ids", "attention_mask"]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = write_vocabulary(tmp_path_factory.mktemp("vocabulary"), **TEXT)
    return CLIPTokenizerFast.from_pretrained(folder)


@pytest.fixture(scope="module")
def processor(tokenizer):
    return Owlv2Processor(Owlv2ImageProcessor(**SMALL), tokenizer)


def same(left, right):
    assert list(left) == list(right)
    for name in left:
        np.testing.assert_array_equal(left[name], right[name])


def padded(processor, texts):
    return processor.tokenizer(texts, padding="max_length", return_tensors="np")


# ---- texts
@pytest.mark.parametrize(
    ("text", "queries"),
    [
        ("a cat", ["a cat"]),
        (TEXTS, TEXTS),
        ([TEXTS], TEXTS),
        ([TEXTS, ["a", "b"]], [*TEXTS, "a", "b"]),
        ([TEXTS, ["a"]], [*TEXTS, "a", " "]),
        ([[], TEXTS, ["a"]], [" ", " ", *TEXTS, "a", " "]),
        (["cat!"], ["cat!"]),
    ],
)
def test_forms_of_text(processor, text, queries):
    features = processor(text=text)
    same(features, padded(processor, queries))
    assert list(features) == IDS
    assert features.input_ids.shape == (len(queries), 16)
    assert (features.input_ids[:, 0] > 0).all()  # so that the model masks none of them


def test_the_exclamation_mark_is_padding(processor):
    ids = processor(text="cat!").input_ids[0]
    begin, end = processor.tokenizer.bos_token_id, processor.tokenizer.eos_token_id
    assert ids.tolist()[:4] == [begin, processor.tokenizer.convert_tokens_to_ids("cat</w>"), 0, end]
    assert processor.decode(ids, skip_special_tokens=True) == "cat"
    assert processor.batch_decode([ids], skip_special_tokens=True) == ["cat"]


@pytest.mark.parametrize("kind", ["np", "tf", None])
def test_kinds_of_result(processor, kind):
    from keras import ops

    texts = [TEXTS, ["a"]]
    features = processor(text=texts, images=[cat(), cup()], return_tensors=kind)
    expected = {**processor(text=texts), **processor(images=[cat(), cup()])}
    same({name: np.asarray(value) for name, value in features.items()}, expected)
    check = {"np": lambda v: isinstance(v, np.ndarray), "tf": ops.is_tensor}.get(
        kind, lambda v: isinstance(v, list)
    )
    assert all(check(value) for value in features.values())
    assert processor(text="a", return_tensors=None).input_ids[0][1:3] != [0, 0]


def test_lengths(processor):
    assert processor(text=[TEXTS, ["a", "a cat dog"]], padding=True).input_ids.shape == (4, 5)
    long = "a " * 30
    cut = processor(text=long, truncation=True).input_ids
    assert cut.shape == (1, 16)
    assert cut[0, -1] == processor.tokenizer.eos_token_id
    with pytest.warns(UserWarning, match="32 tokens, the model takes 16. Pass truncation=True"):
        assert processor(text=long).input_ids.shape == (1, 32)
    with (
        pytest.warns(UserWarning, match="takes 16"),
        pytest.raises(ValueError, match="truncation"),
    ):
        processor(text=[long, "a"])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        ({}, ValueError, "given nothing: expected images, text or query_images"),
        ({"padding": True}, ValueError, "given nothing"),
        ({"text": []}, ValueError, "got an empty list: there is nothing to find"),
        ({"text": [[], []]}, ValueError, "got an empty list"),
        ({"text": ("a", "b")}, TypeError, "a string, a list of strings, .* got a tuple"),
        ({"text": ["a", ["b"]]}, TypeError, r"got 'a' in the list \['a', \['b'\]\]"),
        ({"text": [["b"], "a"]}, TypeError, "got 'a' in the list"),
        ({"text": [["b"], ["a", 1]]}, TypeError, r"got \['a', 1\] in"),
        ({"text": [["b"], ("a",)]}, TypeError, r"got \('a',\) in"),
        ({"text": [None]}, TypeError, r"got \[None\]"),
        ({"text": 3}, TypeError, "got a int"),
        ({"text": "a", "query_images": 3}, ValueError, "by text or by query_images, not by both"),
        ({"text": "a", "images": 3}, TypeError, "Expected images as paths.* got int"),
        ({"query_images": []}, ValueError, "at least one image"),
        ({"images": "none.jpg"}, FileNotFoundError, "none.jpg"),
        ({"text": "a", "paddin": 1}, TypeError, "unexpected keyword 'paddin'.*padding.*pad_value"),
        ({"text": "a", "return_tensors": "pt"}, ValueError, "return_tensors must be 'np'"),
    ],
)
def test_bad_calls(processor, call, error, message):
    with pytest.raises(error, match=message):
        processor(**call)


# ---- images
def test_images(processor):
    expected = processor.image_processor([cat(), cup()], return_tensors="np").pixel_values
    features = processor(images=[cat(), cup()])
    same(features, {"pixel_values": expected})
    both = processor(text=[TEXTS, ["a"]], images=[cat(), cup()])
    assert list(both) == [*IDS, "pixel_values"]
    np.testing.assert_array_equal(both.pixel_values, expected)
    guided = processor(images=cat(), query_images=cup())
    same(guided, {"query_pixel_values": expected[1:], "pixel_values": expected[:1]})
    assert list(processor(query_images=cup())) == ["query_pixel_values"]


def test_keywords_reach_their_part(processor):
    features = processor(
        text=TEXTS, images=cat(), size=20, pad_value=0.0, max_length=7, do_normalize=False
    )
    assert features.pixel_values.shape == (1, 3, 20, 20)
    assert features.pixel_values[0, :, -1].max() == 0
    assert features.input_ids.shape == (2, 7)


def test_positional_arguments_are_told_apart(processor, tmp_path):
    expected = processor(images=cat(), text=TEXTS)
    same(processor(cat(), TEXTS), expected)
    same(processor(TEXTS, cat()), expected)
    same(processor([TEXTS], [Image.fromarray(cat())]), expected)
    path = str(tmp_path / "cat.png")
    Image.fromarray(cat()).save(path)
    for first, second in ((path, TEXTS), (TEXTS, path), ([path], [TEXTS])):
        same(processor(first, second), expected)


# ---- results
def detected(labels, queries):
    logits = np.full((len(labels), 1, queries), -9.0)
    for image, label in enumerate(labels):
        logits[image, 0, label] = 2.0
    return outputs_of(logits, np.full((len(labels), 1, 4), 0.5))


def test_grounded_detection(processor):
    outputs, sizes = detected([1, 0], 2), [(40, 60), (50, 20)]
    results = processor.post_process_grounded_object_detection(
        outputs, 0.5, sizes, [TEXTS, ["a cup"]]
    )
    plain = processor.post_process_object_detection(outputs, threshold=0.5, target_sizes=sizes)
    assert [result.pop("text_labels") for result in results] == [["a dog"], ["a cup"]]
    for result, expected in zip(results, plain, strict=True):
        same(result, expected)
    unnamed = processor.post_process_grounded_object_detection(outputs)
    assert [result["text_labels"] for result in unnamed] == [None, None]
    (nothing, _) = processor.post_process_grounded_object_detection(
        outputs, 0.99, text_labels=[TEXTS, TEXTS]
    )
    assert nothing["text_labels"] == []


def test_grounded_detection_names_what_the_processor_looked_for(processor):
    """A short list was filled up, and the filler can be found."""
    results = processor.post_process_grounded_object_detection(
        detected([1, 1], 2), text_labels=[TEXTS, ["a cup"]]
    )
    assert [result["text_labels"] for result in results] == [["a dog"], [" "]]
    for labels, message in (
        ([TEXTS], "a list of texts for each of 2 images, got"),
        ("ab", "a list of texts for each of 2 images, got 'ab'"),
        ([["a"], ["b"]], "a text for each query, got 1 where query 1 was found"),
    ):
        with pytest.raises(ValueError, match=message):
            processor.post_process_grounded_object_detection(
                detected([1, 1], 2), text_labels=labels
            )


def test_image_guided_results(processor):
    outputs = detected([0, 0], 1)
    found = processor.post_process_image_guided_detection(outputs, 0.5, target_sizes=[(8, 4)] * 2)
    np.testing.assert_array_equal(found[1]["boxes"], [[2, 2, 6, 6]])
    clipped = processor.post_process_image_guided_detection(
        outputs, target_sizes=[(8, 4)] * 2, clip=True
    )
    np.testing.assert_array_equal(clipped[1]["boxes"], [[2, 2, 4, 6]])


# ---- OWL-ViT, parts and files
def test_owlvit(tokenizer):
    vit = OwlViTProcessor(OwlViTImageProcessor(**SMALL), tokenizer)
    features = vit(text=[TEXTS], images=cat())
    assert list(features) == [*IDS, "pixel_values"]
    expected = vit.image_processor(cat(), return_tensors="np").pixel_values
    np.testing.assert_array_equal(features.pixel_values, expected)
    outputs = detected([1], 2)
    found = vit.post_process_object_detection(outputs, target_sizes=[(40, 80)])
    np.testing.assert_array_equal(found[0]["boxes"], [[20, 10, 60, 30]])
    with pytest.warns(FutureWarning, match="post_process is the old name"):
        old = vit.post_process(outputs, [(40, 80)])
    same(old[0], found[0])
    with pytest.warns(FutureWarning, match="feature_extractor"):
        old = OwlViTProcessor(feature_extractor=vit.image_processor, tokenizer=tokenizer)
    assert old.image_processor is vit.image_processor


def test_parts(processor, tokenizer):
    assert processor.model_input_names == ["pixel_values", *IDS]
    with pytest.raises(TypeError, match="needs image_processor= of class Owlv2Im.* a OwlViTImage"):
        Owlv2Processor(OwlViTImageProcessor(), tokenizer)
    with pytest.raises(TypeError, match="OwlViTProcessor needs tokenizer= .* got none"):
        OwlViTProcessor(OwlViTImageProcessor())


@pytest.mark.parametrize("cls", [Owlv2Processor, OwlViTProcessor])
def test_there_and_back(cls, tokenizer, tmp_path):
    saved = cls(cls.image_processor_class(**SMALL), tokenizer)
    saved.save_pretrained(tmp_path)
    assert read_json(tmp_path / "preprocessor_config.json")["processor_class"] == cls.__name__
    expected = saved(text=[TEXTS, ["a"]], images=[cat(), cup()])
    for found in (cls.from_pretrained(tmp_path), tfzoo.AutoProcessor.from_pretrained(tmp_path)):
        assert type(found) is cls
        same(found(text=[TEXTS, ["a"]], images=[cat(), cup()]), expected)
    changed = cls.from_pretrained(tmp_path, size=30, model_max_length=9)
    features = changed(text="a", images=cat())
    assert features.input_ids.shape == (1, 9)
    assert features.pixel_values.shape == (1, 3, 30, 30)


def test_auto_processor_by_the_models_type(tokenizer, tmp_path):
    Owlv2Processor(Owlv2ImageProcessor(**SMALL), tokenizer).save_pretrained(tmp_path)
    for name in ("preprocessor_config.json", "tokenizer_config.json"):
        values = read_json(tmp_path / name)
        values.pop("processor_class")
        write_json(tmp_path, name, values)
    write_json(tmp_path, "config.json", {"model_type": "owlv2"})
    assert type(tfzoo.AutoProcessor.from_pretrained(tmp_path)) is Owlv2Processor
    assert type(tfzoo.AutoImageProcessor.from_pretrained(tmp_path)) is Owlv2ImageProcessor
