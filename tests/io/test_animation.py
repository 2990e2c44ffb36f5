"""Animated WebP, AVIF and PNG, and still images."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from tests.io import synthetic
from tfzoo.io import VideoError, read_image, read_video

KINDS = ["PNG", "WEBP", pytest.param("AVIF", marks=pytest.mark.skipif(
    not features.check("avif"), reason="this Pillow has no AVIF"))]  # fmt: skip
DURATIONS = [100, 40, 60, 500, 40, 260]


@pytest.fixture(params=KINDS)
def animated(request, tmp_path):
    frames = [Image.new("RGB", (32, 24), (level,) * 3) for level in range(0, 30, synthetic.STEP)]
    path = tmp_path / f"moving.{request.param.lower()}"
    how = {"WEBP": {"lossless": True}, "AVIF": {"quality": 95}}.get(request.param, {})
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=DURATIONS, **how)
    return path


def test_all_frames_and_their_times(animated):
    clip = read_video(animated)
    assert synthetic.places(clip.frames) == list(range(6))
    assert (clip.total_frames, clip.duration, clip.fps) == (6, 1.0, 6.0)
    chosen = read_video(animated, indices=[4, 1, 1])
    assert synthetic.places(chosen.frames) == [4, 1, 1]
    assert chosen.duration == 1.0
    np.testing.assert_allclose(chosen.timestamps, [0.7, 0.1, 0.1])
    np.testing.assert_array_equal(read_video(animated, num_frames=2).indices, [0, 5])


def test_durations_that_are_no_whole_milliseconds(tmp_path):
    if not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    frames = [Image.new("RGB", (32, 24), (level,) * 3) for level in range(30)]
    path = tmp_path / "moving.avif"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)
    data = path.read_bytes()
    place = data.index(struct.pack(">I", 1000), data.index(b"mdhd"))  # ticks in a second
    path.write_bytes(data[:place] + struct.pack(">I", 3000) + data[place + 4 :])
    clip = read_video(path)
    assert (clip.total_frames, clip.duration, clip.fps) == (30, 1.0, 30.0)


def test_progress_is_reported(animated):
    calls = []
    read_video(animated, indices=[5, 2], progress=lambda done, wanted: calls.append((done, wanted)))
    assert calls == [(1, 2), (2, 2)]


def test_what_cannot_be_had(animated):
    with pytest.raises(VideoError, match=rf"{animated.name}: expected indices from 0 to 5"):
        read_video(animated, indices=[6])
    with pytest.raises(VideoError, match="stream number of 0, got 1"):
        read_video(animated, stream=1)
    with pytest.raises(ValueError, match="sampling must be one of"):
        read_video(animated, num_frames=2, sampling="all")


def test_a_cut_off_animation(animated):
    animated.write_bytes(animated.read_bytes()[:-40])
    with pytest.raises(VideoError, match=animated.name):
        read_video(animated)


def test_a_still_image_is_one_frame(tmp_path):
    path = tmp_path / "still.webp"
    Image.new("RGB", (32, 24), (100, 100, 100)).save(path, lossless=True)
    assert read_video(path).frames.shape == (1, 24, 32, 3)


def corner(height, width, orientation):
    """An image whose upper left quarter is white, and the data that Pillow saves with it."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = 255
    return pixels, {"exif": exif, "icc_profile": profile}


@pytest.mark.parametrize("orientation", [2, 3, 6])
@pytest.mark.parametrize("name", ["turned.webp", "turned.png", "still.webp", "still.png"])
def test_orientations_and_colour_profiles(tmp_path, name, orientation):
    """PyAV frees the name of a PNG's profile twice, which shows at a later collection."""
    pixels, how = corner(24, 32, orientation)
    frames = [Image.fromarray(pixels // level) for level in (1, 2, 3, 4)]
    more = {"save_all": True, "append_images": frames[1:]} if name.startswith("turned") else {}
    if name.endswith("webp"):
        more["lossless"] = True
    frames[0].save(path := tmp_path / name, **how, **more)
    upright = read_image(path)
    for number, frame in enumerate(read_video(path).frames, 1):
        np.testing.assert_array_equal(frame, upright // number)
    assert number == (4 if more.get("save_all") else 1)
    np.testing.assert_array_equal(read_video(path, upright=False).frames[0], pixels)


def test_a_png_for_programs_without_animations(tmp_path):
    frames = [Image.new("RGB", (32, 24), (level,) * 3) for level in (255, 0, 5, 10)]
    path = tmp_path / "both.png"
    frames[0].save(path, save_all=True, default_image=True, append_images=frames[1:], duration=30)
    clip = read_video(path)
    assert synthetic.places(clip.frames) == [0, 1, 2]
    assert clip.duration == pytest.approx(0.09)


@pytest.mark.parametrize(("orientation", "turn"), [(1, 0), (3, 2), (6, -1), (8, 1)])
def test_png_frames_of_a_video(tmp_path, orientation, turn):
    pixels, how = corner(48, 64, orientation)
    Image.fromarray(pixels).save(file := io.BytesIO(), "PNG", **how)
    clip = read_video(synthetic.images(tmp_path / "a.mov", [file.getvalue()] * 3, "png", "rgb24"))
    for frame in clip.frames:
        np.testing.assert_array_equal(frame, np.rot90(pixels, turn))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
@pytest.mark.parametrize("count", [1, 3])
def test_what_is_under_transparent_pixels(kind, count, tmp_path):
    clear = Image.new("RGBA", (32, 24), (10, 200, 30, 0))
    frames = [clear.copy() for _ in range(count)]
    for i, frame in enumerate(frames):
        frame.paste((250, 10, 10, 255), (i, i, i + 9, i + 9))
    how = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    path = tmp_path / "clear.bin"
    frames[0].save(path, kind, save_all=count > 1, append_images=frames[1:], **how)
    video, image = read_video(path).frames, read_image(path)
    assert len(video) == count
    if (kind, count) != ("WEBP", 3):  # whose encoder leaves it black
        assert image[-1, -1].tolist() == [10, 200, 30]
    with Image.open(path) as opened:
        np.testing.assert_array_equal(image, np.asarray(opened.convert("RGB")))
    if kind == "GIF" and count > 1:
        np.testing.assert_array_equal(video[0], np.where(image == [10, 200, 30], 255, image))
    else:
        np.testing.assert_array_equal(video[0], image)


def test_more_frames_than_bytes(tmp_path):
    frames = [Image.new("RGB", (32, 24), (level,) * 3) for level in (0, 99)]
    frames[0].save(path := tmp_path / "hostile.png", save_all=True, append_images=frames[1:])
    data = bytearray(path.read_bytes())
    place = data.index(b"acTL")
    body = b"acTL" + struct.pack(">2I", 2**31 - 1, 0)
    data[place : place + 16] = body + struct.pack(">I", zlib.crc32(body))
    path.write_bytes(data)
    with pytest.raises(VideoError, match=r"hostile\.png: expected 2147483647 frames"):
        read_video(path)


def test_frames_of_too_many_pixels(tmp_path, monkeypatch):
    frames = [Image.new("RGB", (32, 24), (level,) * 3) for level in (0, 99)]
    frames[0].save(file := io.BytesIO(), "WEBP", save_all=True, append_images=frames[1:])
    (tmp_path / "large.webp").write_bytes(file.getvalue())
    monkeypatch.setattr("tfzoo.io.animation.FRAME_PIXELS", 32 * 24 - 1)
    with pytest.raises(VideoError, match=r"large\.webp: expected frames of up to 767 pixels"):
        read_video(tmp_path / "large.webp")
