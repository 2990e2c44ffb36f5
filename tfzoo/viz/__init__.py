"""Pictures of what models find.

`import tfzoo.viz` loads nothing heavy; each function is imported on its first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfzoo.viz.detections import draw_detections
    from tfzoo.viz.flow import draw_flow, flow_to_image, flow_wheel
    from tfzoo.viz.frames import draw_attention, draw_frames
    from tfzoo.viz.rollout import attention_rollout, rollout_divided, rollout_joint
    from tfzoo.viz.similarity import draw_similarity
    from tfzoo.viz.suggestions import draw_suggestions
    from tfzoo.viz.timeline import draw_timeline

__all__ = [
    "attention_rollout",
    "draw_attention",
    "draw_detections",
    "draw_flow",
    "draw_frames",
    "draw_similarity",
    "draw_suggestions",
    "draw_timeline",
    "flow_to_image",
    "flow_wheel",
    "rollout_divided",
    "rollout_joint",
]

_MODULES = {
    "attention_rollout": "rollout",
    "draw_attention": "frames",
    "draw_detections": "detections",
    "draw_flow": "flow",
    "draw_frames": "frames",
    "draw_similarity": "similarity",
    "draw_suggestions": "suggestions",
    "draw_timeline": "timeline",
    "flow_to_image": "flow",
    "flow_wheel": "flow",
    "rollout_divided": "rollout",
    "rollout_joint": "rollout",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'tfzoo.viz' has no attribute {name!r}")
    return getattr(importlib.import_module(f"tfzoo.viz.{_MODULES[name]}"), name)
