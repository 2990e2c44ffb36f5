"""How good results are: `detection` (boxes in photos, in NumPy), `grounding` (moments in videos).

`import tfzoo.metrics` loads nothing heavy; names load on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfzoo.metrics.detection import average_precision, box_iou
    from tfzoo.metrics.grounding import (
        MeanTemporalIoU,
        TemporalRecall,
        grounding_metrics,
        temporal_iou,
    )

_MODULES = {
    "MeanTemporalIoU": "grounding",
    "TemporalRecall": "grounding",
    "average_precision": "detection",
    "box_iou": "detection",
    "grounding_metrics": "grounding",
    "temporal_iou": "grounding",
}

__all__ = [
    "MeanTemporalIoU",
    "TemporalRecall",
    "average_precision",
    "box_iou",
    "grounding_metrics",
    "temporal_iou",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'tfzoo.metrics' has no attribute {name!r}")
    return getattr(importlib.import_module(f"tfzoo.metrics.{_MODULES[name]}"), name)
