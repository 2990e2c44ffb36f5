"""Image files as cameras, scanners and strangers make them."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from tests.support.pictures import chunk, encoded, png, with_xmp
from tfzoo.io import ImageError, read_frames, read_image
from tfzoo.io.image_reader import FORMATS, files_of, to_rgb


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)


# ---- formats
EPS = (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n"
    b"(/etc/passwd) (r) file pop\nshowpage\n%%EOF\n"
)
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)
WMF = b"\xd7\xcd\xc6\x9a" + bytes(18) + b"\x01\x00\t\x00" + bytes(60)


GRIB, HDF = b"GRIB" + bytes(4) + b"\1", b"\x89HDF\r\n\x1a\n"


@pytest.mark.parametrize("content", [EPS, OLE, WMF, GRIB, HDF])
def test_formats_that_need_another_program_are_not_opened(content, tmp_path, monkeypatch):
    started = tmp_path / "started"
    for name in ("gs", "gswin64c"):
        (tmp_path / name).write_text(f"#!/bin/sh\ntouch {started}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / "photo.jpg").write_bytes(content)
    for source in (tmp_path / "photo.jpg", content):
        with pytest.raises(ImageError, match="expected an image .*got something else"):
            read_image(source)
    assert not started.exists()


def test_the_formats_are_pillows():
    Image.init()
    missing = set(FORMATS) - set(Image.OPEN)
    assert missing <= {"AVIF"}, "some builds of Pillow lack it"
    assert set(Image.OPEN) - set(FORMATS) == {
        *("EPS", "WMF", "BUFR", "GRIB", "HDF5", "FPX", "MIC", "IPTC", "MPEG")
    } & set(Image.OPEN)


@pytest.mark.parametrize("kind", ["BMP", "GIF", "ICO", "PCX", "PPM", "TGA", "TIFF", "WEBP", "DDS"])
def test_lossless_formats(kind, pixels):
    if kind == "GIF":
        pixels = np.asarray(Image.fromarray(pixels).quantize(16).convert("RGB"))
    how = {"lossless": True} if kind == "WEBP" else {"sizes": [(7, 5)]} if kind == "ICO" else {}
    np.testing.assert_array_equal(read_image(encoded(pixels, kind, **how)), pixels)


def test_grey_of_16_bits_keeps_its_upper_8_in_all_formats():
    grey = np.array([[0, 255, 256, 65535]], np.uint16)
    expected = np.repeat([[[0], [0], [1], [255]]], 3, axis=-1)
    pgm = b"P5\n4 1\n65535\n" + grey.astype(">u2").tobytes()
    for file in (encoded(grey, "PNG"), encoded(grey, "TIFF"), pgm):
        np.testing.assert_array_equal(read_image(file), expected)
    small = b"P5\n2 1\n1023\n" + np.array([0, 1023], ">u2").tobytes()
    np.testing.assert_array_equal(read_image(small)[0, :, 0], [0, 255])


def test_pixels_of_32_bits_are_named():
    for mode in ("I", "F"):
        with pytest.raises(ImageError, match="bytes: Expected an image of 8 or 16 bits"):
            read_image(encoded(Image.new(mode, (2, 2)), "TIFF"))


# ---- damaged files
def _files() -> dict[str, bytes]:
    photo = Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 60, 3), np.uint8))
    kinds = {"BMP", "DDS", "GIF", "ICO", "JPEG", "JPEG2000", "PCX", "PNG", "PPM", "TGA", "TIFF"}
    kinds |= {"WEBP", "AVIF", "SGI", "QOI"} & set(Image.SAVE)
    return {kind: encoded(photo, kind) for kind in sorted(kinds)}


@pytest.mark.filterwarnings("ignore")  # Pillow's about what it reads nevertheless
def test_damaged_files_are_read_or_refused_with_the_documented_error():
    Image.init()
    rng = np.random.default_rng(2)
    refused = 0
    for content in _files().values():
        for _ in range(20):
            spoilt = bytearray(content[: rng.integers(4, len(content) + 1)])
            for place in rng.integers(0, min(len(spoilt), 200), 4):
                spoilt[place] = rng.integers(0, 256)
            try:
                assert read_image(bytes(spoilt)).dtype == np.uint8
            except ImageError:
                refused += 1
    assert refused > 100


def test_a_damaged_image_of_pillow(pixels):
    content = encoded(np.tile(pixels, (20, 20, 1)), "JPEG")
    with pytest.raises(ImageError, match="^the image cannot be decoded: image file is truncated"):
        to_rgb(Image.open(io.BytesIO(content[: len(content) // 2])))


# ---- what the metadata say
def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", [1, 2, 6, 8])
def test_an_orientation_in_xmp_alone_is_followed(kind, orientation, pixels):
    plain = read_image(encoded(pixels, kind))
    by_exif = read_image(encoded(pixels, kind, exif=_exif(orientation)))
    by_xmp = read_image(with_xmp(pixels, kind, orientation))
    np.testing.assert_array_equal(by_xmp, by_exif)
    assert (by_xmp.shape == plain.shape) is (orientation < 5)


def test_exif_goes_before_xmp(pixels):
    file = with_xmp(pixels, "JPEG", 6, exif=_exif(3))
    assert read_image(file).shape == (5, 7, 3)


@pytest.mark.parametrize("data", [b"broken", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\0\5", b""])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_broken_exif_data_leave_sound_pixels(data):
    row = b"\0\1\2\3\4\5\6"
    for file in (
        png((2, 1, 8, 2), row, before=chunk(b"eXIf", data)),
        png((2, 1, 8, 2), row, after=chunk(b"eXIf", data)),
    ):
        np.testing.assert_array_equal(read_image(file), [[[1, 2, 3], [4, 5, 6]]])


def test_texts_that_look_like_exif_data_leave_sound_pixels():
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Raw profile type exif", "\nexif\n   4\nnothing")
    texts.add_text("xmp", "no bytes")
    image = Image.new("RGB", (2, 1), (1, 2, 3))
    assert read_image(encoded(image, "PNG", pnginfo=texts)).tolist() == [[[1, 2, 3]] * 2]


# ---- folders
def test_digits_that_are_no_numbers_may_stand_in_names(tmp_path):
    for name in ("1².png", "1²3.png", "2.png", "٣.png"):
        Image.new("RGB", (2, 2)).save(tmp_path / name)
    assert len(read_frames(tmp_path)) == 4


@pytest.mark.parametrize("turn", [1, -1])
def test_names_of_one_number_have_an_order_of_their_own(turn, tmp_path, monkeypatch):
    names = ["frame001.png", "frame01.png", "frame1.png", "frame2.png", "frame10.png"]
    found = [tmp_path / name for name in names][::turn]
    monkeypatch.setattr(type(tmp_path), "iterdir", lambda self: iter(found))
    assert [path.name for path in files_of(tmp_path)] == names


def test_more_pixels_than_fit_into_the_memory(tmp_path, monkeypatch):
    for i in range(3):
        Image.new("RGB", (4, 3)).save(tmp_path / f"{i}.png")
    monkeypatch.setattr("tfzoo.io.image_reader.CLIP_PIXELS", 24)
    with pytest.raises(ImageError, match="up to 24 pixels in all images together, got 3 of 3 x 4"):
        read_frames(tmp_path)


def test_an_image_of_too_many_pixels():
    head = struct.pack(">IIBBBBB", 2**16, 2**16, 1, 0, 0, 0, 0)
    file = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"")
    with pytest.raises(ImageError, match="cannot be decoded: Image size"):
        read_image(io.BytesIO(file).getvalue())
