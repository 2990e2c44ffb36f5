"""Training sets from files: videos, boxes, moments, region features, streamed into `model.fit`.

`import tfzoo.data` loads nothing heavy; names load on first use.

| function | reads | for |
| `video_dataset_from_directory` | a folder of videos for each label | TimeSformer |
| `detection_dataset_from_coco` | COCO's json and a folder of photos | OWLv2, OWL-ViT |
| `grounding_dataset_from_charades` | lines of Charades-STA and a folder of videos | TVP |
| `question_dataset_from_tsv` | questions in json, region features in TSV | LXMERT |
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfzoo.data.augmentation import ClipAugmentation
    from tfzoo.data.detections import detection_dataset_from_coco
    from tfzoo.data.errors import BrokenFileWarning, DataError
    from tfzoo.data.moments import grounding_dataset_from_charades
    from tfzoo.data.questions import question_dataset_from_tsv
    from tfzoo.data.videos import video_dataset_from_directory

__all__ = [
    "BrokenFileWarning",
    "ClipAugmentation",
    "DataError",
    "detection_dataset_from_coco",
    "grounding_dataset_from_charades",
    "question_dataset_from_tsv",
    "video_dataset_from_directory",
]

_MODULES = {
    "BrokenFileWarning": "errors",
    "ClipAugmentation": "augmentation",
    "DataError": "errors",
    "detection_dataset_from_coco": "detections",
    "grounding_dataset_from_charades": "moments",
    "question_dataset_from_tsv": "questions",
    "video_dataset_from_directory": "videos",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'tfzoo.data' has no attribute {name!r}")
    return getattr(importlib.import_module(f"tfzoo.data.{_MODULES[name]}"), name)
