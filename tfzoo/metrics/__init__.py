"""How good results are: `detection` (boxes in images, in NumPy), `grounding` (moments in videos).

`import tfzoo.metrics` loads nothing heavy; names load on first use.
"""

from tfzoo.core.lazy import attach

_MODULES = {
    "detection": ("average_precision", "box_iou"),
    "grounding": ("MeanTemporalIoU", "TemporalRecall", "grounding_metrics", "temporal_iou"),
}

__getattr__, __dir__, __all__ = attach(__name__, _MODULES)
