"""Perceiver's image processor: the reference's recorded bits, and its behaviour as an object."""

from __future__ import annotations

import inspect
import json

import numpy as np
import pytest
from PIL import Image

import tfzoo
from tests.models.perceiver.image_cases import CASES, RECORDED, SMALL
from tests.preprocessing.videomae_cases import cat, cup
from tests.support.record_preprocessing import digest, thinned
from tfzoo.models.perceiver.image_processor import (
    PerceiverFeatureExtractor,
    PerceiverImageProcessor,
)

RECORDS = np.load(RECORDED)


def run(images, **call):
    return PerceiverImageProcessor(**SMALL)(images, return_tensors="np", **call).pixel_values


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_references_bits(case):
    processor = PerceiverImageProcessor(**case.init)
    pixels = processor(case.images(), return_tensors="np", **case.call).pixel_values
    np.testing.assert_array_equal(thinned(pixels), RECORDS[f"{case.name}.sample"])
    np.testing.assert_array_equal(digest(pixels), RECORDS[f"{case.name}.digest"])


def test_every_recording_is_used():
    assert {name.rpartition(".")[0] for name in RECORDS} == {case.name for case in CASES}


def test_documented_arguments_in_their_order():
    fields = [
        "do_center_crop",
        "crop_size",
        "do_resize",
        "size",
        "resample",
        "do_rescale",
        "rescale_factor",
        "do_normalize",
        "image_mean",
        "image_std",
    ]
    for cls in (PerceiverImageProcessor, PerceiverFeatureExtractor):
        assert list(cls.field_names()) == fields
        arguments = list(inspect.signature(cls.preprocess).parameters)
        tail = ["return_tensors", "data_format", "input_data_format"]
        assert arguments == ["self", "images", *fields, *tail]
        assert tuple(cls.model_input_names) == ("pixel_values",)


def test_documented_defaults():
    assert PerceiverImageProcessor().to_dict() == {
        "do_center_crop": True,
        "crop_size": {"height": 256, "width": 256},
        "do_resize": True,
        "size": {"height": 224, "width": 224},
        "resample": 3,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "image_processor_type": "PerceiverImageProcessor",
    }


def test_a_published_file_is_read_and_written(tmp_path):
    """Bare numbers, the old class's name, nothing about rescaling."""
    old = {
        "crop_size": 256,
        "do_center_crop": True,
        "do_normalize": True,
        "do_resize": True,
        "feature_extractor_type": "PerceiverFeatureExtractor",
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "resample": 3,
        "size": 224,
    }
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(old))
    processor = PerceiverImageProcessor.from_pretrained(tmp_path)
    assert processor.to_dict() == PerceiverImageProcessor().to_dict()
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "perceiver"}))
    automatic = tfzoo.AutoImageProcessor.from_pretrained(tmp_path)  # not the class that warns
    assert type(automatic) is PerceiverImageProcessor
    assert automatic.to_dict() == processor.to_dict()
    PerceiverImageProcessor(size=96, do_normalize=False).save_pretrained(tmp_path)
    assert type(tfzoo.AutoImageProcessor.from_pretrained(tmp_path)) is PerceiverImageProcessor
    again = PerceiverImageProcessor.from_pretrained(tmp_path)
    assert (again.size, again.do_normalize) == ({"height": 96, "width": 96}, False)


def test_the_old_name_warns_and_works(tmp_path):
    with pytest.warns(FutureWarning, match="the old name of PerceiverImageProcessor"):
        old = PerceiverFeatureExtractor(**SMALL)
    pixels = old(images=cat(), return_tensors="np").pixel_values
    np.testing.assert_array_equal(pixels, run(cat()))
    old.save_pretrained(tmp_path)
    assert PerceiverImageProcessor.from_pretrained(tmp_path).size == old.size
    with pytest.warns(FutureWarning):
        assert PerceiverFeatureExtractor.from_pretrained(tmp_path).crop_size == old.crop_size


def test_the_crop_follows_the_image():
    processor = PerceiverImageProcessor()
    assert processor.center_crop(cat(), 256).shape == (81, 81, 3)  # int(93 * 224 / 256)
    assert processor.center_crop(cup().transpose(2, 0, 1), 256).shape == (3, 67, 67)
    assert processor.center_crop(cat(), 10, size=5).shape == (46, 46, 3)
    top, left = (93 - 81) // 2, (141 - 81) // 2
    inner = cat()[top : top + 81, left : left + 81]
    np.testing.assert_array_equal(processor.center_crop(cat(), 256), inner)


def test_single_steps_are_the_whole():
    processor = PerceiverImageProcessor(**SMALL)
    image = processor.center_crop(cat(), processor.crop_size)
    image = processor.resize(image, processor.size)
    image = processor.rescale(image, processor.rescale_factor)
    image = processor.normalize(image, processor.image_mean, processor.image_std)
    np.testing.assert_array_equal(image.transpose(2, 0, 1)[None], run(cat()))


def test_grey_and_transparent_images():
    grey = cat()[..., 0]
    expected = run(np.stack([grey] * 3, axis=-1))
    for form in (grey, grey[..., None], Image.fromarray(grey)):
        np.testing.assert_array_equal(run(form), expected)
    clear = np.concatenate([cat(), cat()[..., :1]], axis=-1)
    for form in (clear, Image.fromarray(clear)):
        np.testing.assert_array_equal(run(form), run(cat()))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_the_input_stays_as_it_is(dtype):
    image = cat().astype(dtype)
    before = image.copy()
    for do_resize in (True, False):
        run(image, do_resize=do_resize)
    np.testing.assert_array_equal(image, before)


def test_lists_and_tensors():
    from keras import ops

    processor = PerceiverImageProcessor(**SMALL)
    pixels = processor([cat(), cup()], do_resize=False).pixel_values
    assert [image.shape for image in pixels] == [(3, 79, 79), (3, 66, 66)]
    with pytest.raises(ValueError, match="pixel_values cannot become one array"):
        processor([cat(), cup()], do_resize=False, return_tensors="np")
    assert ops.is_tensor(processor(cat(), return_tensors="tf").pixel_values)


def test_images_that_are_scaled_already():
    with pytest.warns(UserWarning, match="about to be rescaled once more"):
        run(cat() / 255)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"return_tensors": "pt"}, "return_tensors must be 'np'"),
        ({"size": {"shortest_edge": 30}}, "size: expected height and width"),
        ({"crop_size": {"longest_edge": 30}}, "crop_size: expected height and width"),
        ({"size": 1, "crop_size": 200}, "would be cut to nothing"),
        ({"data_format": "NCHW"}, "data_format: expected 'channels_first'"),
        ({"image_mean": [0.5, 0.5]}, "image_mean: expected one number or 3"),
        ({"image_std": 0}, "image_std: expected values other than 0"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        PerceiverImageProcessor(**SMALL)(cat(), **{"return_tensors": "np", **call})


def test_things_that_are_not_images():
    with pytest.raises(TypeError, match="got NoneType"):
        run(None)
    with pytest.raises(ValueError, match="empty list"):
        run([])
