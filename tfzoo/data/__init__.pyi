# ruff: noqa
# fmt: off
"""Where the names are, for editors and type checkers; made by `python -m tests.support.stub`."""

from tfzoo.data.augmentation import ClipAugmentation as ClipAugmentation
from tfzoo.data.detections import detection_dataset_from_coco as detection_dataset_from_coco
from tfzoo.data.errors import BrokenFileWarning as BrokenFileWarning
from tfzoo.data.errors import DataError as DataError
from tfzoo.data.moments import grounding_dataset_from_charades as grounding_dataset_from_charades
from tfzoo.data.order import SetEpoch as SetEpoch
from tfzoo.data.order import set_epoch as set_epoch
from tfzoo.data.questions import question_dataset_from_tsv as question_dataset_from_tsv
from tfzoo.data.videos import video_dataset_from_directory as video_dataset_from_directory
