"""Files that tasks read: still images, and clips from whatever has frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tfzoo.io import (
    ImageError,
    VideoClip,
    choose_indices,
    read_frames,
    read_image,
    read_video,
)
from tfzoo.io.image_reader import opened
from tfzoo.tasks.base import Progress

__all__ = ["is_still", "read_clip"]

# In these formats files of several images are animations, in the others pages.
_ANIMATED = {"GIF", "WEBP", "PNG", "AVIF"}


def is_still(path: Path) -> bool:
    """Whether a file is an image that does not move."""
    if path.is_dir():
        return False
    try:
        with opened(path) as image:
            return not (image.format in _ANIMATED and getattr(image, "is_animated", False))
    except ImageError:
        return False


def read_clip(
    path: Path,
    num_frames: int,
    sampling: str = "uniform",
    frame_sample_rate: int = 1,
    progress: Progress = False,
) -> VideoClip:
    """Choose frames of a video, an animation or a folder of images; a still image is repeated.

    The arguments are those of `tfzoo.read_video`. A clip of images has no rate and duration.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is neither a video nor an image, or too short.
    """
    choice = {"sampling": sampling, "frame_sample_rate": frame_sample_rate}
    if path.is_dir():
        frames = read_frames(path)
        indices = choose_indices(len(frames), num_frames, **choice)
    elif is_still(path):
        frames, indices = read_image(path)[None], np.zeros(num_frames, "int64")
    else:
        return read_video(path, num_frames=num_frames, **choice, progress=progress)
    return VideoClip(frames[indices], indices, fps=0.0, total_frames=len(frames), duration=0.0)
