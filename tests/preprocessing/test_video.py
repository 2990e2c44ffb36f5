"""Everything that counts as videos, and what does not."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.support.paths import FIXTURES
from tfzoo.io import VideoError, read_video
from tfzoo.preprocessing.video import make_batched_videos

NASA = FIXTURES / "videos" / "nasa_13013.mp4"
FRAME = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3)
CLIP = np.stack([FRAME, FRAME + 1])


def lengths(videos):
    return [len(video) for video in videos]


@pytest.mark.parametrize("frame", [FRAME, FRAME[..., 0], Image.fromarray(FRAME)])
def test_one_image_is_a_video_of_one_frame(frame):
    assert make_batched_videos(frame) == [[frame]]


@pytest.mark.parametrize("clip", [CLIP, list(CLIP), tuple(CLIP), [CLIP], [list(CLIP)]])
def test_all_forms_of_one_video(clip):
    ((first, second),) = make_batched_videos(clip)
    np.testing.assert_array_equal(first, CLIP[0])
    np.testing.assert_array_equal(second, CLIP[1])


@pytest.mark.parametrize(
    "batch",
    [
        np.stack([CLIP, CLIP]),
        [CLIP, CLIP],
        (list(CLIP), tuple(CLIP)),
        [CLIP, [Image.fromarray(frame) for frame in CLIP]],
    ],
)
def test_all_forms_of_a_batch(batch):
    videos = make_batched_videos(batch)
    assert lengths(videos) == [2, 2]
    np.testing.assert_array_equal(np.asarray(videos[1][1]), CLIP[1])


def test_channels_first_is_left_to_each_frame():
    videos = make_batched_videos(np.zeros((2, 5, 3, 8, 9)))
    assert lengths(videos) == [5, 5]
    assert videos[0][0].shape == (3, 8, 9)


def test_frames_are_not_copied():
    assert np.shares_memory(make_batched_videos(CLIP)[0][0], CLIP)


def test_tensors_are_arrays():
    from keras import ops

    videos = make_batched_videos(ops.convert_to_tensor(CLIP))
    np.testing.assert_array_equal(np.asarray(videos[0][1]), CLIP[1])


@pytest.mark.parametrize("path", [NASA, str(NASA)])
def test_a_path_is_read(path):
    (video,) = make_batched_videos(path, num_frames=4, sampling="segment")
    expected = read_video(NASA, num_frames=4, sampling="segment").frames
    np.testing.assert_array_equal(np.stack(video), expected)


def test_a_list_of_paths_is_a_batch():
    assert lengths(make_batched_videos([NASA, str(NASA)], num_frames=2)) == [2, 2]


def test_random_clips_follow_their_source():
    def draw(seed):
        reading = {"num_frames": 3, "sampling": "random_clip", "rng": seed}
        return np.stack(make_batched_videos(NASA, **reading)[0])

    np.testing.assert_array_equal(draw(1), draw(1))
    assert (draw(1) != draw(2)).any()


def test_videos_of_unequal_length():
    with pytest.raises(ValueError, match="same number of frames: video 0 has 2, video 1 has 1"):
        make_batched_videos([CLIP, CLIP[:1]])


@pytest.mark.parametrize("videos", [[], ()])
def test_an_empty_list(videos):
    with pytest.raises(ValueError, match="got an empty list"):
        make_batched_videos(videos)


def test_an_empty_video():
    with pytest.raises(ValueError, match="non-empty list of images, got an empty list"):
        make_batched_videos([[], []])


def test_frames_among_videos():
    with pytest.raises(ValueError, match="item 0 is one frame and item 1 is not"):
        make_batched_videos([FRAME, CLIP])


def test_numbers_in_nested_lists():
    with pytest.raises(ValueError, match="list of images, got list among them"):
        make_batched_videos([CLIP.tolist()])


def test_batches_in_a_list():
    with pytest.raises(ValueError, match=r"each video of a list as .*got shape \(1, 2, 2, 4, 3\)"):
        make_batched_videos([CLIP[None]])


@pytest.mark.parametrize("shape", [(3,), (1, 1, 1, 2, 2, 3), (0, 2, 2, 3)])
def test_arrays_that_are_no_video(shape):
    with pytest.raises(ValueError, match="got an array of shape"):
        make_batched_videos(np.zeros(shape))


@pytest.mark.parametrize("value", [None, 5, {"a": CLIP}, b"bytes"])
def test_other_things(value):
    with pytest.raises(TypeError, match=f"Expected a path of a video.*got {type(value).__name__}"):
        make_batched_videos(value)


def test_a_path_without_a_number_of_frames():
    with pytest.raises(ValueError, match=r"nasa_13013\.mp4: give num_frames"):
        make_batched_videos(NASA)


def test_a_number_of_frames_without_a_path():
    with pytest.raises(ValueError, match="num_frames chooses frames of video files"):
        make_batched_videos(CLIP, num_frames=1)


def test_a_path_that_is_no_video(tmp_path):
    (tmp_path / "notes.mp4").write_text("no video")
    with pytest.raises(VideoError, match=r"notes\.mp4"):
        make_batched_videos(tmp_path / "notes.mp4", num_frames=2)
