"""The video processor against the living reference, to the last bit."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from tests.preprocessing.videomae_cases import CASES, PHOTOS, Case
from tests.support.reference import transformers
from tfzoo.io import read_image, read_video
from tfzoo.preprocessing.videomae import VideoMAEImageProcessor

VIDEO = PHOTOS.parent / "videos" / "nasa_13013.mp4"
FILES = sorted(PHOTOS.glob("*.jpg"))


def both(videos, init=None, call=None):
    """(expected, computed) pixel values."""
    init, call = init or {}, {"return_tensors": "np", **(call or {})}
    expected = transformers.VideoMAEImageProcessor(**init)(videos, **call).pixel_values
    return expected, VideoMAEImageProcessor(**init)(videos, **call).pixel_values


def assert_equal(expected: np.ndarray, computed: np.ndarray) -> None:
    assert computed.dtype == expected.dtype
    np.testing.assert_array_equal(computed, expected)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_case_has_the_references_bits(case: Case) -> None:
    assert_equal(*both(case.videos(), case.init, case.call))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_photos_have_the_references_bits(file: Path) -> None:
    photo = read_image(file)
    for image in (photo, photo[:, : photo.shape[0] - 7], photo.transpose(1, 0, 2)[3:]):
        assert_equal(*both([image, image[::-1]]))


def test_video_frames_have_the_references_bits() -> None:
    frames = list(read_video(VIDEO, num_frames=8).frames)
    assert_equal(*both(frames))


@pytest.mark.parametrize("seed", range(12))
def test_random_sizes_have_the_references_bits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = rng.integers(5, 90, 2)
    size, crop_height, crop_width = rng.integers(4, 80, 3).tolist()
    frames = list(rng.integers(0, 256, (2, height, width, 3), np.uint8))
    init = {"size": size, "crop_size": (crop_height, crop_width)}
    assert_equal(*both(frames, init))
    assert_equal(*both(frames, init, {"do_resize": False}))


def test_lists_are_nested_as_the_references() -> None:
    videos = [[np.zeros((30, 40, 3), np.uint8)] * 3] * 2
    expected = transformers.VideoMAEImageProcessor()(videos).pixel_values
    computed = VideoMAEImageProcessor()(videos).pixel_values
    assert isinstance(computed, list)
    assert isinstance(computed[0], list)
    assert len(computed) == len(expected) == 2
    assert len(computed[0]) == len(expected[0]) == 3
    for theirs, ours in zip(expected[1], computed[1], strict=True):
        assert_equal(theirs, ours)


def test_the_reference_reads_what_is_written(tmp_path: Path) -> None:
    init = {"size": 60, "crop_size": 48, "image_mean": [0.1, 0.2, 0.3], "do_rescale": False}
    VideoMAEImageProcessor(**init).save_pretrained(tmp_path)
    theirs = transformers.VideoMAEImageProcessor.from_pretrained(tmp_path).to_dict()
    assert theirs == transformers.VideoMAEImageProcessor(**init).to_dict()


def test_what_the_reference_writes_is_read(tmp_path: Path) -> None:
    init = {"size": 60, "crop_size": 48, "resample": 3, "image_std": [0.1, 0.2, 0.3]}
    transformers.VideoMAEImageProcessor(**init).save_pretrained(tmp_path)
    written = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert VideoMAEImageProcessor.from_pretrained(tmp_path).to_dict() == written


def test_it_is_as_fast_as_the_reference() -> None:
    frames = list(read_video(VIDEO, num_frames=8).frames)
    processors = (transformers.VideoMAEImageProcessor(), VideoMAEImageProcessor())
    best = [np.inf, np.inf]
    for _ in range(15):
        for i, processor in enumerate(processors):
            start = time.process_time()
            processor(frames, return_tensors="np")
            best[i] = min(best[i], time.process_time() - start)
    assert best[1] <= 1.5 * best[0]  # it is faster; the margin is for a busy machine
