"""Readers and writers of videos and images: files and uint8 arrays.

Names load on first use, so that reading an image does not load the video decoder.
"""

from tfzoo.core.lazy import attach

_MODULES = {
    "errors": ("ImageError", "VideoError"),
    "image_reader": ("read_frames", "read_image", "to_rgb"),
    "sampling": ("choose_indices", "sample_frame_indices"),
    "video_reader": ("VideoClip", "read_video"),
    "video_writer": ("write_video",),
}

__getattr__, __dir__, __all__ = attach(__name__, _MODULES)
