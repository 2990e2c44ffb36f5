"""Readers of videos and images: files in, uint8 arrays out.

Names load on first use, so that reading a photo does not load the video decoder.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfzoo.io.errors import ImageError, VideoError
    from tfzoo.io.image_reader import read_frames, read_image, to_rgb
    from tfzoo.io.sampling import choose_indices, sample_frame_indices
    from tfzoo.io.video_reader import VideoClip, read_video

_MODULES = {
    "ImageError": "errors",
    "VideoError": "errors",
    "read_frames": "image_reader",
    "read_image": "image_reader",
    "to_rgb": "image_reader",
    "choose_indices": "sampling",
    "sample_frame_indices": "sampling",
    "VideoClip": "video_reader",
    "read_video": "video_reader",
}

__all__ = [
    "ImageError",
    "VideoClip",
    "VideoError",
    "choose_indices",
    "read_frames",
    "read_image",
    "read_video",
    "sample_frame_indices",
    "to_rgb",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
