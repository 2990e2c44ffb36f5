"""Each step on one image; whole chains are held to the reference in test_videomae."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tfzoo.preprocessing import image as im
from tfzoo.preprocessing.padding import pad_right_and_bottom
from tfzoo.preprocessing.resize import antialiased_resize


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((3, 6, 8), "channels_first"),
        ((6, 8, 3), "channels_last"),
        ((1, 6, 8), "channels_first"),
        ((6, 8, 1), "channels_last"),
        ((3, 8, 3), "channels_first"),
        ((2, 5, 6, 8, 3), "channels_last"),
    ],
)
def test_the_channel_axis_is_inferred(shape, expected):
    assert im.infer_data_format(shape) == expected


def test_no_channel_axis():
    with pytest.raises(ValueError, match=r"axis of 1 or 3 channels .* shape \(5, 6, 7\)"):
        im.infer_data_format((5, 6, 7))


def test_every_form_of_an_image_is_the_same_array(pixels):
    forms = [
        Image.fromarray(pixels),
        pixels,
        pixels.transpose(2, 0, 1),
        np.concatenate([pixels, pixels[..., :1]], axis=-1),
        np.concatenate([pixels, pixels[..., :1]], axis=-1).transpose(2, 0, 1),
        Image.fromarray(np.concatenate([pixels, pixels[..., :1]], axis=-1)),
    ]
    for form in forms:
        np.testing.assert_array_equal(im.to_channels_last(form), pixels)


def test_grey_becomes_three_equal_channels(pixels):
    grey = pixels[..., 0]
    expected = np.stack([grey] * 3, axis=-1)
    for form in (grey, grey[None], grey[..., None], Image.fromarray(grey)):
        np.testing.assert_array_equal(im.to_channels_last(form), expected)


def test_named_channels_stay_as_they_are(pixels):
    five = np.concatenate([pixels, pixels[..., :2]], axis=-1)
    np.testing.assert_array_equal(im.to_channels_last(five, "channels_last"), five)
    first = five.transpose(2, 0, 1)
    np.testing.assert_array_equal(im.to_channels_last(first, "channels_first"), five)
    assert im.to_channels_last(pixels[..., :1], "channels_last").shape == (6, 8, 1)
    assert im.to_channels_last(pixels[..., 0], "channels_last").shape == (6, 8, 1)


def test_images_without_channels_are_named(pixels):
    grey = pixels[..., 0]
    got = im.to_channels_last(grey, "none")
    np.testing.assert_array_equal(got, im.to_channels_last(grey))
    with pytest.raises(ValueError, match=r"'none' is for images \(height, width\), got .*3\)"):
        im.to_channels_last(pixels, "none")
    im.check_formats(input_data_format="none")
    with pytest.raises(ValueError, match="data_format: expected .*'channels_last' or None"):
        im.check_formats(data_format="none")


def test_booleans_are_zeros_and_ones():
    mask = np.array([[True, False]])
    assert im.to_channels_last(mask)[..., 0].tolist() == [[1, 0]]


@pytest.mark.parametrize("shape", [(6,), (2, 6, 8, 3), (0, 8, 3)])
def test_shapes_that_are_not_images(shape):
    with pytest.raises(ValueError, match="Expected an image .*got an array of shape"):
        im.to_channels_last(np.zeros(shape, np.uint8))


def test_an_unknown_data_format(pixels):
    with pytest.raises(ValueError, match="'channels_first' or 'channels_last'.*got 'NCHW'"):
        im.to_channels_last(pixels, "NCHW")


@pytest.mark.parametrize("value", ["photo", 3, [[1, 2]], None])
def test_things_that_are_not_images(value):
    assert not im.is_image(value)
    with pytest.raises(TypeError, match="Expected a Pillow image or an array"):
        im.to_channels_last(value)


@pytest.mark.parametrize("dtype", [np.complex64, object, "U1"])
def test_dtypes_that_are_not_pixels(dtype):
    with pytest.raises(TypeError, match="integers or floats, got dtype"):
        im.to_channels_last(np.zeros((2, 2, 3), dtype))


@pytest.mark.parametrize(
    ("size", "square", "expected"),
    [
        (224, True, {"height": 224, "width": 224}),
        (224, False, {"shortest_edge": 224}),
        ((20, 30), False, {"height": 20, "width": 30}),
        ([20, 30], True, {"height": 20, "width": 30}),
        ({"shortest_edge": np.int64(7)}, True, {"shortest_edge": 7}),
        ({"longest_edge": 448}, True, {"longest_edge": 448}),
    ],
)
def test_sizes_of_all_forms(size, square, expected):
    assert im.size_dict(size, square=square) == expected


def test_a_size_is_copied():
    size = {"shortest_edge": 5}
    im.size_dict(size)["shortest_edge"] = 6
    assert size == {"shortest_edge": 5}


@pytest.mark.parametrize("size", [None, "224", (1, 2, 3), {"height": 3}, {"edge": 3}, 2.5])
def test_sizes_of_no_form(size):
    with pytest.raises(ValueError, match="crop_size: expected a number"):
        im.size_dict(size, name="crop_size")


@pytest.mark.parametrize("size", [0, -3, {"shortest_edge": 2.5}])
def test_sizes_that_are_not_positive_integers(size):
    with pytest.raises(ValueError, match="expected a positive integer, got"):
        im.size_dict(size)


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(427, 640, (224, 335)), (640, 427, (335, 224)), (7, 7, (224, 224)), (1, 3, (224, 672))],
)
def test_the_longer_edge_is_truncated(height, width, expected):
    assert im.target_size(height, width, {"shortest_edge": 224}) == expected


def test_a_resize_is_pillows(pixels):
    expected = np.asarray(Image.fromarray(pixels).resize((4, 3), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(im.resize(pixels, (3, 4), 3), expected)
    np.testing.assert_array_equal(im.resize(Image.fromarray(pixels), (3, 4), 3), expected)


def test_fractions_are_truncated_to_bytes_and_scaled_back():
    image = np.full((4, 4, 3), 0.999, np.float32)
    resized = im.resize(image, (2, 2))
    assert resized.dtype == np.float32
    assert (resized == np.float32(254 / 255)).all()  # 0.999 * 255 = 254.7 is truncated, not rounded


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((2, 2, 3), 256), "within 0..255, got values of 256..256"),
        (np.full((2, 2, 3), -1.0), "within 0..255, got values of -1.0..-1.0"),
        (np.full((2, 2, 3), 7.5), "fractions within 0..1, got fractions of 7.5..7.5"),
        (np.full((2, 2, 3), np.nan), "fractions within 0..1, got fractions of nan"),
    ],
)
def test_values_that_fit_no_range(image, message):
    with pytest.raises(ValueError, match=message):
        im.resize(image, (2, 2))


def test_more_channels_than_pillow_has():
    with pytest.raises(ValueError, match="images of 1 to 4 channels, got 5"):
        im.resize(np.zeros((4, 4, 5), np.uint8), (2, 2))


def test_an_unknown_filter(pixels):
    with pytest.raises(ValueError, match="[Uu]nknown resampling filter"):
        im.resize(pixels, (2, 2), 99)


def test_an_image_of_no_height():
    with pytest.raises(ValueError, match=r"resized to nothing: .*\(0, 4\)"):
        im.resize(np.zeros((4, 4, 3), np.uint8), (0, 4))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_pixels_that_are_not_finite(dtype):
    with pytest.raises(ValueError, match="^image: expected finite pixels, got NaN or infinity"):
        im.to_channels_last(np.full((2, 2), np.inf, dtype))


@pytest.mark.parametrize("size", [(3, 3), (4, 4), (6, 8), (1, 8)])
def test_a_crop_is_a_view_of_the_middle(pixels, size):
    crop = im.center_crop(pixels, size)
    top, left = (6 - size[0]) // 2, (8 - size[1]) // 2
    expected = pixels[top : top + size[0], left : left + size[1]]
    np.testing.assert_array_equal(crop, expected)
    assert np.shares_memory(crop, pixels)


def test_a_crop_larger_than_the_image_has_zeros_around():
    crop = im.center_crop(np.ones((3, 4, 1), np.uint8), (6, 2))
    # Three rows are missing: two above, one below.
    assert crop[..., 0].tolist() == [[0, 0], [0, 0], [1, 1], [1, 1], [1, 1], [0, 0]]


def test_rescale_works_in_float64(pixels):
    result = im.rescale(pixels, 1 / 255)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, (pixels.astype(np.float64) / 255).astype(np.float32))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_normalize_keeps_a_float_dtype(dtype):
    assert im.normalize(np.ones((2, 2, 3), dtype), 0.5, 0.5).dtype == dtype


@pytest.mark.parametrize("arguments", [([1, 2], 0.5), (0.5, [1, 2, 3, 4])])
def test_statistics_of_another_number_of_channels(arguments):
    with pytest.raises(ValueError, match="expected one number or 3, one for each channel"):
        im.normalize(np.ones((2, 2, 3)), *arguments)


def test_a_standard_deviation_of_zero():
    with pytest.raises(ValueError, match="image_std: expected values other than 0"):
        im.normalize(np.ones((2, 2, 3)), 0.5, [1, 0, 1])


@pytest.mark.parametrize("factor", [None, 1 / 255])
@pytest.mark.parametrize("mean", [None, (0.1, 0.2, 0.3)])
@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_the_table_gives_the_bits_of_the_arithmetic(factor, mean, data_format):
    every_byte = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=-1)
    images = np.stack([every_byte, every_byte[::-1]])
    result = im.rescale_and_normalize(
        images, factor=factor, mean=mean, std=(0.5, 0.7, 0.9), data_format=data_format
    )
    expected = images if factor is None else im.rescale(images, factor)
    expected = expected if mean is None else im.normalize(expected, mean, (0.5, 0.7, 0.9))
    first = data_format == "channels_first"
    expected = expected.transpose(0, 3, 1, 2) if first else expected
    assert result.dtype == expected.dtype
    assert result.flags.c_contiguous
    np.testing.assert_array_equal(result, expected)


def test_floats_within_0_and_1_look_rescaled():
    unit = np.full((2, 2, 3), 0.5)
    assert im.looks_rescaled([unit, unit])
    assert not im.looks_rescaled([unit, unit * 100])
    assert not im.looks_rescaled([np.ones((2, 2, 3), np.uint8)])


def test_a_target_follows_the_edges():
    assert im.target_size(30, 48, {"longest_edge": 448, "shortest_edge": 9}) == (280, 448)
    assert im.target_size(48, 30, {"longest_edge": 448}) == (448, 280)
    assert im.target_size(5, 6, {"width": 7, "height": 8}) == (8, 7)


def test_height_comes_before_width():
    assert list(im.height_and_width({"width": 7, "height": 8})) == ["height", "width"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((65535, 1), (224 * 65535, 224)),
        ((1, 65535), (224, 224 * 65535)),
        ((4, 4), (4097, 4096)),
        ((2**20, 1), (512, 512)),
        ((2, 2**20), (512, 512)),
    ],
)
def test_sizes_that_would_take_all_memory(before, after):
    image = np.broadcast_to(np.uint8(0), (*before, 3))
    for resize in (im.resize, antialiased_resize):
        with pytest.raises(ValueError, match=r"up to 16777216 pixels once it is resized, and 2"):
            resize(image, after)


def test_a_large_photo_is_no_thin_image():
    assert im.resize_fits((20000, 12000), (373, 224))
    assert im.resize_fits((224, 65535), (224, 65535))
    assert im.resize_fits((4096, 4096), (4096, 4096))


def test_a_crop_of_a_thin_image_holds_no_more_than_the_crop():
    image = np.broadcast_to(np.uint8(1), (2**27, 1, 1))
    crop = im.center_crop(image, (3, 3))
    assert crop[..., 0].tolist() == [[0, 1, 0]] * 3
    with pytest.raises(ValueError, match="up to 268435456 pixels once it is padded"):
        im.center_crop(image, (2**14, 2**14 + 1))


@pytest.mark.parametrize("height", [1, 4, 5, 6, 9])
@pytest.mark.parametrize("width", [1, 4, 5, 6, 9])
def test_a_crop_is_the_middle_of_a_border_of_zeros(height, width):
    image = np.arange(1, 31, dtype=np.uint8).reshape(5, 6, 1)
    wide = np.pad(image, ((8, 8), (8, 8), (0, 0)))
    top, left = 8 + (5 - height) // 2, 8 + (6 - width) // 2
    expected = wide[top : top + height, left : left + width]
    np.testing.assert_array_equal(im.center_crop(image, (height, width)), expected)


def test_padding_has_a_limit():
    with pytest.raises(ValueError, match="up to 268435456 pixels once it is padded"):
        pad_right_and_bottom(np.zeros((1, 1, 3)), {"height": 2**15, "width": 2**14})
