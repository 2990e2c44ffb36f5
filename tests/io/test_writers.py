"""Images and videos that are written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.io.synthetic import make_video
from tests.support.paths import FIXTURES
from tfzoo.io import VideoError, read_image, read_video, write_video
from tfzoo.io.image_writer import can_write, write_image
from tfzoo.io.video_reader import check_video

FRAMES = np.stack([np.full((33, 47, 3), 20 * i, np.uint8) for i in range(10)])


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".MP4"])
def test_videos_come_back(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"out{suffix}"
    path.write_text("older")
    write_video(path, iter(FRAMES), fps=12.5)
    clip = read_video(path)
    assert clip.frames.shape == (10, 34, 48, 3), "even sides"
    assert clip.fps == pytest.approx(12.5, rel=0.01)
    means = clip.frames[:, :33, :47].mean((1, 2, 3))
    np.testing.assert_allclose(means, FRAMES.mean((1, 2, 3)), atol=4)
    assert list(tmp_path.iterdir()) == [path]


def test_videos_that_cannot_be_written(tmp_path: Path) -> None:
    older = tmp_path / "out.mp4"
    older.write_text("older")
    with pytest.raises(ValueError, match=r"ends in .mp4, .mov, .mkv, got .txt"):
        write_video(tmp_path / "out.txt", FRAMES)
    with pytest.raises(ValueError, match="fps: expected frames per second"):
        write_video(older, FRAMES, fps=0)
    with pytest.raises(VideoError, match="expected at least one frame, got none"):
        write_video(older, [])
    with pytest.raises(VideoError, match=r"expected frames of shape \(33, 47, 3\), got \(20, 4"):
        write_video(older, [FRAMES[0], FRAMES[1, :20]])
    assert older.read_text() == "older"
    assert list(tmp_path.iterdir()) == [older]


def test_videos_are_checked_without_decoding(tmp_path: Path) -> None:
    check_video(make_video(tmp_path / "fine.mp4", 3))
    (tmp_path / "notes.mp4").write_text("no video at all\n" * 30)
    with pytest.raises(VideoError, match="notes.mp4: expected a video"):
        check_video(tmp_path / "notes.mp4")
    with pytest.raises(FileNotFoundError, match="no such video file"):
        check_video(tmp_path / "absent.mp4")
    with pytest.raises(VideoError, match="got a folder"):
        check_video(tmp_path)


def test_images(tmp_path: Path) -> None:
    image = Image.fromarray(read_image(FIXTURES / "photos" / "coffee.jpg"))
    write_image(image, tmp_path / "new" / "a.PNG")
    np.testing.assert_array_equal(read_image(tmp_path / "new" / "a.PNG"), np.asarray(image))
    assert [can_write(s) for s in (".png", ".JPG", ".xbm", ".mp4", "")] == [
        True,
        True,
        *3 * [False],
    ]
    with pytest.raises(ValueError, match=r"a.mp4: the format follows .* and .mp4 cannot be"):
        write_image(image, tmp_path / "a.mp4")
