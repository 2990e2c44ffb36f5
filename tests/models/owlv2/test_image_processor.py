"""The image processors of OWLv2 and OWL-ViT: recorded results, forms of input, options, files."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from tests.models.owlv2.image_cases import CASES, RECORDED, SMALL, Case, unit
from tests.preprocessing.videomae_cases import PHOTOS, cat, cup, face
from tests.support.record_preprocessing import thinned
from tfzoo.io.errors import ImageError
from tfzoo.models.owlv2 import image_processor as owl
from tfzoo.models.owlv2.image_processor import Owlv2ImageProcessor, OwlViTImageProcessor
from tfzoo.preprocessing.image_batch import flatten_images, open_image
from tfzoo.preprocessing.resize import antialiased_resize

BOTH = pytest.mark.parametrize("cls", [Owlv2ImageProcessor, OwlViTImageProcessor])
PHOTO = PHOTOS / "coffee.jpg"
FILE = "preprocessor_config.json"


@pytest.fixture(scope="module")
def recorded():
    with np.load(RECORDED) as file:
        return dict(file)


def pixels_of(case: Case) -> np.ndarray:
    processor = getattr(owl, case.processor)(**case.init)
    return processor(case.images(), return_tensors="np", **case.call).pixel_values


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_recorded(case, recorded):
    pixels, expected = pixels_of(case), recorded[f"{case.name}.sample"]
    assert pixels.shape == tuple(recorded[f"{case.name}.shape"])
    assert pixels.dtype == expected.dtype
    exact = case.processor == "OwlViTImageProcessor"
    np.testing.assert_allclose(thinned(pixels), expected, rtol=0, atol=0 if exact else 1e-5)


# ---- resizing
def test_a_constant_image_stays_constant():
    image = np.full((9, 31, 3), 0.7, np.float32)
    for size in ((4, 4), (9, 31), (40, 7), (1, 1)):
        np.testing.assert_array_equal(antialiased_resize(image, size), np.float32(0.7))


def test_axes_are_resized_alike():
    image = unit(cat())
    np.testing.assert_allclose(
        antialiased_resize(image, (40, 60)),
        antialiased_resize(image.transpose(1, 0, 2), (60, 40)).transpose(1, 0, 2),
        atol=1e-6,
    )


def test_one_row_and_one_column():
    image = np.arange(12.0).reshape(1, 4, 3)
    large = antialiased_resize(image, (5, 4))
    np.testing.assert_allclose(large, np.broadcast_to(image, (5, 4, 3)))
    assert large.dtype == np.float64


def test_borders_are_mirrored_not_clamped():
    enlarged = antialiased_resize(np.array([0.0, 1.0, 5.0]).reshape(3, 1, 1), (6, 1))[:, 0, 0]
    np.testing.assert_allclose(enlarged, [0.25, 0.25, 0.75, 2, 4, 4])  # clamped: 0 ... 5


def test_blur_can_be_chosen():
    image, size = unit(face()), {"height": 55, "width": 55}
    processor = Owlv2ImageProcessor()
    default = processor.resize(image, size)
    np.testing.assert_array_equal(processor.resize(image, size, anti_aliasing_sigma=0.5), default)
    plain = processor.resize(image, size, anti_aliasing=False)
    np.testing.assert_allclose(plain, image.reshape(55, 2, 55, 2, 3).mean((1, 3)), atol=1e-6)
    assert default.std() < plain.std()
    stronger = processor.resize(image, size, anti_aliasing_sigma=(2, 1))
    assert stronger.std() < default.std()
    with pytest.raises(ValueError, match=r"sigma: expected .* 0 or more, got \(-1"):
        processor.resize(image, size, anti_aliasing_sigma=-1.0)


def test_nothing_cannot_be_resized():
    for image, size in ((np.zeros((0, 3, 3)), (2, 2)), (np.zeros((3, 3, 3)), (0, 2))):
        with pytest.raises(ValueError, match="Expected sizes above 0"):
            antialiased_resize(image, size)


# ---- steps
def test_single_steps_are_those_of_the_whole():
    processor, size = Owlv2ImageProcessor(**SMALL), SMALL["size"]
    image = processor.rescale(cat(), 1 / 255)
    image = processor.resize(processor.pad(image), size)
    image = processor.normalize(
        image, processor.image_mean, processor.image_std, data_format="channels_first"
    )
    np.testing.assert_array_equal(processor(cat()).pixel_values[0], image)

    vit = OwlViTImageProcessor()
    image = vit.center_crop(vit.resize(cup(), size), 40)
    image = vit.normalize(vit.rescale(image, 1 / 255), vit.image_mean, vit.image_std)
    whole = vit(cup(), size=size, do_center_crop=True, crop_size=40, data_format="channels_last")
    np.testing.assert_array_equal(whole.pixel_values[0], image)


def test_steps_keep_or_change_the_layout():
    processor, first = Owlv2ImageProcessor(), cat().transpose(2, 0, 1)
    assert processor.pad(first).shape == (3, 141, 141)
    assert processor.pad(first, data_format="channels_last").shape == (141, 141, 3)
    assert processor.pad(Image.fromarray(cat())).shape == (141, 141, 3)
    four = np.zeros((5, 6, 4), np.float32)
    assert processor.pad(four, input_data_format="channels_last").shape == (6, 6, 4)
    with pytest.raises(ValueError, match="data_format: expected .*, got 'first'"):
        processor.pad(first, "first")


def test_steps_leave_the_users_pixels_alone():
    image, processor = unit(face()), Owlv2ImageProcessor()
    for same in (processor.pad(image), processor.resize(image, 110)):
        np.testing.assert_array_equal(same, image)
        assert not np.shares_memory(same, image)
    pixels = processor(
        image, do_rescale=False, do_resize=False, do_normalize=False, data_format=None
    ).pixel_values[0]
    assert not np.shares_memory(pixels, image)


def test_pad_value():
    image = np.ones((2, 4, 3), np.float32)
    for processor, call, expected in (
        (Owlv2ImageProcessor(), {}, 0.5),
        (Owlv2ImageProcessor(pad_value=0.0), {}, 0.0),
        (Owlv2ImageProcessor(), {"pad_value": 0.25}, 0.25),
    ):
        padded = processor.pad(image, **call)
        assert (padded[:2] == 1).all()
        assert (padded[2:] == expected).all()
        plain = {"do_rescale": False, "do_resize": False, "do_normalize": False}
        pixels = processor(image, **plain, **call, data_format=None).pixel_values[0]
        np.testing.assert_array_equal(pixels, padded)
    with pytest.raises(TypeError, match="pad_value: expected a number, got 'grey'"):
        Owlv2ImageProcessor().pad(image, pad_value="grey")
    with pytest.raises(ValueError, match="pad_value must be a finite number, got 'grey'"):
        Owlv2ImageProcessor(pad_value="grey")


# ---- forms of input
@BOTH
def test_forms_of_input(cls, tmp_path):
    processor = cls(**SMALL)
    path = tmp_path / "cat.png"
    Image.fromarray(cat()).save(path)
    expected = processor([cat()], return_tensors="np").pixel_values
    assert expected.shape == (1, 3, 48, 48)
    for images in (path, str(path), path.read_bytes(), [[path]], (cat(),), cat()[None]):
        pixels = processor(images, return_tensors="np").pixel_values
        np.testing.assert_array_equal(pixels, expected)
    tensor = processor(cat(), return_tensors="tf").pixel_values
    np.testing.assert_array_equal(processor(tensor, do_normalize=False, do_resize=False,
                                            do_rescale=False, **NO_PAD[cls]).pixel_values[0],
                                  expected[0])  # fmt: skip
    listed = processor([cat(), [cup(), path]]).pixel_values
    assert [type(item) for item in listed] == [np.ndarray] * 3
    np.testing.assert_array_equal(listed[2], expected[0])


NO_PAD = {Owlv2ImageProcessor: {"do_pad": False}, OwlViTImageProcessor: {}}


@BOTH
def test_grey_and_transparent_images_become_rgb(cls):
    processor = cls(**SMALL)
    grey, opaque = cat()[..., 0], np.full((*cat().shape[:2], 1), 255, np.uint8)
    expected = processor(np.repeat(grey[..., None], 3, -1)).pixel_values
    for image in (grey, grey[..., None], Image.fromarray(grey)):
        np.testing.assert_array_equal(processor(image).pixel_values, expected)
    alpha = np.concatenate([cat(), opaque], -1)
    for image in (alpha, Image.fromarray(alpha)):
        np.testing.assert_array_equal(processor(image).pixel_values, processor(cat()).pixel_values)


@BOTH
def test_bad_images(cls, tmp_path):
    processor = cls(**SMALL)
    (tmp_path / "text.jpg").write_text("no image")
    for images, error, message in (
        (None, TypeError, "Expected images as paths, .* got NoneType"),
        ([cat(), 3], TypeError, "got int"),
        ([], ValueError, "at least one image"),
        ([[]], ValueError, "at least one image"),
        (np.zeros((2, 2, 4, 4, 3)), ValueError, r"2 to 4 axes, got shape \(2, 2, 4, 4, 3\)"),
        (np.zeros((5, 6, 7)), ValueError, "channels"),
        (np.array([["a"]]), TypeError, "dtype <U1"),
        (tmp_path / "none.jpg", FileNotFoundError, "none.jpg"),
        (tmp_path / "text.jpg", ImageError, "expected an image"),
    ):
        with pytest.raises(error, match=message):
            processor(images)
    with pytest.raises(ValueError, match="size: expected height and width, got {'shortest_edge'"):
        processor(cat(), size={"shortest_edge": 3})
    with pytest.raises(ValueError, match="size: expected height and width"):
        cls(size={"longest_edge": 3})
    with pytest.raises(ValueError, match="image_std: expected one number or 3"):
        processor(cat(), image_std=[1.0, 2.0])
    with pytest.raises(ValueError, match="input_data_format: expected"):
        processor(cat(), input_data_format="NHWC")
    with pytest.raises(ValueError, match="return_tensors must be"):
        processor(cat(), return_tensors="pt")
    with pytest.raises(ValueError, match="pixel_values cannot become one array"):
        processor([cat(), cup()], do_resize=False, return_tensors="np")


@BOTH
def test_fractions_that_are_rescaled_warn(cls):
    with pytest.warns(UserWarning, match="do_rescale=False if they are scaled"):
        cls(**SMALL)(unit(cat()))


def test_flat_images():
    assert flatten_images(["a", (b"b", ["c"])]) == ["a", b"b", "c"]
    assert open_image(PHOTO).size == (320, 213)
    assert open_image(image := cat()) is image


# ---- files
@BOTH
def test_there_and_back(cls, tmp_path):
    processor = cls(size=50, image_mean=[0.1, 0.2, 0.3], do_normalize=False, more=[1])
    processor.save_pretrained(tmp_path)
    again = cls.from_pretrained(tmp_path)
    assert again.to_dict() == processor.to_dict()
    assert (again.size, again.more) == ({"height": 50, "width": 50}, [1])
    assert cls.from_pretrained(tmp_path, size=[20, 30]).size == {"height": 20, "width": 30}
    with pytest.raises(TypeError, match="has no field 'sizes'; it has .*do_normalize"):
        cls.from_pretrained(tmp_path, sizes=3)


def test_the_checkpoint_decides_on_the_padding(tmp_path):
    values = {"image_processor_type": "Owlv2ImageProcessorFast", "pad_value": 0.0}
    (tmp_path / FILE).write_text(json.dumps(values))
    assert Owlv2ImageProcessor.from_pretrained(tmp_path).pad_value == 0.0
    del values["pad_value"]  # as transformers 5 writes it, which pads with 0 all the same
    (tmp_path / FILE).write_text(json.dumps(values))
    assert Owlv2ImageProcessor.from_pretrained(tmp_path).pad_value == 0.5
    Owlv2ImageProcessor.from_pretrained(tmp_path, pad_value=0.0).save_pretrained(tmp_path)
    assert Owlv2ImageProcessor.from_pretrained(tmp_path).pad_value == 0.0
    assert Owlv2ImageProcessor.from_pretrained(tmp_path, pad_value=0.5).pad_value == 0.5
    with pytest.raises(ValueError, match="OwlViTImageProcessor.*got one of class Owlv2"):
        OwlViTImageProcessor.from_pretrained(tmp_path)


def test_old_files_of_owlvit(tmp_path):
    old = {
        "crop_size": 768,
        "do_center_crop": False,
        "feature_extractor_type": "OwlViTFeatureExtractor",
        "rescale": False,
        "resample": 3,
        "size": [768, 700],
    }
    (tmp_path / FILE).write_text(json.dumps(old))
    processor = OwlViTImageProcessor.from_pretrained(tmp_path)
    assert processor.size == {"height": 768, "width": 700}
    assert processor.crop_size == {"height": 768, "width": 768}
    assert processor.do_rescale is False
    assert "rescale" not in processor.to_dict()


def test_defaults():
    v2, vit = Owlv2ImageProcessor(), OwlViTImageProcessor()
    assert v2(PHOTO, return_tensors="np").pixel_values.shape == (1, 3, 960, 960)
    assert vit(PHOTO, return_tensors="np").pixel_values.shape == (1, 3, 768, 768)
    assert (v2.pad_value, v2.resample, vit.resample) == (0.5, 2, 3)
    assert v2.image_mean == vit.image_mean == [0.48145466, 0.4578275, 0.40821073]
    assert v2.image_std == vit.image_std == [0.26862954, 0.26130258, 0.27577711]
