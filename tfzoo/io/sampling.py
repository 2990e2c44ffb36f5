"""Which frames of a video to take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from tfzoo.io.errors import VideoError
from tfzoo.io.limits import MOST_FRAMES

__all__ = ["SAMPLINGS", "FrameChoice", "check_counts", "choose_indices", "sample_frame_indices"]

SAMPLINGS = ("uniform", "spread", "segment", "centre", "random_clip")


@dataclass(frozen=True)
class FrameChoice:
    """Which frames of a video are taken, see `choose_indices`.

    Attributes:
        num_frames: How many; None where nothing says it.
        sampling: How they are chosen.
        frame_sample_rate: The distance between frames.
    """

    num_frames: int | None = None
    sampling: str = "uniform"
    frame_sample_rate: int = 1

    def following(self, config: Mapping[str, Any]) -> FrameChoice:
        """The choice that a checkpoint's configuration makes; this one where it says nothing.

        Args:
            config: The content of its `config.json`. The number of frames may stand in its section
                `vision_config`. Values of another type, which models refuse, say nothing.

        Example:
            >>> choice = FrameChoice().following({"num_frames": 8, "sampling": "centre"})
            >>> choice.num_frames, choice.sampling, choice.frame_sample_rate
            (8, 'centre', 1)
        """
        vision = config.get("vision_config")
        values = {**(vision if isinstance(vision, Mapping) else {}), **config}
        kinds = {"num_frames": int, "sampling": str, "frame_sample_rate": int}
        said = {n: values[n] for n, kind in kinds.items() if type(values.get(n)) is kind}
        return self.with_given(**said)

    def with_given(self, **given: Any) -> FrameChoice:
        """The same, but for what is given and not None."""
        return FrameChoice(
            **{**vars(self), **{name: value for name, value in given.items() if value is not None}}
        )

    def indices(self, total: int, rng: Any = None) -> np.ndarray:
        """`choose_indices` of a video of `total` frames."""
        how = {"frame_sample_rate": self.frame_sample_rate, "rng": rng}
        return choose_indices(total, self.num_frames, self.sampling, **how)


def sample_frame_indices(
    clip_len: int, frame_sample_rate: int, seg_len: int, rng: Any = None
) -> np.ndarray:
    """Draw a random clip: `clip_len` frames, about `frame_sample_rate` apart.

    The clip's end is drawn first and its frames are spaced over the `clip_len * frame_sample_rate`
    frames before it, as in TimeSformer's documented example.

    Args:
        clip_len: Number of frames to take.
        frame_sample_rate: Distance between neighbouring frames, in frames.
        seg_len: Number of frames of the video.
        rng: `numpy.random.Generator`, `RandomState` or an integer seed. Default: numpy's global
            state, so that `np.random.seed` reproduces the documented results.

    Returns:
        (T,) int64, ascending.

    Raises:
        ValueError: A number that is not a whole one from 1 to `tfzoo.io.limits.MOST_FRAMES`, or a
            video that is not longer than the clip.

    Example:
        >>> np.random.seed(0)
        >>> sample_frame_indices(clip_len=8, frame_sample_rate=4, seg_len=300)
        array([172, 176, 181, 185, 190, 194, 199, 203])
    """
    check_counts(clip_len=clip_len, frame_sample_rate=frame_sample_rate)
    span = int(clip_len * frame_sample_rate)
    if seg_len <= span:
        raise ValueError(
            f"A clip of {clip_len} frames, {frame_sample_rate} apart, needs a video of more than "
            f"{span} frames, got one of {seg_len}. Lower clip_len or frame_sample_rate."
        )
    end = _draw(rng, span, seg_len)
    return np.clip(np.linspace(end - span, end, num=clip_len), end - span, end - 1).astype(np.int64)


def choose_indices(
    total: int,
    num_frames: int,
    sampling: str = "uniform",
    *,
    frame_sample_rate: int = 1,
    rng: Any = None,
) -> np.ndarray:
    """Choose `num_frames` of the `total` frames of a video.

    Args:
        total: Number of frames of the video.
        num_frames: Number of frames to take.
        sampling: "uniform": evenly spaced, the first and the last frame included; "spread": the
            same, but a video with fewer frames, two at least, has frames taken more than once;
            "segment": the middles of `num_frames` equal segments; "centre": every
            `frame_sample_rate`th frame around the video's middle; "random_clip":
            `sample_frame_indices`.
        frame_sample_rate: For "centre" and "random_clip", the distance in frames.
        rng: For "random_clip", see `sample_frame_indices`.

    Returns:
        (T,) int64, ascending.

    Raises:
        VideoError: The video has too few frames.
        ValueError: An unknown `sampling`, or a number that is not a whole one from 1 to
            `tfzoo.io.limits.MOST_FRAMES`.

    Example:
        >>> choose_indices(100, 4)
        array([ 0, 33, 66, 99])
        >>> choose_indices(100, 4, "segment")
        array([12, 37, 62, 87])
        >>> choose_indices(3, 5, "spread")
        array([0, 0, 1, 2, 2])
    """
    if sampling not in SAMPLINGS:
        raise ValueError(f"sampling must be one of {', '.join(SAMPLINGS)}, got {sampling!r}.")
    check_counts(num_frames=num_frames, frame_sample_rate=frame_sample_rate)
    _check_enough(total, num_frames, sampling, frame_sample_rate)
    if sampling == "random_clip":
        return sample_frame_indices(num_frames, frame_sample_rate, total, rng)
    if sampling in ("uniform", "spread"):
        return np.rint(np.linspace(0, total - 1, num_frames)).astype(np.int64)
    order = np.arange(num_frames, dtype=np.int64)
    if sampling == "segment":
        return (2 * order + 1) * total // (2 * num_frames)
    return (total - 1 - (num_frames - 1) * frame_sample_rate) // 2 + order * frame_sample_rate


def check_counts(**numbers: Any) -> None:
    """Refuse what is not a number of frames.

    Args:
        **numbers: By the names of their arguments.

    Raises:
        ValueError: One is not a whole number from 1 to `tfzoo.io.limits.MOST_FRAMES`.

    Example:
        >>> check_counts(num_frames=8)
    """
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, Integral):
            raise ValueError(f"{name} must be a whole number, got {number!r:.100}.")
        if not 1 <= number <= MOST_FRAMES:
            raise ValueError(f"{name} must be at least 1 and at most {MOST_FRAMES}, got {number}.")


def _check_enough(total: int, num_frames: int, sampling: str, frame_sample_rate: int) -> None:
    needed = {
        "spread": 2,
        "centre": (num_frames - 1) * frame_sample_rate + 1,
        "random_clip": num_frames * frame_sample_rate + 1,
    }.get(sampling, num_frames)
    if total < needed:
        fewer = "" if sampling == "spread" else "ask for fewer frames or "
        raise VideoError(
            f"The video has {total} frames; {num_frames} frames by {sampling!r} sampling"
            f"{f', {frame_sample_rate} apart,' if frame_sample_rate > 1 else ''} need at "
            f"least {needed}: {fewer}take a longer video."
        )


def _draw(rng: Any, low: int, high: int) -> int:
    """One integer of [low, high) from whichever kind of source `rng` is."""
    if rng is None:
        rng = np.random
    elif isinstance(rng, (int, np.integer)):
        rng = np.random.default_rng(rng)
    draw = rng.integers if hasattr(rng, "integers") else rng.randint
    return int(draw(low, high))
