"""Files as cameras, browsers and broken downloads leave them."""

from __future__ import annotations

import io
import os
import struct

import av
import numpy as np
import pytest
from PIL import Image

from tests.io import synthetic
from tfzoo.io import VideoError, frame_table, read_video, video_reader

EVEN = [40 * i for i in range(50)]
JUMPY = [0, 40, 80, 120, 1500, 1540, 3000, 5000, 5040, 9000]


# ---- how long a video is
@pytest.mark.parametrize(
    ("name", "codec", "stamps", "how", "seconds"),
    [
        ("sound_goes_on.webm", "libvpx", EVEN, {"sound": 3}, 2.0),
        ("live.webm", "libvpx", JUMPY, {"live": "1"}, 9.04),
        ("whole.webm", "libvpx", JUMPY, {}, 9.04),
        ("jumpy.mp4", "libx264", JUMPY, {}, 9.04),
        ("jumpy.ts", "libx264", JUMPY, {}, 9.04),
        ("program.mpg", "mpeg2video", EVEN, {}, 2.0),
        ("even.avi", "mpeg4", EVEN, {}, 2.0),
    ],
)
def test_the_duration_is_that_of_the_frames(tmp_path, name, codec, stamps, how, seconds):
    clip = read_video(synthetic.timed(tmp_path / name, stamps, codec, **how), indices=[0])
    assert clip.total_frames == len(stamps)
    assert clip.duration == pytest.approx(seconds, abs=0.05)
    assert clip.fps == pytest.approx(len(stamps) / seconds, rel=0.02)


def test_times_at_a_variable_frame_rate(tmp_path):
    path = synthetic.timed(tmp_path / "phone.mp4", JUMPY, "libx264")
    clip = read_video(path, indices=[9, 0, 4, 6])
    np.testing.assert_allclose(clip.timestamps, [9.0, 0.0, 1.5, 3.0], atol=1e-3)
    # Frames 4 to 6 of 10; between frames that were not read, time is taken to pass evenly.
    seconds = clip.seconds_of([0.0, 0.4, 0.5, 0.6, 1.0])
    np.testing.assert_allclose(seconds, [0, 1.5, 2.25, 3.0, 9.04], atol=1e-2)
    np.testing.assert_allclose(clip.parts_at(seconds), [0.0, 0.4, 0.5, 0.6, 1.0], atol=1e-6)


@pytest.mark.parametrize("name", ["even.mp4", "even.avi", "bare.h264"])
def test_times_at_a_constant_frame_rate(tmp_path, name):
    clip = read_video(synthetic.make_video(tmp_path / name), indices=[7, 39, 0])
    np.testing.assert_allclose(clip.timestamps, [0.28, 1.56, 0.0], atol=1e-9)
    np.testing.assert_allclose(clip.seconds_of([0, 0.3, 1]), [0, 0.48, 1.6], atol=1e-9)


def test_the_duration_of_a_stream_without_time_stamps(tmp_path):
    clip = read_video(synthetic.make_video(tmp_path / "bare.h264"))
    assert (clip.total_frames, clip.duration, clip.fps) == (40, pytest.approx(1.6), 25.0)


def test_the_duration_of_an_edit_list_is_that_of_its_frames(tmp_path):
    clip = read_video(synthetic.trimmed(synthetic.make_video(tmp_path / "edit.mp4"), 7, 20))
    assert (clip.total_frames, clip.duration, clip.fps) == (20, pytest.approx(0.8), 25.0)


# ---- what is not a video
@pytest.mark.parametrize("with_video", [False, True])
def test_a_cover_picture_is_not_a_video(with_video, tmp_path):
    path = synthetic.with_cover(tmp_path / "sound.mp4", with_video)
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 1 + with_video
    if with_video:
        assert synthetic.places(read_video(path).frames) == [0, 1, 2]
        with pytest.raises(VideoError, match="stream number from 0 to 0, got 1"):
            read_video(path, stream=1)
    else:
        for read in (read_video, video_reader.check_video):
            with pytest.raises(VideoError, match="streams: audio, a cover image"):
                read(path)


# ---- which side is up
@pytest.mark.parametrize(
    ("matrix", "change"),
    [
        ((1, 0, 0, 1), lambda x: x),
        ((-1, 0, 0, 1), lambda x: x[:, ::-1]),
        ((-1, 0, 0, -1), lambda x: x[::-1, ::-1]),
        ((1, 0, 0, -1), lambda x: x[::-1]),
        ((0, 1, 1, 0), lambda x: x.transpose(1, 0, 2)),
        ((0, 1, -1, 0), lambda x: np.rot90(x, -1)),
        ((0, -1, -1, 0), lambda x: x[::-1, ::-1].transpose(1, 0, 2)),
        ((0, -1, 1, 0), lambda x: np.rot90(x)),
    ],
)
def test_display_matrices_turn_and_mirror(tmp_path, matrix, change):
    path = synthetic.make_video(tmp_path / "front.mp4", 2, size=(48, 80), corner=True)
    expected = synthetic.decode_all(path)
    clip = read_video(synthetic.with_matrix(path, *matrix))
    np.testing.assert_array_equal(clip.frames, np.stack([change(frame) for frame in expected]))
    np.testing.assert_array_equal(read_video(path, upright=False).frames, expected)


# ---- what else stands in a file
def _jpeg(level: int, **how) -> bytes:
    pixels = np.full((48, 64, 3), level, np.uint8)
    pixels[:24, :32] = 255
    Image.fromarray(pixels).save(file := io.BytesIO(), "JPEG", **how)
    return file.getvalue()


def test_exif_data_of_frames_do_no_harm(tmp_path):
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    frames = [_jpeg(level, exif=exif) for level in (20, 60, 100)]
    clip = read_video(synthetic.images(tmp_path / "camera.avi", frames))
    assert np.abs(clip.frames[:, -8, -8, 0].astype(int) - (20, 60, 100)).max() < 5
    assert (clip.frames[:, 8, 8] > 240).all()


def test_a_mirrored_frame_with_exif_data(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 2
    clip = read_video(synthetic.images(tmp_path / "front.avi", [_jpeg(20, exif=exif)] * 2))
    assert clip.frames[0, 8, -8, 0] > 240 > 40 > clip.frames[0, 8, 8, 0]


def test_metadata_of_another_encoding_do_no_harm(tmp_path):
    path = tmp_path / "cafe.mp4"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "CafeX"
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
        for packet in [*stream.encode(frame), *stream.encode()]:
            container.mux(packet)
    content = path.read_bytes()
    assert content.count(b"CafeX") == 1
    path.write_bytes(content.replace(b"CafeX", b"Caf\xe9X"))
    assert len(read_video(path)) == 1


NAMES = ["12:30:00.mp4", "cam1:front.mp4", "file:x.mp4", "http:x.mp4", "a%03d.mp4", "caf\udce9.mp4"]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_ffmpeg_would_read_otherwise(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    synthetic.make_video(tmp_path / "plain.mp4", 15)
    os.rename("plain.mp4", name)
    assert synthetic.places(read_video(name, indices=[13, 2]).frames) == [13, 2]


@pytest.mark.parametrize(
    "text",
    ["#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n", "ffconcat version 1.0\nfile {}\n"],
)
def test_a_list_of_other_files_is_no_video(tmp_path, text):
    synthetic.make_video(tmp_path / "secret.ts", 3)
    path = tmp_path / "clip.mp4"
    path.write_text(text.format("secret.ts"))
    with pytest.raises(VideoError, match=r"clip\.mp4: expected a video"):
        read_video(path)


# ---- files that were cut off
@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.webm", "libvpx-vp9")]
)
def test_a_file_that_is_shorter_than_it_says(tmp_path, name, codec, share):
    options = {"movflags": "faststart"} if name == "a.mp4" else {}
    path = synthetic.make_video(tmp_path / name, codec=codec, options=options)
    assert len(read_video(path)) == 40
    with pytest.raises(VideoError, match=rf"{name}: .*(truncated|damaged or cut off)"):
        read_video(synthetic.cut_off(path, share), indices=[0])


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_live_recording_that_ends_within_a_frame(tmp_path, share):
    path = synthetic.timed(tmp_path / "live.webm", EVEN, "libvpx", live="1")
    with pytest.raises(VideoError, match="truncated"):
        read_video(synthetic.cut_off(path, share), indices=[0])


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_fragments_that_were_cut_off(tmp_path, share):
    options = {"movflags": "frag_keyframe+empty_moov"}
    path = synthetic.make_video(tmp_path / "stream.mp4", options=options)
    assert len(read_video(path)) == 40
    with pytest.raises(VideoError, match="truncated"):
        read_video(synthetic.cut_off(path, share), indices=[0])


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.ts", "libx264"),
        ("a.mpg", "mpeg2video"),
        ("a.gif", "gif"),
        ("a.flv", "flv1"),
        ("a.wmv", "wmv2"),
        ("a.mxf", "mpeg2video"),
        ("a.ivf", "libvpx"),
        ("a.y4m", "wrapped_avframe"),
    ],
)
@pytest.mark.parametrize("share", [0.531, 0.58])
def test_a_stream_that_seems_to_be_cut_off_is_warned_of(tmp_path, name, codec, share):
    pixels = "rgb8" if codec == "gif" else "yuv420p"
    path = synthetic.make_video(tmp_path / name, codec=codec, pixels=pixels)
    assert len(read_video(path, indices=[0])) == 1  # without a warning
    synthetic.cut_off(path, share)
    with pytest.warns(UserWarning, match=rf"{name}: the video seems to be cut off"):
        assert 1 < read_video(path, indices=[0]).total_frames < 40


@pytest.mark.parametrize("behind", [b"", b"junk", b";\0\0", bytes(9)])
def test_bytes_behind_a_gif(tmp_path, behind):
    """Of frames with tables of colours of their own."""
    noise = np.random.default_rng(0).integers(0, 256, (3, 24, 32, 3), np.uint8)
    frames = [Image.fromarray(pixels) for pixels in noise]
    path = tmp_path / "a.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    whole = path.read_bytes()
    path.write_bytes(whole + behind)
    assert len(read_video(path)) == 3  # without a warning
    path.write_bytes(whole[:-1])
    with pytest.warns(UserWarning, match="cut off"):
        assert len(read_video(path)) == 3


def test_errors_of_pyav_itself(tmp_path, monkeypatch):
    """As it raises of an FLV whose damage looks like a new stream."""

    def failing(items):
        yield next(iter(items))
        raise IndexError("list index out of range")

    path = synthetic.make_video(tmp_path / "bad.flv", 5, codec="flv1")
    for module in (frame_table, video_reader):
        guard = module.of_pyav
        monkeypatch.setattr(module, "of_pyav", lambda items, guard=guard: guard(failing(items)))
        with pytest.raises(VideoError, match=r"bad\.flv: the video is damaged \(IndexError: list"):
            read_video(path)
        monkeypatch.undo()


# ---- files that would take all memory
def _gif(width: int, height: int, frames: int) -> bytes:
    frame = b"!\xf9\x04\0\x04\0\0\0," + struct.pack("<4H", 0, 0, 1, 1) + b"\0\2\2\x44\1\0"
    head = b"GIF89a" + struct.pack("<2H", width, height) + b"\x80\0\0\0\0\0\xff\xff\xff"
    return head + frame * frames + b";"


def test_frames_of_too_many_pixels(tmp_path):
    path = tmp_path / "bomb.gif"
    path.write_bytes(_gif(15_000, 15_000, 8))
    with pytest.raises(VideoError, match=r"bomb\.gif: .* more than 67108864 pixels"):
        read_video(path, num_frames=8)


@pytest.mark.parametrize("name", ["a.ts", "a.mp4", "a.avi"])
def test_frames_beyond_the_limit(tmp_path, monkeypatch, name):
    path = synthetic.make_video(tmp_path / name, 5)
    monkeypatch.setattr("tfzoo.io.video_reader.FRAME_PIXELS", 48 * 64)
    assert len(read_video(path)) == 5
    monkeypatch.setattr("tfzoo.io.video_reader.FRAME_PIXELS", 48 * 64 - 1)
    with pytest.raises(VideoError, match=r"(up to|more than) 3071 pixels"):
        read_video(path)


def test_too_many_pixels_in_all_frames(tmp_path, monkeypatch):
    path = synthetic.make_video(tmp_path / "long.mp4", 5)
    monkeypatch.setattr("tfzoo.io.video_reader.CLIP_PIXELS", 4 * 48 * 64)
    assert len(read_video(path, num_frames=4)) == 4
    with pytest.raises(VideoError, match="up to 12288 pixels at a time, got 5 frames of 48 x 64"):
        read_video(path)


def test_frames_that_do_not_fit_into_the_memory(tmp_path, monkeypatch):
    def exhausted(*_):
        raise MemoryError

    path = synthetic.make_video(tmp_path / "short.mp4", 2)
    monkeypatch.setattr("tfzoo.io.video_reader._room", exhausted)
    with pytest.raises(VideoError, match="do not fit into the memory"):
        read_video(path)
