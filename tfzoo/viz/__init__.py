"""Pictures of what models find.

`import tfzoo.viz` loads nothing heavy; each function is imported on its first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfzoo.viz.detections import draw_detections
    from tfzoo.viz.flow import draw_flow, flow_to_image, flow_wheel
    from tfzoo.viz.timeline import draw_timeline

__all__ = ["draw_detections", "draw_flow", "draw_timeline", "flow_to_image", "flow_wheel"]

_MODULES = {
    "draw_detections": "detections",
    "draw_flow": "flow",
    "draw_timeline": "timeline",
    "flow_to_image": "flow",
    "flow_wheel": "flow",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'tfzoo.viz' has no attribute {name!r}")
    return getattr(importlib.import_module(f"tfzoo.viz.{_MODULES[name]}"), name)
