"""Drawings of what models find.

`import tfzoo.viz` loads nothing heavy; names load on first use.
"""

from tfzoo.core.lazy import attach

_MODULES = {
    "detections": ("draw_detections",),
    "flow": ("draw_flow", "flow_to_image", "flow_wheel"),
    "frames": ("draw_attention", "draw_frames"),
    "ranking": ("draw_ranking",),
    "rollout": ("attention_rollout", "rollout_divided", "rollout_joint"),
    "similarity": ("draw_similarity",),
    "suggestions": ("draw_suggestions",),
    "timeline": ("draw_timeline",),
}

__getattr__, __dir__, __all__ = attach(__name__, _MODULES)
