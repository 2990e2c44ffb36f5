"""Host-side preprocessing in numpy and Pillow, equal to the reference's processors bit for bit.

Modules: `image` (what happens to one image), `video` (what counts as videos), `processor` (the base
of the image processors), `multimodal` (the base of those that take texts, too), `videomae` (a
processor that families share). Names load on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfzoo.preprocessing.processor import BaseImageProcessor, BatchFeature
    from tfzoo.preprocessing.video import make_batched_videos

_MODULES = {
    "BaseImageProcessor": "processor",
    "BatchFeature": "processor",
    "make_batched_videos": "video",
}

__all__ = ["BaseImageProcessor", "BatchFeature", "make_batched_videos"]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
