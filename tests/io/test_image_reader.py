"""Image files of all kinds to upright RGB arrays."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.support.paths import FIXTURES
from tfzoo.io import ImageError, VideoError, read_frames, read_image, read_video, to_rgb
from tfzoo.io.image_reader import upright_rgb

PHOTO = FIXTURES / "photos" / "chelsea_141x93.png"


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)


def test_a_path_and_its_bytes_give_the_same(pixels):
    expected = np.asarray(Image.open(PHOTO))
    for source in (PHOTO, str(PHOTO), PHOTO.read_bytes()):
        image = read_image(source)
        assert image.dtype == np.uint8
        assert image.flags.writeable
        np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_cameras_orientation_is_applied(pixels, tmp_path, orientation):
    turns = {1: 0, 2: 0, 3: 2, 4: 2, 5: 1, 6: -1, 7: -1, 8: 1}
    expected = np.rot90(pixels, turns[orientation])
    expected = expected[:, ::-1] if orientation in (2, 4) else expected
    expected = expected[::-1] if orientation in (5, 7) else expected
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "photo.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "photo.png"), expected)


@pytest.mark.parametrize("mode", ["L", "1", "LA", "RGBA", "P", "CMYK", "YCbCr"])
def test_every_mode_becomes_rgb(pixels, mode):
    image = to_rgb(Image.fromarray(pixels).convert(mode))
    assert image.mode == "RGB"
    assert image.size == (7, 5)


def test_transparency_is_dropped(pixels, tmp_path):
    alpha = np.full((5, 7, 1), 9, np.uint8)
    Image.fromarray(np.concatenate([pixels, alpha], axis=-1)).save(tmp_path / "clear.png")
    np.testing.assert_array_equal(read_image(tmp_path / "clear.png"), pixels)


def test_a_palette_with_transparency(pixels):
    image = Image.fromarray(pixels).quantize(16)
    expected = np.asarray(image.convert("RGB"))
    image.info["transparency"] = bytes(range(16))
    np.testing.assert_array_equal(np.asarray(to_rgb(image)), expected)


def test_grey_of_16_bits_keeps_its_upper_8(tmp_path):
    grey = np.array([[0, 255, 256, 65535]], np.uint16)
    Image.fromarray(grey).save(tmp_path / "deep.png")
    image = read_image(tmp_path / "deep.png")
    np.testing.assert_array_equal(image, np.repeat([[[0], [0], [1], [255]]], 3, axis=-1))


def test_turned_grey_of_16_bits_as_older_pillows_open_it():
    image = Image.fromarray(np.array([[0, 256]], np.int32))
    image.format, image.getexif()[0x0112] = "PNG", 6
    np.testing.assert_array_equal(np.asarray(upright_rgb(image)), [[[0] * 3], [[1] * 3]])


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pixels_of_32_bits(mode):
    with pytest.raises(ImageError, match=f"8 or 16 bits per channel, got .* '{mode}'"):
        to_rgb(Image.new(mode, (2, 2)))


def test_a_missing_image():
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png"):
        read_image("nowhere.png")


def test_a_file_that_is_no_image(tmp_path):
    (tmp_path / "notes.png").write_text("no image")
    with pytest.raises(ImageError, match=r"notes\.png: expected an image .*got something else"):
        read_image(tmp_path / "notes.png")


def test_bytes_that_are_no_image():
    with pytest.raises(ImageError, match="8 bytes: expected an image"):
        read_image(b"no image")


def test_a_truncated_image():
    with pytest.raises(ImageError, match="cannot be decoded"):
        read_image(PHOTO.read_bytes()[:5000])


def test_a_folder_is_no_image(tmp_path):
    with pytest.raises(ImageError, match="got a folder"):
        read_image(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_no_image_or_video(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    for read, error in ((read_image, ImageError), (read_video, VideoError)):
        with pytest.raises(error, match="got a pipe or a device"):
            read(tmp_path / "a.png")


def test_a_name_that_is_too_long(tmp_path):
    with pytest.raises(ImageError, match="cannot be decoded: .*name too long"):
        read_image(tmp_path / ("a" * 300 + ".png"))


def test_frames_of_a_folder_come_in_natural_order(tmp_path):
    for i in (10, 2, 1):
        Image.new("RGB", (4, 3), (i, i, i)).save(tmp_path / f"frame{i}.png")
    (tmp_path / ".hidden").write_text("left out")
    frames = read_frames(tmp_path)
    assert frames.shape == (3, 3, 4, 3)
    assert frames[:, 0, 0, 0].tolist() == [1, 2, 10]


def test_one_image_is_one_frame():
    assert read_frames(PHOTO).shape == (1, 93, 141, 3)


def test_an_empty_folder(tmp_path):
    with pytest.raises(ImageError, match="got an empty one"):
        read_frames(tmp_path)


def test_frames_of_different_sizes(tmp_path):
    Image.new("RGB", (4, 3)).save(tmp_path / "a.png")
    Image.new("RGB", (4, 5)).save(tmp_path / "b.png")
    with pytest.raises(ImageError, match=r"b\.png: .*a\.png .*\(3, 4\), got \(5, 4\)"):
        read_frames(tmp_path)


def test_the_first_frame_of_an_animation():
    images = [Image.new("L", (3, 2), level) for level in (10, 200)]
    file = io.BytesIO()
    images[0].save(file, "GIF", save_all=True, append_images=images[1:])
    assert read_image(file.getvalue())[0, 0].tolist() == [10, 10, 10]


def test_reading_images_does_not_load_the_video_decoder():
    code = (
        "import sys, tfzoo, tfzoo.io.image_reader, tfzoo.preprocessing.video;"
        "print([m for m in ('av', 'keras', 'tensorflow') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr
