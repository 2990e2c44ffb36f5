"""Training sets from files: videos, boxes, moments, region features, streamed into `model.fit`.

`import tfzoo.data` loads nothing heavy; names load on first use.

| function | reads | for |
| `video_dataset_from_directory` | a folder of videos for each label | TimeSformer |
| `detection_dataset_from_coco` | COCO's JSON and a folder of images | OWLv2, OWL-ViT |
| `grounding_dataset_from_charades` | lines of Charades-STA and a folder of videos | TVP |
| `question_dataset_from_tsv` | questions in JSON, region features in TSV | LXMERT |

`SetEpoch` makes training that is resumed go on with the order that it would have had.
"""

from tfzoo.core.lazy import attach

_MODULES = {
    "augmentation": ("ClipAugmentation",),
    "detections": ("detection_dataset_from_coco",),
    "errors": ("BrokenFileWarning", "DataError"),
    "moments": ("grounding_dataset_from_charades",),
    "order": ("SetEpoch", "set_epoch"),
    "questions": ("question_dataset_from_tsv",),
    "videos": ("video_dataset_from_directory",),
}

__getattr__, __dir__, __all__ = attach(__name__, _MODULES)
