# ruff: noqa
# fmt: off
"""Where the names are, for editors and type checkers; made by `python -m tests.support.stub`."""

from tfzoo.metrics.detection import average_precision as average_precision
from tfzoo.metrics.detection import box_iou as box_iou
from tfzoo.metrics.grounding import MeanTemporalIoU as MeanTemporalIoU
from tfzoo.metrics.grounding import TemporalRecall as TemporalRecall
from tfzoo.metrics.grounding import grounding_metrics as grounding_metrics
from tfzoo.metrics.grounding import temporal_iou as temporal_iou
