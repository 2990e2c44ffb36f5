"""One clip of a video file as a model takes it.

Letters: B batch, T frames, C channels.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfzoo.data.pipeline import prepared
from tfzoo.io import VideoClip, choose_indices, read_video
from tfzoo.io.limits import MOST_FRAMES
from tfzoo.preprocessing.processor import BaseImageProcessor

__all__ = ["SUFFIXES", "Augment", "ClipReader"]

#: Ends of the names of video files.
SUFFIXES = (
    *(".3g2", ".3gp", ".asf", ".avi", ".avif", ".divx", ".dv", ".f4v", ".flv", ".gif", ".m2t"),
    *(".m2ts", ".m2v", ".m4v", ".mkv", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mts", ".mxf"),
    *(".ogv", ".qt", ".ts", ".vob", ".webm", ".webp", ".wmv"),
)

#: (T, height, width, 3) uint8 and a source of random numbers -> the same kind of frames.
Augment = Callable[[np.ndarray, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class ClipReader:
    """Reads, changes and prepares clips.

    Args:
        processor: The checkpoint's processor of videos, or a processor that has one as
            `image_processor`.
        num_frames: T.
        sampling: See `tfzoo.io.choose_indices`.
        frame_sample_rate: For "centre" and "random_clip": distance of the frames.
        augment: See `Augment`; None changes nothing.

    Raises:
        TypeError: `processor` does not prepare videos.
        ValueError: A number below 1, or an unknown `sampling`.

    Example:
        >>> from tfzoo.preprocessing.videomae import VideoMAEImageProcessor
        >>> reader = ClipReader(VideoMAEImageProcessor(size=32, crop_size=32), num_frames=4)
        >>> reader.spec(batch_size=8).shape
        TensorShape([4, 3, 32, 32])
        >>> pixels, clip = reader.read("clip.mp4", np.random.default_rng(0))
        >>> pixels.shape, clip.duration
        ((4, 3, 32, 32), 13.0)
    """

    processor: Any
    num_frames: int
    sampling: str = "uniform"
    frame_sample_rate: int = 1
    augment: Augment | None = None

    def __post_init__(self) -> None:
        if not isinstance(self._images, BaseImageProcessor):
            raise TypeError(
                "processor: expected a processor of videos, such as AutoImageProcessor."
                f"from_pretrained(checkpoint) gives, got {type(self.processor).__name__}."
            )
        if self.augment is not None and not callable(self.augment):
            raise TypeError(
                "augment: expected a function of (frames, rng), such as ClipAugmentation(), got "
                f"{self.augment!r}."
            )
        # Checks the other arguments; no video is too short.
        how = {"frame_sample_rate": self.frame_sample_rate, "rng": 0}
        choose_indices(MOST_FRAMES**2 + 1, self.num_frames, self.sampling, **how)

    @property
    def _images(self) -> Any:
        return getattr(self.processor, "image_processor", self.processor)

    def spec(self, batch_size: int) -> tf.TensorSpec:
        """Shape and dtype of a prepared clip, tried on wide and tall black frames.

        Args:
            batch_size: B.

        Returns:
            (T, C, height, width), sizes that depend on the video are None.

        Raises:
            TypeError: The processor does not prepare videos.
            ValueError: Sizes that depend on the video, where B is above 1.
        """
        sizes = ((96, 160), (160, 96))
        wide, tall = (self._prepared(np.zeros((self.num_frames, *s, 3), np.uint8)) for s in sizes)
        if wide.ndim != 4:
            raise TypeError(
                f"processor: expected one of videos, {type(self._images).__name__} prepares images."
            )
        shape = [a if a == b else None for a, b in zip(wide.shape, tall.shape, strict=True)]
        if None in shape and batch_size > 1:
            raise ValueError(
                f"The processor gives clips of different sizes, {wide.shape} of wide and "
                f"{tall.shape} of tall videos, which fit no batch: set its do_center_crop, "
                "do_pad, or a size with height and width; or take batch_size=1."
            )
        return tf.TensorSpec(shape, tf.as_dtype(wide.dtype))

    def read(
        self, path: str | os.PathLike[str], rng: np.random.Generator
    ) -> tuple[np.ndarray, VideoClip]:
        """Read one clip.

        Args:
            path: The video.
            rng: Draws the clip, where `sampling` is random, and what `augment` does.

        Returns:
            (T, C, height, width), and the clip as it was read.

        Raises:
            FileNotFoundError: The video is missing.
            VideoError: It is not a video, damaged, or too short.
            DataError: Its frames are of a size that the processor does not take.
        """
        clip = read_video(
            path,
            num_frames=self.num_frames,
            sampling=self.sampling,
            frame_sample_rate=self.frame_sample_rate,
            rng=rng,
        )
        frames = clip.frames if self.augment is None else self.augment(clip.frames, rng)
        return prepared(self._prepared, clip.frames, frames), clip

    def _prepared(self, frames: np.ndarray) -> np.ndarray:
        return self._images(frames, return_tensors="np")["pixel_values"][0]
