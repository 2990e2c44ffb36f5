"""What tasks are given: files, addresses, bytes, arrays, lists, folders and generators."""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tfzoo
from tests.io.synthetic import make_video
from tests.support.paths import FIXTURES
from tfzoo.hub import HubError
from tfzoo.io import ImageError, VideoClip, VideoError
from tfzoo.io.sampling import FrameChoice
from tfzoo.tasks import inputs
from tfzoo.tasks.inputs import (
    batches,
    check_file,
    clip_of,
    image_of,
    image_or_clip_of,
    read_ahead,
    split,
)

PHOTO = FIXTURES / "photos" / "coffee.jpg"
FILM = tfzoo.default_checkpoint("timesformer-camera-motion") / "sample.gif"  # 16 frames
NASA = FIXTURES / "videos" / "nasa_13013.mp4"
IMAGE = np.zeros((4, 6, 3), np.uint8)
CLIP = np.arange(16 * 4 * 6 * 3, dtype=np.uint8).reshape(16, 4, 6, 3)


# One or many


@pytest.mark.parametrize(
    ("given", "kind", "count"),
    [
        (PHOTO, "image", None),
        (str(PHOTO), "image or video", None),
        (b"bytes", "image", None),
        (Image.new("RGB", (2, 2)), "image", None),
        (IMAGE, "image", None),
        (IMAGE[..., 0], "image", None),
        (np.stack([IMAGE] * 5), "image", 5),
        ([IMAGE, PHOTO], "image", 2),
        ([], "image", 0),
        (CLIP, "video", None),
        (CLIP, "clip", None),
        (IMAGE, "clip", None),
        (np.stack([CLIP] * 3), "clip", 3),
        (list(CLIP), "clip", None),
        ([Image.new("RGB", (2, 2))], "video", None),
        ([list(CLIP), CLIP], "clip", 2),
        ([NASA, NASA], "video", 2),
        ((PHOTO, PHOTO), "pair", None),
        ([IMAGE, IMAGE], "pair", None),
        ([(PHOTO, PHOTO), (PHOTO, PHOTO)], "pair", 2),
        (np.stack([IMAGE] * 2), "pair", None),
        ([np.stack([IMAGE] * 2)] * 2, "pair", 2),
        ("a text", "text", None),
        (["a", "b"], "text", 2),
        ((NASA, np.zeros(3)), "sound", None),
        ([(NASA, np.zeros(3))], "sound", 1),
    ],
)
def test_one_or_many(given: Any, kind: str, count: int | None) -> None:
    sources, is_one = split(given, kind)
    assert is_one == (count is None)
    assert len(sources) == (1 if count is None else count)


def test_generators_are_left_alone() -> None:
    started = []

    def endless() -> Iterator[Path]:
        while True:
            started.append(1)
            yield PHOTO

    assert list(split(np.array(["a", "b"]), "text")[0]) == ["a", "b"]
    sources, is_one = split(endless(), "image")
    assert (started, is_one) == ([], False)
    assert next(sources) == PHOTO


def test_folders(tmp_path: Path) -> None:
    for name in ("b10.jpg", "b2.jpg", ".hidden"):
        shutil.copy(PHOTO, tmp_path / name)
    files = [tmp_path / "b2.jpg", tmp_path / "b10.jpg"]
    assert split(tmp_path, "image") == (files, False)
    assert split(str(tmp_path), "clip") == ([str(tmp_path)], True), "frames of one video"
    shutil.copy(NASA, tmp_path / "c.mp4")
    assert split(tmp_path, "clip")[0] == [*files, tmp_path / "c.mp4"]
    with pytest.raises(VideoError, match="expected a video file, got a folder"):
        image_or_clip_of(tmp_path, FrameChoice(2))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="expected a folder of images or videos, got an empty one"):
        split(tmp_path / "empty", "image")


def test_what_is_no_input() -> None:
    with pytest.raises(TypeError, match="Expected a path, an address, bytes.* got a int"):
        split(3, "image")
    with pytest.raises(ValueError, match=r"2 or 3 axes for one image.* got shape \(4,\)"):
        split(np.zeros(4), "image")
    with pytest.raises(TypeError, match="Expected a text, a list or a generator of them, got a P"):
        split(PHOTO, "text")
    with pytest.raises(TypeError, match="got a dict"):
        split({"image": PHOTO}, "image")
    with pytest.raises(TypeError, match="Expected an image as a path.* got a float"):
        image_of(3.5)
    with pytest.raises(TypeError, match="Expected an image as a path.* got a int"):
        clip_of(3, FrameChoice(2))


# Videos


@pytest.mark.parametrize("form", [str, Path.read_bytes, "clip", "array", "pillow"])
def test_all_forms_of_one_video(form: Any) -> None:
    choice = FrameChoice(8, "centre", 2)
    expected = tfzoo.read_video(FILM, num_frames=8, sampling="centre", frame_sample_rate=2)
    whole = tfzoo.read_video(FILM)
    forms = {
        "clip": whole,
        "array": whole.frames,
        "pillow": [Image.fromarray(frame) for frame in whole.frames],
    }
    found = clip_of(forms[form] if isinstance(form, str) else form(FILM), choice)
    assert found.indices.tolist() == expected.indices.tolist() == [0, 2, 4, 6, 8, 10, 12, 14]
    np.testing.assert_array_equal(found.frames, expected.frames)
    assert found.total_frames == 16


def test_frames_that_are_as_many_as_wanted_are_taken() -> None:
    found = clip_of(CLIP[:8], FrameChoice(8, "centre", 2))
    np.testing.assert_array_equal(found.frames, CLIP[:8])
    with pytest.raises(VideoError, match="has 10 frames; 8 frames by 'centre' sampling"):
        clip_of(CLIP[:10], FrameChoice(8, "centre", 2))
    with pytest.raises(VideoError, match="Expected frames of one size"):
        clip_of([IMAGE, IMAGE[1:]], FrameChoice(2))


def test_frames_are_found_again_by_their_numbers() -> None:
    for source in (FILM, tfzoo.read_video(FILM), tfzoo.read_video(FILM).frames):
        again = clip_of(source, [3, 9])
        np.testing.assert_array_equal(again.frames, tfzoo.read_video(FILM, indices=[3, 9]).frames)


def test_a_still_image_is_repeated() -> None:
    for source in (PHOTO, PHOTO.read_bytes(), Image.open(PHOTO), tfzoo.read_image(PHOTO)):
        found = clip_of(source, FrameChoice(3))
        assert found.frames.shape == (3, 213, 320, 3)
        assert (found.total_frames, found.indices.tolist()) == (1, [0, 0, 0])


def test_a_part_of_a_clip() -> None:
    clip = VideoClip(CLIP[:4], np.array([5, 7, 9, 11]), 25.0, 30, 1.2)
    found = clip_of(clip, FrameChoice(2))
    assert (found.indices.tolist(), found.total_frames, found.duration) == ([5, 11], 30, 1.2)
    assert clip_of(clip, FrameChoice(4)) is clip
    assert image_or_clip_of(clip, FrameChoice(2)).indices.tolist() == [5, 11]
    assert image_or_clip_of(clip, None) is clip
    one = clip_of(clip_of(clip, [7]), FrameChoice(3))
    assert (one.indices.tolist(), len(one.frames)) == ([7, 7, 7], 3)


# Files that are refused before they are decoded


@pytest.mark.parametrize(
    ("kind", "file", "message"),
    [
        ("image", "film.mp4", "film.mp4: expected an image .* got something else"),
        ("image", ".", "expected an image file, got a folder"),
        ("image or video", ".", "expected an image file, got a folder"),
        ("image", "film.gif", "film.gif: expected a still image, got an animation of 16 frames"),
        ("pair", "film.mp4", "expected an image"),
        ("video", "photo.jpg", "photo.jpg: expected a video; images have no times"),
        ("video", "notes.txt", "notes.txt: expected a video"),
        ("clip", "notes.txt", "notes.txt: expected a video"),
        ("image or video", "notes.txt", "notes.txt: expected a video"),
    ],
)
def test_wrong_files(kind: str, file: str, message: str, tmp_path: Path) -> None:
    make_video(tmp_path / "film.mp4", 4)
    shutil.copy(FILM, tmp_path / "film.gif")
    shutil.copy(PHOTO, tmp_path / "photo.jpg")
    (tmp_path / "notes.txt").write_text("neither of them\n" * 40)
    with pytest.raises(ValueError, match=message):
        check_file(tmp_path / file, kind)
    for fine, kinds in {
        "film.mp4": ("clip", "video", "image or video"),
        "photo.jpg": ("image", "pair", "clip", "image or video"),
    }.items():
        for each in kinds:
            check_file(tmp_path / fine, each)


# Addresses


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a folder of files on this machine, in which one leads to another."""
    folder = tmp_path_factory.mktemp("served")
    shutil.copy(PHOTO, folder / "coffee.jpg")
    shutil.copy(NASA, folder / "nasa.mp4")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/elsewhere.jpg":
                self.send_response(302)
                self.send_header("Location", "/coffee.jpg")
                self.end_headers()
                return
            super().do_GET()

        def log_message(self, *args: Any) -> None:
            return

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_addresses_are_downloaded(
    address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in ("coffee.jpg", "elsewhere.jpg"):
        np.testing.assert_array_equal(
            np.asarray(image_of(f"{address}/{name}")), tfzoo.read_image(PHOTO)
        )
    found = clip_of(f"{address}/nasa.mp4", FrameChoice(3))
    np.testing.assert_array_equal(found.frames, tfzoo.read_video(NASA, num_frames=3).frames)
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"
    assert split(f"{address}/coffee.jpg", "image") == ([f"{address}/coffee.jpg"], True)


def test_addresses_that_are_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HubError, match=r"absent.jpg' cannot be downloaded \(HTTP status 404\)"):
        image_of(f"{address}/absent.jpg")
    with pytest.raises(ImageError, match=f"^{address}/nasa.mp4: expected an image"):
        image_of(f"{address}/nasa.mp4")
    with pytest.raises(HubError, match=r"cannot be downloaded \(Connect"):
        image_of("http://127.0.0.1:9/a.jpg")
    with monkeypatch.context() as patch:
        patch.setattr(inputs, "DOWNLOAD_BYTES", 1000)
        with pytest.raises(HubError, match="has more than 1,000 bytes"):
            image_of(f"{address}/coffee.jpg")
    monkeypatch.setenv("TFZOO_OFFLINE", "1")
    with pytest.raises(HubError, match="is an address, and TFZOO_OFFLINE=1 forbids the download"):
        image_of(f"{address}/coffee.jpg")


# Reading ahead


def test_reading_goes_ahead_and_no_further() -> None:
    read: list[int] = []

    def slowly(number: int) -> int:
        read.append(number)
        return 10 * number

    pairs = read_ahead(iter(range(100)), slowly, most=3)
    assert next(pairs) == (0, 0)
    assert next(pairs) == (1, 10)
    assert len(read) <= 5
    pairs.close()
    assert len(read) <= 5
    assert list(read_ahead([1, 2], slowly, most=3)) == [(1, 10), (2, 20)]


def test_errors_come_in_their_place() -> None:
    def broken(number: int) -> int:
        if number == 2:
            raise VideoError("the third")
        return number

    pairs = read_ahead(range(5), broken, most=2)
    assert [next(pairs)[1], next(pairs)[1]] == [0, 1]
    with pytest.raises(VideoError, match="the third"):
        next(pairs)

    def cut_off() -> Iterator[int]:
        yield from (7, 8)
        raise OSError("no more of them")

    for read, sources, error in ((broken, range(5), VideoError), (int, cut_off(), OSError)):
        found = batches(read_ahead(sources, read, most=4), 3)
        assert [source for source, _ in next(found)] == ([0, 1] if read is broken else [7, 8])
        with pytest.raises(error, match="the third|no more"):
            next(found)
