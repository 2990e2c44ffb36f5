"""Which frames are taken."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tfzoo.io import VideoError, choose_indices, sample_frame_indices


def test_the_documented_example_with_the_documented_seed():
    state = np.random.get_state()
    np.random.seed(0)
    first = sample_frame_indices(clip_len=8, frame_sample_rate=4, seg_len=300)
    np.random.set_state(state)
    # What the documented function returns after np.random.seed(0).
    assert first.tolist() == [172, 176, 181, 185, 190, 194, 199, 203]
    assert first.dtype == np.int64


def test_sources_of_chance():
    legacy = sample_frame_indices(8, 4, 300, rng=np.random.RandomState(0))
    assert legacy.tolist() == [172, 176, 181, 185, 190, 194, 199, 203]
    seeded = sample_frame_indices(8, 4, 300, rng=7)
    generator = sample_frame_indices(8, 4, 300, rng=np.random.default_rng(7))
    assert seeded.tolist() == generator.tolist()


@pytest.mark.parametrize("seed", range(40))
def test_a_random_clip_lies_inside_the_video(seed):
    clip_len, rate, extra = np.random.default_rng(seed).integers(1, [40, 9, 300]).tolist()
    total = clip_len * rate + extra
    indices = sample_frame_indices(clip_len, rate, total, rng=seed)
    assert len(indices) == clip_len
    assert 0 <= indices[0] <= indices[-1] < total
    assert (np.diff(indices) >= 0).all()


@pytest.mark.parametrize("sampling", ["uniform", "segment", "centre"])
@pytest.mark.parametrize("total", [1, 2, 7, 16, 61, 300])
def test_chosen_frames_lie_inside_the_video_in_order(sampling, total):
    for wanted in range(1, total + 1):
        rate = max(1, total // wanted) if sampling == "centre" else 1
        indices = choose_indices(total, wanted, sampling, frame_sample_rate=rate)
        assert indices.shape == (wanted,)
        assert indices[0] >= 0
        assert indices[-1] < total
        assert (np.diff(indices) > 0).all()


def test_what_each_sampling_takes():
    assert choose_indices(100, 4).tolist() == [0, 33, 66, 99]
    assert choose_indices(100, 4, "segment").tolist() == [12, 37, 62, 87]
    assert choose_indices(100, 4, "centre").tolist() == [48, 49, 50, 51]
    assert choose_indices(101, 3, "centre", frame_sample_rate=10).tolist() == [40, 50, 60]
    assert choose_indices(8, 8).tolist() == list(range(8))
    assert choose_indices(9, 1).tolist() == [0]


@pytest.mark.parametrize(
    ("total", "sampling", "needed"),
    [(7, "uniform", 8), (7, "segment", 8), (14, "centre", 15), (16, "random_clip", 17)],
)
def test_too_short_a_video(total, sampling, needed):
    with pytest.raises(VideoError, match=rf"has {total} frames; 8 frames .* at least {needed}"):
        choose_indices(total, 8, sampling, frame_sample_rate=2)
    enough = choose_indices(needed, 8, sampling, frame_sample_rate=2, rng=0)
    assert enough[-1] < needed


def test_spread_repeats_the_frames_of_short_videos():
    for total in (8, 9, 100):
        expected = choose_indices(total, 8).tolist()
        assert choose_indices(total, 8, "spread").tolist() == expected
    assert choose_indices(2, 4, "spread").tolist() == [0, 0, 1, 1]
    assert choose_indices(5, 7, "spread").tolist() == [0, 1, 1, 2, 3, 3, 4]
    with pytest.raises(VideoError, match="has 1 frames; 4 frames by 'spread' .* at least 2"):
        choose_indices(1, 4, "spread")


def test_too_short_a_video_for_the_documented_function():
    with pytest.raises(ValueError, match="more than 32 frames, got one of 32"):
        sample_frame_indices(8, 4, 32)


def test_an_unknown_sampling():
    with pytest.raises(ValueError, match="one of uniform, spread, segment, .*, got 'all'"):
        choose_indices(10, 2, "all")


@pytest.mark.parametrize("value", [0, -1, 10**9, 2.5, 2.0, "3", True, None, [2], np.float32(2)])
@pytest.mark.parametrize("sampling", ["uniform", "spread", "random_clip"])
def test_numbers_that_count_nothing(value, sampling):
    rule = "a whole number|at least 1 and at most 1048576"
    message = rf"must be ({rule}), got {re.escape(repr(value)[:9])}"
    for name in ("num_frames", "frame_sample_rate"):
        numbers = {"num_frames": 2, "frame_sample_rate": 1, name: value}
        with pytest.raises(ValueError, match=f"{name} {message}"):
            choose_indices(10, sampling=sampling, **numbers)
    with pytest.raises(ValueError, match=f"clip_len {message}"):
        sample_frame_indices(value, 1, 10)


def test_numbers_of_numpy():
    two = np.int32(2)
    assert choose_indices(9, two, "centre", frame_sample_rate=two).tolist() == [3, 5]
