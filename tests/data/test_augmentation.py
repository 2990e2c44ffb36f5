"""Clips that are changed at random, all frames alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfzoo.data import ClipAugmentation

EVERYTHING = {
    "flip": 0.5,
    "scale": (0.3, 0.9),
    "brightness": 0.3,
    "contrast": 0.5,
    "saturation": 0.5,
}


def image(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (20, 30, 3)).astype("uint8")


def changed(frames: np.ndarray, seed: int = 0, **options: Any) -> np.ndarray:
    return ClipAugmentation(**options)(frames, np.random.default_rng(seed))


def test_all_frames_are_changed_alike() -> None:
    still = np.stack([image()] * 5)
    seen = []
    for seed in range(20):
        result = changed(still, seed, **EVERYTHING)
        assert result.shape == still.shape
        assert result.dtype == np.uint8
        np.testing.assert_array_equal(result, np.stack([result[0]] * 5))
        seen.append(result[0].tobytes())
    assert len(set(seen)) == 20
    np.testing.assert_array_equal(changed(still, 3, **EVERYTHING), changed(still, 3, **EVERYTHING))


def test_nothing_asked_nothing_changed() -> None:
    clip = np.stack([image(0), image(1)])
    np.testing.assert_array_equal(changed(clip), clip)


def test_mirror() -> None:
    clip = np.stack([image(0), image(1)])
    np.testing.assert_array_equal(changed(clip, flip=1.0), clip[:, :, ::-1])
    mirrored = [np.array_equal(changed(clip, s, flip=0.5), clip[:, :, ::-1]) for s in range(60)]
    assert 15 < sum(mirrored) < 45


def test_crops_enlarge_a_window_of_the_frame() -> None:
    ramp = np.broadcast_to(np.arange(100, dtype="uint8")[:, None, None], (2, 100, 100, 3))
    for seed in range(10):
        result = changed(ramp, seed, scale=(0.25, 0.25), ratio=(1.0, 1.0))[0, :, 0, 0].astype(int)
        assert 46 <= result[-1] - result[0] <= 51  # half as high
        assert (np.diff(result) >= 0).all()


def test_colours() -> None:
    clip = np.full((2, 4, 4, 3), 100, "uint8")
    levels = {int(changed(clip, seed, brightness=0.2)[0, 0, 0, 0]) for seed in range(40)}
    assert min(levels) >= 49
    assert max(levels) <= 151
    assert max(levels) - min(levels) > 50
    assert (changed(clip, contrast=1.0) == 100).all()
    assert (changed(clip, saturation=1.0) == 100).all()


def test_contrast_is_that_of_the_clip() -> None:
    """Frames move away from the mean of all, or towards it, not from their own."""
    clip = np.stack([np.full((4, 4, 3), level, "uint8") for level in (50, 150)])
    distances = []
    for seed in range(10):
        dark, light = changed(clip, seed, contrast=0.5)[:, 0, 0, 0].astype(int)
        assert dark + light == 200
        distances.append(light - dark)
    assert 50 <= min(distances) < 95
    assert 105 < max(distances) <= 150


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flip": 1.5}, r"flip must lie in \[0, 1\], got 1.5"),
        ({"brightness": -0.1}, "brightness must lie"),
        ({"scale": (0.5, 1.5)}, "scale must be .* <= 1, got"),
        ({"scale": (0.0, 1.0)}, "0 < least"),
        ({"scale": 0.5}, "scale must be two numbers"),
        ({"ratio": (2.0, 0.5)}, "ratio must be"),
    ],
)
def test_wrong_arguments(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ClipAugmentation(**options)
