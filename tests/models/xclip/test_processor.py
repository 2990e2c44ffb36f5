"""X-CLIP's processor: texts and videos in any combination, its files, the auto classes."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

import tfzoo
from tests.preprocessing.videomae_cases import PHOTOS, cat, clip, cup
from tests.text.clip_files import SMALL, TEXTS, read_json, write_json, write_vocabulary
from tfzoo.core.config import ConfigError
from tfzoo.hub import HubError
from tfzoo.models.xclip.processor import CLIPTokenizer, CLIPTokenizerFast, XCLIPProcessor
from tfzoo.preprocessing.videomae import VideoMAEImageProcessor

NASA = PHOTOS.parent / "videos" / "nasa_13013.mp4"
FILE, COMBINED, TOKENIZER = (
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer_config.json",
)


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    return write_vocabulary(tmp_path_factory.mktemp("vocabulary"))


@pytest.fixture(scope="module")
def processor(vocabulary):
    return XCLIPProcessor(
        VideoMAEImageProcessor(**SMALL), CLIPTokenizerFast.from_pretrained(vocabulary)
    )


@pytest.fixture
def folder(processor, tmp_path):
    """As `save_pretrained` leaves it."""
    return processor.save_pretrained(tmp_path / "saved")


def same(left, right):
    assert list(left) == list(right)
    for name in left:
        np.testing.assert_array_equal(left[name], right[name])


# ---- calls
def test_texts_alone(processor):
    features = processor(text=TEXTS, return_tensors="np", padding=True)
    assert list(features) == ["input_ids", "attention_mask"]
    same(features, processor.tokenizer(TEXTS, return_tensors="np", padding=True))
    assert features.input_ids.dtype == np.int64


def test_videos_alone(processor):
    videos = [clip(cat()), clip(cup())]
    features = processor(videos=videos, return_tensors="np")
    assert list(features) == ["pixel_values"]
    assert features.pixel_values.shape == (2, 2, 3, 32, 32)
    same(features, processor.image_processor(videos, return_tensors="np"))


@pytest.mark.parametrize("name", ["videos", "images"])
@pytest.mark.parametrize("kind", ["np", "tf", None])
def test_both(processor, name, kind):
    from keras import ops

    frames = clip(cat())
    features = processor(text=TEXTS, return_tensors=kind, padding=True, **{name: frames})
    assert list(features) == ["pixel_values", "input_ids", "attention_mask"]
    assert list(features) == processor.model_input_names
    expected = {
        **processor.image_processor(frames, return_tensors="np"),
        **processor.tokenizer(TEXTS, return_tensors="np", padding=True),
    }
    if kind == "tf":
        assert all(ops.is_tensor(value) for value in features.values())
    if kind is None:
        assert all(isinstance(value, list) for value in features.values())
    same({k: np.asarray(v) for k, v in features.items()}, expected)
    assert features.input_ids is features["input_ids"]


def test_one_text_of_one_video(processor):
    features = processor(text=TEXTS[0], videos=clip(cat()), return_tensors="np")
    assert features.pixel_values.shape[0] == features.input_ids.shape[0] == 1
    lists = processor(text=TEXTS[0], videos=clip(cat()))
    assert lists.input_ids == features.input_ids[0].tolist()  # as the tokenizer: no batch axis


def test_a_path(processor):
    features = processor(
        text=TEXTS, videos=str(NASA), num_frames=4, sampling="centre", padding=True
    ).convert_to("np")
    expected = processor.image_processor(NASA, num_frames=4, sampling="centre", return_tensors="np")
    np.testing.assert_array_equal(features.pixel_values, expected.pixel_values)
    assert features.pixel_values.shape == (1, 4, 3, 32, 32)


def test_two_positional_arguments_are_texts_and_a_video(processor):
    expected = processor(text=TEXTS, videos=clip(cat()), return_tensors="np", padding=True)
    same(processor(TEXTS, clip(cat()), return_tensors="np", padding=True), expected)


def test_keywords_reach_their_part(processor):
    features = processor(
        text=TEXTS,
        videos=clip(cat()),
        return_tensors="np",
        padding="max_length",
        truncation=True,
        max_length=5,
        add_special_tokens=False,
        crop_size=16,
        do_rescale=False,
        do_normalize=False,
    )
    assert features.input_ids.shape == (3, 5)
    assert processor.tokenizer.bos_token_id not in features.input_ids
    assert features.pixel_values.shape == (1, 2, 3, 16, 16)
    assert features.pixel_values.max() > 1


def test_keywords_of_a_part_without_work_are_not_used(processor):
    same(
        processor(videos=clip(cat()), padding=True, return_tensors="np"),
        processor(videos=clip(cat()), return_tensors="np"),
    )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        ({}, ValueError, "XCLIPProcessor was given neither text nor images or videos"),
        ({"padding": True}, ValueError, "neither text nor"),
        ({"videos": 1, "images": 2}, ValueError, "images and videos are two names of one argument"),
        ({"text": "a", "paddin": True}, TypeError, "unexpected keyword 'paddin'.*padding.*size"),
        ({"text": "a", "audio_kwargs": {}}, TypeError, "unexpected keyword 'audio_kwargs'"),
        ({"text": "a", "return_tensors": "pt"}, ValueError, "return_tensors must be 'np'"),
        ({"videos": 3}, TypeError, "got int"),
        ({"text": "a", "videos": []}, ValueError, "got an empty list"),
        ({"videos": "clip.mp4"}, ValueError, "give num_frames"),
        ({"text": ["a", "cat dog"], "return_tensors": "np"}, ValueError, "padding"),
    ],
)
def test_bad_calls(processor, call, error, message):
    with pytest.raises(error, match=message):
        processor(**call)


# ---- the parts
def test_parts(processor, vocabulary):
    images, tokenizer = processor.image_processor, processor.tokenizer
    for parts in ({}, {"tokenizer": tokenizer}, {"image_processor": images}):
        missing = "tokenizer" if "image_processor" in parts else "image_processor"
        with pytest.raises(TypeError, match=f"XCLIPProcessor needs {missing}= .* got none"):
            XCLIPProcessor(**parts)
    with pytest.raises(TypeError, match="needs image_processor= of class VideoMAE.*, got a CLIP"):
        XCLIPProcessor(tokenizer, images)
    with pytest.raises(TypeError, match="CLIPTokenizerFast or CLIPTokenizer, got a str"):
        XCLIPProcessor(images, "tokenizer")
    with pytest.raises(TypeError, match="chat_template"):
        XCLIPProcessor(images, tokenizer, chat_template="")
    slow = CLIPTokenizer.from_pretrained(vocabulary)
    assert XCLIPProcessor(images, slow).tokenizer is slow


def test_the_old_name_of_the_image_processor(processor):
    images, tokenizer = processor.image_processor, processor.tokenizer
    with pytest.warns(FutureWarning, match="old name of image_processor") as caught:
        old = XCLIPProcessor(tokenizer=tokenizer, feature_extractor=images)
    assert old.image_processor is images
    assert caught[0].filename == __file__
    with pytest.warns(FutureWarning, match="old name of image_processor") as caught:
        assert old.feature_extractor is images
    assert caught[0].filename == __file__
    with pytest.raises(TypeError, match="give one of them"):
        XCLIPProcessor(images, tokenizer, feature_extractor=images)


def test_decoding(processor):
    ids = processor(text=TEXTS, padding=True).input_ids
    texts = processor.batch_decode(ids, skip_special_tokens=True)
    assert texts == ["playing sports", "eating spaghetti !", "a cat 's dog"]
    assert processor.decode(ids[0], skip_special_tokens=True) == texts[0]
    assert processor.decode(ids[0]).startswith("<|startoftext|>")


def test_names_and_printing(processor):
    assert processor.model_input_names == ["pixel_values", "input_ids", "attention_mask"]
    assert re.match(
        r"XCLIPProcessor\(\n    image_processor=VideoMAEI.*\n    tokenizer=CLIP", repr(processor)
    )


# ---- files
def test_what_is_written(processor, folder):
    assert read_json(folder / FILE) == {
        **processor.image_processor.to_dict(),
        "processor_class": "XCLIPProcessor",
    }
    assert not hasattr(processor.image_processor, "processor_class")  # it may serve others, too
    assert read_json(folder / TOKENIZER)["processor_class"] == "XCLIPProcessor"
    assert not (folder / COMBINED).exists()


def test_there_and_back(processor, folder):
    call = {"text": TEXTS, "videos": clip(cat()), "padding": True, "return_tensors": "np"}
    expected = processor(**call)
    for place in (folder, str(folder), folder / FILE, folder / "vocab.json"):
        again = XCLIPProcessor.from_pretrained(place)
        assert type(again.tokenizer) is CLIPTokenizerFast
        same(again(**call), expected)
    again.save_pretrained(folder)
    same(XCLIPProcessor.from_pretrained(folder)(**call), expected)


def test_overrides(folder):
    processor = XCLIPProcessor.from_pretrained(folder, crop_size=20, model_max_length=9)
    assert processor.image_processor.crop_size == {"height": 20, "width": 20}
    assert processor.image_processor.size == SMALL["size"]
    assert processor.tokenizer.model_max_length == 9
    with pytest.raises(TypeError, match="crop_sizes"):
        XCLIPProcessor.from_pretrained(folder, crop_sizes=20)


def newer(folder):
    """Turn the folder into what transformers 5 writes."""
    values = read_json(folder / FILE)
    (folder / FILE).unlink()
    section = {"image_processor": values, "processor_class": values.pop("processor_class")}
    return write_json(folder, COMBINED, section)


def test_the_newer_form_of_the_files(processor, folder):
    newer(folder)
    for cls in (XCLIPProcessor, tfzoo.AutoProcessor):
        again = cls.from_pretrained(folder)
        assert type(again) is XCLIPProcessor
        assert again.image_processor.to_dict() == processor.image_processor.to_dict()
    for cls in (VideoMAEImageProcessor, tfzoo.AutoImageProcessor):
        for place in (folder, folder / COMBINED):
            assert cls.from_pretrained(place).crop_size == SMALL["crop_size"]


def test_a_newer_file_is_brought_up_to_date(processor, folder):
    newer(folder)
    write_json(folder, COMBINED, {**read_json(folder / COMBINED), "more": 1})
    changed = XCLIPProcessor(VideoMAEImageProcessor(size=50), processor.tokenizer)
    changed.save_pretrained(folder)
    combined = read_json(folder / COMBINED)
    assert combined["image_processor"] == read_json(folder / FILE)
    assert combined["image_processor"]["size"] == {"shortest_edge": 50}
    assert (combined["more"], combined["processor_class"]) == (1, "XCLIPProcessor")


def test_a_combined_file_without_a_section_is_no_image_processor(folder):
    (folder / FILE).unlink()
    for values in ({"processor_class": "XCLIPProcessor"}, {"image_processor": "none"}):
        write_json(folder, COMBINED, values)
        with pytest.raises(HubError, match=r"lacks preprocessor_config\.json"):
            XCLIPProcessor.from_pretrained(folder)


def test_missing_and_wrong_files(folder, tmp_path):
    with pytest.raises(HubError, match="lacks"):
        XCLIPProcessor.from_pretrained(write_vocabulary(tmp_path / "text"))
    write_json(folder, FILE, {"image_processor_type": "CLIPImageProcessor"})
    with pytest.raises(ValueError, match="VideoMAEImageProcessor.*got one of class CLIPImage"):
        XCLIPProcessor.from_pretrained(folder)
    (folder / FILE).write_text("{")
    with pytest.raises(ValueError, match="not valid JSON"):
        XCLIPProcessor.from_pretrained(folder)


def test_a_file_with_a_size_alone_keeps_crops_of_224(folder):
    write_json(folder, FILE, {"size": 336, "feature_extractor_type": "VideoMAEFeatureExtractor"})
    frames = clip(cat(), 1)
    call = {"videos": frames, "return_tensors": "np"}
    old = XCLIPProcessor.from_pretrained(folder)(**call)
    assert old.pixel_values.shape[-2:] == (224, 224)
    mended = XCLIPProcessor.from_pretrained(folder, crop_size=336)(**call)
    assert mended.pixel_values.shape[-2:] == (336, 336)


# ---- auto classes
@pytest.mark.parametrize("source", [FILE, TOKENIZER, "config.json"])
def test_auto_processor(folder, source):
    for name in (FILE, TOKENIZER):  # one file names it, the others do not
        values = read_json(folder / name)
        values.pop("processor_class")
        write_json(folder, name, values)
    if source == "config.json":
        write_json(folder, source, {"model_type": "xclip"})
    else:
        named = {**read_json(folder / source), "processor_class": "XCLIPProcessor"}
        write_json(folder, source, named)
    processor = tfzoo.AutoProcessor.from_pretrained(folder, crop_size=20)
    assert type(processor) is XCLIPProcessor
    assert processor.image_processor.crop_size == {"height": 20, "width": 20}


def test_auto_processor_of_one_part(processor, folder, tmp_path):
    processor.image_processor.save_pretrained(tmp_path / "images")
    found = tfzoo.AutoProcessor.from_pretrained(tmp_path / "images")
    assert type(found) is VideoMAEImageProcessor
    processor.tokenizer.save_pretrained(tmp_path / "text")
    found = tfzoo.AutoProcessor.from_pretrained(tmp_path / "text")
    assert type(found) is CLIPTokenizerFast
    (tmp_path / "text" / TOKENIZER).unlink()  # as the oldest checkpoints have it
    write_json(tmp_path / "text", "config.json", {"model_type": "xclip_text_model"})
    found = tfzoo.AutoProcessor.from_pretrained(tmp_path / "text")
    assert type(found) is CLIPTokenizerFast
    write_json(tmp_path / "text", "config.json", {"model_type": "timesformer"})
    with pytest.raises(HubError, match=r"lacks preprocessor_config\.json"):
        tfzoo.AutoProcessor.from_pretrained(tmp_path / "text")


@pytest.mark.parametrize("name", ["CLIPTokenizer", "CLIPTokenizerFast", None])
def test_auto_tokenizer(tmp_path, name):
    write_vocabulary(tmp_path, tokenizer_class=name)
    write_json(tmp_path, "config.json", {} if name else {"model_type": "xclip_text_model"})
    for place in (tmp_path, str(tmp_path), tmp_path / "config.json"):
        tokenizer = tfzoo.AutoTokenizer.from_pretrained(place, model_max_length=9)
        assert type(tokenizer) is CLIPTokenizerFast
        assert tokenizer.model_max_length == 9


def test_auto_tokenizer_of_none(tmp_path):
    write_vocabulary(tmp_path, tokenizer_class="T5Tokenizer")
    with pytest.raises(ConfigError, match="is for T5Tokenizer, which tfzoo lacks"):
        tfzoo.AutoTokenizer.from_pretrained(tmp_path)
    (tmp_path / TOKENIZER).unlink()
    with pytest.raises(HubError, match=r"config\.json"):
        tfzoo.AutoTokenizer.from_pretrained(tmp_path)
    write_json(tmp_path, "config.json", {"model_type": "timesformer"})
    with pytest.raises(ConfigError, match="AutoTokenizer has no class for .* 'timesformer'"):
        tfzoo.AutoTokenizer.from_pretrained(tmp_path)
    with pytest.raises(TypeError, match=r"use AutoTokenizer.from_pretrained"):
        tfzoo.AutoTokenizer()


def test_auto_image_processor_by_the_models_type(tmp_path):
    (tmp_path / FILE).write_text(json.dumps({"size": 32}))
    write_json(tmp_path, "config.json", {"model_type": "xclip"})
    found = tfzoo.AutoImageProcessor.from_pretrained(tmp_path)
    assert type(found) is VideoMAEImageProcessor
    write_json(tmp_path, FILE, {"image_processor_type": "CLIPImageProcessor"})
    with pytest.raises(ConfigError, match="is for CLIPImageProcessor, which tfzoo lacks"):
        tfzoo.AutoImageProcessor.from_pretrained(tmp_path)
