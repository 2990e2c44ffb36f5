"""Frames that are read one by one against those of a full sequential decode."""

from __future__ import annotations

import sys
from pathlib import Path

import av
import numpy as np
import pytest

from tests.io import synthetic
from tests.support.paths import FIXTURES
from tfzoo.io import VideoClip, VideoError, read_video, video_reader

VIDEOS = FIXTURES / "videos"
BUNNY = VIDEOS / "bigbuckbunny.mp4"
NASA = VIDEOS / "nasa_13013.mp4"

# file name, codec, pixel format, whether the header has the number of frames
FORMATS = [
    ("h264.mp4", "libx264", "yuv420p", True),
    ("h264.mkv", "libx264", "yuv420p", False),
    ("h264.ts", "libx264", "yuv420p", False),
    ("h264.avi", "libx264", "yuv420p", True),
    ("raw.h264", "libx264", "yuv420p", False),
    ("h264_444.mp4", "libx264", "yuv444p", True),
    ("mpeg4.avi", "mpeg4", "yuv420p", True),
    ("mpeg4.mp4", "mpeg4", "yuv420p", True),
    ("vp8.webm", "libvpx", "yuv420p", False),
    ("vp9.webm", "libvpx-vp9", "yuv420p", False),
    ("moving.gif", "gif", "rgb8", True),
]


def patterns(total: int) -> list[list[int]]:
    """First, last, sparse, repeated, unsorted, single, around keyframes."""
    rng = np.random.default_rng(0)
    return [
        [0],
        [total - 1],
        [total // 2],
        [0, total - 1],
        [total - 1, 0, 0, total // 3],
        list(range(0, total, 7)),
        list(range(total - 4, total)),
        [11, 12, 13, 23, 24, 25],
        [13, 37],
        np.sort(rng.choice(total, 8, replace=False)).tolist(),
        rng.integers(0, total, 9).tolist(),
    ]


def assert_frames(path: Path, expected: np.ndarray, every: int = 1, **arguments) -> None:
    for indices in patterns(len(expected))[::every]:
        clip = read_video(path, indices=indices, **arguments)
        np.testing.assert_array_equal(clip.indices, indices)
        np.testing.assert_array_equal(clip.frames, expected[indices], err_msg=str(indices))


@pytest.fixture(params=FORMATS, ids=lambda row: row[0])
def made(request, tmp_path):
    name, codec, pixels, counted = request.param
    return synthetic.make_video(tmp_path / name, codec=codec, pixels=pixels), counted


# The one keyframe of the large video makes each pattern slow: every third is enough there.
@pytest.mark.parametrize(("path", "stream", "every"), [(BUNNY, 0, 3), (NASA, 0, 1), (NASA, 1, 1)])
def test_real_videos_give_the_frames_of_a_full_decode(path, stream, every):
    expected = synthetic.decode_all(path, stream)
    assert_frames(path, expected, every, stream=stream)


def test_every_format_gives_the_frames_of_a_full_decode(made):
    path, counted = made
    with av.open(str(path)) as container:
        assert bool(container.streams.video[0].frames) is counted
    expected = synthetic.decode_all(path)
    assert synthetic.places(expected) == list(range(40))
    whole = read_video(path)
    assert whole.total_frames == len(whole) == 40
    np.testing.assert_array_equal(whole.frames, expected)
    assert_frames(path, expected)


def test_what_is_known_of_a_video():
    clip = read_video(NASA, indices=[3, 5])
    assert isinstance(clip, VideoClip)
    assert clip.frames.shape == (2, 180, 320, 3)
    assert clip.frames.dtype == np.uint8
    assert clip.indices.dtype == np.int64
    assert (clip.fps, clip.total_frames, clip.duration) == (25.0, 325, 13.0)
    second = read_video(NASA, indices=[0], stream=1)
    assert second.frames.shape == (1, 270, 480, 3)
    assert second.fps == pytest.approx(30000 / 1001)
    assert second.total_frames == 390


def test_a_gap_with_a_keyframe_is_not_decoded(monkeypatch, tmp_path):
    path = synthetic.make_video(tmp_path / "long.mp4", 48)
    decoded = []
    original = video_reader._decode

    def counting(container, stream, seek):
        for frame in original(container, stream, seek):
            decoded.append(frame.pts)
            yield frame

    monkeypatch.setattr(video_reader, "_decode", counting)
    assert synthetic.places(read_video(path, indices=[1, 25, 47]).frames) == [1, 25, 47]
    assert len(decoded) == 2 + 2 + 12  # keyframes stand at 0, 12, 24, 36
    decoded.clear()
    read_video(path, indices=[12, 13])
    assert len(decoded) == 2


def test_a_seek_that_lands_too_late_is_repeated_earlier(monkeypatch, tmp_path):
    path = synthetic.make_video(tmp_path / "loose.mp4")
    original = video_reader.read_table

    def loose(container, stream):
        table = original(container, stream)
        late = (*table.seeks[1:], table.seeks[-1])
        return video_reader.FrameTable(table.total, table.stamps, table.keys, late)

    monkeypatch.setattr(video_reader, "read_table", loose)
    clip = read_video(path, indices=[3, 14, 30, 39])
    assert synthetic.places(clip.frames) == [3, 14, 30, 39]


@pytest.mark.parametrize("sampling", ["uniform", "segment", "centre", "random_clip"])
def test_num_frames_chooses(sampling):
    clip = read_video(NASA, num_frames=6, sampling=sampling, frame_sample_rate=3, rng=1)
    again = read_video(NASA, indices=clip.indices)
    assert clip.frames.shape == (6, 180, 320, 3)
    np.testing.assert_array_equal(clip.frames, again.frames)


def test_odd_sizes(tmp_path):
    path = synthetic.make_video(tmp_path / "odd.mp4", size=(37, 51), pixels="yuv444p")
    assert_frames(path, synthetic.decode_all(path))


@pytest.mark.parametrize("clockwise", range(4))
def test_a_rotation_tag_is_followed(tmp_path, clockwise):
    path = synthetic.make_video(tmp_path / "phone.mp4", 3, size=(48, 80), corner=True)
    synthetic.turned(path, clockwise)
    lying = synthetic.decode_all(path)
    assert lying[0, 5, 5, 0] > 200 > lying[0, -5, -5, 0]
    upright = read_video(path).frames
    np.testing.assert_array_equal(upright, np.rot90(lying, -clockwise, axes=(1, 2)))
    np.testing.assert_array_equal(read_video(path, upright=False).frames, lying)


@pytest.mark.parametrize(("first", "count"), [(0, 20), (7, 20), (14, 26), (12, 9)])
def test_frames_outside_an_edit_list_do_not_count(tmp_path, first, count):
    path = synthetic.trimmed(synthetic.make_video(tmp_path / "edit.mp4"), first, count)
    expected = synthetic.decode_all(path)
    assert synthetic.places(expected) == list(range(first, first + count))
    clip = read_video(path)
    assert clip.total_frames == count
    np.testing.assert_array_equal(clip.frames, expected)
    for index in (0, count // 2, count - 1):
        np.testing.assert_array_equal(read_video(path, indices=[index]).frames[0], expected[index])


def test_progress_is_reported_to_a_function():
    calls = []
    read_video(NASA, indices=[5, 5, 9], progress=lambda done, wanted: calls.append((done, wanted)))
    assert calls == [(1, 2), (2, 2)]


def test_no_bar_where_there_is_no_terminal(capsys):
    read_video(NASA, indices=[0], progress=True)
    assert capsys.readouterr() == ("", "")


def test_a_bar_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    read_video(NASA, indices=[0, 1], progress=True)
    assert "2/2" in capsys.readouterr().err


def test_a_missing_file():
    with pytest.raises(FileNotFoundError, match=r"nowhere\.mp4: no such video"):
        read_video("nowhere.mp4")


def test_a_folder(tmp_path):
    with pytest.raises(VideoError, match="expected a video file, got a folder"):
        read_video(tmp_path)


@pytest.mark.parametrize("name", ["notes.mp4", "notes.txt"])
def test_a_file_that_is_no_video(tmp_path, name):
    path = tmp_path / name
    path.write_text("not a video\n" * 30)
    with pytest.raises(VideoError, match=f"{name}: expected a video"):
        read_video(path)


def test_an_empty_file(tmp_path):
    path = tmp_path / "empty.mp4"
    path.touch()
    with pytest.raises(VideoError, match=r"empty\.mp4: expected a video"):
        read_video(path)


def test_a_file_with_sound_only(tmp_path):
    path = tmp_path / "tone.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        silence.sample_rate = 8000
        for packet in [*stream.encode(silence), *stream.encode()]:
            container.mux(packet)
    with pytest.raises(VideoError, match=r"expected a video stream, got .* streams: audio"):
        read_video(path)


def test_a_stream_number_out_of_range():
    with pytest.raises(VideoError, match="number from 0 to 1, got 2"):
        read_video(NASA, stream=2)


def test_more_frames_than_there_are(tmp_path):
    path = synthetic.make_video(tmp_path / "short.mp4", 5)
    with pytest.raises(VideoError, match=r"short\.mp4: The video has 5 frames; 8 frames .* need"):
        read_video(path, num_frames=8)


@pytest.mark.parametrize("indices", [[0, 325], [-1], [999]])
def test_indices_out_of_range(indices):
    with pytest.raises(VideoError, match=rf"from 0 to 324 .*325 frames.*got {indices[-1]}"):
        read_video(NASA, indices=indices)


@pytest.mark.parametrize("indices", [[], [[0, 1]], [0.5], ["a"]])
def test_indices_that_are_no_list_of_integers(indices):
    with pytest.raises(VideoError, match="expected indices as a flat, non-empty list of integers"):
        read_video(NASA, indices=indices)


def test_indices_and_num_frames_contradict_each_other():
    with pytest.raises(ValueError, match="not both"):
        read_video(NASA, indices=[0], num_frames=1)


@pytest.mark.parametrize("stream", ["1", 1.0, True])
def test_streams_are_numbers(stream):
    with pytest.raises(ValueError, match="stream must be a whole number, got"):
        read_video(NASA, stream=stream)


def test_a_truncated_file_with_its_header_in_front(tmp_path):
    path = synthetic.make_video(tmp_path / "cut.mp4", options={"movflags": "faststart"})
    with pytest.raises(VideoError, match=r"cut\.mp4: expected 40 frames.*truncated"):
        read_video(synthetic.cut_off(path, 0.9), indices=[0])


def test_a_truncated_file_that_ends_within_its_last_frame(tmp_path):
    path = synthetic.make_video(tmp_path / "cut.mp4", options={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[:-5])  # there are as many frames as the header says
    with pytest.raises(VideoError, match=r"cut\.mp4: expected 40 frames.* got 39 .*truncated"):
        read_video(path, indices=[0])


def test_a_truncated_file_without_its_header(tmp_path):
    path = synthetic.cut_off(synthetic.make_video(tmp_path / "cut.mp4"))
    with pytest.raises(VideoError, match=r"cut\.mp4: .*cut off"):
        read_video(path)


def test_a_frame_that_does_not_decode(monkeypatch, tmp_path):
    path = synthetic.make_video(tmp_path / "hole.mp4")
    original = video_reader.read_table

    def hopeful(*arguments):
        table = original(*arguments)
        stamps = (*table.stamps, table.stamps[-1] + 512)
        return video_reader.FrameTable(table.total + 1, stamps, table.keys, table.seeks)

    monkeypatch.setattr(video_reader, "read_table", hopeful)
    with pytest.raises(VideoError, match="frame 40 does not decode"):
        read_video(path)


def test_damaged_packets(tmp_path):
    path = synthetic.make_video(tmp_path / "damaged.mp4")
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    data[start : start + 4000] = b"\xff" * 4000
    path.write_bytes(data)
    with pytest.raises(VideoError, match=r"damaged\.mp4"):
        read_video(path)
